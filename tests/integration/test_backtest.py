"""Backtest, evidence and reinstatement on a small real home: one strategy, a version in shadow."""

import csv
import datetime as dt
import hashlib
import io
import json
import stat
from pathlib import Path

import duckdb
import pytest
import yaml

from governance_pipeline.adapters import refresh, reinstating
from governance_pipeline.adapters.backtests import Proposal, run_backtest
from governance_pipeline.adapters.engines.duckdb import DuckDB
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths
from tests.conftest import run_governance
from tests.integration.deliveries import (
    DAY,
    STRATEGY,
    Row,
    as_jsonl,
    decision,
    deliver,
    label,
    take_in,
)

DAYS = [DAY + dt.timedelta(days=n) for n in range(6)]
ITEMS = 500
RATES = {1: 0.6, 2: 0.3}
EVIL = {7: "=HYPERLINK()", 9: "+1", 13: "-1", 17: "@sum", 19: "\tx"}
NOW = dt.datetime(2026, 4, 1, 12, tzinfo=dt.UTC)


def should_fire(number: int) -> bool:
    return number % 4 == 0


def decisions(day: dt.date, version: int) -> list[Row]:
    """Version 1 fires on what it should and on one of five others; version 2 hardly on others."""
    rows = []
    for number in range(1, ITEMS + 1):
        wrong = number % 5 == 3 if version == 1 else number % 50 == 3
        fires = should_fire(number) or wrong
        score = (0.95 if should_fire(number) else 0.72) if fires else 0.2
        rows.append(
            decision(
                number,
                decision_id=f"{day:%m%d}v{version}-{number}",
                decided_at=f"{day}T10:00:00Z",
                strategy_version=version,
                environment="live" if version == 1 else "shadow",
                item_id=EVIL.get(number, f"i{number}"),
                is_fired=fires,
                score=score,
                action="block" if fires and version == 1 else "none",
            )
        )
    return rows


def labels(paths: Paths, day: dt.date) -> list[Row]:
    """Reviewers answer about the live decision of what was drawn for both, else about what was."""
    found = sampled(paths, day)
    live = {number for version, number in found if version == 1}
    return [
        label(
            number,
            label_id=f"l{day:%m%d}{version}-{number}",
            decision_id=f"{day:%m%d}v{version}-{number}",
            labelled_at=f"{day + dt.timedelta(days=1)}T09:00:00Z",
            verdict="should_fire" if should_fire(number) else "should_not_fire",
        )
        for version, number in sorted(found)
        if version == 1 or number not in live
    ]


