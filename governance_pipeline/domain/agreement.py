"""How far reviewers agree, and what a decision's reviewers say together.

Ratings are sparse: one entry per rating, its unit and its label as codes from 0. A rating that is
missing has no entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from governance_pipeline.domain.intervals import CONFIDENCE, Floats, Integers, jeffreys_limits
from governance_pipeline.errors import InputError

DISPUTED = -1
RESAMPLES = 2000


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha with its limits; `value` is NaN where `units` hold one label only."""

    value: float
    low: float
    high: float
    units: int


def rating_counts(unit: ArrayLike, label: ArrayLike, units: int, classes: int) -> Integers:
    """Return how often each unit got each label, shape (units, classes).

    Args:
        unit: Code of the unit of each rating, shape (ratings,), in [0, units).
        label: Code of the label it got, shape (ratings,), in [0, classes).
        units: Number of units.
        classes: Number of labels there are, at least 2.

    Raises:
        InputError: If a code is out of its range, or the two differ in length.

    >>> rating_counts([0, 0, 1], [1, 1, 0], units=2, classes=2).tolist()
    [[0, 2], [1, 0]]
    """
    if classes < 2:
        raise InputError(f"classes must be at least 2, got {classes}")
    units_of, labels = check_codes("unit", unit, units), check_codes("label", label, classes)
    if len(units_of) != len(labels):
        raise InputError(f"{len(units_of)} units were given for {len(labels)} labels")
    cells = np.bincount(units_of * classes + labels, minlength=units * classes)
    return cells.reshape(units, classes)


def check_codes(name: str, codes: ArrayLike, bound: int) -> Integers:
    """Return codes as integers.

    Raises:
        InputError: If one is no whole number in [0, bound).
    """
    given = np.asarray(codes)
    if given.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"{name} must be whole codes, got {given.dtype}")
    if given.min() < 0 or given.max() >= bound:
        wrong = given.min() if given.min() < 0 else given.max()
        raise InputError(f"{name} must be in [0, {bound}), got {wrong}")
    return given.astype(np.int64)


def majority_vote(counts: Integers) -> Integers:
    """Return the label most raters gave each unit, `DISPUTED` where the first place is shared.

    Args:
        counts: Ratings by unit and label, shape (units, classes); see `rating_counts`.

    Raises:
        InputError: If a count is negative.

    >>> majority_vote(np.array([[2, 1], [1, 1], [0, 3]])).tolist()
    [0, -1, 1]
    """
    _check_ratings(counts)
    most = counts.max(axis=1, keepdims=True)
    is_shared = (counts == most).sum(axis=1) > 1
    return np.where(is_shared, DISPUTED, counts.argmax(axis=1))


def krippendorff_alpha(
    counts: Integers, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Alpha:
    """Return the nominal alpha with a bootstrap interval over units: 1 is agreement, 0 is chance.

    A unit with fewer than two ratings says nothing of agreement and is left out. Units with equal
    counts are drawn together, so a resample costs the number of different counts, not of units.
    Where nobody disagreed every resample would say 1: there the lower limit assumes the Jeffreys
    upper limit of no disagreement in so many units.

    Args:
        counts: Ratings by unit and label, shape (units, classes); see `rating_counts`.
        rng: Source of chance; the same state gives the same limits.
        resamples: Bootstrap samples, at least 100.

    Raises:
        InputError: If a count is negative, or there are too few resamples.

    Source:
        Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011).

    >>> counts = np.array([[2, 0], [0, 2], [1, 1], [2, 0]])
    >>> round(krippendorff_alpha(counts, np.random.default_rng(0)).value, 4)
    0.5333
    """
    _check_ratings(counts)
    if resamples < 100:
        raise InputError(f"resamples must be at least 100, got {resamples}")
    shared = counts[counts.sum(axis=1) >= 2]
    units = len(shared)
    if units == 0:
        return Alpha(np.nan, np.nan, np.nan, 0)
    patterns, times = np.unique(shared, axis=0, return_counts=True)
    value, observed, expected = (float(x) for x in _alpha(patterns, times))
    if np.isnan(value):
        return Alpha(np.nan, np.nan, np.nan, units)
    drawn = _alpha(patterns, rng.multinomial(units, times / units, size=resamples))[0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    if observed == 0:
        low = max(1 - float(jeffreys_limits(0, units)[1]) / expected, -1.0)
    return Alpha(value, float(min(low, value)), float(max(high, value)), units)


def _check_ratings(counts: Integers) -> None:
    if counts.ndim != 2 or counts.shape[1] < 2:
        raise InputError(f"counts must be (units, at least 2 labels), got {counts.shape}")
    if (counts < 0).any():
        raise InputError(f"counts of ratings must not be negative, got {counts.min()}")


def _alpha(patterns: Integers, times: Integers) -> tuple[Floats, Floats, Floats]:
    """Return alpha, the observed and the expected disagreement of units that occur `times`."""
    raters = patterns.sum(axis=1)
    agreeing = (patterns * (patterns - 1)).sum(axis=1) / (raters - 1)
    ratings = (times @ raters).astype(float)
    observed = 1 - (times @ agreeing) / ratings
    same = ((times @ patterns).astype(float) ** 2).sum(axis=-1)
    expected = (ratings**2 - same) / (ratings * (ratings - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = 1 - np.where(expected > 0, observed / expected, np.nan)
    return alpha, observed, expected
