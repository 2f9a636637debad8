"""Every file that ever came, and what became of it; late rows change their days and no other."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from governance_pipeline.adapters import catalogue, manifests, refresh
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.paths import Paths
from tests.integration import worlds as w
from tests.integration.deliveries import (
    DAY,
    as_csv,
    decision,
    deliver,
    label,
    make_home,
    only,
    rows_in,
    take_in,
)

ROWS = [decision(n) for n in range(1, 11)]
OF_DAYS = ("fct_strategy_days", "fct_strategy_segments", "fct_audit_population",
           "fct_audit_labels", "audited_decisions", "channel_trust_days")  # fmt: skip


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


def fates(paths: Paths) -> list[tuple[str, str, int]]:
    found = manifests.read(paths.lake, "decisions", "shopads", DAY)
    assert found is not None
    return [(Path(entry.path).name, entry.outcome, entry.rows) for entry in found.ledger]


def test_a_file_sent_anew_supersedes_the_one_before_and_both_are_remembered(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv(ROWS))
    first = only(take_in(paths, run_id="one")).ledger[0]
    assert fates(paths) == [("a.csv", "accepted", 10)]
    deliver(paths, "a.csv", as_csv(ROWS[:6]))
    made = only(take_in(paths, run_id="two"))
    assert fates(paths) == [("a.csv", "superseded", 10), ("a.csv", "restated", 6)]
    assert made.ledger[0].seen_at == first.seen_at < made.ledger[1].seen_at
    assert [entry.run_id for entry in made.ledger] == ["two", "two"]
    deliver(paths, "a.csv", as_csv(ROWS))
    again = only(take_in(paths))
    assert fates(paths) == [("a.csv", "restated", 10), ("a.csv", "superseded", 6)]
    assert again.ledger[0].seen_at == first.seen_at


def test_what_a_refused_delivery_would_have_replaced_stays_accepted(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv(ROWS))
    take_in(paths)
    deliver(paths, "b.csv", as_csv([row | {"score": 7} for row in ROWS]))
    assert only(take_in(paths)).state == "refused"
    assert fates(paths) == [("a.csv", "accepted", 10), ("b.csv", "refused", 10)]
    deliver(paths, "b.csv", as_csv([decision(11)]))
    assert only(take_in(paths)).state == "accepted"
    assert fates(paths) == [
        ("a.csv", "accepted", 10), ("b.csv", "refused", 10), ("b.csv", "restated", 1),
    ]  # fmt: skip


def test_a_first_delivery_after_a_refused_one_restates_nothing(paths: Paths) -> None:
    deliver(paths, "a.csv", b"no,such,columns\n1,2,3\n")
    assert only(take_in(paths)).state == "refused"
    deliver(paths, "a.csv", as_csv(ROWS))
    take_in(paths)
    assert [fate for _, fate, _ in fates(paths)] == ["refused", "accepted"]


def test_the_same_bytes_under_another_name_restate_nothing_and_are_noted(paths: Paths) -> None:
    file = deliver(paths, "a.csv", as_csv(ROWS))
    first = only(take_in(paths))
    file.rename(file.with_name("b.csv"))
    noted = only(take_in(paths, run_id="two"))
    assert fates(paths) == [("a.csv", "accepted", 10), ("b.csv", "unchanged", 0)]
    assert (noted.token, noted.restatements, noted.files) == (first.token, 0, first.files)
    assert only(take_in(paths, run_id="three")) == noted
    assert len(rows_in(paths, "decisions")) == 10


def test_the_same_bytes_under_a_name_that_can_be_read_are_read(paths: Paths) -> None:
    file = deliver(paths, "a.txt", as_csv(ROWS))
    assert only(take_in(paths)).state == "refused"
    file.rename(file.with_name("a.csv"))
    assert only(take_in(paths)).rows_accepted == 10


def test_a_file_like_another_and_a_file_of_nothing_are_told_apart(paths: Paths) -> None:
    for name, rows in (("a.csv", ROWS), ("b.csv", ROWS), ("c.csv", [])):
        deliver(paths, name, as_csv(rows))
    take_in(paths)
    assert fates(paths) == [("a.csv", "accepted", 10), ("b.csv", "unchanged", 0),
                            ("c.csv", "empty", 0)]  # fmt: skip


def put(paths: Paths, feed: str, channel: str, day: dt.date, *rows: dict[str, Any]) -> None:
    folder = paths.landing / feed / channel / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    named = [json.dumps({**row, "channel": channel}) + "\n" for row in rows]
    (folder / f"{len(list(folder.iterdir()))}.jsonl").write_text("".join(named))


def marts(paths: Paths) -> dict[str, dict[tuple[Any, ...], int]]:
    """Return every row of the marts by day, and where it belongs: channel and day."""
    found: dict[str, dict[tuple[Any, ...], int]] = {}
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        for table in OF_DAYS:
            day = "date" if table == "channel_trust_days" else "decision_date"
            rows = connection.execute(f"select channel, {day}, t from {table} t").fetchall()
            found[table] = {(channel, at, str(row)): 1 for channel, at, row in rows}
    return found


def test_late_rows_change_the_marts_of_their_days_and_no_other(tmp_path: Path) -> None:
    days = [w.START + dt.timedelta(days=n) for n in range(6)]
    paths = w.make_market(tmp_path / "home", days[-1])
    said = {"strategy_id": w.BLOCKING, "score": None, "is_fired": True, "action": "block"}
    for channel in ("video", "lives", "shopads", "shoptab"):
        for day in days[:3]:
            put(paths, "decisions", channel, day, *(
                decision(n, **said, decision_id=f"{channel}{day}-{n}", decided_at=f"{day} 10:00")
                for n in range(20)
            ))  # fmt: skip
        put(paths, "feedback", channel, days[1], {
            "feedback_id": "f1", "submitted_at": f"{days[1]} 08:00", "kind": "nps", "score": 9,
        })  # fmt: skip
    w.take_in(paths, days)
    before = marts(paths)

    late, drawn = days[5], _drawn(paths, "lives", days[1])
    put(paths, "decisions", "video", late, decision(77, **said, decided_at=f"{days[0]} 11:00"))
    put(
        paths,
        "audit_labels",
        "lives",
        late,
        label(1, decision_id=drawn, labelled_at=f"{late} 9:00"),
    )
    put(paths, "appeals", "shopads", late, {
        "appeal_id": "a1", "decision_id": f"shopads{days[2]}-3", "submitted_at": f"{late} 08:00",
        "outcome": "reversed",
    })  # fmt: skip
    put(paths, "feedback", "shoptab", late, {
        "feedback_id": "f2", "submitted_at": f"{days[1]} 09:00", "kind": "nps", "score": 1,
    })  # fmt: skip
    w.take_in(paths, days)

    after = marts(paths)
    changed = {
        table: {key[:2] for key in before[table].keys() ^ after[table].keys()} for table in OF_DAYS
    }
    assert changed == {
        "fct_strategy_days": {("video", days[0]), ("lives", days[1]), ("shopads", days[2])},
        "fct_strategy_segments": {("video", days[0])},
        "fct_audit_population": {("video", days[0])},
        "fct_audit_labels": {("lives", days[1])},
        "audited_decisions": {("lives", days[1])},
        "channel_trust_days": {("shoptab", days[1])},
    }
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        arrived = connection.execute(
            "select delivery_date, seen_at > delivery_date, outcome from deliveries_ledger"
            " where feed = 'audit_labels'"
        ).fetchall()
    assert arrived == [(late, True, "accepted")]


def _drawn(paths: Paths, channel: str, day: dt.date) -> str:
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        found = connection.execute(
            "select min(decision_id) from int_sampled_units"
            " where channel = $channel and decision_date = $day",
            {"channel": channel, "day": day},
        ).fetchone()
    assert found is not None
    return str(found[0])


def test_bytes_that_came_again_are_told_in_the_marts_without_building_a_day(
    tmp_path: Path,
) -> None:
    days = w.days_of(1)
    paths = w.make_market(tmp_path / "home", days[-1])
    rows = [decision(n, decided_at=f"{w.START} 10:00", channel="shoptab") for n in range(5)]
    put(paths, "decisions", "shoptab", w.START, *rows)
    w.take_in(paths, days)
    put(paths, "decisions", "shoptab", w.START, *rows)
    intake_range("decisions", ["shoptab"], days, paths=paths, sources=[], run_id="again")
    plan = refresh.plan_refresh(paths)
    assert (plan.is_empty, plan.decision_days) == (False, [])
    w.take_in(paths, days)
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        outcomes = connection.execute(
            "select outcome, rows from deliveries_ledger order by source"
        ).fetchall()
        columns = [name for name, *_ in connection.execute("describe deliveries_ledger").fetchall()]
    assert outcomes == [("accepted", 5), ("unchanged", 0)]
    assert list(catalogue.table_docs()["deliveries_ledger"].columns) == columns
    assert refresh.plan_refresh(paths).is_empty
