"""The bets of every cohort, replayed: from designs and labels to log E per arrival day.

Everything here is arrays, so that a market and a benchmark of a thousand replicates run through
the same lines. A pool is what is bet on; a claim is one metric at least at one level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.bets import (
    DROPS,
    best_bound_shares,
    error_factors,
    event_rates,
    poisson_log_bet,
    scale_to_null,
    unit_weights,
)
from governance_pipeline.domain.cohorts import NEVER, Cohorts
from governance_pipeline.domain.delays import LONGEST_LAG, lag_differs
from governance_pipeline.domain.gates import Gates
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import BINS, CELLS
from governance_pipeline.domain.tallies import check_probabilities
from governance_pipeline.errors import InputError

REFERENCE_DAYS = 60
REFIT_DAYS = 7
MIN_REFERENCE_LABELS = 100
# Lags are compared with p < .01 over all the times that a pool asks: at a launch and at ten refits.
LAG_P = 0.01 / 11
MOST_ERRORS = 0.95
# What a fired unit's error rate is taken to be for recall where precision has no goal.
DEFAULT_ERROR_RATE = 0.1
FIRED = np.arange(CELLS) < BINS


@dataclass(frozen=True)
class Design:
    """What could be drawn of each pool, cell and cohort day, sorted by day; all shapes (rows,).

    `population` counts units, `expected` the sum of their inclusion probabilities, `least` the
    smallest of these (NaN where none can be drawn), `drawn` those that were.
    """

    day: Integers
    pool: Integers
    cell: Integers
    population: Floats
    expected: Floats
    least: Floats
    drawn: Floats


@dataclass(frozen=True)
class Labels:
    """Verdicts that are no `unsure`, counted; sorted by cohort day, all shapes (rows,).

    `known` is the day of arrival, `is_event` whether they say that the strategy erred, `count`
    how many are alike.
    """

    day: Integers
    known: Integers
    pool: Integers
    cell: Integers
    probability: Floats
    is_event: Booleans
    count: Floats


@dataclass(frozen=True)
class Claims:
    """What is bet against: `metrics[i]` is at least `levels[:, :, i]`, shape (days, pools, claims).

    A level that is NaN makes no bet. The first two claims are the goals of precision and recall.
    """

    metrics: tuple[str, ...]
    levels: Floats

    def __post_init__(self) -> None:
        """Refuse claims that do not begin with the two goals."""
        if self.metrics[:2] != ("precision", "recall"):
            raise InputError(f"the first claims must be precision and recall, got {self.metrics}")


@dataclass
class _Reference:
    """What the past says of each pool: rates (pools, cells), shares (claims, pools, drops)."""

    rates: Floats
    is_fitted: Booleans
    shares: Floats


@dataclass(frozen=True)
class _Cells:
    """A closed cohort's cells, (pools, cells): all units, drawable ones, draws, least pi, drawn."""

    population: Floats
    drawable: Floats
    expected: Floats
    least: Floats
    drawn: Floats


@dataclass(frozen=True)
class _Bet:
    """One claim's bet on a cohort, (pools, cells); `lam` is (pools, lams), stakes lack 1 / pi."""

    stakes_at_one: Floats
    rates: Floats
    least: Floats
    lam: Floats
    is_made: Booleans


