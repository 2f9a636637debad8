"""How labels are spread over strata and strategies, and with which probability a unit is drawn.

Amounts of labels are real numbers: the draw is Poisson, so a rate needs no whole number of labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.errors import InputError

FLOOR_SHARE = 0.15
MIN_STRATUM_LABELS = 2.0
REACH_SHARE = 0.3
DRIFT_PRIOR = 0.02
LEAST_SHARE, MOST_SHARE = 0.5, 4.0


def smallest_budget(population: Floats) -> Floats:
    """Return the fewest labels that keep every floor of `allocate_labels`, shape (rows,).

    >>> smallest_budget(np.array([[100.0, 1.0, 0.0]])).round(2).tolist()
    [3.53]
    """
    least = np.minimum(population, MIN_STRATUM_LABELS).sum(axis=1) / (1 - FLOOR_SHARE)
    return np.minimum(least, population.sum(axis=1))


def allocate_labels(population: Floats, importance: Floats, budget: Floats) -> Floats:
    """Return the labels of each stratum: floors first, the rest in proportion to importance.

    A stratum gets at least 2 labels and its share by size of 15% of the budget, and never more
    than it has units; what a full stratum cannot take goes to the others.

    Args:
        population: N_h, shape (rows, strata), of the time that the budget is for.
        importance: What the rest is proportional to, >= 0, shape (rows, strata).
        budget: Labels of each row, shape (rows,); more than there are units labels every unit.

    Returns:
        Labels, shape (rows, strata); a row sums to its budget.

    Raises:
        InputError: If a number is negative or NaN, or a budget is below `smallest_budget`.

    Source:
        Neyman, "On the two different aspects of the representative method" (1934), with the
        importance of `neyman_importance`.

    >>> allocate_labels(
    ...     np.array([[100.0, 900.0]]), np.array([[1.0, 1.0]]), np.array([100.0])
    ... ).round(2).tolist()
    [[44.25, 55.75]]
    """
    for name, values in (("population", population), ("importance", importance)):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise InputError(f"{name} must be finite and not negative")
    total = population.sum(axis=1)
    needed = smallest_budget(population)
    if not (budget >= needed * (1 - 1e-9)).all():
        row = int(np.argmax(~(budget >= needed * (1 - 1e-9))))
        raise InputError(f"{budget[row]:g} labels are fewer than the least, {needed[row]:g}")
    spend = np.minimum(budget, total)
    by_size = population / np.maximum(total, 1e-300)[:, None]
    floor = np.maximum(
        np.minimum(population, MIN_STRATUM_LABELS), FLOOR_SHARE * spend[:, None] * by_size
    )
    # A trace of the size, so that a budget finds a taker when every important stratum is full.
    mean = np.maximum(importance.sum(axis=1, keepdims=True), 1e-300)
    weights = np.where(population > 0, importance / mean + 1e-9 * by_size, 0.0)
    return _fill(np.minimum(floor, population), population, weights, spend)


def _fill(low: Floats, high: Floats, weights: Floats, spend: Floats) -> Floats:
    """Return min(high, low + t weights) with the t of each row that spends its budget.

    The sum is piecewise linear in t with a knee where a stratum is full, so t is found exactly.
    """
    room = np.maximum(high - low, 0.0)
    left = np.clip(spend - low.sum(axis=1), 0.0, room.sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        full_at = np.where(weights > 0, room / weights, np.inf)
    order = np.argsort(full_at, axis=1, kind="stable")
    knee, filled, w = (np.take_along_axis(v, order, axis=1) for v in (full_at, room, weights))
    filled = np.where(np.isfinite(knee), filled, 0.0)
    before = np.cumsum(filled, axis=1) - filled
    open_weight = np.cumsum(w[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(open_weight > 0, (left[:, None] - before) / open_weight, np.inf)
    first = np.argmax(t <= knee * (1 + 1e-12) + 1e-300, axis=1)
    chosen = np.take_along_axis(t, first[:, None], axis=1)
    # By rounding no t may be small enough for the last knee: then every stratum is full.
    last = np.where(np.isfinite(knee), knee, 0.0).max(axis=1, keepdims=True)
    chosen = np.where(np.isfinite(chosen), np.maximum(chosen, 0.0), last)
    return np.minimum(high, low + chosen * weights)


def neyman_importance(
    population: Floats, rates: Floats, is_fired: Booleans, has_goal: Booleans
) -> Floats:
    """Return how much a label of each stratum is worth to the goals, summing to 1 in each row.

    Precision: N sqrt(p (1 - p)) on fired strata. Recall: N sqrt(p (1 - p)) times 1 - r on fired
    and r on other strata, r the recall that the rates say. Where both have a goal each gets half,
    so neither variance is more than twice what it would be had it all labels to itself.

    Args:
        population: N_h, shape (rows, strata).
        rates: p_h, the share of `should_fire`, strictly in (0, 1), shape (rows, strata).
        is_fired: Which strata fired, shape (strata,).
        has_goal: Whether precision and recall have a goal, shape (rows, 2).

    Raises:
        InputError: If a rate is not strictly between 0 and 1.

    Source:
        Neyman (1934); Cochran, "Sampling Techniques" (1977), sections 5.5 and 5A.

    >>> neyman_importance(
    ...     np.array([[100.0, 100.0]]), np.array([[0.5, 0.5]]), np.array([True, False]),
    ...     np.array([[True, True]]),
    ... ).tolist()
    [[0.75, 0.25]]
    """
    if not ((rates > 0) & (rates < 1)).all():
        raise InputError("rates must be strictly between 0 and 1")
    spread = population * np.sqrt(rates * (1 - rates))
    hits = (population * rates * is_fired).sum(axis=1)
    recall = hits / np.maximum((population * rates).sum(axis=1), 1e-300)
    worth = [spread * is_fired, spread * np.where(is_fired, 1 - recall[:, None], recall[:, None])]
    shares = np.where(has_goal.any(axis=1, keepdims=True), has_goal, True).astype(float)
    total = np.zeros_like(spread)
    for metric, each in enumerate(worth):
        size = each.sum(axis=1, keepdims=True)
        total += shares[:, metric, None] * each / np.maximum(size, 1e-300)
    return total / np.maximum(total.sum(axis=1, keepdims=True), 1e-300)


def drift_weight(e_value: ArrayLike, is_proven: ArrayLike) -> Floats:
    """Return how many times the labels of a strategy without evidence one with evidence is worth.

    sqrt(P / P at e = 1), P = .02 e / (.98 + .02 e) the chance that it drifted: an e-value
    multiplies the prior odds, and the mean delay of sum P / n labels a day is least where n is
    proportional to sqrt(P). A proven drop needs an audit, not more labels: its weight is 1.

    Args:
        e_value: Newest evidence against a goal, >= 0; NaN counts as none.
        is_proven: Whether the drop was already established.

    Source:
        Grunwald, de Heide and Koolen, "Safe Testing" (2024), for e-values as Bayes factors.

    >>> drift_weight([1.0, 5.0, 19.0, 50.0], [False, False, False, True]).round(2).tolist()
    [1.0, 2.15, 3.74, 1.0]
    """
    e = np.maximum(np.nan_to_num(np.asarray(e_value, dtype=float), nan=1.0, posinf=1e200), 1.0)
    e = np.where(is_proven, 1.0, e)
    chance = DRIFT_PRIOR * e / (1 - DRIFT_PRIOR + DRIFT_PRIOR * e)
    return np.sqrt(chance / DRIFT_PRIOR)


def share_budget(
    budget: float, cost: Floats, base: Floats, weight: Floats, limits: tuple[Floats, Floats]
) -> Floats:
    """Return the labels of each strategy-channel at one total budget of reviews.

    Each gets its least, and of the rest between half and four times its even share, in proportion
    to base x weight, as long as it has units.

    Args:
        budget: Reviews a day.
        cost: Reviews per label, in (0, 1]: labels of strategies that share a review cost less.
        base: Even shares, > 0, in any unit, shape (rows,).
        weight: What evidence multiplies them by, > 0.
        limits: The least and the most labels of each row.

    Raises:
        InputError: If the budget does not pay the least of every row.

    >>> one = np.ones(3)
    >>> share_budget(30.0, one, one, np.array([1.0, 1.0, 9.0]), (0 * one, 99 * one)).tolist()
    [5.0, 5.0, 20.0]
    """
    least, most = limits
    rest = budget - float((cost * least).sum())
    if not rest >= -1e-9 * budget:
        raise InputError(
            f"a budget of {budget:g} labels a day is below the least that keeps every strategy "
            f"judged; give at least {np.ceil(budget - rest):g}"
        )
    even = max(rest, 0.0) * base / max(float((cost * base).sum()), 1e-300)
    low = np.minimum(least + LEAST_SHARE * even, most)
    high = np.minimum(least + MOST_SHARE * even, most)
    # The sum rises with t, from every row at its low to every row at its high.
    below, above = 0.0, MOST_SHARE / float(weight.min(initial=1.0))
    for _ in range(100):
        middle = (below + above) / 2
        labels = np.clip(least + middle * even * weight, low, high)
        fits = float((cost * labels).sum()) <= budget
        below, above = (middle, above) if fits else (below, middle)
    return np.clip(least + below * even * weight, low, high)


def inclusion_probability(
    rate: ArrayLike, reach: ArrayLike, scale: ArrayLike, reach_share: ArrayLike = REACH_SHARE
) -> Floats:
    """Return the chance that a unit is drawn: partly the stratum's rate, partly by its reach.

    min(1, rate (1 - s + s reach / scale)): the largest are taken all. With the stratum's mean reach
    as scale its mean is the rate, or a little less where a unit is taken for certain. It depends on
    the plan and on the unit, never on who else is there. Without a scale it is the rate.

    Args:
        rate: The stratum's labels per unit, in (0, 1].
        reach: The unit's impressions; NaN or less than 0 counts as 0.
        scale: Expected reach per unit of the stratum, > 0, or NaN for an even draw.
        reach_share: s in [0, 1), the share of draws made by reach.

    Raises:
        InputError: If a rate, a scale or the share is out of its range.

    Source:
        Sarndal, Swensson and Wretman, "Model Assisted Survey Sampling" (1992), section 3.5, for
        Poisson sampling with probabilities proportional to size.

    >>> inclusion_probability(0.2, [0, 100, 1e6], 100).round(2).tolist()
    [0.14, 0.2, 1.0]
    """
    r, scale, s = (np.asarray(v, dtype=float) for v in (rate, scale, reach_share))
    if not ((r > 0) & (r <= 1)).all():
        raise InputError("a rate must be in (0, 1]")
    if not (np.isnan(scale) | (scale > 0)).all() or not ((s >= 0) & (s < 1)).all():
        raise InputError("a reach scale must be above 0 and a reach share in [0, 1)")
    size = np.maximum(np.nan_to_num(np.asarray(reach, dtype=float), nan=0.0), 0.0)
    by_reach = np.minimum(1.0, r * (1 - s + s * (size / scale)))
    return np.where(np.isnan(scale), r, by_reach)
