"""The bets of every cohort, replayed: from the frame and the labels to log E per arrival day."""

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
from governance_pipeline.domain.cohorts import Cohorts
from governance_pipeline.domain.gates import Gates
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import BINS, CELLS, Panel, Pools

METRICS = ("precision", "recall")
REFERENCE_DAYS = 60
REFIT_DAYS = 7
MIN_REFERENCE_LABELS = 100
# What a fired unit's error rate is taken to be for recall where precision has no goal.
DEFAULT_ERROR_RATE = 0.1


@dataclass
class _Reference:
    """What the past says about each pool: event rates, (pools, cells), and shares of the bound."""

    rates: Floats
    is_fitted: Booleans
    shares: Floats


@dataclass(frozen=True)
class _Labels:
    """Labels by pool, sorted by cohort; `is_event` is an error in the verdict first known."""

    day: Integers
    known: Integers
    pool: Integers
    cell: Integers
    probability: Floats
    is_event: Booleans


def log_bets(panel: Panel, pools: Pools, cohorts: Cohorts, gates: Gates, targets: Floats) -> Floats:
    """Return log E of the labels that arrived each day, shape (days, pools, metrics, lams).

    lam, eps and nbar of a cohort are fixed at its close from what was known by then; each of its
    labels bets on the day it becomes known, unless the gates discard it.

    Args:
        panel: Frame and labels.
        pools: What is bet on.
        cohorts: The pools' cohorts.
        gates: Which arrivals are discarded.
        targets: m = goal - tolerance, shape (days, pools, metrics), NaN where there is no goal.

    Source:
        ACCURACY section 5.
    """
    frame = _pool_frame(panel, pools)
    labels = _pool_labels(panel, pools)
    frame_bounds = np.searchsorted(frame.day, np.arange(panel.days + 1))
    label_bounds = np.searchsorted(labels.day, np.arange(panel.days + 1))
    reference = _Reference(
        np.zeros((len(pools), CELLS)),
        np.zeros(len(pools), dtype=bool),
        np.full((len(METRICS), len(pools), len(DROPS)), 0.1),
    )
    total = np.zeros((panel.days, len(pools), len(METRICS), len(DROPS)))
    days = np.arange(panel.days)[:, None]
    born = np.maximum(
        np.maximum.accumulate(np.where(gates.restarts, days, 0), axis=0),
        (cohorts.population > 0).argmax(axis=0),
    )
    for day in range(panel.days):
        cells = _cells(frame, slice(frame_bounds[day], frame_bounds[day + 1]), len(pools))
        age = day - born[day]
        part = slice(label_bounds[day], label_bounds[day + 1])
        is_refit = (age % REFIT_DAYS == 0) & (age >= 0) & (age <= REFERENCE_DAYS + REFIT_DAYS)
        if is_refit.any():
            _refit(reference, labels, day, is_refit, born[day])
        for metric in range(len(METRICS)):
            bet = _cohort_bet(cells, reference, targets[day], metric, is_refit)
            _place(total, labels, part, bet, metric, (cohorts, gates))
    return total


@dataclass(frozen=True)
class _Frame:
    """The frame's rows by pool, sorted by day; `at` is pool x cell, `least` NaN if undrawable."""

    day: Integers
    at: Integers
    population: Floats
    draws: Floats
    least: Floats


def _pool_frame(panel: Panel, pools: Pools) -> _Frame:
    rows, pool = pools.expand(panel.frame["lane"].to_numpy())
    order = np.argsort(panel.frame["day"].to_numpy()[rows], kind="stable")
    rows, pool = rows[order], pool[order]
    table = panel.frame
    return _Frame(
        table["day"].to_numpy()[rows],
        pool * CELLS + table["cell"].to_numpy()[rows],
        table["population"].to_numpy()[rows],
        table["expected_draws"].to_numpy()[rows],
        table["min_probability"].to_numpy()[rows],
    )


def _pool_labels(panel: Panel, pools: Pools) -> _Labels:
    rows, pool = pools.expand(panel.draws["lane"].to_numpy())
    table = panel.draws
    keep = (table["verdict_first"] != "unsure").to_numpy()[rows]
    rows, pool = rows[keep], pool[keep]
    order = np.lexsort((pool, table["day"].to_numpy()[rows]))
    rows, pool = rows[order], pool[order]
    says_fire = (table["verdict_first"] == "should_fire").to_numpy()[rows]
    is_fired = table["is_fired"].to_numpy(dtype=bool)[rows]
    return _Labels(
        table["day"].to_numpy()[rows],
        table["known"].to_numpy()[rows],
        pool,
        table["cell"].to_numpy()[rows],
        table["inclusion_probability"].to_numpy(dtype=float)[rows],
        says_fire != is_fired,
    )


@dataclass(frozen=True)
class _Cells:
    """A closed cohort's cells, (pools, cells): all units, drawable ones, draws, least pi."""

    population: Floats
    drawable: Floats
    draws: Floats
    least: Floats


def _cells(frame: _Frame, part: slice, pools: int) -> _Cells:
    at = frame.at[part]
    size = pools * CELLS
    population = frame.population[part]
    probability = frame.least[part]
    can_draw = ~np.isnan(probability)
    least = np.ones(size)
    np.minimum.at(least, at[can_draw], probability[can_draw])
    everyone, drawable, draws = (
        np.bincount(at, weights, minlength=size).astype(float).reshape(pools, CELLS)
        for weights in (population, population * can_draw, frame.draws[part])
    )
    return _Cells(everyone, drawable, draws, least.reshape(pools, CELLS))