def log_bets(
    design: Design, labels: Labels, cohorts: Cohorts, gates: Gates, claims: Claims
) -> tuple[Floats, Booleans]:
    """Return log E of what arrived each day, and which cohorts were bet on once.

    lam, eps, nbar and the way to bet are fixed at a cohort's close from what was known by then. On
    arrival, each label bets on the day it becomes known, unless the gates discard it. Where errors
    come back at another speed than right verdicts, a cohort bets once, on the day it is 90% in and
    95% of its errors should be, and what is still out (or unsure) counts as no error: exact under
    any delay, and slower. A pool that begins to bet once goes on so; cohorts in flight then are
    discarded, because the slower verdicts would be all that arrives of them.

    Args:
        design: Rows sorted by day.
        labels: Rows sorted by day.
        cohorts: When each cohort was in, and how many were drawn.
        gates: Which arrivals are discarded, and when a pool begins anew.
        claims: What is bet against.

    Returns:
        log E, shape (days, pools, claims, lams), and whether a cohort bet once, (days, pools).

    Raises:
        InputError: If a count is negative or not finite, more is drawn than there is, or a
            probability is outside (0, 1].

    Source:
        ACCURACY section 5.
    """
    _check(design, labels)
    days, pools, count = claims.levels.shape
    total = np.zeros((days, pools, count, len(DROPS)))
    reference = _Reference(
        np.zeros((pools, CELLS)),
        np.zeros(pools, dtype=bool),
        np.full((count, pools, len(DROPS)), 0.1),
    )
    design_at = np.searchsorted(design.day, np.arange(days + 1))
    label_at = np.searchsorted(labels.day, np.arange(days + 1))
    born = gates.born(cohorts.population)
    is_once, patience = _ways_to_bet(labels, label_at, cohorts, gates, born)
    for day in range(days):
        cells = _cells(design, slice(design_at[day], design_at[day + 1]), pools)
        part = slice(label_at[day], label_at[day + 1])
        is_refit = _refits(born[day], day)
        if is_refit.any():
            _refit(reference, labels, label_at, day, is_refit, born[day])
        for claim, metric in enumerate(claims.metrics):
            level = claims.levels[day, :, claim]
            if np.isnan(level).all():
                continue
            before = claims.levels[day - 1, :, claim] if day else np.full(pools, np.nan)
            is_new = is_refit | (~np.isnan(level) & (level != before))
            bet = _cohort_bet(cells, reference, claims.levels[day], claim, metric, is_new)
            at = total[:, :, claim]
            _place_arrivals(at, labels, part, bet, is_once, gates)
            settled = np.maximum(cohorts.mature_on[day], day + patience[day])
            settled = np.where(is_once[day] & (settled < days), settled, NEVER)
            _place_once(at, labels, part, bet, (cells, settled), gates, day)
    return total, is_once


def _check(design: Design, labels: Labels) -> None:
    for name in ("population", "expected", "drawn"):
        values = getattr(design, name)
        wrong = ~np.isfinite(values) | (values < 0)
        if wrong.any():
            raise InputError(f"{name} must be finite and not negative, got {values[wrong][0]:g}")
    wrong = design.drawn > design.population
    if wrong.any():
        drawn, of = design.drawn[wrong][0], design.population[wrong][0]
        raise InputError(f"drawn must not exceed population, got {drawn:g} of {of:g}")
    if not (np.isfinite(labels.count).all() and (labels.count > 0).all()):
        raise InputError("count must be finite and positive in every row of the labels")
    check_probabilities(design.least[~np.isnan(design.least)])
    check_probabilities(labels.probability)


def _cells(design: Design, part: slice, pools: int) -> _Cells:
    at = design.pool[part] * CELLS + design.cell[part]
    size = pools * CELLS
    probability = design.least[part]
    can_draw = ~np.isnan(probability)
    least = np.ones(size)
    np.minimum.at(least, at[can_draw], probability[can_draw])
    population = design.population[part]
    everyone, drawable, expected, drawn = (
        np.bincount(at, weights, minlength=size).astype(float).reshape(pools, CELLS)
        for weights in (population, population * can_draw, design.expected[part],
                        design.drawn[part])
    )  # fmt: skip
    return _Cells(everyone, drawable, expected, least.reshape(pools, CELLS), drawn)


def _refits(born: Integers, day: int) -> Booleans:
    """Return which pools learn from their first 60 days today: weekly, until all of it is in."""
    age = day - born
    return (age % REFIT_DAYS == 0) & (age >= 0) & (age <= REFERENCE_DAYS + REFIT_DAYS)


def _reference_rows(
    labels: Labels, label_at: Integers, day: int, is_refit: Booleans, born: Integers
) -> Integers:
    """Return the labels of the pools' first 60 days that were known by `day`.

    The day's own cohort is left out: what it is bet on with must not know its verdicts.
    """
    rows = np.arange(label_at[born[is_refit].min()], label_at[day])
    pool = labels.pool[rows]
    age = labels.day[rows] - born[pool]
    use = (labels.known[rows] <= day) & (age >= 0) & (age < REFERENCE_DAYS) & is_refit[pool]
    return rows[use]


