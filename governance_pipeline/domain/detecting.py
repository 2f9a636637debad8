"""The evidence of a drop of every pool and metric, and the fleet's verdict, on every day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.baseline import ALARM, baseline_levels
from governance_pipeline.domain.betting import Claims, log_bets
from governance_pipeline.domain.cohorts import Cohorts, build_cohorts
from governance_pipeline.domain.drift import Evidence, accumulate, weekly_starts
from governance_pipeline.domain.fixed_bets import fixed_log_bets, fixed_pools
from governance_pipeline.domain.fleet import reject_over_time, slots_for
from governance_pipeline.domain.gates import Gates, build_gates
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools
from governance_pipeline.domain.pooling import pool_design, pool_labels

YEAR = 365
RUN_ON = 60
GOAL = "goal"
MODES = (GOAL, *ALARM)


@dataclass(frozen=True)
class Mode:
    """The evidence by one mode, each (days, pools, metrics); NaN and -1 where nothing is claimed.

    `level` is what the metric is claimed to reach: goal less tolerance, or the baseline.
    """

    level: Floats
    e_value: Floats
    most_likely_start: Integers


@dataclass(frozen=True)
class Detected:
    """Arrays are (days, pools, metrics), but for `is_once`, (days, pools).

    Where a metric is rejected, its evidence goes on with the days, and `alarm_e_value` and
    `alarm_start` keep the strongest that the rejection had so far; elsewhere they are NaN and -1.
    """

    pools: Pools
    cohorts: Cohorts
    gates: Gates
    modes: Mapping[str, Mode]
    frozen: Floats
    is_rejected: Booleans
    alarm_e_value: Floats
    alarm_start: Integers
    is_once: Booleans

    @property
    def e_value(self) -> Floats:
        """The evidence against the goals."""
        return self.modes[GOAL].e_value

    @property
    def most_likely_start(self) -> Integers:
        """The day since which a goal is most likely missed."""
        return self.modes[GOAL].most_likely_start


def detect(
    panel: Panel, pools: Pools, levels: Levels, start: int, closings: Booleans | None = None
) -> Detected:
    """Bet against every goal and baseline from day `start` on, and reject goals by e-BH.

    Each year from `start` is a family of its own, with its own starts and slots; at its end its
    bets run on for 60 days without new starts. What was rejected stays so until its audit is
    closed.

    Args:
        panel: Frame and labels.
        pools: What is bet on.
        levels: The goals.
        start: Index of the first day of the first family.
        closings: Days from which a closed audit counts, shape (days, strategies).
    """
    strategy = pools.table["strategy"].to_numpy()
    cohorts = build_cohorts(panel, pools)
    closed = None if closings is None else closings[:, strategy]
    gates = build_gates(cohorts, start, closed)
    slow, fast = baseline_levels(panel, pools, cohorts, gates)
    claimed = [levels.target[:, strategy], slow, fast]
    claims = Claims(METRICS * len(MODES), np.concatenate(claimed, axis=2))
    design, labels = pool_design(panel, pools), pool_labels(panel, pools)
    bets, is_once = log_bets(design, labels, cohorts, gates, claims)
    for pool in fixed_pools(panel, pools).tolist():
        bets[:, pool] = fixed_log_bets(panel, pools, cohorts, gates, claims, pool)
        is_once[:, pool] = True
    own, late = evidence_of(bets, claims.levels, gates, is_once)
    count = len(METRICS)
    modes = {
        mode: Mode(
            claims.levels[:, :, at : at + count],
            own.e_value[:, :, at : at + count],
            own.most_likely_start[:, :, at : at + count],
        )
        for mode, at in zip(MODES, range(0, count * len(MODES), count), strict=True)
    }
    goal = Evidence(own.e_value[:, :, :count], own.most_likely_start[:, :, :count])
    run_on = Evidence(late.e_value[:, :, :count], late.most_likely_start[:, :, :count])
    reopened = np.zeros(cohorts.population.shape, dtype=bool) if closed is None else closed.copy()
    reopened[:start] = False
    rejected, frozen, alarm_e, alarm_start = _reject(goal, run_on, start, reopened)
    return Detected(pools, cohorts, gates, modes, frozen, rejected, alarm_e, alarm_start, is_once)


def evidence_of(
    bets: Floats, levels: Floats, gates: Gates, is_once: Booleans
) -> tuple[Evidence, Evidence]:
    """Return each year's own evidence and what the year before's still says 60 days on.

    Both have shape (days, pools, claims); starts are days of the panel. A pool that begins to bet
    once begins anew, because what it bet on cohorts in flight may be one-sided.
    """
    days, pools, claims, lams = bets.shape
    has_level = ~np.isnan(levels)
    first = np.where(has_level.any(axis=0), has_level.argmax(axis=0), days)
    first = np.maximum(first, gates.first_day[:, None]).reshape(-1)
    begins_anew = gates.restarts.copy()
    begins_anew[1:] |= is_once[1:] & ~is_once[:-1]
    own, late = _nothing(levels.shape), _nothing(levels.shape)
    for begin in range(gates.start, days, YEAR):
        part = slice(begin, min(days, begin + YEAR + RUN_ON))
        restarts = np.repeat(begins_anew[part], claims, axis=1)
        restarts[0] = False
        is_start = weekly_starts(np.maximum(first - begin, 0), restarts)
        is_start[YEAR:] = False
        rows_of = part.stop - part.start
        found = accumulate(bets[part].reshape(rows_of, pools * claims, lams), is_start, restarts)
        value = found.e_value.reshape(rows_of, pools, claims)
        likely = found.most_likely_start.reshape(rows_of, pools, claims)
        likely = np.where(likely >= 0, likely + begin, -1)
        # In the year's own days its evidence is what is shown.
        for into, rows in ((own, slice(0, YEAR)), (late, slice(YEAR, None))):
            at = slice(begin + (rows.start or 0), begin + (rows.start or 0) + len(value[rows]))
            into.e_value[at], into.most_likely_start[at] = value[rows], likely[rows]
    # A level may end, with a new version, while its evidence is still of interest.
    is_claimed = np.cumsum(has_level, axis=0) > 0
    for evidence in (own, late):
        evidence.e_value[~is_claimed] = np.nan
        evidence.most_likely_start[~is_claimed] = -1
    own.e_value[is_claimed & np.isnan(own.e_value)] = 1.0
    return own, late


def _nothing(shape: tuple[int, ...]) -> Evidence:
    return Evidence(np.full(shape, np.nan), np.full(shape, -1, dtype=np.int64))


def _reject(
    own: Evidence, late: Evidence, start: int, reopened: Booleans
) -> tuple[Booleans, Floats, Floats, Integers]:
    """Return who is rejected, the frozen e-values, and each rejection's strongest evidence."""
    shape = own.e_value.shape
    judged = ~np.isnan(own.e_value).all(axis=0)
    slots = slots_for(int(judged.sum()))
    alarms, frozen = np.zeros(shape, dtype=bool), np.full(shape, np.nan)
    closed = np.repeat(reopened[:, :, None], shape[2], axis=2)
    for begin in range(start, shape[0], YEAR):
        year = slice(begin, begin + YEAR)
        after = slice(begin + YEAR, begin + YEAR + RUN_ON)
        values = np.concatenate([own.e_value[year], late.e_value[after]])
        part = slice(begin, begin + len(values))
        hits, stopped = reject_over_time(values[:, judged], slots, reopened=closed[part][:, judged])
        before = np.r_[np.zeros((1, hits.shape[1]), dtype=bool), hits[:-1]]
        found = np.zeros((len(values), *shape[1:]), dtype=bool)
        found[:, judged] = hits & ~before
        alarms[part] |= found
        frozen[part, judged] = stopped
    rejected = np.zeros(shape, dtype=bool)
    alarm_e, alarm_start = np.full(shape, np.nan), np.full(shape, -1, dtype=np.int64)
    peak, began = np.full(shape[1:], -np.inf), np.full(shape[1:], -1, dtype=np.int64)
    for day in range(start, shape[0]):
        for evidence in (late, own):
            value = np.nan_to_num(evidence.e_value[day], nan=-np.inf)
            is_more = (value > peak) & ~closed[day]
            peak = np.where(is_more, value, peak)
            began = np.where(is_more, evidence.most_likely_start[day], began)
        peak, began = np.where(closed[day], -np.inf, peak), np.where(closed[day], -1, began)
        was = rejected[day - 1] if day else np.zeros(shape[1:], dtype=bool)
        rejected[day] = (was & ~closed[day]) | alarms[day]
        alarm_e[day] = np.where(rejected[day], peak, np.nan)
        alarm_start[day] = np.where(rejected[day], began, -1)
    return rejected, frozen, alarm_e, alarm_start


