"""Studies: judgements that stand beside the verdicts, each one table made from the marts.

A study is a pure function of `domain` and the relations it reads. Listing it here gives it an
asset, a table `judgement.<name>` and a place in the published snapshot; what its columns mean is
said in `judgement_tables.yaml`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from governance_pipeline.adapters import warehouse
from governance_pipeline.domain.planning import propose_plan
from governance_pipeline.domain.recommending import threshold_table
from governance_pipeline.domain.reviewing import reviewer_quality
from governance_pipeline.errors import WarehouseError
from governance_pipeline.paths import Paths


@dataclass(frozen=True)
class Study:
    """One table of judgement.

    `compute` is called with `as_of`, the last decision day, and one frame per entry of `reads`,
    which names relations of the warehouse: marts, tables of the schema `lake`, or verdicts of the
    schema `judgement`.
    """

    table: str
    reads: Mapping[str, str]
    compute: Callable[..., pd.DataFrame]


AUDIT_PLAN = Study(
    table="audit_plan",
    reads={
        "frame": "int_audit_frame",
        "draws": "int_audit_draws",
        "strategies": "dim_strategies",
        "goals": "lake.strategy_goals",
        "drift": "judgement.strategy_drift",
        "status": "judgement.strategy_status",
        "reviews": "int_audit_reviews",
    },
    compute=propose_plan,
)
STUDIES: tuple[Study, ...] = (
    AUDIT_PLAN,
    Study("reviewer_quality", {"reviews": "int_reviews"}, reviewer_quality),
    Study(
        "threshold_recommendations",
        {
            "frame": "int_audit_frame",
            "draws": "int_audit_draws",
            "strategies": "dim_strategies",
            "goals": "lake.strategy_goals",
        },
        threshold_table,
    ),
)


def as_of(paths: Paths) -> dt.date:
    """Return the last decision day that the marts know.

    Raises:
        WarehouseError: If no decision was accepted yet.
    """
    found = warehouse.read_frame(
        paths.warehouse, "select max(decision_date) as last from int_decision_days"
    )
    if found["last"].isna().all():
        raise WarehouseError("no decision was accepted yet: there is nothing to judge")
    return pd.Timestamp(found["last"].iloc[0]).date()


def compute_study(paths: Paths, study: Study, **asked: object) -> pd.DataFrame:
    """Compute a study from the marts as they are, with what else it was asked, and return it."""
    queries = {name: f"select * from {relation}" for name, relation in study.reads.items()}
    frames = warehouse.read_frames(paths.warehouse, queries)
    return study.compute(as_of=as_of(paths), **frames, **asked)


def run_study(paths: Paths, study: Study) -> pd.DataFrame:
    """Compute a study from the marts as they are, keep its table, and return it."""
    found = compute_study(paths, study)
    warehouse.write_frames(paths.warehouse, {f"judgement.{study.table}": found})
    return found