def _refit(
    reference: _Reference,
    labels: Labels,
    label_at: Integers,
    day: int,
    is_refit: Booleans,
    born: Integers,
) -> None:
    """Fit event rates on the first 60 days since birth, as known by `day`."""
    rows = _reference_rows(labels, label_at, day, is_refit, born)
    at = labels.pool[rows] * CELLS + labels.cell[rows]
    count, size = labels.count[rows], reference.rates.size
    counted = np.bincount(at, count, minlength=size).reshape(-1, CELLS)
    events = np.bincount(at, count * labels.is_event[rows], minlength=size).reshape(-1, CELLS)
    fitted = is_refit & (counted.sum(axis=1) >= MIN_REFERENCE_LABELS)
    reference.rates[fitted] = event_rates(events, counted)[fitted]
    reference.is_fitted[is_refit] = fitted[is_refit]


def _ways_to_bet(
    labels: Labels, label_at: Integers, cohorts: Cohorts, gates: Gates, born: Integers
) -> tuple[Booleans, Integers]:
    """Return which pools wait for a whole cohort, and how many days at least, (days, pools).

    They wait because errors come back at another speed. The lags are compared before the first bet
    of a launch or restart counts, then with every refit.
    """
    days, pools = born.shape
    is_once = np.zeros((days, pools), dtype=bool)
    patience = np.zeros((days, pools), dtype=np.int64)
    for day in range(days):
        asks = _refits(born[day], day)
        if day:
            is_same = born[day] == born[day - 1]
            is_once[day], patience[day] = is_once[day - 1] & is_same, patience[day - 1] * is_same
            asks |= gates.is_closed[day - 1] & ~gates.is_closed[day]
        if asks.any():
            rows = _reference_rows(labels, label_at, day, asks, born[day])
            differs, waits = _lags(labels, rows, cohorts, day)
            is_once[day] |= differs
            patience[day, asks] = waits[asks]
    return is_once, patience


def _lags(labels: Labels, rows: Integers, cohorts: Cohorts, day: int) -> tuple[Booleans, Integers]:
    """Return whether the lags of errors differ, and by which most of them were back, (pools,)."""
    pools = cohorts.population.shape[1]
    pool, cohort, count = labels.pool[rows], labels.day[rows], labels.count[rows]
    is_event = labels.is_event[rows]
    is_enough = np.bincount(pool, count, minlength=pools) >= MIN_REFERENCE_LABELS
    is_in = cohorts.mature_on[cohort, pool] <= day
    lag = np.minimum(labels.known[rows] - cohort, LONGEST_LAG - 1)
    side = (labels.cell[rows] >= BINS).astype(np.int64)
    place = ((pool * 2 + side) * LONGEST_LAG + lag) * 2 + is_event
    lags = np.bincount(place[is_in], count[is_in], minlength=pools * LONGEST_LAG * 4)
    differs = is_enough & lag_differs(lags.reshape(-1, 2, LONGEST_LAG, 2).astype(float), LAG_P)
    # Of older cohorts the late errors are known too, whether or not the cohort was in before.
    late = np.bincount(
        (pool * LONGEST_LAG + lag)[is_event], count[is_event], minlength=pools * LONGEST_LAG
    ).reshape(-1, LONGEST_LAG)
    back = np.cumsum(late, axis=1)
    return differs, (back < MOST_ERRORS * back[:, -1:]).sum(axis=1)


def _cohort_bet(
    cells: _Cells,
    reference: _Reference,
    levels: Floats,
    claim: int,
    metric: str,
    is_new: Booleans,
) -> _Bet:
    is_made = ~np.isnan(levels[:, claim])
    m = np.where(is_made, levels[:, claim], 0.5)
    n_fired = cells.population[:, FIRED].sum(axis=1)
    on_fired, on_unfired = unit_weights(n_fired, m, metric)
    weights = np.where(FIRED, on_fired[:, None], on_unfired[:, None])
    prior = _goal_rates(levels, cells)
    rates = np.where(reference.is_fitted[:, None], reference.rates, prior)
    rates = scale_to_null(rates, weights * cells.drawable, 1 - m)
    stakes_at_one = cells.expected.sum(axis=1)[:, None] * weights
    is_open = (cells.drawable > 0) & (weights > 0)
    stakes = np.where(is_open, stakes_at_one / cells.least, 0.0)
    worst = (stakes * rates).max(axis=1)
    bound = np.where(worst > 0, 1 / np.maximum(worst, 1e-300), 0.0)
    which = is_new & is_made & (bound > 0)
    if which.any():
        used = is_open[which].any(axis=0)
        mean_stakes = stakes_at_one * cells.drawable / np.maximum(cells.expected, 1e-300)
        open_stakes = np.where(is_open, mean_stakes, 0.0)
        reference.shares[claim, which] = best_bound_shares(
            cells.expected[which][:, used],
            rates[which][:, used],
            open_stakes[which][:, used],
            bound[which],
            _factors(m[which], metric)[:, used],
        )
    lam = reference.shares[claim] * bound[:, None]
    return _Bet(stakes_at_one, rates, cells.least, lam, is_made)


