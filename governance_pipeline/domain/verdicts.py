"""From estimates and evidence to the status of every strategy and channel on every day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from governance_pipeline.domain.detecting import Detected
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.measuring import Measured
from governance_pipeline.domain.status import (
    NEEDS_AUDIT,
    NOT_MONITORED,
    WHYS,
    Codes,
    History,
    replay,
)

POPULATION_DAYS = 28
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Judged:
    """Statuses of every accuracy pool: codes and evidence, each (days, pools, metrics).

    `unit` is the drift pool behind an accuracy pool, `alarm` the drift pool that raised the alarm
    of a strategy on several channels, -1 for its own.
    """

    status: Codes
    why: Codes
    unit: Integers
    alarm: Integers
    e_value: Floats

    def alarm_unit(self, pool: int, day: int, metric: int) -> int:
        """Return the drift pool whose alarm a pool's status on a day stands for."""
        alarm = int(self.alarm[day, pool, metric])
        return alarm if alarm >= 0 else int(self.unit[pool])


def judge_pools(measured: Measured, detected: Detected, levels: Levels) -> Judged:
    """Replay the status rules of every pool, and raise a strategy where one channel is rejected."""
    pools = measured.pools
    strategy = pools.table["strategy"].to_numpy()
    unit = _units(measured, detected)
    target = levels.target[:, strategy]
    shape = target.shape
    values = measured.recent.values

    def flat(array: NDArray[Number]) -> NDArray[Number]:
        return array.reshape(shape[0], -1)

    estimate, low, high = (
        flat(np.stack([values[metric + end] for metric in METRICS], axis=-1))
        for end in ("", "_lo", "_hi")
    )
    recent = np.stack([_recent_population(measured.sizes.population)] * 2, axis=-1)
    verdicts = replay(
        History(
            has_population=flat(recent),
            target=flat(target),
            estimate=estimate,
            low=low,
            high=high,
            e_value=flat(detected.e_value[:, unit]),
            is_rejected=flat(detected.is_rejected[:, unit]),
            cohorts=flat(np.stack([measured.cohorts] * 2, axis=-1)),
            has_thin_stratum=flat(measured.has_thin_stratum),
            evidence_half_width=flat(levels.half_width[:, strategy]),
            baseline_e_value=flat(detected.modes["baseline"].e_value[:, unit]),
        )
    )
    status, why = verdicts.status.reshape(shape), verdicts.why.reshape(shape)
    alarm = np.full(shape, -1, dtype=np.int64)
    _raise_wholes(measured, detected, status, why, alarm)
    return Judged(status, why, unit, alarm, detected.e_value[:, unit])


def _recent_population(population: Floats) -> Booleans:
    counted = np.cumsum(population, axis=0)
    before = np.zeros_like(counted)
    before[POPULATION_DAYS:] = counted[:-POPULATION_DAYS]
    return counted - before > 0


def _units(measured: Measured, detected: Detected) -> Integers:
    """Return the drift pool whose evidence speaks for each accuracy pool."""
    pools, bets = measured.pools, detected.pools
    unit = np.zeros(len(pools), dtype=np.int64)
    # What has no status has no unit either, and no goal: any evidence will do.
    unit[pools.own] = np.maximum(np.where(bets.own >= 0, bets.own, bets.whole), 0)
    is_multi = pools.whole >= 0
    unit[pools.whole[is_multi]] = np.maximum(bets.whole[is_multi], 0)
    return unit


def _raise_wholes(
    measured: Measured, detected: Detected, status: Codes, why: Codes, alarm: Integers
) -> None:
    pools, bets = measured.pools, detected.pools
    for lane in np.flatnonzero((pools.whole >= 0) & (bets.own >= 0)):
        whole, channel = pools.whole[lane], bets.own[lane]
        raised = detected.is_rejected[:, channel] & (status[:, whole] > NEEDS_AUDIT)
        raised &= status[:, whole] != NOT_MONITORED
        status[:, whole][raised] = NEEDS_AUDIT
        why[:, whole][raised] = WHYS.index("rejected")
        alarm[:, whole][raised] = channel


@dataclass(frozen=True)
class Alarm:
    """A run of days on which a pool's metric needs an audit: first and last day, and its unit."""

    pool: int
    metric: int
    first: int
    last: int
    unit: int


def alarms(judged: Judged) -> list[Alarm]:
    """Return every run of `needs_audit`, by pool, metric and day."""
    is_audit = judged.status == NEEDS_AUDIT
    days = len(is_audit)
    found = []
    for pool, metric in np.argwhere(is_audit.any(axis=0)).tolist():
        flags = np.r_[False, is_audit[:, pool, metric], False]
        edges = np.flatnonzero(flags[1:] != flags[:-1])
        for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            unit = judged.alarm_unit(pool, first, metric)
            found.append(Alarm(pool, metric, first, min(end, days) - 1, unit))
    return found
