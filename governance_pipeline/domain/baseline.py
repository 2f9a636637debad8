"""Baselines: what a strategy was when it began, frozen, as the level it must not fall below."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from governance_pipeline.domain.accuracy import estimate
from governance_pipeline.domain.betting import REFERENCE_DAYS
from governance_pipeline.domain.cohorts import Cohorts, as_tallies, stratum_layout, sums_of
from governance_pipeline.domain.gates import MATURITY_LIMIT_DAYS, Gates
from governance_pipeline.domain.goals import METRICS
from governance_pipeline.domain.intervals import Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools

ALARM = {"baseline": 40.0, "baseline_fast": 20.0}
FAST_MARGIN = 0.01
FAST_LABELS = 1000


def baseline_levels(
    panel: Panel, pools: Pools, cohorts: Cohorts, gates: Gates
) -> tuple[Floats, Floats]:
    """Return the levels of the modes `baseline` and `baseline_fast`, each (days, pools, metrics).

    The reference is the first 60 days of a pool since it began (anew), frozen when their cohorts
    are 90% in, at most three weeks later; from the next cohort on it is bet against. The level is
    the one-sided 97.5% lower limit of the reference: a limit that errs in 2.5% of strategies and
    an alarm at e >= 40 together err in under 5%. `baseline_fast` is the estimate less a point, for
    at least 1,000 reference labels and an alarm at e >= 20: measured, not proved.

    Returns:
        Both NaN until the reference is frozen, and where it says nothing.
    """
    shape = (panel.days, len(pools), len(METRICS))
    slow, fast = np.full(shape, np.nan), np.full(shape, np.nan)
    born = gates.born(cohorts.population)
    for of_lane in (pools.own, pools.whole):
        if not (of_lane >= 0).any():
            continue
        layout = stratum_layout(panel, of_lane)
        for begins, frozen in _references(cohorts, born, layout.pools, panel.days):
            day = np.arange(panel.days)[:, None]
            mask = (day >= begins) & (day < begins + REFERENCE_DAYS)
            sums = sums_of(panel, layout, mask, frozen)
            found = estimate(as_tallies(sums, layout.is_fired))
            labelled = (
                np.where(layout.is_fired, sums[2], 0.0).sum(axis=1),
                sums[2].sum(axis=1),
            )
            own = born[:, layout.pools]
            holds = (day > frozen) & (own == begins)
            for metric, name in enumerate(METRICS):
                low = np.where(found[name].low > 0, found[name].low, np.nan)
                point = found[name].value - FAST_MARGIN
                is_enough = (labelled[metric] >= FAST_LABELS) & (point > 0)
                at = (slice(None), layout.pools, metric)
                slow[at] = np.where(holds, low, slow[at])
                fast[at] = np.where(holds & is_enough, point, fast[at])
    return slow, fast


def _references(
    cohorts: Cohorts, born: Integers, pools: Integers, days: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield the n-th beginning of every pool and the day its reference is frozen, `days` for never.

    Both have shape (pools,); a pool without an n-th beginning has `days` for both.
    """
    own = born[:, pools]
    is_new = np.r_[np.ones((1, len(pools)), dtype=bool), own[1:] != own[:-1]]
    number = np.cumsum(is_new, axis=0)
    for place in range(1, int(number.max(initial=0)) + 1):
        has = (number == place).any(axis=0)
        begins = np.where(has, own[(number == place).argmax(axis=0), np.arange(len(pools))], days)
        yield begins, frozen_on(cohorts, begins, pools, days)


def frozen_on(cohorts: Cohorts, begins: Integers, pools: Integers, days: int) -> Integers:
    """Return the day each pool's reference is frozen: its cohorts are 90% in, or three weeks on."""
    day = np.arange(days)[:, None]
    is_reference = (day >= begins) & (day < begins + REFERENCE_DAYS)
    is_reference &= cohorts.population[:, pools] > 0
    mature = np.where(is_reference, cohorts.mature_on[:, pools], -1).max(axis=0)
    end = begins + REFERENCE_DAYS - 1
    return np.minimum(np.minimum(np.maximum(mature, end), end + MATURITY_LIMIT_DAYS), days)
