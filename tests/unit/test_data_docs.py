"""The data docs: one page that needs no network, with every rule and every delivery."""

import datetime as dt
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from governance_pipeline.adapters.data_docs import render
from governance_pipeline.adapters.suites import load_suite
from governance_pipeline.feeds import FEEDS
from governance_pipeline.settings import EXPECTATIONS

SUITES = [load_suite(EXPECTATIONS / f"{feed}.yaml") for feed in FEEDS]
LAST = dt.date(2026, 3, 20)


def delivery(days_ago: int = 0, **changes: object) -> dict[str, object]:
    return {
        "feed": "decisions", "channel": "lives", "delivery_date": LAST - dt.timedelta(days_ago),
        "state": "accepted", "rows_delivered": 1829, "rows_accepted": 1829, "rows_quarantined": 0,
        "restatements": 0, "refusal": None, "release_reason": None, "snapshot_id": "s1",
        "data_as_of": LAST,
    } | changes  # fmt: skip


def trouble(rule: str, severity: str, days_ago: int = 0, **changes: object) -> dict[str, object]:
    return {
        "feed": "decisions", "channel": "lives", "day": LAST - dt.timedelta(days_ago),
        "rule": rule, "severity": severity, "failed_rows": 3, "observed": "3 of 1829 rows",
    } | changes  # fmt: skip


def cells(page: str) -> dict[tuple[str, str], str]:
    """Return colour and text of each cell that was delivered, by what its pointer says first."""
    found = re.findall(r'<td class="cell (\w+)" title="([^":]+):[^"]*">([^<]*)</td>', page)
    return {(colour, unescape(text)): said for colour, said, text in found}


@pytest.fixture(scope="module")
def page() -> str:
    return render(
        [
            delivery(9),
            delivery(5, state="empty", rows_delivered=0, rows_accepted=0),
            delivery(4, rows_accepted=1826, rows_quarantined=3),
            delivery(3),
            delivery(2),
            delivery(1, state="refused", rows_accepted=0, rows_quarantined=1829,
                     refusal="900 of 1829 rows <b>break</b> critical rules"),
            delivery(),
        ],
        [
            trouble("score_is_a_number", "critical", 4),
            trouble("reach_is_present", "warning", 3),
            trouble("strategy_is_registered", "finding", 2, observed="<script>: 3 rows"),
        ],
        SUITES,
    )  # fmt: skip


def test_the_page_refers_to_nothing_outside_of_itself(page: str) -> None:
    assert not re.search(r"(https?:)?//|@import|<script|<link|<img|url\(", page)
    assert "default-src 'none'" in page


def test_every_rule_is_there_with_its_reason_and_its_remedy(page: str) -> None:
    text = " ".join(unescape(page).split())
    for suite in SUITES:
        for rule in (*suite.rules, *suite.set_rules):
            assert f'id="{suite.name}-{rule.name}"' in page
            assert rule.why in text
            assert rule.remedy in text


def test_a_cell_shows_the_worst_that_stands_against_a_delivery(page: str) -> None:
    assert cells(page) == {
        ("good", "1.8k"): f"lives {LAST}",
        ("bad", "✕"): f"lives {LAST - dt.timedelta(1)}",
        ("find", "?"): f"lives {LAST - dt.timedelta(2)}",
        ("warn", "!"): f"lives {LAST - dt.timedelta(3)}",
        ("warn", "-3"): f"lives {LAST - dt.timedelta(4)}",
        ("none", "0"): f"lives {LAST - dt.timedelta(5)}",
        ("none", "·"): f"lives {LAST}",
    }


def test_what_a_supplier_wrote_is_text_and_never_markup(page: str) -> None:
    assert "&lt;script&gt;: 3 rows" in page
    assert "<b>break</b>" not in page


def test_all_but_three_rows_are_not_all(page: str) -> None:
    assert "<b>83.30%</b><span>of them accepted" in page
    almost = render([delivery(rows_delivered=10**6, rows_accepted=10**6 - 3)], [], SUITES)
    assert "<b>99.99%</b><span>of them accepted" in almost


class Open(HTMLParser):
    """Knows which tags are open, and fails when another one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag


def test_the_page_is_whole_markup(page: str) -> None:
    parser = Open()
    parser.feed(page)
    assert parser.tags == []
