"""The dbt project: real dbt on real DuckDB, over a small market."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest
import yaml

from governance_pipeline.adapters import dbt_call, dbt_manifest, refresh
from governance_pipeline.adapters.engines.duckdb import DuckDB
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.paths import Paths
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.settings import DBT_PROJECT
from governance_pipeline.simulation import simulate

START = dt.date(2026, 3, 1)
DAYS = [START + dt.timedelta(days=n) for n in range(5)]
BUILT = (
    "int_audit_frame",
    "int_audit_draws",
    "int_reviews",
    "int_audit_reviews",
    "fct_strategy_days",
    "fct_strategy_segments",
    "fct_audit_population",
    "fct_audit_labels",
    "fct_audit_segments",
    "int_segment_units",
    "int_strategy_overlaps",
    "strategy_conflicts",
    "audited_decisions",
    "channel_trust_days",
)


def make(root: Path) -> Paths:
    paths = Paths(root)
    make_home(paths, START, sampling_key="key", example=True)
    apply_registry(paths.registry, paths.lake, DAYS[-1])
    return paths


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A home with five small days in landing, nothing taken in."""
    paths = make(tmp_path_factory.mktemp("delivered"))
    deliver(paths, DAYS, scale=0.1)
    return paths


def deliver(paths: Paths, days: list[dt.date], scale: float) -> None:
    simulate(
        load_registry(paths.registry), paths.landing, paths.root / "truth", seed=3,
        sampling_key="key", start=days[0], days=len(days), scale=scale,
    )  # fmt: skip


def home_beside(delivered: Paths, root: Path) -> Paths:
    shutil.copytree(delivered.root, root)
    return Paths(root)


def take_in(paths: Paths, days: list[dt.date], feeds: Sequence[str] = tuple(FEEDS)) -> None:
    for feed in feeds:
        intake_range(
            feed, list(CHANNELS), days, paths=paths, sources=[], run_id="r", progress=lambda _: None
        )


def build(paths: Paths) -> refresh.RefreshPlan:
    plan = refresh.plan_refresh(paths)
    if not plan.is_empty:
        DuckDB("1GB", 2).build(paths, plan)
        refresh.remember(paths, plan)
    return plan


def rows(paths: Paths, table: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        return connection.execute(f"select * from {table} order by all").fetchall()


def test_days_built_one_by_one_equal_one_build(delivered: Paths, tmp_path: Path) -> None:
    at_once = home_beside(delivered, tmp_path / "once")
    take_in(at_once, DAYS)
    assert build(at_once).is_full
    daily = home_beside(delivered, tmp_path / "daily")
    for chunk in (DAYS[:3], DAYS[3:4]):
        take_in(daily, chunk)
        build(daily)
    take_in(daily, DAYS[4:], ["decisions", "feedback", "activity"])
    assert build(daily).decided_days == DAYS[4:]
    take_in(daily, DAYS[4:], ["audit_labels", "appeals"])
    late = build(daily)
    assert late.decision_days[0] < DAYS[4]
    assert late.decided_days == []
    for table in BUILT:
        assert rows(daily, table) == rows(at_once, table), table
    assert build(daily).is_empty


def test_a_full_build_counts_many_days_of_two_months_as_builds_of_a_few_do(tmp_path: Path) -> None:
    # More days than are counted at once, and the second block of ten lies in both months.
    days = [START + dt.timedelta(days=n) for n in range(-12, 2)]
    at_once = make(tmp_path / "once")
    deliver(at_once, days, scale=0.03)
    daily = home_beside(at_once, tmp_path / "daily")
    take_in(at_once, days)
    assert build(at_once).is_full
    for chunk in (days[:7], days[7:]):
        take_in(daily, chunk)
        build(daily)
    for table in (*BUILT, "int_decision_days"):
        assert rows(daily, table) == rows(at_once, table), table
    assert {row[4] for row in rows(at_once, "int_decision_days")} == {*days}


def test_a_corrected_delivery_changes_its_days_and_no_other(
    delivered: Paths, tmp_path: Path
) -> None:
    paths = home_beside(delivered, tmp_path / "home")
    take_in(paths, DAYS)
    build(paths)
    before = rows(paths, "fct_strategy_days")
    day = paths.landing / "decisions" / "video" / str(DAYS[1])
    file = next(day.glob("*.parquet"))
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * from read_parquet('{file}') limit 20) to '{day}/less.parquet'"
        )
    file.unlink()
    take_in(paths, DAYS)
    plan = build(paths)
    assert plan.decision_days == [DAYS[1]]
    after = rows(paths, "fct_strategy_days")
    changed = set(before) ^ set(after)
    assert {row[4] for row in changed} == {DAYS[1]}
    assert {row[2] for row in changed} == {"video"}


