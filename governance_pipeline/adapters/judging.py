"""Between the warehouse and `domain.judgement`: read the tallies, judge, write the verdicts."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.interventions import read_interventions
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.adapters.studies import as_of
from governance_pipeline.domain.judgement import (
    Inputs,
    Judgement,
    Terms,
    by_urgency,
    judge_blocks,
)
from governance_pipeline.paths import Paths

# What is judged; `$names` are the strategies of a block.
INPUTS = {
    "frame": "select * from int_audit_frame where strategy_id in (select unnest($names))",
    "draws": "select * from int_audit_draws where strategy_id in (select unnest($names))",
    "strategies": "select * from dim_strategies where strategy_id in (select unnest($names))",
    "strategy_channels": "select * from dim_strategy_channels"
    " where strategy_id in (select unnest($names))",
    "goals": "select * from lake.strategy_goals where strategy_id in (select unnest($names))",
    "appeals": "select strategy_id, version, channel, environment, decision_date,"
    " decided_at::date as decided_date, outcome from int_appeals_matched"
    " where decided_at is not null and strategy_id in (select unnest($names))",
}
# What is asked once for the whole fleet.
ABOUT = {
    "first": "select min(decision_date) as day from int_decision_days",
    "golden": "select labelled_at::date as date, count(*) as asked,"
    " count(*) filter (verdict = golden_verdict) as correct from (from lake.every_audit_label"
    " where source = 'golden' qualify row_number() over (partition by channel, label_id"
    " order by delivery_date desc) = 1) group by all order by all",
    "sizes": "select s.strategy_id, count(f.strategy_id) as rows from dim_strategies s"
    " left join int_audit_frame f using (strategy_id) group by all order by all",
    "currencies": "select distinct currency from dim_markets",
}
BLOCK_ROWS = 250_000
"""Frame rows of a block: what bounds the memory of a judgement, whatever the fleet."""


def judge_warehouse(paths: Paths, block_rows: int = BLOCK_ROWS) -> Judgement:
    """Judge every registered strategy as of the last accepted decision day, and keep the verdicts.

    Raises:
        WarehouseError: If the marts were never built.
    """
    last = as_of(paths)
    about = warehouse.read_frames(paths.warehouse, ABOUT)
    begin = pd.Timestamp(about["first"]["day"].iloc[0]).date()
    golden = about["golden"]
    interventions = read_interventions(paths.lake)

    def load(names: Sequence[str]) -> Inputs:
        frames = warehouse.read_frames(paths.warehouse, INPUTS, {"names": list(names)})
        return Inputs(**frames, golden=golden, interventions=interventions)

    blocks = [partial(load, names) for names in _blocks(about["sizes"], block_rows)]
    terms = Terms(last, begin, begin, _currency(paths, about["currencies"]))
    urgent: list[pd.DataFrame] = []
    harm: list[pd.DataFrame] = []
    for verdicts in judge_blocks(blocks, terms):
        named = {f"judgement.{name}": frame for name, frame in tables(verdicts).items()}
        warehouse.write_frames(paths.warehouse, named, append=bool(urgent))
        urgent.append(verdicts.status)
        harm.append(verdicts.harm)
    if len(blocks) == 1:
        return verdicts
    newest = by_urgency(pd.concat(urgent), pd.concat(harm))
    warehouse.write_frames(paths.warehouse, {"judgement.strategy_status": newest})
    return read_verdicts(paths)


def _blocks(sizes: pd.DataFrame, most: int) -> list[list[str]]:
    """Return the strategies in blocks of at most so many frame rows, a larger one by itself."""
    blocks: list[list[str]] = [[]]
    room = most
    for name, rows in sizes.itertuples(index=False):
        if blocks[-1] and rows > room:
            blocks.append([])
            room = most
        blocks[-1].append(str(name))
        room -= rows
    return blocks


def _currency(paths: Paths, currencies: pd.DataFrame) -> str | None:
    """Return what gmv is counted in: the home's reporting currency, or the markets' only one."""
    reporting = load_sources(paths.governance_yaml).reporting_currency
    only = str(currencies["currency"].iloc[0]) if len(currencies) == 1 else None
    return reporting or only


def read_verdicts(paths: Paths) -> Judgement:
    """Return what the last judgement said.

    Raises:
        WarehouseError: If nothing was judged yet.
    """
    names = ("accuracy", "drift", "status_days", "status", "harm")
    queries = {name: f"select * from judgement.strategy_{name}" for name in names}
    return Judgement(**warehouse.read_frames(paths.warehouse, queries))


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
