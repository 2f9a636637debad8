"""Rules on whole deliveries: what is unlike the four weeks before is refused or shown."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from governance_pipeline.adapters import expectations
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    Row,
    as_csv,
    as_jsonl,
    decision,
    deliver,
    label,
    make_home,
    only,
    take_in,
    write_registry,
)

ROWS = 200
HISTORY = [DAY + dt.timedelta(days=n) for n in range(10)]
NEXT_DAY = DAY + dt.timedelta(days=1)
TODAY = HISTORY[-1] + dt.timedelta(days=1)


def rows_of(day: dt.date, rows: int = ROWS, **changes: object) -> list[Row]:
    at = {"decided_at": f"{day}T10:00:00Z", "score": 0.5}
    return [decision(n, **{**at, **changes}) for n in range(rows)]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Paths]:
    """Ten days of deliveries that are alike, to copy from."""
    home = make_home(tmp_path_factory.mktemp("history"))
    for n, day in enumerate(HISTORY):
        deliver(home, "a.csv", as_csv(rows_of(day, ROWS + 5 * (n % 3))), day)
    made = take_in(home, HISTORY)
    assert {m.state for m in made} == {"accepted"}
    assert not [finding for m in made for finding in m.findings]

    def copied(to: Path) -> Paths:
        import shutil

        return Paths(Path(shutil.copytree(home.root, to / "home")))

    return copied


def taken(paths: Paths, rows: list[Row], day: dt.date = TODAY) -> Manifest:
    deliver(paths, "a.csv", as_csv(rows), day)
    return only(take_in(paths, [day]))


def broken(manifest: Manifest) -> dict[str, str]:
    return {rule.rule: rule.observed for rule in manifest.rules if not rule.passed}


@pytest.mark.parametrize("rows", [ROWS // 10, ROWS * 10])
def test_a_tenth_of_a_day_and_ten_of_it_are_refused(
    history: Callable[[Path], Paths], tmp_path: Path, rows: int
) -> None:
    manifest = taken(history(tmp_path), rows_of(TODAY, rows))
    assert manifest.state == "refused"
    assert manifest.refusal is not None
    assert f"{rows:,} rows, usually about 205" in manifest.refusal
    assert "governance feed release" in manifest.refusal
    assert (manifest.rows_quarantined, manifest.rows_accepted) == (rows, 0)


def test_an_empty_delivery_of_a_feed_that_never_was_is_refused(
    history: Callable[[Path], Paths], tmp_path: Path
) -> None:
    manifest = taken(history(tmp_path), [])
    assert (manifest.state, manifest.rows_delivered) == ("refused", 0)
    assert "0 rows, usually about 205" in str(manifest.refusal)


def test_half_a_day_passes_and_is_shown(history: Callable[[Path], Paths], tmp_path: Path) -> None:
    manifest = taken(history(tmp_path), rows_of(TODAY, 80))
    assert manifest.state == "accepted"
    assert broken(manifest) == {"row_count_is_usual": "80 rows, usually about 205"}


def test_a_column_that_empties_is_refused_and_one_that_half_does_is_shown(
    history: Callable[[Path], Paths], tmp_path: Path
) -> None:
    paths = history(tmp_path)
    empty = taken(paths, rows_of(TODAY, score=None))
    assert empty.state == "refused"
    assert "columns_stay_filled: 100.0% of score is null, usually 0.0%" in str(empty.refusal)
    some = [row | {"score": None} if n % 5 == 0 else row for n, row in enumerate(rows_of(TODAY))]
    shown = taken(paths, some)
    assert shown.state == "accepted"
    assert broken(shown) == {"null_shares_are_usual": "20.0% of score is null, usually 0.0%"}


def test_another_mix_of_actions_or_of_detection_passes_and_is_shown(
    history: Callable[[Path], Paths], tmp_path: Path
) -> None:
    rows = rows_of(TODAY, action="demote", is_fired=True, automated_detection=False)
    manifest = taken(history(tmp_path), rows)
    assert manifest.state == "accepted"
    assert set(broken(manifest)) == {"value_shares_are_usual"}
    assert {(f.subject, f.observed) for f in manifest.findings} == {
        ("action block", "action block in 0.0% of rows, usually 50.0%"),
        ("action demote", "action demote in 100.0% of rows, usually 0.0%"),
        ("action none", "action none in 0.0% of rows, usually 50.0%"),
        (
            "automated_detection true",
            "automated_detection true in 0.0% of rows, usually 100.0%",
        ),
    }


def test_nothing_is_said_of_shares_before_a_week_was_seen(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    days = HISTORY[:6]
    for day in days:
        deliver(paths, "a.csv", as_csv(rows_of(day)), day)
    take_in(paths, days)
    manifest = taken(paths, rows_of(HISTORY[6], ROWS * 10, score=None), HISTORY[6])
    assert (manifest.state, manifest.findings) == ("accepted", [])


def test_a_backfill_is_validated_once_and_says_the_same_as_its_days_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated = Mock(wraps=expectations.evaluate)
    monkeypatch.setattr(expectations, "evaluate", validated)
    sizes = [*range(200, 208), 20, 2050, 90, 207]
    days = [DAY + dt.timedelta(days=n) for n in range(len(sizes))]
    said = []
    for name, runs in (("range", [days]), ("daily", [[day] for day in days])):
        validated.reset_mock()
        paths = make_home(tmp_path / name)
        for day, size in zip(days, sizes, strict=True):
            deliver(paths, "a.csv", as_csv(rows_of(day, size)), day)
        made = [m for run in runs for m in take_in(paths, run)]
        said.append([(m.delivery_date, m.state, m.refusal, m.rules, m.findings) for m in made])
        assert validated.call_count == len(runs)
    assert said[0] == said[1]
    assert [state for _, state, *_ in said[0]].count("refused") == 2


def test_decisions_of_strategies_that_nobody_registered_are_accepted_and_found(
    tmp_path: Path,
) -> None:
    rows = [
        *rows_of(DAY, 5),
        *(row | {"decision_id": f"u{n}"} for n, row in enumerate(rows_of(DAY, 3, strategy_id="?"))),
        *(
            row | {"decision_id": f"v{n}"}
            for n, row in enumerate(rows_of(DAY, 2, strategy_version=9))
        ),
    ]
    manifest = taken(make_home(tmp_path), rows, DAY)
    assert (manifest.state, manifest.rows_accepted) == ("accepted", 10)
    assert [(f.rule, f.severity, f.subject, f.rows) for f in manifest.findings] == [
        ("strategy_is_registered", "finding", "?", 3),
        ("strategy_version_is_registered", "finding", "ad-health-claim-block@9", 2),
    ]
    assert {r.rule: r.failed_rows for r in manifest.rules if r.severity == "finding"} == {
        "strategy_is_registered": 3,
        "strategy_is_not_retired": 0,
        "strategy_version_is_registered": 2,
    }


def test_decisions_of_a_retired_strategy_are_accepted_and_found(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    retire(paths)
    manifest = taken(paths, rows_of(DAY, 4), DAY)
    assert manifest.rows_accepted == 4
    assert [(f.rule, f.rows) for f in manifest.findings] == [("strategy_is_not_retired", 4)]


def retire(paths: Paths) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (file,) = paths.lake.glob("registry/*/strategies.parquet")
    rows = [row | {"lifecycle": "retired"} for row in pq.read_table(file).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), file)


def test_a_decision_from_the_future_is_quarantined_and_one_of_long_ago_is_shown(
    tmp_path: Path,
) -> None:
    rows = [
        *rows_of(DAY, 8),
        decision(90, decided_at=f"{DAY + dt.timedelta(days=1)}T00:00:00Z"),
        decision(91, decided_at=f"{DAY - dt.timedelta(days=31)}T23:59:59Z"),
        decision(92, decided_at=f"{DAY}T23:59:59Z"),
        decision(93, decided_at=f"{DAY - dt.timedelta(days=30)}T00:00:00Z"),
    ]
    manifest = taken(make_home(tmp_path), rows, DAY)
    assert (manifest.rows_accepted, manifest.rows_quarantined) == (11, 1)
    assert manifest.statistics is not None
    assert manifest.statistics.rows == 11  # shares are of the good rows alone
    assert broken(manifest) == {
        "decided_at_is_not_after_delivery": "1 of 12 rows",
        "decided_at_is_recent": "1 of 12 rows",
    }
    assert max(manifest.decision_days) == DAY


def test_labels_without_a_decision_wait_and_say_how_many_and_for_how_long(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    write_registry(paths.lake, rate=1.0)
    taken(paths, rows_of(DAY, 6), DAY)
    labels = [
        label(1),
        label(2),
        label(70),
        label(71, labelled_at=f"{DAY - dt.timedelta(days=2)}T09:00:00Z"),
        label(72, decision_id=None, item_id="i3", policy="health_claims"),
        label(73, decision_id=None, item_id="nowhere", policy="health_claims"),
    ]
    deliver(paths, "l.jsonl", as_jsonl(labels), TODAY, feed="audit_labels")
    manifest = only(take_in(paths, [TODAY], feed="audit_labels"))
    waited = (TODAY - DAY).days + 2
    assert broken(manifest) == {
        "decision_has_come": f"3 rows wait for their decision, the oldest for {waited} days"
    }
    assert manifest.pending_rows == 3


def test_an_appeal_of_a_decision_that_did_not_fire_is_found(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    taken(paths, rows_of(DAY, 6), DAY)  # those of even number fired
    appeals = [
        appeal(1, decision_id="d2"),
        appeal(2, decision_id="d3"),
        appeal(3, decision_id="d5", decision_made_at=f"{DAY}T10:00:00Z"),
        appeal(4, decision_id="d99"),
    ]
    deliver(paths, "a.jsonl", as_jsonl(appeals), NEXT_DAY, feed="appeals")
    manifest = only(take_in(paths, [NEXT_DAY], feed="appeals"))
    assert broken(manifest) == {
        "decision_has_come": "1 rows wait for their decision, the oldest for 0 days",
        "appealed_decision_fired": "2 rows are about a decision that did not fire",
    }
    assert [(f.rule, f.severity, f.rows) for f in manifest.findings] == [
        ("decision_has_come", "finding", 1),
        ("appealed_decision_fired", "finding", 2),
    ]


def appeal(number: int, **changes: object) -> Row:
    return {
        "appeal_id": f"a{number}",
        "decision_id": "d1",
        "channel": "shopads",
        "submitted_at": f"{NEXT_DAY}T12:00:00Z",
        "outcome": "pending",
        "decision_made_at": None,
    } | changes