def sampled(paths: Paths, day: dt.date) -> set[tuple[int, int]]:
    files = str(paths.lake / "derived" / "sampled_decisions" / "**" / "*.parquet")
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select strategy_version, split_part(decision_id, '-', 2)::int"
            " from read_parquet(?) where decision_date = ?",
            [files, day],
        ).fetchall()
    return {(int(version), int(number)) for version, number in rows}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Six labelled days of a live version and of its successor in shadow."""
    paths = Paths(tmp_path_factory.mktemp("backtest") / "home")
    make_home(paths, DAYS[0], sampling_key="key", example=True)
    file = paths.registry / "strategies" / f"{STRATEGY}.yaml"
    strategy = yaml.safe_load(file.read_text())
    first = strategy["versions"][0]
    first["sampling"] = {"fired": RATES[1], "not_fired": RATES[1]}
    second = first | {
        "number": 2, "effective_from": DAYS[0], "reason": "a stricter model, in shadow",
        "sampling": {"fired": RATES[2], "not_fired": RATES[2]},
    }  # fmt: skip
    strategy["versions"] = [first, second]
    file.write_text(yaml.safe_dump(strategy))
    apply_registry(paths.registry, paths.lake, DAYS[-1])
    for day in DAYS:
        rows = decisions(day, 1) + decisions(day, 2)
        deliver(paths, "a.jsonl", as_jsonl(rows), day)
    take_in(paths, DAYS)
    later = [day + dt.timedelta(days=1) for day in DAYS]
    for day, delivered in zip(DAYS, later, strict=True):
        deliver(paths, "a.jsonl", as_jsonl(labels(paths, day)), delivered, "audit_labels")
    take_in(paths, later, "audit_labels")
    for feed in ("appeals", "feedback", "activity"):
        take_in(paths, DAYS, feed)
    build(paths)
    return paths


def build(paths: Paths) -> None:
    plan = refresh.plan_refresh(paths)
    DuckDB("1GB", 2).build(paths, plan)
    refresh.remember(paths, plan)


def test_a_version_is_compared_on_the_units_drawn_for_both(home: Paths) -> None:
    found = run_backtest(home, Proposal(STRATEGY, version=2))
    both = [
        number
        for day in DAYS
        for version, number in sampled(home, day)
        if version == 2 and (1, number) in sampled(home, day)
    ]
    assert found.result.units == len(both)
    # One number decides both draws, so whatever is drawn at 0.3 is drawn at 0.6 too.
    assert len(both) == sum(version == 2 for day in DAYS for version, _ in sampled(home, day))
    assert len(both) / RATES[2] == pytest.approx(ITEMS * len(DAYS), rel=0.1)
    assert found.result.labelled == found.result.units
    assert (found.current_version, found.days) == (1, 6)
    now = [n for n in both if should_fire(n) or n % 5 == 3]
    assert found.result.precision.now == pytest.approx(sum(map(should_fire, now)) / len(now))
    assert found.result.verdict == "better"
    changed = sum(n % 5 == 3 and n % 50 != 3 and not should_fire(n) for n in both)
    assert found.result.changed_share == pytest.approx(changed / len(both))
    assert found.result.only_then_right == changed


def test_a_cut_is_compared_with_what_fires_today(home: Paths) -> None:
    found = run_backtest(home, Proposal(STRATEGY, cut=0.8))
    drawn = [n for day in DAYS for version, n in sampled(home, day) if version == 1]
    assert found.result.units == len(drawn)
    assert found.result.precision.then == 1
    assert found.result.recall.then == 1
    assert found.result.reach_newly_fired == 0
    released = sum(n for n in drawn if n % 5 == 3 and not should_fire(n))
    assert found.result.reach_released == pytest.approx(released / RATES[1])
    assert found.result.verdict == "better"


def test_the_days_asked_for_are_the_last_ones(home: Paths) -> None:
    found = run_backtest(home, Proposal(STRATEGY, cut=0.8, days=2))
    assert (found.first.date(), found.last.date(), found.days) == (DAYS[-2], DAYS[-1], 2)


@pytest.mark.parametrize(
    ("proposal", "said"),
    [
        (Proposal("ad-health-claims-block", cut=0.5), "did you mean ad-health-claim-block"),
        (Proposal(STRATEGY, cut=0.72), "0.05, 0.10"),
        (Proposal(STRATEGY, cut=1.0), "0.05, 0.10"),
        (Proposal(STRATEGY, version=3), "version 3 of .* was never logged; logged were 1, 2"),
        (Proposal(STRATEGY, version=1), "never in shadow"),
        (Proposal(STRATEGY, cut=0.5, channel="lives"), "never decided on lives"),
        (Proposal("trusted-seller-boost", cut=0.5), "never decided"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_remedy(
    home: Paths, proposal: Proposal, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_backtest(home, proposal)


def test_shadow_decisions_on_other_items_are_no_pair(home: Paths) -> None:
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("create table kept as from int_sampled_units")
        connection.execute(
            "update int_sampled_units set item_id = item_id || 'x' where environment = 'shadow'"
        )
    try:
        with pytest.raises(InputError, match="no item was drawn for version 2 in shadow"):
            run_backtest(home, Proposal(STRATEGY, version=2))
    finally:
        with duckdb.connect(str(home.warehouse)) as connection:
            connection.execute("delete from int_sampled_units")
            connection.execute("insert into int_sampled_units from kept")
            connection.execute("drop table kept")


def test_the_command_prints_json_and_fits_100_columns(home: Paths) -> None:
    shown = run_governance(home.root, "backtest", STRATEGY, "--version", "2")
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 100
    row = json.loads(
        run_governance(home.root, "backtest", STRATEGY, "--cut", "0.8", "--json").stdout
    )
    assert (row["verdict"], row["proposal"], row["precision_then"]) == ("better", "cut 0.80", 1.0)
    both = run_governance(home.root, "backtest", STRATEGY, "--cut", "0.8", "--version", "2")
    assert both.returncode == 2


def test_only_adjudicated_false_positives_that_were_live_are_exported(
    home: Paths, tmp_path: Path
) -> None:
    target = tmp_path / "wronged.csv"
    made = reinstating.export_wronged(
        home, STRATEGY, target, actor="mara.lind", reason="appeal drive", now=NOW
    )
    rows = list(csv.DictReader(target.read_text().splitlines()))
    wronged = {
        f"{day:%m%d}v1-{number}"
        for day in DAYS
        for version, number in sampled(home, day)
        if version == 1 and number % 5 == 3 and not should_fire(number)
    }
    assert {row["decision_id"] for row in rows} == wronged
    assert made.rows == len(wronged)
    assert {row["action"] for row in rows} == {"block"}
    assert {row["verdict_source"] for row in rows} == {"random_audit"}
    honest = next(row for row in rows if row["decision_id"].endswith("-3"))
    assert (honest["item_id"], honest["seller_id"]) == ("i3", "s3")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_an_id_never_becomes_a_formula() -> None:
    for value in (*EVIL.values(), "\rx", "=a\nb"):
        text = reinstating.as_csv([(value, "i3")]).decode()
        assert list(csv.reader(io.StringIO(text, newline="")))[1] == [f"'{value}", "i3"]
    inside = reinstating.as_csv([("a\r=1", "a\n=1")])
    assert inside.endswith(b'"a\r=1","a\n=1"\r\n')


def test_every_export_is_logged_with_the_hash_of_its_file(home: Paths, tmp_path: Path) -> None:
    before = home.reinstatements.read_text() if home.reinstatements.exists() else ""
    for name in ("one.csv", "two.csv"):
        done = run_governance(
            home.root, "reinstate", STRATEGY, "--to", str(tmp_path / name),
            "--actor", "mara.lind", "--reason", "appeal drive",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        assert "personal data" in done.stdout
    assert home.reinstatements.read_text().startswith(before)
    *_, one, two = map(json.loads, home.reinstatements.read_text().splitlines())
    for entry, name in ((one, "one.csv"), (two, "two.csv")):
        content = (tmp_path / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["rows"] == len(content.splitlines()) - 1
        assert (entry["actor"], entry["reason"]) == ("mara.lind", "appeal drive")
        assert entry["file"] == str(tmp_path / name)
    assert stat.S_IMODE(home.reinstatements.stat().st_mode) == 0o600


def test_an_export_overwrites_nothing_and_is_never_published(home: Paths, tmp_path: Path) -> None:
    taken, link = tmp_path / "taken.csv", tmp_path / "link"
    taken.write_text("mine")
    (home.published / "snapshot").mkdir(parents=True, exist_ok=True)
    link.symlink_to(home.published)
    dangling = tmp_path / "dangling.csv"
    dangling.symlink_to(tmp_path / "elsewhere.csv")
    logged = home.reinstatements.read_text() if home.reinstatements.exists() else ""
    for target, said in (
        (taken, "exists and is not overwritten"),
        (dangling, "exists and is not overwritten"),
        (home.published / "snapshot" / "a.csv", "published folder"),
        (link / "a.csv", "published folder"),
        (tmp_path / "nowhere" / "a.csv", "no folder"),
    ):
        with pytest.raises(InputError, match=said):
            reinstating.export_wronged(
                home, STRATEGY, target, actor="mara.lind", reason=None, now=NOW
            )
    assert taken.read_text() == "mine"
    assert not (tmp_path / "elsewhere.csv").exists()
    assert not (home.published / "snapshot" / "a.csv").exists()
    assert (home.reinstatements.read_text() if home.reinstatements.exists() else "") == logged


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("trusted-seller-boost", "nobody is to be reinstated"),
        ("counterfeit-listing-block", "no audit of"),
        ("counterfeit-listing-blok", "did you mean counterfeit-listing-block"),
    ],
)
def test_without_anybody_wronged_there_is_no_file(
    home: Paths, tmp_path: Path, strategy: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        reinstating.export_wronged(
            home, strategy, tmp_path / "a.csv", actor="mara.lind", reason=None, now=NOW
        )
    assert list(tmp_path.iterdir()) == []


def test_a_warehouse_that_is_being_written_is_said_in_one_sentence(home: Paths) -> None:
    with duckdb.connect(str(home.warehouse)):
        done = run_governance(home.root, "backtest", STRATEGY, "--cut", "0.8")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is being written; try again" in done.stderr