def _goal_rates(levels: Floats, cells: _Cells) -> Floats:
    """Return the event rates that sit on the goals: errors where fired, misses elsewhere."""
    wrong = np.where(np.isnan(levels[:, 0]), DEFAULT_ERROR_RATE, 1 - levels[:, 0])
    m = np.where(np.isnan(levels[:, 1]), 0.5, levels[:, 1])
    n_fired = cells.population[:, FIRED].sum(axis=1)
    n_unfired = cells.population[:, ~FIRED].sum(axis=1)
    missed = (1 - m) / m * (1 - wrong) * n_fired / np.maximum(n_unfired, 1.0)
    return np.where(FIRED, wrong[:, None], np.clip(missed, 1e-6, 0.5)[:, None])


def _factors(m: Floats, metric: str) -> Floats:
    factors = error_factors(m, metric)[:, None, :]
    is_raised = FIRED if metric == "precision" else ~FIRED
    return np.where(is_raised[None, :, None], factors, 1.0)


def _place_arrivals(
    total: Floats, labels: Labels, part: slice, bet: _Bet, is_once: Booleans, gates: Gates
) -> None:
    """Add what the cohort's labels win or lose to the days on which they arrive."""
    pool, cell, known = labels.pool[part], labels.cell[part], labels.known[part]
    # A pool that bets once when a label arrives did so, or began to, since the label's cohort.
    counts = bet.is_made[pool] & ~is_once[known, pool] & ~gates.is_closed[known, pool]
    counts &= gates.epoch[labels.day[part], pool] == gates.epoch[known, pool]
    counts &= bet.stakes_at_one[pool, cell] > 0
    gained = _gains(bet, labels, part, counts)
    np.add.at(total, (known[counts], pool[counts]), gained)


def _place_once(
    total: Floats,
    labels: Labels,
    part: slice,
    bet: _Bet,
    cohort: tuple[_Cells, Integers],
    gates: Gates,
    day: int,
) -> None:
    """Add what a cohort of a pool that bets once wins or loses, on the day it settles."""
    cells, settled = cohort
    pools = np.arange(len(settled))
    settles = bet.is_made & (settled != NEVER) & (settled >= gates.start)
    settles &= gates.epoch[day] == gates.epoch[np.minimum(settled, len(total) - 1), pools]
    if not settles.any():
        return
    pool, cell = labels.pool[part], labels.cell[part]
    is_in = settles[pool] & (labels.known[part] <= settled[pool])
    answered = np.bincount(
        pool[is_in] * CELLS + cell[is_in], labels.count[part][is_in], minlength=cells.drawn.size
    ).reshape(cells.drawn.shape)
    counts = is_in & (bet.stakes_at_one[pool, cell] > 0)
    gained = _gains(bet, labels, part, counts)
    np.add.at(total, (settled[pool[counts]], pool[counts]), gained)
    # The least probability makes a silent draw lose the most it can, whichever unit it was.
    stakes = np.where(cells.drawable > 0, bet.stakes_at_one / bet.least, 0.0)
    silent = np.maximum(cells.drawn - answered, 0.0)
    lost = np.log1p(-bet.lam[:, :, None] * (stakes * bet.rates)[:, None, :])
    np.add.at(
        total,
        (settled[settles], np.flatnonzero(settles)),
        np.einsum("pc,plc->pl", silent[settles], lost[settles]),
    )


def _gains(bet: _Bet, labels: Labels, part: slice, counts: Booleans) -> Floats:
    """Return what the counted label rows add to log E, shape (counted, lams)."""
    pool, cell = labels.pool[part][counts], labels.cell[part][counts]
    # The design's least probability bounds lam; a label below it would be a defect of the design.
    probability = np.maximum(labels.probability[part][counts], bet.least[pool, cell])
    each = poisson_log_bet(
        bet.lam[pool],
        (bet.stakes_at_one[pool, cell] / probability)[:, None],
        bet.rates[pool, cell][:, None],
        labels.is_event[part][counts][:, None],
    )
    return each * labels.count[part][counts][:, None]
