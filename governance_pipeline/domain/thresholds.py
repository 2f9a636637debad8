"""Which cut of the score keeps precision at its goal, from everything scored, fired or not.

A row is one strategy x channel; a bin is a twentieth of the score, so cut b fires on every item
with a score of at least b / 20. Bins count units and reach; labels are weighted by 1 / pi.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.accuracy import (
    MIN_KISH,
    MIN_KISH_SHARE,
    TOO_UNEVEN,
    Estimate,
    estimate,
)
from governance_pipeline.domain.intervals import (
    Booleans,
    Floats,
    Integers,
    Texts,
    exact_lower_limit,
    jeffreys_limits,
)
from governance_pipeline.domain.tallies import Tallies, Weights, effective_labels

SCORE_BINS = 20
CONFIDENCE = 0.95
NO_CUT = -1

NO_GOAL = "no goal for precision"
NO_SCORE = "it has no score"
IMMATURE = "too few labels: no day is 90% labelled yet"
TOO_FEW = "too few labels: no cut could reach the goal even if every label agreed"
NOT_REACHED = "no cut reaches the goal with 95% confidence"
BAND_TOO_FEW = "fewer than 50 labels between the two cuts"


@dataclass(frozen=True)
class ScoreBins:
    """Counts of shape (rows, 20), by score bin.

    `population` and `reach` are of all units, `fired` is the population that fired; `labelled` and
    `events` (labels that say `should_fire`) are counts, `items` and `by_reach` their weighted sums.
    """

    population: Floats
    reach: Floats
    fired: Floats
    labelled: Floats
    events: Floats
    items: Weights
    by_reach: Weights


@dataclass(frozen=True)
class Recommendation:
    """Cuts as bins, `NO_CUT` for none; each field has shape (rows,)."""

    current: Integers
    recommended: Integers
    guaranteed: Floats
    null_reason: Texts


def recommend(bins: ScoreBins, goal: Floats) -> Recommendation:
    """Return the lowest cut whose precision is at least the goal with 95% confidence.

    Cuts are tested from the strictest down, and the first that fails ends the search, so that a
    cut below the goal is recommended in at most 5% of samples however many are tested. The search
    begins where enough is labelled to pass at all, which depends on counts and on no verdict. A
    unit in a bin without any label counts as wrongly fired.

    Args:
        bins: Counts of shape (rows, 20).
        goal: Precision to reach, shape (rows,), in (0, 1); NaN for none.

    Source:
        Angelopoulos, Bates, Candes, Jordan and Lei, "Learn then Test" (2021), fixed sequence
        testing with exact binomial limits.

    >>> n = np.zeros((1, 20)); n[0, 10:] = 20.0
    >>> k = n - np.r_[np.zeros(10), 9.0, np.zeros(9)]
    >>> flat = Weights(n, n, k, k)
    >>> found = recommend(ScoreBins(100 * n, n, n, n, k, flat, flat), np.array([0.95]))
    >>> found.recommended.tolist(), found.guaranteed.round(3).tolist()
    ([11], [0.983])
    """
    bound, best = cut_bounds(bins), cut_bounds(_agreeing(bins))
    is_cut = bins.population > 0
    is_cut[:, 0] = False
    target = np.where(np.isnan(goal), np.inf, goal)[:, None]
    can_pass = is_cut & (best >= target)
    started = _or_stricter(can_pass)
    failed = _or_stricter(started & is_cut & ~(bound >= target))
    passed = started & is_cut & ~failed
    has_cut = passed.any(axis=1)
    recommended = np.where(has_cut, passed.argmax(axis=1), NO_CUT)
    at = np.maximum(recommended, 0)[:, None]
    guaranteed = np.where(has_cut, np.take_along_axis(bound, at, axis=1)[:, 0], np.nan)
    reason = np.full(len(goal), None, dtype=object)
    for is_null, text in (
        (~has_cut, NOT_REACHED),
        (~can_pass.any(axis=1), TOO_FEW),
        (bins.population.sum(axis=1) <= 0, NO_SCORE),
        (np.isnan(goal), NO_GOAL),
    ):
        reason[is_null] = text
    return Recommendation(current_cut(bins), recommended, guaranteed, reason)


def cut_bounds(bins: ScoreBins) -> Floats:
    """Return the lower 95% limit of precision at every cut, shape (rows, 20)."""
    share, n_star = effective_labels(_above(bins.labelled), _above_weights(bins.items))
    covered = _above(np.where(bins.labelled > 0, bins.population, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        covered_share = np.nan_to_num(covered / _above(bins.population))
    return exact_lower_limit(share * n_star, n_star, CONFIDENCE) * covered_share


def current_cut(bins: ScoreBins) -> Integers:
    """Return the lowest bin that fires for most of its units, with every populated bin above it.

    `NO_CUT` where a strategy does not fire by score: a bin that mostly fires lies below one that
    mostly does not, or none fires.

    >>> n = np.tile(10.0, (2, 20))
    >>> fired = np.where(np.arange(20) >= [[14], [21]], 9.0, 1.0)
    >>> w = Weights(n, n, n, n)
    >>> current_cut(ScoreBins(n, n, fired, n, n, w, w)).tolist()
    [14, -1]
    """
    is_there = bins.population > 0
    fires = is_there & (2 * bins.fired > bins.population)
    lowest = np.where(fires.any(axis=1), fires.argmax(axis=1), NO_CUT)
    is_above = np.arange(SCORE_BINS) >= lowest[:, None]
    return np.where((is_above & is_there & ~fires).any(axis=1), NO_CUT, lowest)


def at_cut(bins: ScoreBins, cut: Integers) -> dict[str, Estimate]:
    """Return precision and recall with 95% intervals if everything scored fired at `cut`.

    Args:
        bins: Counts of shape (rows, 20).
        cut: A bin for each row; where it is `NO_CUT` the estimate is of firing on everything.
    """
    fires = np.arange(SCORE_BINS) >= cut[:, None]

    def split(counts: Floats) -> Floats:
        # What would fire is one stratum, as in the guarantee; what would not keeps its bins.
        top = np.where(fires, counts, 0.0).sum(axis=1, keepdims=True)
        return np.hstack([np.where(fires, 0.0, counts), top])

    is_fired = np.zeros((len(cut), SCORE_BINS + 1), dtype=bool)
    is_fired[:, -1] = True
    weights = Weights(*(split(v) for v in _sums(bins.items)))
    tallies = Tallies(
        split(bins.population), split(bins.labelled), split(bins.events), is_fired, weights
    )
    found = estimate(tallies)
    return {name: found[name] for name in ("precision", "recall")}


def harm_avoided(bins: ScoreBins, now: Integers, then: Integers) -> Estimate:
    """Return the wrongly fired reach that moving the cut would avoid; negative where it adds some.

    Args:
        bins: Counts of shape (rows, 20); the result is in their reach.
        now: The cut in force, a bin for each row.
        then: The cut proposed.
    """
    index = np.arange(SCORE_BINS)
    low, high = np.minimum(now, then)[:, None], np.maximum(now, then)[:, None]
    is_between = (index >= low) & (index < high)

    def between(counts: Floats) -> Floats:
        return np.where(is_between, counts, 0.0).sum(axis=1)

    labelled, reach = between(bins.labelled), between(bins.reach)
    weights = Weights(*(between(v) for v in _sums(bins.by_reach)))
    share, n_star = effective_labels(labelled, weights)
    share_low, share_high = jeffreys_limits(share * n_star, n_star)
    sign = np.where(then > now, 1.0, -1.0)
    ends = np.sort(np.stack([sign * reach * (1 - v) for v in (share_high, share_low)]), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kish = np.nan_to_num(weights.total**2 / weights.squares)
    reason = np.full(len(now), None, dtype=object)
    reason[(kish < MIN_KISH) | (kish < MIN_KISH_SHARE * labelled)] = TOO_UNEVEN
    reason[labelled < MIN_KISH] = BAND_TOO_FEW
    reason[reach <= 0] = None
    is_null = np.array([text is not None for text in reason], dtype=bool)
    value = sign * reach * (1 - share)
    # Adding 0 leaves no -0 where nothing moves.
    value, least, most = (np.where(is_null, np.nan, v + 0.0) for v in (value, ends[0], ends[1]))
    return Estimate(value, least, most, reason)


def _agreeing(bins: ScoreBins) -> ScoreBins:
    """Return the same labels, had they all said `should_fire`."""
    w = bins.items
    items = Weights(w.total, w.squares, w.total, w.squares)
    return ScoreBins(
        bins.population, bins.reach, bins.fired, bins.labelled, bins.labelled, items, bins.by_reach
    )


def _above(counts: Floats) -> Floats:
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _or_stricter(flags: Booleans) -> Booleans:
    return np.logical_or.accumulate(flags[:, ::-1], axis=1)[:, ::-1]


def _sums(weights: Weights) -> tuple[Floats, Floats, Floats, Floats]:
    return weights.total, weights.squares, weights.events, weights.event_squares


def _above_weights(weights: Weights) -> Weights:
    return Weights(*(_above(v) for v in _sums(weights)))