def test_only_a_manifest_that_changed_is_read_again(delivered: Paths, tmp_path: Path) -> None:
    paths = home_beside(delivered, tmp_path / "home")
    take_in(paths, DAYS[:2])
    assert len(build(paths).fresh) == len(list(paths.lake.glob("manifests/*/*/*.json")))
    manifest = paths.lake / "manifests" / "decisions" / "video" / f"{DAYS[0]}.json"
    manifest.write_text(manifest.read_text().replace('"accepted"', '"refused"', 1) + "\n")
    changed = build(paths)
    assert [(m.channel, m.state) for m in changed.fresh] == [("video", "refused")]
    assert changed.decided_days == [DAYS[0]]
    manifest.unlink()
    vanished = build(paths)
    assert (vanished.fresh, vanished.decided_days) == ([], [DAYS[0]])
    found = rows(paths, "data_quality_days")
    assert ("decisions", "video", DAYS[0]) not in {row[:3] for row in found}
    assert {row[2] for row in rows(paths, "fct_strategy_days") if row[4] == DAYS[0]} == {
        "affiliate", "campaigns", "lives", "shopads", "shoptab",
    }  # fmt: skip


def test_a_day_in_two_deliveries_counts_the_latest_word_on_each_decision(
    delivered: Paths, tmp_path: Path
) -> None:
    paths = home_beside(delivered, tmp_path / "home")
    take_in(paths, DAYS[:2])
    build(paths)
    first = paths.landing / "decisions" / "lives" / str(DAYS[0])
    second = paths.landing / "decisions" / "lives" / str(DAYS[1])
    with duckdb.connect() as connection:
        source = next(first.glob("*.parquet"))
        changed = connection.execute(
            f"copy (select * replace (not is_fired as is_fired, 'none' as action)"
            f" from read_parquet('{source}') limit 10) to '{second}/late.parquet'"
        ).fetchall()
        before = connection.execute(
            f"select count(*), count(*) filter (where is_fired) from read_parquet('{source}')"
        ).fetchall()[0]
        flipped = connection.execute(
            f"select count(*) filter (where is_fired) - count(*) filter (where not is_fired)"
            f" from read_parquet('{second}/late.parquet')"
        ).fetchall()[0][0]
    assert changed == [(10,)]
    take_in(paths, DAYS[:2])
    build(paths)
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        now = connection.execute(
            "select sum(decisions), sum(fired) from fct_strategy_days"
            " where channel = 'lives' and decision_date = ?",
            [DAYS[0]],
        ).fetchall()[0]
    assert now == (before[0], before[1] + flipped)


def test_the_rules_of_the_models_hold_their_unit_tests(delivered: Paths, tmp_path: Path) -> None:
    paths = home_beside(delivered, tmp_path / "home")
    take_in(paths, DAYS[:1])
    build(paths)
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "test", "--select", "test_type:unit",
         "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT),
         "--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "target")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOVERNANCE_WAREHOUSE": str(paths.warehouse)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    declared = sum(
        len(yaml.safe_load(file.read_text())["unit_tests"])
        for file in DBT_PROJECT.rglob("_unit_tests.yml")
    )
    assert f"PASS={declared} " in done.stdout


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict[str, dict[str, object]]]:
    """What dbt parsed of the project."""
    return dict(json.loads(dbt_manifest.prepared().read_text()))


def test_a_project_is_parsed_once_and_again_when_a_model_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target"))
    for module in (dbt_call, dbt_manifest):
        monkeypatch.setattr(module, "DBT_PROJECT", project)
    monkeypatch.setattr(dbt_manifest, "TARGET", project / "target")
    before = dbt_manifest.loaded()
    assert dbt_manifest.loaded() is before
    model = project / "models" / "marts" / "dim_markets.sql"
    model.write_text(f"{model.read_text()}-- changed")
    after = dbt_manifest.loaded()
    assert after.nodes["model.governance.dim_markets"].raw_code.endswith("-- changed")


def models(manifest: dict[str, dict[str, dict[str, object]]]) -> list[dict[str, object]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def test_only_staging_reads_sources(
    manifest: dict[str, dict[str, dict[str, object]]],
) -> None:
    assert len(models(manifest)) > 30
    for model in models(manifest):
        reads = model["depends_on"]["nodes"]  # type: ignore[index]
        if any(str(node).startswith("source.") for node in reads):
            assert model["fqn"][1] == "staging", model["name"]  # type: ignore[index]


def test_every_model_and_column_is_described(
    manifest: dict[str, dict[str, dict[str, object]]],
) -> None:
    for model in models(manifest):
        assert model["description"], model["name"]
        columns = model["columns"]
        assert columns, model["name"]
        for column in columns.values():  # type: ignore[attr-defined]
            assert column["description"], f"{model['name']}.{column['name']}"


def test_every_mart_has_an_enforced_contract(
    manifest: dict[str, dict[str, dict[str, object]]],
) -> None:
    marts = [m for m in models(manifest) if m["fqn"][1] == "marts"]  # type: ignore[index]
    assert len(marts) == 16
    assert all(m["config"]["contract"]["enforced"] for m in marts)  # type: ignore[index]
