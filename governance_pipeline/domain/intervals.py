"""Limits for a share, for a weighted sum of shares and for the ratio of two such sums.

Everything here is elementwise over numpy arrays of any shape; probabilities are in [0, 1].
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

from governance_pipeline.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Texts = NDArray[np.object_]
Limits = tuple[Floats, Floats]

CONFIDENCE = 0.95
# Shares of up to this many labels are looked up; a beta quantile costs 30 times a lookup.
TABLE_LABELS = 1023


def jeffreys_limits(
    events: ArrayLike, labelled: ArrayLike, confidence: float = CONFIDENCE, *, end_rule: bool = True
) -> Limits:
    """Return the Jeffreys interval of a share, elementwise.

    Args:
        events: Number of events, 0 <= events <= labelled; fractions (effective counts) are allowed.
        labelled: Number of labels they were counted in; 0 gives (0, 1).
        confidence: Two-sided, in (0, 1).
        end_rule: Whether no event gives exactly 0 below, and only events exactly 1 above.

    Raises:
        InputError: If a count is negative, not finite, or events exceed labels.

    Source:
        Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion" (2001).

    >>> low, high = jeffreys_limits([0, 7], [10, 10])
    >>> low.round(6).tolist(), high.round(6).tolist()
    ([0.0, 0.394182], [0.217196, 0.907305])
    """
    k, n = np.broadcast_arrays(np.asarray(events, dtype=float), np.asarray(labelled, dtype=float))
    _check_counts(k, n)
    low, high = _raw_limits(k, n, confidence)
    if end_rule:
        low = np.where(k <= 0, 0.0, low)
        high = np.where(k >= n, 1.0, high)
    return low, high


def _check_counts(k: Floats, n: Floats) -> None:
    if not (np.isfinite(k).all() and np.isfinite(n).all()):
        raise InputError("events and labelled must be finite; one of them is NaN or infinite")
    if (k < 0).any():
        raise InputError(f"events must not be negative, got {k.min():g}")
    if (k > n * (1 + 1e-12)).any():
        worst = int(np.argmax(k - n))
        raise InputError(
            f"events must not exceed labelled, got {k.flat[worst]:g} of {n.flat[worst]:g}"
        )


def _raw_limits(k: Floats, n: Floats, confidence: float) -> Limits:
    low, high = np.empty(k.shape), np.empty(k.shape)
    is_cached = (n <= TABLE_LABELS) & (k == np.floor(k)) & (n == np.floor(n))
    if is_cached.any():
        table = _limits_table(confidence)
        key = (n[is_cached] * (n[is_cached] + 1) / 2 + k[is_cached]).astype(np.int64)
        missing = np.unique(key[np.isnan(table[0, key])])
        if len(missing):
            rows = np.floor((np.sqrt(8.0 * missing + 1) - 1) / 2)
            table[:, missing] = _beta_limits(missing - rows * (rows + 1) / 2, rows, confidence)
        low[is_cached], high[is_cached] = table[0, key], table[1, key]
    rest = ~is_cached
    if rest.any():
        low[rest], high[rest] = _beta_limits(np.minimum(k, n)[rest], n[rest], confidence)
    return low, high


@lru_cache(maxsize=4)
def _limits_table(confidence: float) -> Floats:
    """Return the limits of (events, labelled) at n (n + 1) / 2 + k, NaN until first asked for."""
    del confidence
    return np.full((2, (TABLE_LABELS + 1) * (TABLE_LABELS + 2) // 2), np.nan)


def _beta_limits(k: Floats, n: Floats, confidence: float) -> Floats:
    tail = (1 - confidence) / 2
    low, high = (betaincinv(k + 0.5, n - k + 0.5, q) for q in (tail, 1 - tail))
    return np.stack([np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)])


def exact_lower_limit(
    events: ArrayLike, labelled: ArrayLike, confidence: float = CONFIDENCE
) -> Floats:
    """Return the exact one-sided lower limit of a share, elementwise.

    For whole counts it exceeds the true share in at most 1 - confidence of samples, whatever the
    share; Jeffreys' one-sided limit does so in up to 14% where all of 19 labels agree.

    Args:
        events: Number of events, 0 <= events <= labelled; fractions (effective counts) are allowed.
        labelled: Number of labels they were counted in; 0 gives 0.
        confidence: One-sided, in (0, 1).

    Raises:
        InputError: If a count is negative, not finite, or events exceed labels.

    Source:
        Clopper and Pearson (1934); Korn and Graubard, "Confidence intervals for proportions with
        small expected number of positive counts estimated from survey data" (1998), for fractions.

    >>> exact_lower_limit([28, 29], [28, 29]).round(4).tolist()
    [0.8985, 0.9019]
    """
    k, n = np.broadcast_arrays(np.asarray(events, dtype=float), np.asarray(labelled, dtype=float))
    _check_counts(k, n)
    k = np.minimum(k, n)
    is_some = k > 0
    safe = np.where(is_some, k, 1.0)
    return np.where(is_some, betaincinv(safe, n - k + 1, 1 - confidence), 0.0)


def mover_sum(weights: ArrayLike, share: ArrayLike, low: ArrayLike, high: ArrayLike) -> Limits:
    """Return limits of sum c_h p_h over the last axis, from the limits of each p_h.

    Args:
        weights: c_h of either sign, shape (..., strata).
        share: p_h, same shape; the estimate of each stratum.
        low: Lower limit of each p_h, at most `share`.
        high: Upper limit of each p_h, at least `share`.

    Source:
        Zou, Huang and Zhang, "A Note on Confidence Interval Estimation for a Linear Function of
        Binomial Proportions" (2009); with weights (1, -1) it is Newcombe's method 10 (1998).

    >>> low, high = mover_sum([0.5, 0.5], [0.2, 0.4], [0.1, 0.3], [0.3, 0.5])
    >>> round(float(low), 6), round(float(high), 6)
    (0.229289, 0.370711)
    """
    c, p = np.asarray(weights, dtype=float), np.asarray(share, dtype=float)
    at_low, at_high = c * np.asarray(low, dtype=float), c * np.asarray(high, dtype=float)
    part = c * p
    below = part - np.minimum(at_low, at_high)
    above = np.maximum(at_low, at_high) - part
    total = part.sum(axis=-1)
    return total - np.sqrt((below**2).sum(axis=-1)), total + np.sqrt((above**2).sum(axis=-1))


def wilson_limits(events: ArrayLike, labelled: ArrayLike, confidence: float = CONFIDENCE) -> Limits:
    """Return Wilson's score interval of a share, elementwise; no label gives (0, 1).

    Args:
        events: Number of events, 0 <= events <= labelled.
        labelled: Number of labels they were counted in.
        confidence: Two-sided, in (0, 1).

    Raises:
        InputError: If a count is negative, not finite, or events exceed labels.

    Source:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).

    >>> low, high = wilson_limits(56, 70)
    >>> round(float(low), 6), round(float(high), 6)
    (0.691834, 0.876953)
    """
    k, n = np.broadcast_arrays(np.asarray(events, dtype=float), np.asarray(labelled, dtype=float))
    _check_counts(k, n)
    z = -ndtri((1 - confidence) / 2)
    middle = (k + z**2 / 2) / (n + z**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = z / (n + z**2) * np.sqrt(np.where(n > 0, k * (n - k) / n, 0.0) + z**2 / 4)
    # Exactly 0 and 1 by algebra, not by rounding.
    return np.where(k <= 0, 0.0, middle - spread), np.where(k >= n, 1.0, middle + spread)


def newcombe_limits(
    events: ArrayLike, labelled: ArrayLike, less_events: ArrayLike, less_labelled: ArrayLike
) -> Limits:
    """Return limits of one share less another of an independent sample, elementwise.

    Args:
        events: Number of events of the first, 0 <= events <= labelled.
        labelled: Number of its labels; 0 on either side gives (-1, 1).
        less_events: Number of events of the share that is taken off.
        less_labelled: Number of its labels.

    Raises:
        InputError: If a count is negative, not finite, or events exceed labels.

    Source:
        Newcombe, "Interval Estimation for the Difference between Independent Proportions" (1998),
        method 10.

    >>> low, high = newcombe_limits(56, 70, 48, 80)
    >>> round(float(low), 6), round(float(high), 6)
    (0.052431, 0.333873)
    """
    k, less_k = np.asarray(events, dtype=float), np.asarray(less_events, dtype=float)
    n, less_n = np.asarray(labelled, dtype=float), np.asarray(less_labelled, dtype=float)
    k, n = np.stack([k, less_k], axis=-1), np.stack([n, less_n], axis=-1)
    limits = wilson_limits(k, n)
    low, high = mover_sum([1.0, -1.0], k / np.maximum(n, 1.0), *limits)
    is_known = (n > 0).all(axis=-1)
    return np.where(is_known, low, -1.0), np.where(is_known, high, 1.0)


def mover_ratio(top: Floats, top_limits: Limits, bottom: Floats, bottom_limits: Limits) -> Limits:
    """Return limits of top / bottom, both non-negative and independent; infinite where unbounded.

    Source:
        Donner and Zou, "Closed-form confidence intervals for functions of the normal mean and
        standard deviation" (2012), multiplied out so that u2 = 2 t2 is no singularity.

    >>> one = np.array([2.0]), (np.array([1.5]), np.array([2.5]))
    >>> two = np.array([4.0]), (np.array([3.0]), np.array([5.0]))
    >>> low, high = mover_ratio(*one, *two)
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.3477, 0.7189)
    """
    (l1, u1), (l2, u2) = top_limits, bottom_limits
    product = top * bottom
    from_low = l1 * (2 * top - l1)
    from_high = l2 * (2 * bottom - l2)
    root_low = np.sqrt(np.maximum(0.0, product**2 - from_low * u2 * (2 * bottom - u2)))
    root_high = np.sqrt(np.maximum(0.0, product**2 - from_high * u1 * (2 * top - u1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(from_low > 0, from_low / (product + root_low), 0.0)
        high = np.where(from_high > 0, (product + root_high) / from_high, np.inf)
    return low, high
