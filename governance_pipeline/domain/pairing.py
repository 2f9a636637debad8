"""Two ways to decide on the same units: how precision and recall differ, with paired intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.accuracy import (
    FIRED_UNLABELLED,
    NO_POSITIVES,
    UNFIRED_UNLABELLED,
)
from governance_pipeline.domain.intervals import Booleans, Floats, jeffreys_limits
from governance_pipeline.domain.tallies import Weights, effective_labels
from governance_pipeline.errors import InputError


@dataclass(frozen=True)
class Share:
    """A share with 95% limits, its effective labels, and each unit's part in its error."""

    value: float
    low: float
    high: float
    effective: float
    residual: Floats


@dataclass(frozen=True)
class Difference:
    """A metric now and then, and then less now; NaN where `null_reason` is set."""

    now: float
    now_lo: float
    now_hi: float
    then: float
    then_lo: float
    then_hi: float
    difference: float
    difference_lo: float
    difference_hi: float
    null_reason: str | None


def compare(
    now: Booleans, then: Booleans, should_fire: Booleans, weight: Floats
) -> dict[str, Difference]:
    """Return the differences of precision and of recall between two ways to decide on units.

    Each share has Jeffreys limits on its effective labels; the difference has MOVER limits with
    the correlation of the two linearised shares, lessened as if half a label more told them apart.

    Args:
        now: Whether the one fires on each labelled unit, shape (n,).
        then: Whether the other does, shape (n,).
        should_fire: The verdicts, shape (n,).
        weight: 1 / the probability that the unit was drawn, shape (n,), at least 1.

    Raises:
        InputError: If a weight is under 1 or not finite.

    Source:
        Newcombe, "Improved confidence intervals for the difference between binomial proportions
        based on paired data" (1998), methods 8 and 10; Zou, "Toward using confidence intervals to
        compare correlations" (2007), for any two correlated estimates; Woodruff (1971), for the
        linearised covariance under unequal probabilities.

    >>> should = np.array([True] * 60 + [False] * 40)
    >>> then = np.array([True] * 54 + [False] * 46)
    >>> found = compare(np.ones(100, bool), then, should, np.ones(100))["precision"]
    >>> found.now, found.then, round(found.difference_lo, 3), round(found.difference_hi, 3)
    (0.6, 1.0, 0.297, 0.498)
    """
    wrong = ~(np.isfinite(weight) & (weight >= 1))
    if wrong.any():
        raise InputError(f"a weight is 1 / probability, at least 1, got {weight[wrong][0]:g}")
    reasons: dict[str, str | None] = {"precision": None, "recall": None}
    if not should_fire.any():
        reasons["recall"] = NO_POSITIVES
    if now.all():
        reasons["recall"] = UNFIRED_UNLABELLED
    if not (now.any() and then.any()):
        reasons = dict.fromkeys(reasons, FIRED_UNLABELLED)
    one, other = (_share(fires, should_fire, weight) for fires in (now, then))
    found = {"precision": _difference(one, other, reasons["precision"])}
    one, other = (_share(should_fire, fires, weight) for fires in (now, then))
    return found | {"recall": _difference(one, other, reasons["recall"])}


def _share(of: Booleans, event: Booleans, weight: Floats) -> Share:
    """Return the weighted share of `event` among the units `of`."""
    w, we = np.where(of, weight, 0.0), np.where(of & event, weight, 0.0)
    n = np.array([float(of.sum())])
    sums = Weights(*(np.array([v.sum()]) for v in (w, w**2, we, we**2)))
    share, effective = effective_labels(n, sums)
    low, high = jeffreys_limits(share * effective, effective)
    residual = (we - share * w) / max(float(sums.total[0]), 1e-300)
    return Share(float(share[0]), float(low[0]), float(high[0]), float(effective[0]), residual)


def _difference(now: Share, then: Share, reason: str | None) -> Difference:
    if reason is not None:
        none = float("nan")
        return Difference(none, none, none, none, none, none, none, none, none, reason)
    correlation = _correlation(now, then)

    def margin(of_then: float, of_now: float) -> float:
        square = of_then**2 + of_now**2 - 2 * correlation * of_then * of_now
        return float(np.sqrt(max(square, 0.0)))

    value = then.value - now.value
    low = value - margin(then.value - then.low, now.high - now.value)
    high = value + margin(then.high - then.value, now.value - now.low)
    return Difference(
        now.value, now.low, now.high, then.value, then.low, then.high,
        value, max(low, -1.0), min(high, 1.0), None,
    )  # fmt: skip


def _correlation(now: Share, then: Share) -> float:
    """Return the correlation of the two estimates, never so high that a difference has no width."""
    size = np.sqrt((now.residual**2).sum() * (then.residual**2).sum())
    if size <= 0:
        return 0.0
    found = float((now.residual * then.residual).sum() / size)
    spread = np.sqrt(now.value * (1 - now.value) * then.value * (1 - then.value))
    correction = 1 / (2 * min(now.effective, then.effective) * spread)
    return max(found - correction, 0.0) if found > 0 else found
