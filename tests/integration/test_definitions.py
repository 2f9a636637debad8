"""The code location: what the catalog shows, and what the jobs leave alone."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from governance_pipeline.adapters import registry_store
from governance_pipeline.adapters.home import dagster_instance, make_home
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.defs.build import build_definitions
from governance_pipeline.defs.strategies import asset_key
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.paths import Paths
from governance_pipeline.settings import Settings

START = dt.date(2026, 3, 1)
HEAVY = {"great_expectations", "dbt.cli.main", "altair", "vl_convert", "scipy.stats"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the example register, before its first delivery."""
    folder = tmp_path_factory.mktemp("definitions") / "home"
    make_home(Paths(folder), START, None, example=True)
    registry_store.apply_registry(folder / "registry", folder / "lake", START)
    return folder


@pytest.fixture(scope="module")
def definitions(home: Path) -> dg.Definitions:
    """What `workspace.yaml` loads."""
    settings = Settings(home=home)
    return build_definitions(
        settings,
        load_sources(settings.paths.governance_yaml).calendar,
        registry_store.last_applied(settings.paths.lake),
    )


def test_the_definitions_hold_together(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_every_strategy_is_an_asset_with_its_owner_and_checks(
    definitions: dg.Definitions, home: Path
) -> None:
    registry = registry_store.last_applied(home / "lake")
    assert registry is not None
    graph = definitions.resolve_asset_graph()
    for strategy_id, strategy in registry.strategies.items():
        node = graph.get(asset_key(strategy_id))
        assert node.owners == [f"team:{strategy.owner_team}"]
        assert strategy.description in (node.description or "")
        assert {f"channel/{channel}" for channel in strategy.channels} <= node.tags.keys()
        assert {key.name for key in node.check_keys} == {"precision", "recall", "labels"}
        only = strategy.channels[0] if len(strategy.channels) == 1 else "multi"
        assert node.group_name == f"strategies_{only}"


def test_no_job_selects_a_strategy_or_its_checks(definitions: dg.Definitions) -> None:
    # A run that selects a check wipes the result that it shows.
    for name in ("intake_and_marts", "judge_and_publish", "escalate"):
        layer = definitions.resolve_job_def(name).asset_layer
        assert layer is not None
        assert not [k for k in layer.executable_asset_keys if k.path[0] == "strategies"]
        checks = layer.asset_graph.asset_check_keys
        assert not [key for key in checks if key.asset_key.path[0] == "strategies"]


def test_decisions_have_an_asset_a_channel(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for channel in CHANNELS:
        node = graph.get(dg.AssetKey(["accepted", channel, "decisions"]))
        assert node.group_name == "quality"
        assert graph.get(dg.AssetKey(["delivered", channel, "decisions"])).is_external
    for table in ("fct_strategy_days", "strategy_status", "published_snapshot"):
        assert graph.has(dg.AssetKey(table))


def test_intake_starts_daily_and_judgement_at_its_end_or_the_deadline(
    definitions: dg.Definitions,
) -> None:
    assert definitions.schedules is not None
    crons = {s.name: s.cron_schedule for s in definitions.schedules}  # type: ignore[union-attr]
    assert crons == {
        "intake_and_marts_schedule": "0 6 * * *",
        "judge_and_publish_deadline": "0 9 * * *",
        "escalate_schedule": "*/5 * * * *",
    }
    assert definitions.sensors is not None
    assert {sensor.name for sensor in definitions.sensors} == {
        "take_in_what_arrived",
        "judge_after_intake_success",
        "judge_after_intake_failure",
        "judge_after_intake_canceled",
        "failed_checks",
        "ticket_tool",
    }


def test_clocks_do_not_wait_for_a_backfill_and_no_two_passes_overlap(
    definitions: dg.Definitions, home: Path
) -> None:
    where = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "governance")
    with dagster_instance(Paths(home)) as log:

        def ask(job: str, status: DagsterRunStatus) -> str:
            asked = definitions.resolve_job_def(job)
            made = log.create_run_for_job(
                asked, status=status, tags=asked.run_tags,
                remote_job_origin=RemoteJobOrigin(where, job),
            )  # fmt: skip
            return made.run_id

        def leaves_the_queue() -> list[str]:
            queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
            config = log.get_concurrency_config()
            return [run.run_id for run in queue._get_runs_to_dequeue(log, config, None)]

        ask("intake_and_marts", DagsterRunStatus.STARTED)
        ask("judge_and_publish", DagsterRunStatus.QUEUED)
        first, _ = (ask("escalate", DagsterRunStatus.QUEUED) for _ in range(2))
        assert leaves_the_queue() == [first]
        ask("escalate", DagsterRunStatus.STARTED)
        assert leaves_the_queue() == []


def test_the_daily_schedule_asks_for_what_came_of_yesterday(
    definitions: dg.Definitions, home: Path
) -> None:
    for came in (
        "decisions/video/2026-04-01",
        "feedback/lives/2026-04-01",
        "appeals/video/2026-03-31",
    ):
        (home / "landing" / came).mkdir(parents=True)
    schedule = definitions.resolve_schedule_def("intake_and_marts_schedule")
    context = dg.build_schedule_context(
        scheduled_execution_time=dt.datetime(2026, 4, 2, 6, tzinfo=dt.UTC),
        repository_def=definitions.get_repository_def(),
    )
    requests = schedule.evaluate_tick(context).run_requests
    assert requests is not None
    assert [request.partition_key for request in requests] == ["2026-04-01"]
    asked = {tuple(key.path) for key in requests[0].asset_selection or []}
    assert {key for key in asked if key[0] == "accepted"} == {
        ("accepted", "video", "decisions"),
        ("accepted", "feedback"),
    }
    assert {("registry",), ("fct_strategy_days",)} <= asked


def test_the_code_location_loads_nothing_that_only_runs_need(home: Path) -> None:
    # Every second of it is paid by each reload of the page, each sensor and each launched run.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, governance_pipeline.definitions; print(*sys.modules)",
        ],
        env={**os.environ, "GOVERNANCE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "governance_pipeline.defs.build" in loaded
    assert loaded.isdisjoint(HEAVY)
