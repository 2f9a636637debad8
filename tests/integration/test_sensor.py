"""What arrives is taken in by itself: the sensor, a real instance, the job it asks for."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from governance_pipeline.adapters import manifests, registry_store
from governance_pipeline.adapters.home import dagster_instance
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.defs.build import build_definitions
from governance_pipeline.paths import Paths
from governance_pipeline.settings import Settings
from tests.integration import worlds as w
from tests.integration.deliveries import as_csv, decision

DAY = w.START


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return w.make_market(tmp_path / "home", DAY + dt.timedelta(days=9))


@pytest.fixture
def log(paths: Paths) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(paths) as instance:
        yield instance


class Daemon:
    """What the daemon does of a sensor: it ticks, keeps the cursor and launches what is asked."""

    def __init__(self, paths: Paths, log: dg.DagsterInstance) -> None:
        settings = Settings(home=paths.root)
        self.definitions = build_definitions(
            settings,
            load_sources(paths.governance_yaml).calendar,
            registry_store.last_applied(paths.lake),
        )
        self.log = log
        self.cursor: str | None = None

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.log,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
        )
        sensor = self.definitions.resolve_sensor_def("take_in_what_arrived")
        evaluated = sensor.evaluate_tick(context)
        self.cursor = evaluated.cursor
        return list(evaluated.run_requests or [])

    def run(self, request: dg.RunRequest) -> bool:
        done = self.definitions.resolve_job_def("intake_and_marts").execute_in_process(
            instance=self.log,
            partition_key=request.partition_key,
            asset_selection=request.asset_selection,
            tags=request.tags,
        )
        return done.success


def deliver(paths: Paths, channel: str, reach: int) -> None:
    folder = paths.landing / "decisions" / channel / str(DAY)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [decision(n, channel=channel, decided_at=f"{DAY} 10:00", reach=reach) for n in range(5)]
    (folder / ".a.csv").write_bytes(as_csv(rows))
    (folder / ".a.csv").rename(folder / "a.csv")


def test_what_arrives_is_taken_in_once_and_again_when_it_is_written_anew(
    paths: Paths, log: dg.DagsterInstance
) -> None:
    daemon = Daemon(paths, log)
    assert daemon.tick() == []
    deliver(paths, "video", reach=1)
    assert daemon.tick() == []
    (request,) = daemon.tick()
    assert request.partition_key == str(DAY)
    accepted = [key.path for key in request.asset_selection or [] if key.path[0] == "accepted"]
    assert accepted == [["accepted", "video", "decisions"]]
    assert daemon.run(request)
    (made,) = manifests.read_all(paths.lake)
    assert (made.channel, made.delivery_date, made.rows_accepted) == ("video", DAY, 5)
    assert [daemon.tick() for _ in range(2)] == [[], []]

    deliver(paths, "video", reach=2)
    assert daemon.tick() == []
    (again,) = daemon.tick()
    assert again.partition_key == request.partition_key
    assert again.run_key != request.run_key
    assert daemon.tick() == []


def test_what_somebody_took_in_meanwhile_is_not_taken_in_again(
    paths: Paths, log: dg.DagsterInstance
) -> None:
    daemon = Daemon(paths, log)
    daemon.tick()
    deliver(paths, "video", reach=1)
    daemon.tick()
    intake_range("decisions", ["video"], [DAY], paths=paths, sources=[], run_id="somebody")
    assert daemon.tick() == []
    late = Daemon(paths, log)  # a sensor that is switched on later starts nothing that is done
    deliver(paths, "lives", reach=1)
    assert [[r.tags["governance/arrived"] for r in late.tick()] for _ in range(2)] == [
        [], ["lives/decisions"],
    ]  # fmt: skip
