"""Between the warehouse and `domain.judgement`: read the tallies, judge, write the verdicts."""

from typing import Any

import pandas as pd

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.interventions import read_interventions
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.adapters.studies import as_of
from governance_pipeline.domain.judgement import Inputs, Judgement, judge
from governance_pipeline.paths import Paths

INPUTS = {
    "frame": "select * from int_audit_frame",
    "draws": "select * from int_audit_draws",
    "strategies": "select * from dim_strategies",
    "strategy_channels": "select * from dim_strategy_channels",
    "goals": "select * from lake.strategy_goals",
    "appeals": "select strategy_id, version, channel, environment, decision_date,"
    " decided_at::date as decided_date, outcome from int_appeals_matched"
    " where decided_at is not null",
    "golden": "select labelled_at::date as date, count(*) as asked,"
    " count(*) filter (verdict = golden_verdict) as correct"
    " from stg_audit_labels where source = 'golden' group by all order by all",
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
    inputs = Inputs(
        **{name: warehouse.read_frame(paths.warehouse, sql) for name, sql in INPUTS.items()},
        interventions=read_interventions(paths.lake),
    )
    verdicts = judge(inputs, last, pd.Timestamp(first).date(), _currency(paths))
    for name, frame in tables(verdicts).items():
        dated = list(frame.select_dtypes("datetime").columns)
        warehouse.write_frame(paths.warehouse, f"judgement.{name}", frame, dated)
    return verdicts


def _currency(paths: Paths) -> str | None:
    """Return what gmv is counted in: the home's reporting currency, or the markets' only one."""
    reporting = load_sources(paths.governance_yaml).reporting_currency
    markets = warehouse.read_frame(paths.warehouse, "select distinct currency from dim_markets")
    return reporting or (str(markets["currency"].iloc[0]) if len(markets) == 1 else None)


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
        harm=read(paths, "judgement.strategy_harm"),
    )


def tables(verdicts: Judgement) -> dict[str, pd.DataFrame]:
    """Return the judgement's frames under the names they are published with."""
    return {
        "strategy_accuracy": verdicts.accuracy,
        "strategy_drift": verdicts.drift,
        "strategy_status_days": verdicts.status_days,
        "strategy_status": verdicts.status,
        "strategy_harm": verdicts.harm,
    }


def summary(verdicts: Judgement, table: str) -> dict[str, Any]:
    """Return what the catalog shows of a table: its rows, and for the status its counts."""
    frame = tables(verdicts)[table]
    shown: dict[str, Any] = {"dagster/row_count": len(frame)}
    if table == "strategy_status":
        pooled = frame.loc[frame["channel"] == "all", "status"]
        shown |= {str(status): int(n) for status, n in pooled.value_counts().items()}
    return shown
