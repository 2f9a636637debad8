"""Every rule of every suite, by a row that breaks it: turned away under its name, or let pass."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from governance_pipeline.adapters.suites import Rule, load_suite
from governance_pipeline.feeds import FEEDS
from governance_pipeline.settings import EXPECTATIONS
from tests.integration.deliveries import (
    DAY,
    Row,
    as_jsonl,
    decision,
    deliver,
    label,
    make_home,
    only,
    rows_in,
    take_in,
)

GOOD: Mapping[str, Row] = {
    "decisions": decision(),
    "audit_labels": label(1, labelled_at=f"{DAY}T09:00:00Z"),
    "appeals": {
        "appeal_id": "a", "decision_id": "d1", "channel": "shopads", "outcome": "upheld",
        "submitted_at": f"{DAY} 08:00", "decision_made_at": None, "decided_at": None,
        "ground": "wrong",
    },
    "feedback": {
        "feedback_id": "f", "channel": "shopads", "submitted_at": f"{DAY} 08:00", "kind": "nps",
        "score": 9, "theme": "t", "category": "hb", "market": "US", "item_id": "i",
        "seller_id": "s", "decision_id": None,
    },
    "activity": {
        "channel": "shopads", "date": str(DAY), "category": "hb", "market": "US",
        "experiment_arm": None, "impressions": 100, "orders": 3, "refunds": 0, "gmv": 9.5,
    },
}  # fmt: skip
# What breaks a rule that is a query of its own, which no declaration can say.
OWN: Mapping[str, Row] = {
    "decided_at_is_not_after_delivery": {"decided_at": f"{DAY + dt.timedelta(days=1)} 00:00:00"},
    "labelled_at_is_not_after_delivery": {"labelled_at": f"{DAY + dt.timedelta(days=2)} 00:00"},
    "submitted_at_is_not_after_delivery": {"submitted_at": f"{DAY + dt.timedelta(days=2)} 00:00"},
    "decided_at_is_recent": {"decided_at": f"{DAY - dt.timedelta(days=31)} 10:00:00"},
    "channel_is_the_deliverys": {"channel": "lives"},
    "shadow_decisions_do_not_act": {"environment": "shadow", "is_fired": True, "action": "block"},
    "unfired_decisions_do_not_act": {"is_fired": False, "action": "block"},
    "label_names_what_it_judged": {"decision_id": None, "item_id": "i", "policy": None},
    "decided_at_is_not_before_submitted_at": {"decided_at": f"{DAY} 07:59"},
    "nps_is_between_0_and_10": {"kind": "nps", "score": 11},
    "rating_is_between_1_and_5": {"kind": "csat", "score": 0},
}


def breaking(rule: Rule, declared: Mapping[str, Any]) -> list[Row]:
    """Changes that make a good row break a rule, one at each of its ends."""
    kind, kwargs = declared["type"], declared["kwargs"]
    if kind == "unexpected_rows_expectation":
        return [OWN[rule.name]]
    column = str(rule.column)
    if kind == "expect_column_values_to_be_between":
        ends = [(kwargs.get("min_value"), -1), (kwargs.get("max_value"), 1)]
        values = [_beyond(end, way) for end, way in ends if end is not None]
        values += [kwargs["min_value"]] if kwargs.get("strict_min") else []
        return [{column: value} for value in values]
    is_absent = kind == "expect_column_values_to_not_be_null"
    return [{column.removesuffix("__uncast"): None if is_absent else "?!"}]


def _beyond(end: Any, way: int) -> Any:
    if isinstance(end, str):
        return str(dt.datetime.fromisoformat(end) + dt.timedelta(days=way))[: len(end)]
    return end * 1.01 if isinstance(end, float) else end + way


def lines_that_break(rule: Rule, declared: Mapping[str, Any], feed: str) -> tuple[list[bytes], int]:
    """Lines of a file of which so many, the last ones, break a rule."""
    if rule.column == "unreadable":
        return [b'{"broken\n'], 1
    named = FEEDS[feed].key or "category"
    if rule.unique_by:
        row = GOOD[feed] | {named: rule.name}
        return [as_jsonl([row | changes]) for changes in ({}, {"gmv": 1.25, "ground": "x"})], 1
    changes = breaking(rule, declared)
    rows = [GOOD[feed] | {named: f"{rule.name}-{n}"} | own for n, own in enumerate(changes)]
    return [as_jsonl([row]) for row in rows], len(rows)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_row_that_breaks_a_rule_is_turned_away_under_its_name_or_let_pass(
    tmp_path: Path, feed: str
) -> None:
    paths, suite = make_home(tmp_path / "home"), load_suite(EXPECTATIONS / f"{feed}.yaml")
    lines: list[bytes] = []
    broken: dict[str, list[int]] = {}
    for rule, declared in zip(suite.rules, suite.expectations, strict=True):
        own, count = lines_that_break(rule, declared, feed)
        lines += own
        broken[rule.name] = list(range(len(lines) - count + 1, len(lines) + 1))
    named, bad = FEEDS[feed].key or "category", len(lines)
    lines += [as_jsonl([GOOD[feed] | {named: f"good-{n}"}]) for n in range(5 * bad)]
    deliver(paths, "a.jsonl", b"".join(lines), feed=feed)

    made = only(take_in(paths, feed=feed))

    critical = {rule.name for rule in suite.rules if rule.severity == "critical"}
    expected = [(at, name) for name, places in broken.items() if name in critical for at in places]
    assert rows_in(paths, feed, "row_number, rule", "quarantine") == sorted(expected)
    assert made.rows_accepted == len(lines) - len(expected)
    failed = {result.rule: result.failed_rows for result in made.rules}
    assert all(failed[name] >= len(places) for name, places in broken.items()), failed
