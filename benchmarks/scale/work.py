"""The pieces of work that are measured, each on a home."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters import dbt_run
from governance_pipeline.adapters import refresh as refreshing
from governance_pipeline.adapters.catalogue import PUBLISHED_MARTS
from governance_pipeline.adapters.engines.duckdb import DuckDB
from governance_pipeline.adapters.home import dagster_instance, make_home
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.adapters.registry_store import apply_registry, last_applied
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.paths import Paths
from governance_pipeline.simulation.bulk import Bulk, deliver_bulk, write_bulk_registry

MEMORY = "1GB"
IN_TURN = ("decisions", "audit_labels", "appeals")
BY_SEGMENT = "fct_strategy_segments"
DAYS_AT_ONCE = 10


def make_market(root: Path, bulk: Bulk) -> None:
    """Make a home with everything delivered and nothing taken in."""
    paths = Paths(root)
    write_bulk_registry(paths.registry, bulk)
    make_home(paths, bulk.start, sampling_key="key")
    apply_registry(paths.registry, paths.lake, bulk.start)
    deliver_bulk(paths.landing, bulk, sampling_key="key")


def deliver(root: Path, bulk: Bulk) -> None:
    """Write a market's deliveries and nothing else."""
    deliver_bulk(root, bulk, sampling_key="key")


def take_in(root: Path, days: Sequence[dt.date], feeds: Sequence[str] = IN_TURN) -> None:
    """Take in some days of some feeds, ten days at a time."""
    for begin in range(0, len(days), DAYS_AT_ONCE):
        for feed in feeds:
            intake_range(
                feed, list(CHANNELS), list(days[begin : begin + DAYS_AT_ONCE]),
                paths=Paths(root), sources=[], run_id="bench", memory_limit=MEMORY,
            )  # fmt: skip


def build(root: Path) -> tuple[int, int]:
    """Build what is stale; return how many days, and how many of them for their decisions."""
    paths = Paths(root)
    plan = refreshing.plan_refresh(paths)
    if not plan.is_empty:
        DuckDB(MEMORY, 2).build(paths, plan)
        refreshing.remember(paths, plan)
    return len(plan.decision_days), len(plan.decided_days)


def marts_anew(root: Path) -> None:
    """Build every mart but the segments by day from nothing, dbt in this process."""
    paths = Paths(root)
    forget(root)
    plan = refreshing.plan_refresh(paths)
    refreshing.prepare(paths, plan, MEMORY)
    dbt_run.build(paths, MEMORY, 2, is_full=True, without=[BY_SEGMENT])


def segments_anew(root: Path) -> None:
    """Build the segments by day, and the views they are made from, from nothing."""
    paths = Paths(root)
    forget(root)
    refreshing.prepare(paths, refreshing.plan_refresh(paths), MEMORY)
    dbt_run.build(paths, MEMORY, 2, is_full=True, only=[f"+{BY_SEGMENT}"])


def forget(root: Path) -> None:
    """Delete the warehouse."""
    Paths(root).warehouse.unlink(missing_ok=True)


def one_more_day(root: Path, day: dt.date) -> None:
    """Take in everything of a day and build it."""
    take_in(root, [day])
    build(root)


def refresh(root: Path, first: dt.date, last: dt.date) -> None:
    """Take in a range of days and build its marts, as Dagster runs it."""
    # Imported here, or every piece of work would pay for Dagster.
    from dagster._core.storage.tags import (
        ASSET_PARTITION_RANGE_END_TAG,
        ASSET_PARTITION_RANGE_START_TAG,
    )

    from governance_pipeline.defs.build import build_definitions
    from governance_pipeline.running import QUIET
    from governance_pipeline.settings import Settings

    paths = Paths(root)
    calendar = load_sources(paths.governance_yaml).calendar
    definitions = build_definitions(Settings(home=root), calendar, last_applied(paths.lake))
    job = definitions.resolve_job_def("intake_and_marts")
    tags = {
        ASSET_PARTITION_RANGE_START_TAG: str(first),
        ASSET_PARTITION_RANGE_END_TAG: str(last),
    }
    console = (root / "dagster" / "console.log").open("a")
    with dagster_instance(paths) as log, console, contextlib.redirect_stdout(console):
        done = job.execute_in_process(instance=log, tags=tags, run_config=QUIET)
    assert done.success


