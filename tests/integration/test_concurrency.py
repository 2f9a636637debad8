"""Runs that meet: those that Dagster launches wait for each other, a command is refused."""

import datetime as dt
import json
import shutil
from pathlib import Path

import duckdb
import pytest

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.home import dagster_instance
from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.errors import LockedError
from governance_pipeline.paths import Paths
from governance_pipeline.running import run_range
from governance_pipeline.settings import Settings
from tests.integration import killed
from tests.integration import worlds as w
from tests.integration.deliveries import decision

DAYS = w.days_of(1)[:2]
BUILT = ("fct_strategy_days", "fct_strategy_segments", "fct_audit_population")


def deliver(paths: Paths) -> None:
    for day in DAYS:
        folder = paths.landing / "decisions" / "video" / str(day)
        folder.mkdir(parents=True)
        rows = [
            decision(
                n, channel="video", strategy_id=w.BLOCKING, decided_at=f"{day} 10:00",
                decision_id=f"{day}-{n}",
            )
            for n in range(30)
        ]  # fmt: skip
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def marts(paths: Paths) -> list[list[tuple[object, ...]]]:
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        return [
            connection.execute(f"select * from {table} order by all").fetchall() for table in BUILT
        ]


def test_runs_of_different_days_and_of_the_same_day_wait_for_each_other(tmp_path: Path) -> None:
    alone = w.make_market(tmp_path / "alone", w.days_of(1)[-1])
    deliver(alone)
    with dagster_instance(alone):  # makes its tables, as the first start of the daemon does
        pass
    together = Paths(tmp_path / "together")
    shutil.copytree(alone.root, together.root, symlinks=True)
    for number in range(2):
        killed.run(killed.one_day, alone.root, number)
    # The second day is asked for twice at once: whoever comes later finds nothing to do.
    launched = [killed.start(killed.one_day, together.root, number) for number in (0, 1, 1)]
    for process in launched:
        process.join()
    assert [process.exitcode for process in launched] == [0, 0, 0]
    assert marts(together) == marts(alone)
    assert len(marts(alone)[0]) > 0
    found = manifests.read_all(together.lake)
    assert [(m.delivery_date, m.restatements, m.rows_accepted) for m in found] == [
        (day, 0, 30) for day in DAYS
    ]
    assert not (together.root / "writer.holder").exists()


def test_a_command_is_told_who_writes_and_changes_nothing(tmp_path: Path) -> None:
    paths = w.make_market(tmp_path / "home", w.days_of(1)[-1])
    deliver(paths)
    holder = killed.start(killed.hold, paths.root, 0)
    try:
        note = paths.root / "writer.holder"
        began = dt.datetime.now(dt.UTC)
        while not note.exists() or not note.read_text():
            assert dt.datetime.now(dt.UTC) - began < dt.timedelta(minutes=2)
        said = rf"being written by another run, process {holder.pid}, since"
        with pytest.raises(LockedError, match=said):
            run_range(Settings(home=paths.root), DAYS[0], DAYS[0])
        assert manifests.read_all(paths.lake) == []
    finally:
        holder.kill()
        holder.join()
    with writer_lock(paths, "afterwards", wait_seconds=10):
        pass
