"""The promise of the demo: what was planted is found, and nothing else."""

import json
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from governance_pipeline.adapters.home import dagster_instance
from governance_pipeline.paths import Paths
from tests.conftest import run_governance

FOUND_WITHIN_DAYS = 21


def ask(home: Path, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(home / "published" / "serve.duckdb"), read_only=True) as reader:
        return reader.execute(sql).df()


def planted(home: Path, *kinds: str) -> list[dict[str, str]]:
    plants = json.loads((home / "truth" / "truth.json").read_text())
    return [plant for plant in plants if plant["kind"] in kinds]


def test_every_planted_drop_needs_an_audit_for_the_right_metric_within_three_weeks(
    demo_home: Path,
) -> None:
    drops = planted(demo_home, "precision", "recall")
    assert len(drops) == 4
    for plant in drops:
        found = ask(
            demo_home,
            f"select min(date) as found, any_value(metric) as metric from strategy_status_days"
            f" where strategy_id = '{plant['subject']}' and channel = 'all'"
            " and status = 'needs_audit'",
        ).iloc[0]
        waited = (found["found"] - pd.Timestamp(plant["date"])).days
        assert 0 <= waited <= FOUND_WITHIN_DAYS, plant
        assert found["metric"] == plant["kind"], plant


def test_no_strategy_without_a_drop_ever_needs_an_audit(demo_home: Path) -> None:
    dropped = {plant["subject"] for plant in planted(demo_home, "precision", "recall")}
    accused = ask(
        demo_home,
        "select distinct strategy_id from strategy_status_days where status = 'needs_audit'",
    )
    assert set(accused["strategy_id"]) == dropped


def test_too_few_labels_is_a_verdict_of_its_own(demo_home: Path) -> None:
    plant = planted(demo_home, "few_labels")[0]
    status = ask(
        demo_home,
        "select status, labels_needed from strategy_status"
        f" where strategy_id = '{plant['subject']}' and channel = 'all'",
    )
    assert status["status"].tolist() == ["insufficient_evidence"]
    assert status["labels_needed"].iloc[0] > 0


def test_a_change_of_audit_mix_is_not_taken_for_drift(demo_home: Path) -> None:
    subject = planted(demo_home, "audit_mix")[0]["subject"]
    seen = ask(
        demo_home,
        f"select distinct status from strategy_status_days where strategy_id = '{subject}'"
        " and date > '2026-04-15'",
    )
    assert set(seen["status"]) <= {"healthy", "insufficient_evidence"}
    naive = ask(
        demo_home,
        "select avg((verdict = 'should_fire')::int) as share from audited_decisions where"
        f" strategy_id = '{subject}' and is_fired and verdict <> 'unsure'"
        " group by decision_date > '2026-04-15'",
    )["share"]
    assert abs(naive.iloc[0] - naive.iloc[1]) > 0.05, "the mix did change"


def test_the_bad_delivery_is_refused_and_every_other_one_taken_in(demo_home: Path) -> None:
    refused = ask(demo_home, "select * from data_quality_days where state = 'refused'")
    assert refused[["feed", "channel"]].to_numpy().tolist() == [["decisions", "shopads"]]
    assert (
        str(refused["delivery_date"].iloc[0].date())
        == planted(demo_home, "bad_delivery")[0]["date"]
    )
    assert "break critical rules" in refused["refusal"].iloc[0]
    assert refused["rows_accepted"].iloc[0] == 0


def test_every_delivered_row_is_accepted_or_in_the_quarantine(demo_home: Path) -> None:
    lost = ask(
        demo_home,
        "select * from data_quality_days where rows_delivered <> rows_accepted + rows_quarantined",
    )
    assert lost.empty
    counted = ask(
        demo_home,
        "select sum(rows_quarantined) as rows from data_quality_days",
    )["rows"].iloc[0]
    with duckdb.connect() as connection:
        files = str(demo_home / "lake" / "quarantine" / "*" / "*" / "*" / "*.parquet")
        kept = connection.execute("select count(*) from read_parquet(?)", [files]).fetchall()
    assert kept == [(counted,)]


def test_populations_are_the_accepted_units(demo_home: Path) -> None:
    frame = ask(demo_home, "select sum(population) as n from fct_audit_population")["n"].iloc[0]
    with duckdb.connect() as connection:
        files = str(demo_home / "lake" / "accepted" / "decisions" / "*" / "*" / "*.parquet")
        units = connection.execute(
            "select count(*) from read_parquet(?) where is_unit", [files]
        ).fetchall()
    assert units == [(frame,)]


