"""Bets against "the metric is at least m": what a label adds to the evidence of a drop.

"metric >= m" is the same as sum_i a_i y_i <= c, with y_i an error (wrongly fired, or wrongly not
fired), c = 1 - m, and a_i = 1 / N_F on fired units for precision; (1 - m) / N_F on fired and
m / N_F on other units for recall. Arrays broadcast; metrics are ordered precision, recall.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.errors import InputError

DROPS = (0.03, 0.06, 0.12, 0.25)
BOUND_SHARES = np.linspace(0.02, 0.97, 48)
LOG_CLIP = 80.0


def unit_weights(
    fired_population: ArrayLike, target: ArrayLike, metric: str
) -> tuple[Floats, Floats]:
    """Return a_i of a fired unit and of one that did not fire; 0 where nothing fired.

    Args:
        fired_population: N_F of the closed cohort.
        target: m in (0, 1), the level the metric is claimed to reach.
        metric: `precision` or `recall`.

    Raises:
        InputError: If the metric is another.

    >>> fired, unfired = unit_weights(100, 0.8, "recall")
    >>> round(float(fired), 6), round(float(unfired), 6)
    (0.002, 0.008)
    """
    fired, m = np.asarray(fired_population, dtype=float), np.asarray(target, dtype=float)
    with np.errstate(divide="ignore"):
        each = np.where(fired > 0, 1 / fired, 0.0)
    if metric == "precision":
        return each, np.zeros_like(each * m)
    if metric == "recall":
        return (1 - m) * each, m * each
    raise InputError(f"metric must be precision or recall, got {metric}")


def scale_to_null(rates: Floats, mass: Floats, null_mass: Floats) -> Floats:
    """Rescale the predicted event rates so that sum a eps over what can be drawn equals c.

    A cell from which nothing can be drawn has mass 0 here: it hands its share of c to the others,
    without which the bet would be invalid.

    Args:
        rates: eps before scaling, > 0, shape (..., cells).
        mass: a x drawable population of the cell, shape (..., cells).
        null_mass: c = 1 - m, shape (...).

    Returns:
        eps, shape (..., cells); 0 where nothing at all can be drawn.

    >>> scale_to_null(np.array([0.1, 0.1]), np.array([0.5, 0.0]), np.array(0.2)).tolist()
    [0.4, 0.4]
    """
    total = (rates * mass).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(total > 0, null_mass / total, 0.0)
    return rates * scale[..., None]


def event_rates(events: ArrayLike, labels: ArrayLike) -> Floats:
    """Return the reference rate (events + .3) / (labels + .6), strictly inside (0, 1).

    >>> event_rates([0, 3], [0, 9.4]).round(2).tolist()
    [0.5, 0.33]
    """
    return (np.asarray(events, dtype=float) + 0.3) / (np.asarray(labels, dtype=float) + 0.6)


def error_factors(target: ArrayLike, metric: str, drops: ArrayLike = DROPS) -> Floats:
    """Return by how much each drop multiplies the errors of the metric, shape (..., drops).

    Precision: (c + d) / c on fired units. Recall: (1 / (m - d) - 1) / (1 / m - 1) on the others.
    A drop to 2% or less counts as one to 2%.

    >>> error_factors(0.9, "precision").round(2).tolist()
    [1.3, 1.6, 2.2, 3.5]
    """
    m, d = np.asarray(target, dtype=float)[..., None], np.asarray(drops, dtype=float)
    if metric == "precision":
        return (1 - m + d) / (1 - m)
    return (1 / np.maximum(m - d, 0.02) - 1) / (1 / m - 1)


def best_bound_shares(
    draws: Floats, rates: Floats, stakes: Floats, bound: Floats, factors: Floats
) -> Floats:
    """Return, for each alternative, which share of its bound the bet's lam should be.

    The best of 48 points from 2% to 97% of the bound for the expected log growth of a cohort.

    Args:
        draws: Expected labels of each cell, shape (units, cells).
        rates: eps of each cell on the boundary of the null, shape (units, cells).
        stakes: v = nbar a / pi of each cell, shape (units, cells).
        bound: The largest lam allowed, shape (units,).
        factors: What the alternative multiplies each cell's rate by, shape (units, cells, drops).

    Returns:
        Shares of the bound, shape (units, drops).

    Source:
        Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024).

    >>> one = np.ones((1, 1))
    >>> best_bound_shares(50 * one, 0.1 * one, one, np.array([10.0]), 3.5 * one[..., None]).round(2)
    array([[0.28]])
    """
    growth = log_growth(draws, rates, stakes, bound, factors)
    return BOUND_SHARES[np.argmax(growth, axis=-1)]


def log_growth(
    draws: Floats, rates: Floats, stakes: Floats, bound: Floats, factors: Floats
) -> Floats:
    """Return the expected log growth of a cohort under each alternative at each share of the bound.

    Arguments as in `best_bound_shares`; the shares are `BOUND_SHARES`.

    Returns:
        Nats per cohort, shape (units, drops, 48).

    >>> one = np.ones((1, 1))
    >>> growth = log_growth(one, 0.1 * one, one, np.array([10.0]), 2 * one[..., None])
    >>> round(float(growth.max()), 3)
    0.044
    """
    lam = bound[:, None, None] * BOUND_SHARES
    won = np.log1p(lam * (stakes * (1 - rates))[..., None])
    lost = np.log1p(np.maximum(-lam * (stakes * rates)[..., None], -0.999))
    growth = np.empty((len(bound), factors.shape[-1], len(BOUND_SHARES)))
    for drop in range(factors.shape[-1]):
        rate = np.minimum(rates * factors[..., drop], 0.999)
        growth[:, drop] = np.einsum("uc,ucg->ug", draws * rate, won)
        growth[:, drop] += np.einsum("uc,ucg->ug", draws * (1 - rate), lost)
    return growth


def poisson_log_bet(
    lam: ArrayLike, stakes: ArrayLike, rates: ArrayLike, is_event: Booleans
) -> Floats:
    """Return what each label adds to log E under independent draws with known probabilities.

    log(1 + lam v (1 - eps)) if it is an event, log(1 - lam v eps) if not; E has mean at most 1
    under the null because prod(1 + lam nbar a_i (y_i - eps_i)) <= exp(lam nbar (sum a y - c)).

    Args:
        lam: The stake, 0 <= lam < 1 / max over the frame of v eps.
        stakes: v_i = nbar a_i / pi_i of the labelled unit.
        rates: eps_i, the unit's predicted event rate.
        is_event: Whether the label is an error.

    Raises:
        InputError: If the stake can lose everything.

    Source:
        Waudby-Smith and Ramdas (2024); Shin, Ramdas and Rinaldo, "E-detectors" (2024).

    >>> poisson_log_bet(2.0, 1.0, 0.1, np.array([True, False])).round(6).tolist()
    [1.029619, -0.223144]
    """
    stake = np.asarray(lam, dtype=float) * np.asarray(stakes, dtype=float)
    eps = np.asarray(rates, dtype=float)
    gain = np.where(is_event, stake * (1 - eps), -stake * eps)
    if (gain <= -1).any():
        raise InputError("lam must stay below 1 / max(v eps), or one label loses everything")
    return np.clip(np.log1p(gain), -LOG_CLIP, LOG_CLIP)


def stratified_log_bet(
    labels: ArrayLike, events: ArrayLike, weights: ArrayLike, rates: ArrayLike, lam: float
) -> float:
    """Return log E of one cohort drawn with a fixed number of labels per stratum.

    sum_h f_h log(1 + lam w_h (1 - eps_h)) + (n_h - f_h) log(1 - lam w_h eps_h), w_h = a_h n / n_h.
    Valid by the weighted inequality of arithmetic and geometric means. n counts only strata with
    a_h > 0; one of them without labels hands its null mass to the others.

    Args:
        labels: n_h, shape (strata,).
        events: f_h <= n_h errors among them, shape (strata,).
        weights: a_h = N_h a_i, shape (strata,).
        rates: eps_h, with sum a_h eps_h = c, shape (strata,).
        lam: The stake, with lam w_h eps_h < 1 in every stratum once eps is scaled.

    Raises:
        InputError: If events exceed labels, or the stake can lose more than everything.

    Source:
        ACCURACY section 5; Waudby-Smith and Ramdas (2024).

    >>> round(stratified_log_bet([50], [10], [1.0], [0.1], 2.0), 10)
    1.3704521192
    """
    n, f, a, eps = (np.asarray(x, dtype=float) for x in (labels, events, weights, rates))
    if (f > n).any() or (f < 0).any():
        raise InputError(f"events must lie between 0 and labels, got {f} of {n}")
    is_used = (a > 0) & (n > 0)
    if not is_used.any():
        return 0.0
    eps = eps * (a * eps).sum() / (a * eps)[is_used].sum()
    n, f, a, eps = n[is_used], f[is_used], a[is_used], eps[is_used]
    w = a * n.sum() / n
    if (lam * w * eps >= 1).any() or lam < 0:
        raise InputError(f"lam must be at least 0 and below {(1 / (w * eps)).min():g}, got {lam:g}")
    log_e = f * np.log1p(lam * w * (1 - eps)) + (n - f) * np.log1p(-lam * w * eps)
    return float(np.clip(log_e.sum(), -LOG_CLIP, LOG_CLIP))
