"""The evidence of a drop of every pool and metric, and the fleet's verdict, on every day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.betting import log_bets
from governance_pipeline.domain.cohorts import build_cohorts
from governance_pipeline.domain.drift import accumulate, weekly_starts
from governance_pipeline.domain.fleet import reject_over_time, slots_for
from governance_pipeline.domain.gates import build_gates
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools


@dataclass(frozen=True)
class Detected:
    """Every field is (days, pools, metrics); e-values are NaN where there is no goal."""

    pools: Pools
    e_value: Floats
    frozen: Floats
    is_rejected: Booleans
    most_likely_start: Integers


def detect(panel: Panel, pools: Pools, levels: Levels, start: int) -> Detected:
    """Bet against every goal from day `start` on, and reject by e-BH over the fleet's slots."""
    shape = (panel.days, len(pools), len(METRICS))
    targets = levels.target[:, pools.table["strategy"].to_numpy()]
    cohorts = build_cohorts(panel, pools)
    gates = build_gates(cohorts, start)
    bets = log_bets(panel, pools, cohorts, gates, targets)
    is_start = weekly_starts(gates.first_day, gates.restarts)
    evidence = accumulate(
        bets.reshape(panel.days, -1, bets.shape[-1]),
        np.repeat(is_start, len(METRICS), axis=1),
        np.repeat(gates.restarts, len(METRICS), axis=1),
    )
    e_value = np.where(np.isnan(targets), np.nan, evidence.e_value.reshape(shape))
    slots = slots_for(int((~np.isnan(targets)).any(axis=0).sum()))
    judged = (~np.isnan(targets)).any(axis=0).ravel()
    rejected = np.zeros((panel.days, len(judged)), dtype=bool)
    frozen = np.full(rejected.shape, np.nan)
    flat = e_value.reshape(panel.days, -1)[:, judged]
    rejected[:, judged], frozen[:, judged] = reject_over_time(flat, slots)
    return Detected(
        pools,
        e_value,
        frozen.reshape(shape),
        rejected.reshape(shape),
        evidence.most_likely_start.reshape(shape),
    )


def drift_table(panel: Panel, detected: Detected, levels: Levels, start: int) -> pd.DataFrame:
    """Return `strategy_drift`: a row per pool, metric with a goal and day from `start` on."""
    pools = detected.pools.table
    strategy = pools["strategy"].to_numpy()
    day, pool, metric = np.nonzero(~np.isnan(detected.e_value))
    keep = (day >= start) & (panel.version[day, strategy[pool]] >= 0)
    day, pool, metric = day[keep], pool[keep], metric[keep]
    at = (day, pool, metric)
    level = (day, strategy[pool], metric)
    dates = panel.dates()
    began = detected.most_likely_start[at]
    e_value = detected.e_value[at]
    return pd.DataFrame(
        {
            "strategy_id": pools["strategy_id"].to_numpy()[pool],
            "version": panel.version[day, strategy[pool]],
            "channel": pools["channel"].to_numpy()[pool],
            "environment": panel.strategies["environment"].to_numpy()[strategy[pool]],
            "metric": np.array(METRICS)[metric],
            "mode": "goal",
            "date": dates[day],
            "log_e": np.log(e_value),
            "e_value": e_value,
            "frozen_e_value": detected.frozen[at],
            "most_likely_start": dates[np.maximum(began, 0)].where(began >= 0),
            "goal": levels.goal[level],
            "tolerance": levels.tolerance[level],
        }
    )
