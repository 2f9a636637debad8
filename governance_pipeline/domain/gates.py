"""When bets are held back: until the first cohort of a launch, a version or a doubling is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.cohorts import NEVER, Cohorts
from governance_pipeline.domain.intervals import Booleans, Floats, Integers

MATURITY_LIMIT_DAYS = 21
VOLUME_JUMP = 2.0
VOLUME_DAYS = 14


@dataclass(frozen=True)
class Gates:
    """When bets are held back, each (days, pools) but for `first_day`, (pools,), and `start`.

    `restarts` are days on which a pool begins anew: the first of a new version, or the one from
    which a closed audit counts; `epoch` counts them. `is_closed` are arrival days that are
    discarded because the first cohort since the launch, the restart or a doubling of volume is not
    90% in. Nothing is bet before `start`.
    """

    restarts: Booleans
    epoch: Integers
    is_closed: Booleans
    first_day: Integers
    start: int

    def of(self, pools: Integers) -> Gates:
        """Return the gates of some pools, in the order given."""
        return Gates(
            self.restarts[:, pools],
            self.epoch[:, pools],
            self.is_closed[:, pools],
            self.first_day[pools],
            self.start,
        )

    def born(self, population: Floats) -> Integers:
        """Return the day since which a pool is what it is on each day, (days, pools)."""
        days = np.arange(len(self.restarts))[:, None]
        since = np.maximum.accumulate(np.where(self.restarts, days, 0), axis=0)
        return np.maximum(since, (population > 0).argmax(axis=0))


def build_gates(cohorts: Cohorts, start: int, closings: Booleans | None = None) -> Gates:
    """Find launches, restarts and jumps of volume, and when their first cohort is 90% in.

    Args:
        cohorts: The pools' cohorts.
        start: Index of the first day of the family's year; nothing is bet before it.
        closings: Days from which a closed audit counts, shape (days, pools); none by default.
    """
    days, pools = cohorts.population.shape
    has_units = cohorts.population > 0
    launch = np.where(has_units.any(axis=0), has_units.argmax(axis=0), days)
    restarts = np.zeros((days, pools), dtype=bool)
    restarts[1:] = (cohorts.version[1:] != cohorts.version[:-1]) & (cohorts.version[:-1] >= 0)
    if closings is not None:
        restarts |= closings
    restarts[:start] = False
    gates = restarts | _volume_jumps(cohorts.population)
    gates[launch[launch < days], np.flatnonzero(launch < days)] = True
    is_closed = np.zeros((days, pools), dtype=bool)
    is_closed[:start] = True
    for day, pool in np.argwhere(gates):
        drawn = np.flatnonzero(cohorts.drawn[day:, pool] > 0)
        mature = cohorts.mature_on[day + drawn[0], pool] if len(drawn) else NEVER
        is_closed[day : min(mature, day + MATURITY_LIMIT_DAYS), pool] = True
    epoch = np.cumsum(restarts, axis=0)
    return Gates(restarts, epoch, is_closed, np.maximum(launch, start), start)


def _volume_jumps(population: Floats) -> Booleans:
    """Return the days with at least twice the mean population of the 14 days before."""
    days, pools = population.shape
    jumps = np.zeros((days, pools), dtype=bool)
    last = np.full(pools, -NEVER // 2)
    for day in range(7, days):
        before = population[max(0, day - 14) : day]
        count = (before > 0).sum(axis=0)
        usual = before.sum(axis=0) / np.maximum(count, 1)
        found = (count >= 7) & (population[day] >= VOLUME_JUMP * usual) & (day - last >= 14)
        last[found] = day
        jumps[day] = found
    return jumps
