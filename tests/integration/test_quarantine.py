"""`governance feed show`: every rejected row whole, with the rule, the file and what to do."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from governance_pipeline.adapters.quarantine import rejected_rows
from governance_pipeline.cli import cli
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    as_csv,
    as_jsonl,
    decision,
    deliver,
    label,
    make_home,
    take_in,
)

NEXT_DAY = DAY + dt.timedelta(days=1)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = make_home(tmp_path_factory.mktemp("home"))
    rows = [decision(n) for n in range(1, 8)] + [decision(8, score=7, gmv="12,5")]
    deliver(paths, "a.csv", as_csv(rows))
    labels = as_jsonl([label(n) for n in range(1, 12)] + [label(12, verdict="yes")])
    deliver(paths, "l.jsonl", labels + b'{"label_id": "l13"\n', feed="audit_labels")
    deliver(paths, "b.csv", as_csv([decision(n, action="[bold]") for n in range(5)]), NEXT_DAY)
    take_in(paths, [DAY, NEXT_DAY])
    take_in(paths, feed="audit_labels")
    return paths


def shown(paths: Paths, *arguments: str) -> str:
    done = CliRunner().invoke(cli, ["--home", str(paths.root), "feed", "show", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_rejected_row_is_shown_whole_with_its_rule_file_row_and_run(paths: Paths) -> None:
    (row,) = [json.loads(line) for line in shown(paths, "--date", str(DAY), "--rule",
              "score_is_between_0_and_1", "--json").splitlines()]  # fmt: skip
    assert row | {"row": None} == {
        "feed": "decisions", "channel": "shopads", "delivery_date": str(DAY),
        "file": f"landing/decisions/shopads/{DAY}/a.csv", "row_number": 8,
        "rule": "score_is_between_0_and_1", "severity": "critical", "value": "7.0",
        "run_id": "run", "row": None,
    }  # fmt: skip
    assert row["row"]["decision_id"] == "d8"
    assert row["row"]["gmv"] == "12,5"


def test_a_page_says_why_and_what_to_do_and_how_many_rows_there_are(paths: Paths) -> None:
    page = shown(paths, "--limit", "3")
    assert "8 rows are in the quarantine; 3 of them shown" in page
    assert "The delivery was refused whole: 5 of 5 rows break critical rules" in page
    assert "Use none, boost, demote, limit, label, age_gate, filter or block" in page
    assert '"action": "[bold]"' in page  # text of a supplier is shown, not obeyed


def test_a_line_that_is_no_row_is_shown_as_it_came(paths: Paths) -> None:
    found = rejected_rows(paths.lake, feed="audit_labels", rule="row_is_readable")
    assert [row["row"] for row in found.rows] == ['{"label_id": "l13"']
    assert "value" not in shown(paths, "--rule", "row_is_readable").split("row 13")[1]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, 8),
        ({"feed": "decisions"}, 6),
        ({"feed": "decisions", "day": DAY}, 1),
        ({"channel": "lives"}, 0),
        ({"rule": "action_is_known"}, 5),
    ],
)
def test_rows_are_found_by_feed_channel_day_and_rule(
    paths: Paths, wanted: dict[str, object], rows: int
) -> None:
    found = rejected_rows(paths.lake, **wanted)  # type: ignore[arg-type]
    assert (len(found.rows), found.total) == (rows, rows)


def test_a_rule_that_no_feed_has_is_said(paths: Paths) -> None:
    with pytest.raises(InputError, match="no rule is called scoer"):
        rejected_rows(paths.lake, rule="scoer")


def test_an_empty_quarantine_is_said(tmp_path: Path) -> None:
    assert shown(make_home(tmp_path)) == "no row is in the quarantine\n"
