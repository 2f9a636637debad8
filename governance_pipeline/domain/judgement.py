"""One entry point: from the audit frame and its labels to accuracy, drift and status tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from governance_pipeline.domain.detecting import detect, drift_table
from governance_pipeline.domain.goals import build_levels
from governance_pipeline.domain.measuring import accuracy_table, measure
from governance_pipeline.domain.panel import accuracy_pools, build_panel, drift_pools
from governance_pipeline.domain.reporting import status_table
from governance_pipeline.domain.status import STATUSES


@dataclass(frozen=True)
class Judgement:
    """`strategy_accuracy`, `strategy_drift`, `strategy_status_days` and `strategy_status`."""

    accuracy: pd.DataFrame
    drift: pd.DataFrame
    status_days: pd.DataFrame
    status: pd.DataFrame


def judge(
    frame: pd.DataFrame,
    draws: pd.DataFrame,
    strategies: pd.DataFrame,
    strategy_channels: pd.DataFrame,
    versions: pd.DataFrame,
    goals: pd.DataFrame,
    as_of: dt.date,
    start: dt.date | None = None,
) -> Judgement:
    """Judge every strategy on every day up to `as_of`, each day by what was known then.

    The same inputs give the same tables, and a later `as_of` only adds days, as long as the
    registry stays. A year's family of tests begins at `start`.

    Args:
        frame: `int_audit_frame`: populations and expected draws by strategy, channel, day, cell.
        draws: `int_audit_draws`: the drawn units with a verdict.
        strategies: Registry table.
        strategy_channels: Registry table.
        versions: Registry table; the version in force is read from the frame, where it decided.
        goals: Registry table `strategy_goals`.
        as_of: Last day judged, UTC.
        start: First day of the year in which drops are looked for; the first day of the frame if
            None. Earlier days count for estimates only.

    Raises:
        InputError: If counts, probabilities or verdicts contradict each other.
    """
    del versions
    panel = build_panel(frame, draws, strategies, as_of)
    begin = 0 if start is None else max(0, (start - panel.first).days)
    levels = build_levels(goals, panel)
    pools = accuracy_pools(panel)
    measured = measure(panel, pools, levels.target[:, pools.table["strategy"].to_numpy()])
    detected = detect(panel, drift_pools(panel), levels, begin)
    status_days = status_table(
        panel, measured, detected, levels, (strategies, strategy_channels), begin
    )
    return Judgement(
        accuracy_table(panel, measured, begin),
        drift_table(panel, detected, levels, begin),
        status_days,
        newest_statuses(status_days),
    )


def newest_statuses(status_days: pd.DataFrame) -> pd.DataFrame:
    """Return the last day of `strategy_status_days`, what matters most first.

    >>> days = pd.DataFrame({"strategy_id": ["a", "b"], "channel": "all", "date": 1,
    ...     "status": ["healthy", "watch"], "e_value": [1.0, 4.0]})
    >>> newest_statuses(days)["strategy_id"].tolist()
    ['b', 'a']
    """
    newest = status_days[status_days["date"] == status_days["date"].max()]
    rank = newest["status"].map({name: code for code, name in enumerate(STATUSES)})
    newest = newest.assign(rank=rank, calm=-newest["e_value"].astype(float).fillna(0.0))
    newest = newest.sort_values(["rank", "calm", "strategy_id", "channel"], kind="stable")
    return newest.drop(columns=["rank", "calm"]).reset_index(drop=True)