def test_the_failing_check_says_what_why_since_when_and_what_next(demo_home: Path) -> None:
    with dagster_instance(Paths(demo_home)) as instance:
        key = dg.AssetCheckKey(
            dg.AssetKey(["strategies", "affiliate_spam_creator_block"]), "precision"
        )
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.event is not None
        assert record.event.dagster_event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        said = {name: value.value for name, value in evaluation.metadata.items()}
        days = instance.fetch_observations(key.asset_key, limit=1000).records
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    numbers = {name: float(str(v)) for name, v in said.items() if isinstance(v, int | float)}
    assert said["status"] == "needs_audit"
    assert numbers["precision"] < numbers["precision_goal"] - numbers["precision_tolerance"]
    assert numbers["precision_lo"] < numbers["precision"] < numbers["precision_hi"]
    assert numbers["precision_e_value"] > 20
    assert numbers["precision_labelled"] > 100
    assert str(said["since"]).startswith("2026-04")
    assert "audit" in str(said["next_action"])
    assert str(said["history"]).startswith("![history](data:image/svg+xml")
    assert len(days) > 80


def test_status_is_stable_json(demo_home: Path) -> None:
    done = run_governance(demo_home, "status", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 27
    assert [row["status"] for row in rows[:4]] == ["needs_audit"] * 4
    assert {"strategy_id", "channel", "date", "status", "metric", "reason", "next_action"} <= rows[
        0
    ].keys()


@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "--all"), ("explain", "ad-health-claim-block")]
)
def test_what_people_read_fits_100_columns(demo_home: Path, arguments: tuple[str, ...]) -> None:
    done = run_governance(demo_home, *arguments)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_an_unknown_strategy_is_answered_with_the_nearest_one(demo_home: Path) -> None:
    done = run_governance(demo_home, "explain", "ad-health-claims-block")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "Error: no strategy ad-health-claims-block is registered;"
        " did you mean ad-health-claim-block?"
    )


def test_query_answers_and_reaches_nothing_else(demo_home: Path) -> None:
    done = run_governance(demo_home, "query", "select count(*) as n from dim_strategies", "--json")
    assert json.loads(done.stdout) == {"n": 27}
    refused = run_governance(demo_home, "query", "select * from read_text('/etc/hostname')")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_one_more_day_is_taken_in_and_judged(demo_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(demo_home, home, symlinks=True)
    # Whoever read the truth would miss it now.
    shutil.rmtree(home / "truth")
    before = ask(demo_home, "select * exclude (snapshot_id, data_as_of) from strategy_status_days")
    done = run_governance(home, "run", "--date", "2026-05-30")
    assert done.returncode == 0, done.stderr
    current = str((home / "published" / "current" / "strategy_status_days.parquet").resolve())
    with duckdb.connect() as connection:
        after = connection.execute("select * from read_parquet(?)", [current]).df()
    assert str(after["date"].max().date()) == "2026-05-30"
    again = after[after["date"] <= before["date"].max()]
    pd.testing.assert_frame_equal(
        again[before.columns].reset_index(drop=True), before.reset_index(drop=True)
    )


def test_a_second_run_is_told_that_the_day_is_outside_the_calendar(demo_home: Path) -> None:
    done = run_governance(demo_home, "run", "--date", "2027-01-01")
    assert done.returncode == 1
    assert "outside the calendar" in done.stderr
    assert done.stderr.count("\n") <= 2


def test_the_same_demo_twice_gives_the_same_tables(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = run_governance(tmp_path / name, "demo", "--days", "30")
        assert done.returncode == 0, done.stderr
    folders = [(tmp_path / name / "published" / "current").resolve() for name in ("one", "two")]
    tables = sorted(file.name for file in folders[0].glob("*.parquet"))
    assert len(tables) == 17
    with duckdb.connect() as connection:
        for table in tables:
            one, two = (str(folder / table) for folder in folders)
            different = connection.execute(
                "select count(*) from ((select * exclude (snapshot_id) from read_parquet($one)"
                " except all select * exclude (snapshot_id) from read_parquet($two)) union all"
                " (select * exclude (snapshot_id) from read_parquet($two)"
                " except all select * exclude (snapshot_id) from read_parquet($one)))",
                {"one": one, "two": two},
            ).fetchall()
            assert different == [(0,)], table


def test_a_home_that_is_no_demo_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    done = run_governance(tmp_path, "demo")
    assert done.returncode == 1
    assert "not a demo" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"
