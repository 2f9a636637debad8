"""Whether a strategy under audit holds its goal again, by what it decided since the alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from governance_pipeline.domain.accuracy import estimate
from governance_pipeline.domain.betting import Claims, log_bets
from governance_pipeline.domain.cohorts import (
    Cohorts,
    as_tallies,
    stratum_layout,
    window_blocks,
    window_sums,
)
from governance_pipeline.domain.detecting import Detected, evidence_of
from governance_pipeline.domain.gates import build_gates
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.domain.measuring import Measured
from governance_pipeline.domain.panel import Panel
from governance_pipeline.domain.pooling import pool_design, pool_labels
from governance_pipeline.domain.status import E_WATCH
from governance_pipeline.domain.verdicts import Alarm

RECOVERY_DAYS = 7


def recovered(
    panel: Panel, measured: Measured, detected: Detected, levels: Levels, found: Sequence[Alarm]
) -> Booleans:
    """Return on which days an alarm is over by the evidence, though its audit is still open.

    So it is where, of the cohorts decided after the alarm, the lower limit held the level for 7
    days and a monitor begun anew at the alarm has e < 3.

    Returns:
        Shape (days, pools, metrics), the pools of `measured`.
    """
    is_over = np.zeros((panel.days, len(measured.pools), len(METRICS)), dtype=bool)
    for alarm in found:
        # A day's cohort exists from the day on; the one of the alarm itself may hold the drop.
        begins = alarm.first + 1
        if begins + RECOVERY_DAYS > alarm.last:
            continue
        pools, bets = measured.pools, detected.pools
        low = _low_since(
            panel.rows_of((pools.own == alarm.pool) | (pools.whole == alarm.pool)),
            measured, alarm, begins,
        )  # fmt: skip
        level = levels.target[:, measured.pools.table["strategy"].iloc[alarm.pool], alarm.metric]
        holds = np.cumsum(np.r_[np.zeros(RECOVERY_DAYS), low >= level])
        held = holds[RECOVERY_DAYS:] - holds[:-RECOVERY_DAYS] == RECOVERY_DAYS
        if not held[begins : alarm.last + 1].any():
            continue
        rows = panel.rows_of((bets.own == alarm.unit) | (bets.whole == alarm.unit))
        calm = _evidence_since(rows, detected, levels, alarm, begins) < E_WATCH
        days = slice(begins, alarm.last + 1)
        is_over[days, alarm.pool, alarm.metric] = (held & calm)[days]
    return is_over


def _low_since(panel: Panel, measured: Measured, alarm: Alarm, begins: int) -> Floats:
    """Return the lower limit by day from cohorts decided since a day, -inf where there is none."""
    pools = measured.pools
    of_lane = pools.own if (pools.own == alarm.pool).any() else pools.whole
    layout = stratum_layout(panel, np.where(of_lane == alarm.pool, of_lane, -1))
    since = measured.sizes.population.copy()
    since[:begins] = 0.0
    cohorts: Cohorts = replace(measured.sizes, population=since)
    low = np.full(panel.days, -np.inf)
    later = (found for found in window_sums(panel, cohorts, layout) if found[0] >= begins)
    for days, sums in window_blocks(later):
        is_fired = np.tile(layout.is_fired, (len(days), 1))
        result = estimate(as_tallies(sums, is_fired))[METRICS[alarm.metric]]
        low[days] = np.where(np.isnan(result.value), -np.inf, result.low)
    return low


def _evidence_since(
    panel: Panel, detected: Detected, levels: Levels, alarm: Alarm, begins: int
) -> Floats:
    """Return the e-value by day of a monitor of the alarm's unit that begins anew on a day."""
    unit = np.array([alarm.unit])
    pools = detected.pools.only(unit)
    closings = np.zeros((panel.days, 1), dtype=bool)
    closings[begins] = True
    cohorts = detected.cohorts.of(unit)
    gates = build_gates(cohorts, detected.gates.start, closings)
    target = levels.target[:, pools.table["strategy"].to_numpy()]
    claims = Claims(METRICS, target)
    design, labels = pool_design(panel, pools), pool_labels(panel, pools)
    bets, is_once = log_bets(design, labels, cohorts, gates, claims)
    own, _ = evidence_of(bets, target, gates, is_once)
    return np.nan_to_num(own.e_value[:, 0, alarm.metric], nan=1.0)
