"""Seeded strategies as counts: designs, labels by day of arrival, and cohorts.

A world says what is true; a stream is what one draw of it shows. Everything is independent given
the world, so a stream of a thousand pools is a thousand replicates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.betting import Design, Labels
from governance_pipeline.domain.cohorts import MATURE_SHARE, NEVER, Cohorts
from governance_pipeline.domain.intervals import Floats, Integers
from governance_pipeline.domain.panel import BINS

# A verdict takes a day at least and 3.4 days on average: with it, "labels to detect plus the mean
# lag" gives the 12.7 and 7.1 days of ACCURACY section 8 at 20 and 50 labels a day.
MEAN_LAG = 3.4
LONGEST_LAG = 30
NO_LAG = np.ones((2, 1))
FIRED_A_DAY = 5_000.0


@dataclass(frozen=True)
class World:
    """What is true of a strategy, every array but `lags` broadcasting to (days, pools, cells).

    `cells` are codes of the bet's cells; `population` counts units, `probability` is that of being
    drawn, `error_rate` that of a wrong decision (wrongly fired, or wrongly not). `lags` are the
    chances of each delay in days, shape (2, lags), of right verdicts and of errors.
    """

    days: int
    cells: Integers
    population: Floats
    probability: Floats
    error_rate: Floats
    lags: Floats


@dataclass(frozen=True)
class Stream:
    """What one draw of a world shows: `drawn` and `errors` are (days, pools, cells)."""

    world: World
    drawn: Integers
    errors: Integers
    design: Design
    labels: Labels
    cohorts: Cohorts


def geometric_lags(mean: float) -> Floats:
    """Return the chances of 0, 1, 2, ... days: a day, and a geometric time; shape (lags,).

    Args:
        mean: In days, at least 1.
    """
    chances = ((mean - 1) / mean) ** np.arange(LONGEST_LAG - 1)
    return np.r_[0.0, chances / chances.sum()]


def same_lags(mean: float = MEAN_LAG) -> Floats:
    """Return lags that do not differ by verdict, shape (2, lags)."""
    return NO_LAG if mean == 0 else np.stack([geometric_lags(mean)] * 2)


def precision_world(days: int, precision: Floats | float, labels: float, lags: Floats) -> World:
    """Return a strategy without scores: one cell, `labels` a day drawn at equal probability.

    Args:
        days: Length.
        precision: True share of fired units that should fire; broadcasts to (days, pools, 1).
        labels: Expected labels a day.
        lags: As in `World`.
    """
    return World(
        days,
        np.array([0]),
        np.array([FIRED_A_DAY]),
        np.array([labels / FIRED_A_DAY]),
        1 - np.asarray(precision, dtype=float),
        lags,
    )


def draw(world: World, pools: int, rng: np.random.Generator) -> Stream:
    """Draw every unit independently with its probability, and judge what was drawn."""
    shape = (world.days, pools, len(world.cells))
    population = np.broadcast_to(world.population, shape)
    probability = np.broadcast_to(world.probability, shape)
    drawn = rng.binomial(population.astype(np.int64), probability)
    errors = rng.binomial(drawn, np.broadcast_to(world.error_rate, shape))
    arrived = _arrivals(world, drawn, errors, rng)
    labels = _labels(world, probability, arrived)
    day, pool, cell = (v.ravel() for v in np.indices(shape))
    design = Design(
        day=day,
        pool=pool,
        cell=world.cells[cell],
        population=population.ravel(),
        expected=(population * probability).ravel(),
        least=np.where(probability > 0, probability, np.nan).ravel(),
        drawn=drawn.ravel().astype(float),
    )
    cohorts = _cohorts(population, drawn, arrived, world.lags.shape[1])
    return Stream(world, drawn, errors, design, labels, cohorts)


Arrived = tuple[Integers, Integers, Integers, Integers, Integers, Integers]


def _arrivals(world: World, drawn: Integers, errors: Integers, rng: np.random.Generator) -> Arrived:
    """Return cohort day, lag, pool, cell, is_error and count of labels that are alike."""
    lags = world.lags.shape[1]
    by_verdict = np.stack([drawn - errors, errors], axis=-1)
    day, pool, cell, is_error = np.nonzero(by_verdict)
    count = by_verdict[day, pool, cell, is_error]
    if lags == 1:
        return day, np.zeros_like(day), pool, cell, is_error, count
    chances = np.cumsum(world.lags, axis=1)
    chances[:, -1] = 1.0
    each = np.repeat(np.arange(len(count)), count)
    uniform = rng.random(len(each))
    late = np.where(
        is_error[each] == 1,
        np.searchsorted(chances[1], uniform, side="right"),
        np.searchsorted(chances[0], uniform, side="right"),
    )
    key, alike = np.unique(each * lags + late, return_counts=True)
    row = key // lags
    return day[row], key % lags, pool[row], cell[row], is_error[row], alike


def _labels(world: World, probability: Floats, arrived: Arrived) -> Labels:
    day, lag, pool, cell, is_error, count = arrived
    is_known = day + lag < world.days
    day, lag, pool, cell, is_error, count = (v[is_known] for v in arrived)
    return Labels(
        day=day,
        known=day + lag,
        pool=pool,
        cell=world.cells[cell],
        probability=probability[day, pool, cell],
        is_event=is_error.astype(bool),
        count=count.astype(float),
    )


def _cohorts(population: Floats, drawn: Integers, arrived: Arrived, lags: int) -> Cohorts:
    """Return when 90% of each cohort were in, `NEVER` where that is after the last day."""
    days, pools, _ = population.shape
    day, lag, pool, _, _, count = arrived
    at = (day * pools + pool) * lags + lag
    by_lag = np.bincount(at, count, minlength=days * pools * lags).reshape(days, pools, lags)
    total = drawn.sum(axis=2)
    need = np.maximum(np.ceil(MATURE_SHARE * total - 1e-9), 1)
    reached = (np.cumsum(by_lag, axis=2) >= need[..., None]).argmax(axis=2)
    own = np.arange(days)[:, None]
    mature = np.where(total > 0, own + reached, own)
    mature = np.where(mature < days, mature, NEVER)
    version = np.zeros((days, pools), dtype=np.int64)
    return Cohorts(population.sum(axis=2), total.astype(float), mature, version)


def at_drop(
    healthy: Floats | float, dropped: Floats | float, day: Integers | int, days: int
) -> Floats:
    """Return `healthy` before each pool's `day` and `dropped` from it on, (days, pools, ...)."""
    before, after = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (healthy, dropped))
    is_before = (np.arange(days)[:, None] < day)[:, :, None]
    return np.where(is_before, before, after)


