"""The evidence of a drop of every pool and metric, and the fleet's verdict, on every day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

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
class Evidenced:
    """What a block of strategies bet and won, before the fleet decides.

    `modes` has every mode's evidence, `late` what the year before's bets against the goals say in
    the 60 days after it, (days, pools, metrics); `is_once` is (days, pools), `reopened` the days
    from which a closed audit counts, (days, pools).
    """

    pools: Pools
    cohorts: Cohorts
    gates: Gates
    modes: Mapping[str, Mode]
    late: Evidence
    is_once: Booleans
    reopened: Booleans

    @property
    def e_value(self) -> Floats:
        """The evidence against the goals."""
        return self.modes[GOAL].e_value

    @property
    def most_likely_start(self) -> Integers:
        """The day since which a goal is most likely missed."""
        return self.modes[GOAL].most_likely_start


@dataclass(frozen=True)
class Detected(Evidenced):
    """The same with the fleet's verdict, each (days, pools, metrics).

    Where a metric is rejected, its evidence goes on with the days, and `alarm_e_value` and
    `alarm_start` keep the strongest that the rejection had so far; elsewhere they are NaN and -1.
    """

    frozen: Floats
    is_rejected: Booleans
    alarm_e_value: Floats
    alarm_start: Integers


def gather(panel: Panel, pools: Pools, levels: Levels, start: int, closings: Booleans) -> Evidenced:
    """Bet against every goal and baseline from day `start` on.

    Each year from `start` is a family of its own, with its own starts and slots; at its end its
    bets run on for 60 days without new starts.

    Args:
        panel: Frame and labels.
        pools: What is bet on.
        levels: The goals.
        start: Index of the first day of the first family.
        closings: Days from which a closed audit counts, shape (days, strategies).
    """
    strategy = pools.table["strategy"].to_numpy()
    cohorts = build_cohorts(panel, pools)
    closed = closings[:, strategy]
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
    run_on = Evidence(late.e_value[:, :, :count], late.most_likely_start[:, :, :count])
    reopened = closed.copy()
    reopened[:start] = False
    return Evidenced(pools, cohorts, gates, modes, run_on, is_once, reopened)


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


@dataclass(frozen=True)
class Fleet:
    """What the fleet's test needs of a block: e-values and closed audits; all else stays there.

    `own` and `late` are (days, pools, metrics), as in `Evidenced`; `late` is None in a first year.
    """

    own: Floats
    late: Floats | None
    reopened: Booleans


def fleet_part(found: Evidenced) -> Fleet:
    """Return what the fleet's test needs of a block."""
    late = found.late.e_value
    return Fleet(found.e_value, None if np.isnan(late).all() else late, found.reopened)


def reject_fleet(parts: Sequence[Fleet], start: int) -> list[tuple[Booleans, Floats]]:
    """Reject goals by e-BH over the slots of the whole fleet, year by year.

    Returns:
        Per block the days on which a rejection begins and the frozen e-values, both of shape
        (days, pools, metrics).
    """
    judged = [~np.isnan(part.own).all(axis=0) for part in parts]
    slots = slots_for(sum(int(j.sum()) for j in judged))
    found = [(np.zeros(p.own.shape, dtype=bool), np.full(p.own.shape, np.nan)) for p in parts]
    days = parts[0].own.shape[0] if parts else 0
    for begin in range(start, days, YEAR):
        end = min(days, begin + YEAR + RUN_ON)
        values = np.concatenate(
            [_family(part, begin, end)[:, j] for part, j in zip(parts, judged, strict=True)], axis=1
        )
        closed = np.concatenate(
            [
                np.repeat(part.reopened[begin:end, :, None], len(METRICS), axis=2)[:, j]
                for part, j in zip(parts, judged, strict=True)
            ],
            axis=1,
        )
        hits, stopped = reject_over_time(values, slots, reopened=closed)
        hits[1:] &= ~hits[:-1]
        at = 0
        for (alarms, frozen), j in zip(found, judged, strict=True):
            own = slice(at, at + int(j.sum()))
            alarms[begin:end, j] |= hits[:, own]
            frozen[begin:end, j] = stopped[:, own]
            at = own.stop
    return found


def _family(part: Fleet, begin: int, end: int) -> Floats:
    """Return a year's e-values and what they say in the 60 days after."""
    year = part.own[begin : min(begin + YEAR, end)]
    if end <= begin + YEAR:
        return year
    after = np.full_like(part.own[begin + YEAR : end], np.nan) if part.late is None else part.late[
        begin + YEAR : end]  # fmt: skip
    return np.concatenate([year, after])


def decide(found: Evidenced, alarms: Booleans, frozen: Floats) -> Detected:
    """Return a block with its part of the fleet's verdict; a rejection lasts until it is closed."""
    own, late = found.modes[GOAL], found.late
    shape = own.e_value.shape
    closed = np.repeat(found.reopened[:, :, None], shape[2], axis=2)
    rejected = np.zeros(shape, dtype=bool)
    alarm_e, alarm_start = np.full(shape, np.nan), np.full(shape, -1, dtype=np.int64)
    peak, began = np.full(shape[1:], -np.inf), np.full(shape[1:], -1, dtype=np.int64)
    was = np.zeros(shape[1:], dtype=bool)
    for day in range(found.gates.start, shape[0]):
        for e_value, likely in (
            (late.e_value[day], late.most_likely_start[day]),
            (own.e_value[day], own.most_likely_start[day]),
        ):
            value = np.nan_to_num(e_value, nan=-np.inf)
            is_more = (value > peak) & ~closed[day]
            peak, began = np.where(is_more, value, peak), np.where(is_more, likely, began)
        peak, began = np.where(closed[day], -np.inf, peak), np.where(closed[day], -1, began)
        was = rejected[day] = (was & ~closed[day]) | alarms[day]
        alarm_e[day] = np.where(was, peak, np.nan)
        alarm_start[day] = np.where(was, began, -1)
    known = {f.name: getattr(found, f.name) for f in fields(Evidenced)}
    return Detected(**known, frozen=frozen, is_rejected=rejected, alarm_e_value=alarm_e,
                    alarm_start=alarm_start)  # fmt: skip


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