def _refit(
    reference: _Reference,
    labels: _Labels,
    day: int,
    is_refit: Booleans,
    born: Integers,
) -> None:
    """Fit the event rates on the labels of the first 60 days of the version known by `day`."""
    until = np.searchsorted(labels.day, day + 1)
    age = labels.day[:until] - born[labels.pool[:until]]
    use = (labels.known[:until] <= day) & (age >= 0) & (age < REFERENCE_DAYS)
    use &= is_refit[labels.pool[:until]]
    at = labels.pool[:until][use] * CELLS + labels.cell[:until][use]
    size = reference.rates.size
    count = np.bincount(at, minlength=size).reshape(-1, CELLS)
    events = np.bincount(at, labels.is_event[:until][use], minlength=size).reshape(-1, CELLS)
    fitted = is_refit & (count.sum(axis=1) >= MIN_REFERENCE_LABELS)
    reference.rates[fitted] = event_rates(events, count)[fitted]
    reference.is_fitted[is_refit] = fitted[is_refit]


@dataclass(frozen=True)
class _Bet:
    """One metric's bet on a cohort, (pools, cells); `lam` is (pools, lams), stakes lack 1 / pi."""

    stakes_at_one: Floats
    rates: Floats
    least: Floats
    lam: Floats


def _cohort_bet(
    cells: _Cells, reference: _Reference, targets: Floats, metric: int, is_refit: Booleans
) -> _Bet:
    m = np.where(np.isnan(targets[:, metric]), 0.5, targets[:, metric])
    fired = np.arange(CELLS) < BINS
    n_fired = cells.population[:, fired].sum(axis=1)
    on_fired, on_unfired = unit_weights(n_fired, m, METRICS[metric])
    weights = np.where(fired, on_fired[:, None], on_unfired[:, None])
    prior = _goal_rates(targets, cells, fired)
    rates = np.where(reference.is_fitted[:, None], reference.rates, prior)
    rates = scale_to_null(rates, weights * cells.drawable, 1 - m)
    stakes_at_one = cells.draws.sum(axis=1)[:, None] * weights
    is_open = (cells.drawable > 0) & (weights > 0)
    stakes = np.where(is_open, stakes_at_one / cells.least, 0.0)
    worst = (stakes * rates).max(axis=1)
    bound = np.where(worst > 0, 1 / np.maximum(worst, 1e-300), 0.0)
    if is_refit.any():
        factors = _factors(m, METRICS[metric], fired)
        mean_stakes = stakes_at_one * cells.drawable / np.maximum(cells.draws, 1e-300)
        which = is_refit & (bound > 0)
        reference.shares[metric, which] = best_bound_shares(
            cells.draws[which],
            rates[which],
            np.where(is_open, mean_stakes, 0.0)[which],
            bound[which],
            factors[which],
        )
    return _Bet(stakes_at_one, rates, cells.least, reference.shares[metric] * bound[:, None])


def _goal_rates(targets: Floats, cells: _Cells, fired: Booleans) -> Floats:
    """Return the event rates that sit on the goals: errors where fired, misses elsewhere."""
    wrong = np.where(np.isnan(targets[:, 0]), DEFAULT_ERROR_RATE, 1 - targets[:, 0])
    m = np.where(np.isnan(targets[:, 1]), 0.5, targets[:, 1])
    n_fired = cells.population[:, fired].sum(axis=1)
    n_unfired = cells.population[:, ~fired].sum(axis=1)
    missed = (1 - m) / m * (1 - wrong) * n_fired / np.maximum(n_unfired, 1.0)
    return np.where(fired, wrong[:, None], np.clip(missed, 1e-6, 0.5)[:, None])


def _factors(m: Floats, metric: str, fired: Booleans) -> Floats:
    factors = error_factors(m, metric)[:, None, :]
    is_raised = fired if metric == "precision" else ~fired
    return np.where(is_raised[None, :, None], factors, 1.0)


def _place(
    total: Floats,
    labels: _Labels,
    part: slice,
    bet: _Bet,
    metric: int,
    book: tuple[Cohorts, Gates],
) -> None:
    """Add what the cohort's labels win or lose to the days on which they arrive."""
    cohorts, gates = book
    pool, cell, known = labels.pool[part], labels.cell[part], labels.known[part]
    counts = ~gates.is_closed[known, pool]
    counts &= cohorts.version[labels.day[part], pool] == cohorts.version[known, pool]
    counts &= bet.stakes_at_one[pool, cell] > 0
    pool, cell, known = pool[counts], cell[counts], known[counts]
    # The frame's least probability bounds lam; a label below it would be a defect of the frame.
    probability = np.maximum(labels.probability[part][counts], bet.least[pool, cell])
    stakes = bet.stakes_at_one[pool, cell] / probability
    gained = poisson_log_bet(
        bet.lam[pool],
        stakes[:, None],
        bet.rates[pool, cell][:, None],
        labels.is_event[part][counts][:, None],
    )
    np.add.at(total[:, :, metric], (known, pool), gained)