@dataclass(frozen=True)
class Scores:
    """A side's 20 fine score bins: share of its units and error rate in each, shape (bins,)."""

    share: Floats
    error_rate: Floats

    def shifted_to(self, mean: float) -> Floats:
        """Return error rates whose odds all rose by one factor so that their mean is `mean`.

        That is what more errors of the same kinds look like where the scores keep their meaning.
        """
        odds = self.error_rate / (1 - self.error_rate)
        low, high = 1e-6, 1e6
        for _ in range(200):
            factor = np.sqrt(low * high)
            rates = factor * odds / (1 + factor * odds)
            low, high = (factor, high) if (self.share * rates).sum() < mean else (low, factor)
        return rates


def binormal_scores(error_rate: float, auc: float) -> Scores:
    """Return equally filled bins of a score that tells errors from right verdicts with an AUC.

    Both scores are normal with one spread, errors lower: AUC = Phi(distance / sqrt 2).
    """
    from scipy.special import ndtr, ndtri

    bins = BINS - 1
    distance = np.sqrt(2) * ndtri(auc)
    grid = np.linspace(-8 - distance, 8, 20_001)
    errors, everyone = ndtr(grid + distance), None
    everyone = error_rate * errors + (1 - error_rate) * ndtr(grid)
    cuts = np.interp(np.arange(1, bins) / bins, everyone, grid)
    mass = np.diff(np.r_[0.0, ndtr(cuts + distance), 1.0]) * error_rate
    share = np.full(bins, 1 / bins)
    return Scores(share, mass / share)


def scored_world(
    days: int, scores: Scores, error_rate: Floats, labels: float, lags: Floats, *, planned: bool
) -> World:
    """Return a strategy with scores, its fired units in 20 cells.

    Args:
        days: Length.
        scores: Share of units in each bin, and the rates the plan believes in.
        error_rate: True rates, broadcasting to (days, pools, bins).
        labels: Expected labels a day.
        lags: As in `World`.
        planned: Whether draws go by sqrt(eps (1 - eps)) plus a 15% floor, or are all alike.
    """
    population = np.round(FIRED_A_DAY * scores.share)
    uniform = np.full(len(population), 1 / population.sum())
    probability = labels * uniform
    if planned:
        spread = np.sqrt(scores.error_rate * (1 - scores.error_rate))
        probability = labels * (0.85 * spread / (population * spread).sum() + 0.15 * uniform)
    cells = np.arange(1, len(population) + 1)
    return World(days, cells, population, np.minimum(probability, 1.0), error_rate, lags)


BIN_RATES = np.array([0.15, 0.006, 0.0003, 0.00005])
UNITS_A_DAY = 200_000.0


def recall_world(
    days: int, drop: Integers, prevalence: float, score: str, labels: float, lags: Floats
) -> World:
    """Return strategies at precision .90 and recall .90 whose recall is .80 from day `drop` on.

    Args:
        days: Length.
        drop: Day of each pool's drop, shape (pools,).
        prevalence: Share of units that should fire, before the drop.
        score: `none`, `auc` (20 bins, AUC .9) or `bins` (the four of ACCURACY section 10) of what
            did not fire.
        labels: Expected labels a day, by Neyman with a 15% floor over all units.
        lags: As in `World`.
    """
    caught = 0.9 * prevalence * UNITS_A_DAY
    fired = caught / 0.9
    unfired = UNITS_A_DAY - fired
    missed = caught * (1 / 0.9 - 1) / unfired
    scores = _missed_scores(score, missed)
    later = scores.shifted_to(caught * (1 / 0.8 - 1) / unfired)
    population = np.round(np.r_[fired, scores.share * unfired]).astype(float)
    before, after = np.r_[0.1, scores.error_rate], np.r_[0.1, later]
    weights = np.r_[0.1, np.full(len(later), 0.9)]
    spread = population * weights * np.sqrt(before * (1 - before))
    share = 0.85 * spread / spread.sum() + 0.15 * population / population.sum()
    bins = np.array([0]) if score == "none" else np.arange(1, len(population))
    return World(
        days,
        np.r_[0, BINS + bins],
        population,
        np.minimum(labels * share / population, 1.0),
        at_drop(before, after, drop, days),
        lags,
    )


def _missed_scores(score: str, missed: float) -> Scores:
    if score == "none":
        return Scores(np.ones(1), np.array([missed]))
    if score == "auc":
        return binormal_scores(missed, 0.9)
    # The first two bins hold nearly all misses: their shares make the mean what it must be.
    third, last = BIN_RATES[2:]
    likely = np.array([0.0085, 0.1])
    likely *= (missed - 0.3 * third - 0.7 * last) / (likely @ (BIN_RATES[:2] - last))
    return Scores(np.r_[likely, 0.3, 0.7 - likely.sum()], BIN_RATES)