def difference_from_full_refresh(root: Path) -> dict[str, int]:
    """Return how many rows of each published mart a full refresh would have otherwise."""
    paths = Paths(root)
    kept = paths.warehouse.with_name("daily.duckdb")
    paths.warehouse.replace(kept)
    build(root)
    found = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{paths.warehouse}' as whole (read_only)")
        connection.execute(f"attach '{kept}' as daily (read_only)")
        for table in PUBLISHED_MARTS:
            found[table] = sum(
                connection.execute(
                    f"select count(*) from (from {a}.{table} except all from {b}.{table})"
                ).fetchall()[0][0]
                for a, b in (("whole", "daily"), ("daily", "whole"))
            )
    kept.unlink()
    return found


CHECKED = {
    "strategy_days": (
        "select strategy_id, channel, decision_date, decisions, fired, reach, labelled,"
        " reversed from fct_strategy_days",
        "select strategy_id, channel, decision_date, decisions, coalesce(fired, 0), reach,"
        " labelled, reversed from reference.strategy_days",
    ),
    "audit_segments": (
        "select strategy_id, channel, category, market, decision_month, stratum, population,"
        " labelled, should_fire from fct_audit_segments",
        "select strategy_id, channel, category, market, decision_month, stratum, population,"
        " labelled, should_fire from reference.audit_segments",
    ),
    "audit_labels": (
        "select strategy_id, channel, decision_date, stratum, lag_days, labelled, should_fire"
        " from fct_audit_labels",
        "select strategy_id, channel, decision_date, stratum, lag_days, labelled, should_fire"
        " from reference.audit_labels",
    ),
}


def difference_from_reference(root: Path) -> dict[str, int]:
    """Return how many rows of the hand-written tables are not in ours, and the other way round."""
    found = {}
    with duckdb.connect(str(Paths(root).warehouse), read_only=True) as connection:
        connection.execute(f"attach '{root}/reference.duckdb' as reference (read_only)")
        for table, (ours, theirs) in CHECKED.items():
            found[table] = sum(
                connection.execute(f"select count(*) from (({a}) except all ({b}))").fetchall()[0][
                    0
                ]
                for a, b in ((ours, theirs), (theirs, ours))
            )
    return found


AGGREGATE = ["strategy_id", "channel", "day"]


def aggregate_duckdb(files: list[str]) -> int:
    """Count and sum decisions by strategy, channel and day in DuckDB."""
    with duckdb.connect(config={"threads": 2}) as connection:
        return len(
            connection.execute(
                "select strategy_id, channel, decided_at::date as day, count(*),"
                " count(*) filter (is_fired), sum(reach) from read_parquet($files) group by all",
                {"files": files},
            ).fetchall()
        )


def aggregate_pandas(files: list[str]) -> int:
    """The same in pandas, which holds all rows at once."""
    import pandas as pd

    columns = ["strategy_id", "channel", "decided_at", "is_fired", "reach"]
    rows = pd.concat([pd.read_parquet(file, columns=columns) for file in files])
    rows["day"] = rows["decided_at"].dt.floor("D")
    grouped = rows.groupby(AGGREGATE)
    return len(grouped.agg(n=("reach", "size"), fired=("is_fired", "sum"), r=("reach", "sum")))


def aggregate_polars(files: list[str]) -> int:
    """The same in polars, lazily."""
    import polars as pl  # type: ignore[import-not-found]

    rows = pl.scan_parquet(files).with_columns(day=pl.col("decided_at").dt.date())
    sums = [pl.len().alias("n"), pl.col("is_fired").sum(), pl.col("reach").sum()]
    return int(rows.group_by(AGGREGATE).agg(sums).collect().height)
