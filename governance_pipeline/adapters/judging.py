"""Between the warehouse and `domain.judgement`: read the tallies, judge, write the verdicts."""

from typing import Any

import pandas as pd

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.studies import as_of
from governance_pipeline.domain.judgement import Judgement, judge
from governance_pipeline.paths import Paths

INPUTS = {
    "frame": "int_audit_frame",
    "draws": "int_audit_draws",
    "strategies": "dim_strategies",
    "strategy_channels": "dim_strategy_channels",
    "versions": "dim_strategy_versions",
}


def judge_warehouse(paths: Paths) -> Judgement:
    """Judge every registered strategy as of the last accepted decision day, and keep the verdicts.

    Raises:
        WarehouseError: If the marts were never built.
    """
    last = as_of(paths)
    first = warehouse.read_frame(
        paths.warehouse, "select min(decision_date) as first from fct_strategy_days"
    )["first"].iloc[0]
    inputs = {name: read(paths, table) for name, table in INPUTS.items()}
    goals = warehouse.read_frame(paths.warehouse, "select * from lake.strategy_goals")
    verdicts = judge(
        **inputs,
        goals=goals,
        as_of=last,
        start=pd.Timestamp(first).date(),
    )
    for name, frame in tables(verdicts).items():
        dated = list(frame.select_dtypes("datetime").columns)
        warehouse.write_frame(paths.warehouse, f"judgement.{name}", frame, dated)
    return verdicts


def read(paths: Paths, table: str) -> pd.DataFrame:
    """Return one table of the warehouse, whole."""
    return warehouse.read_frame(paths.warehouse, f"select * from {table}")


def read_verdicts(paths: Paths) -> Judgement:
    """Return what the last judgement said.

    Raises:
        WarehouseError: If nothing was judged yet.
    """
    return Judgement(
        accuracy=read(paths, "judgement.strategy_accuracy"),
        drift=read(paths, "judgement.strategy_drift"),
        status_days=read(paths, "judgement.strategy_status_days"),
        status=read(paths, "judgement.strategy_status"),
    )


def tables(verdicts: Judgement) -> dict[str, pd.DataFrame]:
    """Return the judgement's frames under the names they are published with."""
    return {
        "strategy_accuracy": verdicts.accuracy,
        "strategy_drift": verdicts.drift,
        "strategy_status_days": verdicts.status_days,
        "strategy_status": verdicts.status,
    }


def summary(verdicts: Judgement, table: str) -> dict[str, Any]:
    """Return what the catalog shows of a table: its rows, and for the status its counts."""
    frame = tables(verdicts)[table]
    shown: dict[str, Any] = {"dagster/row_count": len(frame)}
    if table == "strategy_status":
        pooled = frame.loc[frame["channel"] == "all", "status"]
        shown |= {str(status): int(n) for status, n in pooled.value_counts().items()}
    return shown
