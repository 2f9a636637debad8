"""The evidence of a drop of every pool and metric, and the fleet's verdict, on every day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from governance_pipeline.domain.betting import log_bets
from governance_pipeline.domain.cohorts import build_cohorts
from governance_pipeline.domain.drift import Evidence, accumulate, weekly_starts
from governance_pipeline.domain.fleet import reject_over_time, slots_for
from governance_pipeline.domain.gates import Gates, build_gates
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools

YEAR = 365
RUN_ON = 60


@dataclass(frozen=True)
class Detected:
    """Every field is (days, pools, metrics); e-values are NaN where there is no goal.

    Where a metric is rejected, `e_value` and `most_likely_start` go on with the days, and
    `alarm_e_value` and `alarm_start` keep the strongest evidence that the rejection had so far;
    elsewhere they are NaN and -1.
    """

    pools: Pools
    e_value: Floats
    frozen: Floats
    is_rejected: Booleans
    most_likely_start: Integers
    alarm_e_value: Floats
    alarm_start: Integers


def detect(panel: Panel, pools: Pools, levels: Levels, start: int) -> Detected:
    """Bet against every goal from day `start` on, and reject by e-BH over the fleet's slots.

    Each year from `start` is a family of its own, with its own starts and slots; at its end its
    bets run on for 60 days without new starts. What was rejected stays so.
    """
    shape = (panel.days, len(pools), len(METRICS))
    targets = levels.target[:, pools.table["strategy"].to_numpy()]
    cohorts = build_cohorts(panel, pools)
    gates = build_gates(cohorts, start)
    bets = log_bets(panel, pools, cohorts, gates, targets)
    has_goal = ~np.isnan(targets)
    judged = has_goal.any(axis=0)
    slots = slots_for(int(judged.sum()))
    e_value, frozen = np.where(has_goal, 1.0, np.nan), np.full(shape, np.nan)
    rejected, likely = np.zeros(shape, dtype=bool), np.full(shape, -1, dtype=np.int64)
    alarm_e, alarm_start = np.full(shape, np.nan), np.full(shape, -1, dtype=np.int64)
    for begin in range(start, panel.days, YEAR):
        part = slice(begin, min(panel.days, begin + YEAR + RUN_ON))
        evidence = _family(bets[part], gates, part)
        values = np.where(has_goal[part], evidence.e_value, np.nan)
        hits, stopped = reject_over_time(values[:, judged], slots)
        # What was rejected stays so, after the year's last bet too.
        left = panel.days - begin
        fresh = np.zeros_like(rejected[begin:])
        fresh[:, judged] = _held(hits, left)
        fresh &= ~rejected[begin:]
        peak, began = _strongest(values, evidence.most_likely_start)
        alarm_e[begin:] = np.where(fresh, _held(peak, left), alarm_e[begin:])
        alarm_start[begin:] = np.where(fresh, _held(began, left), alarm_start[begin:])
        rejected[begin:] |= fresh
        frozen[part, judged] = stopped
        # In the year's own days its evidence is what is shown.
        own = slice(begin, min(panel.days, begin + YEAR))
        e_value[own], likely[own] = values[:YEAR], evidence.most_likely_start[:YEAR]
    return Detected(pools, e_value, frozen, rejected, likely, alarm_e, alarm_start)


def _held(values: NDArray[Any], days: int) -> NDArray[Any]:
    """Return `days` rows of values, the last one repeated."""
    return values[np.minimum(np.arange(days), len(values) - 1)]


def _strongest(e_values: Floats, starts: Integers) -> tuple[Floats, Integers]:
    """Return the largest e-value up to each day, and the start that was likeliest that day.

    >>> e_values = np.array([1.0, 9.0, 4.0]).reshape(3, 1, 1)
    >>> peak, start = _strongest(e_values, np.array([0, 0, 2]).reshape(3, 1, 1))
    >>> peak.ravel().tolist(), start.ravel().tolist()
    ([1.0, 9.0, 9.0], [0, 0, 0])
    """
    known = np.nan_to_num(e_values, nan=-1.0)
    peak = np.maximum.accumulate(known, axis=0)
    days = np.arange(len(known))[:, None, None]
    of_day = np.maximum.accumulate(np.where(known == peak, days, 0), axis=0)
    return peak, np.take_along_axis(starts, of_day, axis=0)


def _family(bets: Floats, gates: Gates, part: slice) -> Evidence:
    """Return one year's evidence, each (days, pools, metrics); starts are days of the panel."""
    days, pools, metrics, lams = bets.shape
    restarts = gates.restarts[part].copy()
    restarts[0] = False
    is_start = weekly_starts(np.maximum(gates.first_day - part.start, 0), restarts)
    is_start[YEAR:] = False
    evidence = accumulate(
        bets.reshape(days, pools * metrics, lams),
        np.repeat(is_start, metrics, axis=1),
        np.repeat(restarts, metrics, axis=1),
    )
    likely = evidence.most_likely_start
    return Evidence(
        evidence.e_value.reshape(days, pools, metrics),
        np.where(likely >= 0, likely + part.start, -1).reshape(days, pools, metrics),
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