def drift_table(panel: Panel, detected: Detected, levels: Levels, start: int) -> pd.DataFrame:
    """Return `strategy_drift`: a row per pool, metric, mode and day from `start` on."""
    parts = [_mode_table(panel, detected, levels, start, mode) for mode in MODES]
    return pd.concat(parts, ignore_index=True)


def _mode_table(
    panel: Panel, detected: Detected, levels: Levels, start: int, mode: str
) -> pd.DataFrame:
    pools, found = detected.pools.table, detected.modes[mode]
    strategy = pools["strategy"].to_numpy()
    day, pool, metric = np.nonzero(~np.isnan(found.e_value))
    keep = (day >= start) & (panel.version[day, strategy[pool]] >= 0)
    day, pool, metric = day[keep], pool[keep], metric[keep]
    at = (day, pool, metric)
    dates = panel.dates()
    began = found.most_likely_start[at]
    e_value = found.e_value[at]
    is_goal = mode == GOAL
    nothing = np.full(len(day), np.nan)
    return pd.DataFrame(
        {
            "strategy_id": pools["strategy_id"].to_numpy()[pool],
            "version": panel.version[day, strategy[pool]],
            "channel": pools["channel"].to_numpy()[pool],
            "environment": panel.strategies["environment"].to_numpy()[strategy[pool]],
            "metric": np.array(METRICS)[metric],
            "mode": mode,
            "date": dates[day],
            "log_e": np.log(np.maximum(e_value, 1e-300)),
            "e_value": e_value,
            "frozen_e_value": detected.frozen[at] if is_goal else nothing,
            "most_likely_start": dates[np.maximum(began, 0)].where(began >= 0),
            "goal": levels.goal[day, strategy[pool], metric] if is_goal else nothing,
            "tolerance": levels.tolerance[day, strategy[pool], metric] if is_goal else nothing,
            "level": found.level[at],
        }
    )
