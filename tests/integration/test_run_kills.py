"""A whole run that is killed publishes what was there or what it made, never some of both."""

import random
import shutil
from pathlib import Path
from typing import Any

import duckdb

from governance_pipeline.adapters.catalogue import PUBLISHED_MARTS
from governance_pipeline.adapters.home import dagster_instance
from governance_pipeline.adapters.publish import current_snapshot
from governance_pipeline.paths import Paths
from tests.integration import killed
from tests.integration import worlds as w
from tests.integration.deliveries import as_csv, decision, label

# What a reader of snapshots may compare: the rest names runs, snapshots and times of arrival.
COMPARED = [name for name in PUBLISHED_MARTS if name != "deliveries_ledger"]


def snapshot(paths: Paths) -> dict[str, list[tuple[Any, ...]]]:
    """Return what is published now, without the name of the snapshot."""
    folder = current_snapshot(paths.published)
    with duckdb.connect() as connection:
        return {
            file.stem: connection.execute(
                "select * exclude (snapshot_id) from read_parquet($file) order by all",
                {"file": str(file)},
            ).fetchall()
            for file in sorted(folder.glob("*.parquet"))
            if file.stem in COMPARED or file.stem.startswith("strategy_")
        }


def deliver_market(paths: Paths, verdict: str, rows: int) -> None:
    for channel in ("video", "lives"):
        for day in w.days_of(1)[:4]:
            own = [
                decision(
                    n, channel=channel, strategy_id=w.BLOCKING, decided_at=f"{day} 10:00",
                    decision_id=f"{channel}{day}-{n}",
                )
                for n in range(rows)
            ]  # fmt: skip
            labels = [
                label(
                    n, channel=channel, decision_id=row["decision_id"], verdict=verdict,
                    label_id=f"l{row['decision_id']}", labelled_at=f"{day} 12:00",
                )
                for n, row in enumerate(own)
            ]  # fmt: skip
            for feed, content in (("decisions", own), ("audit_labels", labels)):
                folder = paths.landing / feed / channel / str(day)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "a.csv").write_bytes(as_csv(content))


def test_a_run_killed_at_any_time_publishes_the_old_or_the_new(tmp_path: Path) -> None:
    base = w.make_market(tmp_path / "base", w.days_of(1)[-1])
    deliver_market(base, "should_fire", 30)
    killed.run(killed.whole_run, base.root)
    old = snapshot(base)
    deliver_market(base, "should_not_fire", 20)
    undisturbed, home = tmp_path / "undisturbed", Paths(tmp_path / "home")
    shutil.copytree(base.root, undisturbed, symlinks=True)
    shutil.copytree(base.root, home.root, symlinks=True)
    seconds = killed.run(killed.whole_run, undisturbed)
    new = snapshot(Paths(undisturbed))
    assert all(old[name] != new[name] for name in ("fct_strategy_days", "strategy_accuracy"))

    times = random.Random(11)
    for _ in range(8):
        killed.kill(killed.whole_run, home.root, times.uniform(0.1, 0.9) * seconds)
        assert snapshot(home) in (old, new)
    killed.run(killed.whole_run, home.root)
    assert snapshot(home) == new
    assert not list(home.published.glob(".staging-*"))
    with dagster_instance(home) as log:
        assert all(run.is_finished for run in log.get_runs())
