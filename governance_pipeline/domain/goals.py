"""The goals in force on each day, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from governance_pipeline.domain.intervals import Floats
from governance_pipeline.domain.panel import Panel
from governance_pipeline.errors import InputError

METRICS = ("precision", "recall")
EVIDENCE_HALF_WIDTH = 0.10


@dataclass(frozen=True)
class Levels:
    """Goal, tolerance and evidence half-width, each (days, strategies, metrics); NaN for no goal.

    `reasons` says why a (strategy, metric) has none, where the registry does.
    """

    goal: Floats
    tolerance: Floats
    half_width: Floats
    reasons: dict[tuple[str, str], str]

    @cached_property
    def target(self) -> Floats:
        """Return m = goal - tolerance, the level a metric is judged against."""
        return self.goal - self.tolerance


def build_levels(goals: pd.DataFrame, panel: Panel) -> Levels:
    """Lay out `strategy_goals`: on each day the goal with the latest effective_from by then.

    Raises:
        InputError: If goal - tolerance is not strictly between 0 and 1.
    """
    # Goals are for what has a status; a version in shadow beside it is measured alone.
    primary = panel.strategies[panel.strategies["is_primary"].astype(bool)]
    code = dict(zip(primary["strategy_id"], primary.index.to_numpy().tolist(), strict=True))
    shape = (panel.days, len(panel.strategies), len(METRICS))
    goal, tolerance = np.full(shape, np.nan), np.full(shape, np.nan)
    half_width = np.full(shape, EVIDENCE_HALF_WIDTH)
    reasons = {}
    ordered = goals.assign(effective_from=pd.to_datetime(goals["effective_from"]))
    for row in ordered.sort_values("effective_from").to_dict("records"):
        if row["strategy_id"] not in code or row["metric"] not in METRICS:
            continue
        days = (row["effective_from"] - pd.Timestamp(panel.first)).days
        at = (slice(max(days, 0), None), code[row["strategy_id"]], METRICS.index(row["metric"]))
        goal[at], tolerance[at] = row["goal"], row["tolerance"]
        if pd.notna(row["evidence_half_width"]):
            half_width[at] = row["evidence_half_width"]
        if pd.isna(row["goal"]):
            reasons[row["strategy_id"], row["metric"]] = row["goal_null_reason"]
        elif not 0 < row["goal"] - row["tolerance"] < 1:
            raise InputError(
                f"{row['metric']} of {row['strategy_id']} needs a tolerance with goal - tolerance "
                f"strictly between 0 and 1, got {row['goal']} - {row['tolerance']}"
            )
    return Levels(goal, tolerance, half_width, reasons)
