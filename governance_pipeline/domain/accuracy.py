"""Precision, recall, fpr, prevalence and f1 with intervals, from a designed sample's tallies.

A row is one strategy x channel x window; a stratum is one side (fired or not) x score bin.
Populations are known counts of closed cohorts; only the shares of `should_fire` are estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.intervals import (
    Booleans,
    Floats,
    Limits,
    Texts,
    jeffreys_limits,
    mover_ratio,
    mover_sum,
)
from governance_pipeline.domain.tallies import (
    Tallies,
    check_tallies,
    effective_labels,
    kish_labels,
    merge_unlabelled,
)

METRICS = ("precision", "recall", "fpr", "prevalence", "f1")

NOTHING_FIRED = "nothing fired"
FIRED_UNLABELLED = "no fired decision is labelled"
UNFIRED_UNKNOWN = "not measurable: what did not fire is not recorded"
UNFIRED_UNLABELLED = "no decision that did not fire is labelled"
NO_POSITIVES = "no sampled decision should have fired"
NO_NEGATIVES = "every sampled decision should have fired"
TOO_UNEVEN = "the weights are too uneven for the labels at hand"

MIN_KISH = 50.0
MIN_KISH_SHARE = 0.4


@dataclass(frozen=True)
class Estimate:
    """One metric, each field of shape (rows,); `value` is NaN where `null_reason` is set."""

    value: Floats
    low: Floats
    high: Floats
    null_reason: Texts


@dataclass(frozen=True)
class _Side:
    """One side's estimated total of `should_fire` (or of its complement) with limits, (rows,)."""

    total: Floats
    limits: Limits


def estimate(
    tallies: Tallies, *, needs_even_weights: bool | Booleans = False
) -> dict[str, Estimate]:
    """Return precision, recall, fpr, prevalence and f1 with 95% intervals, one per row.

    Shares get Jeffreys limits, sums of them MOVER limits and ratios MOVER-R limits; f1 is
    2 / (1 + (N_F + FN) / TP). A null value has the interval (0, 1) and a reason.

    Args:
        tallies: Counts of shape (rows, strata); see `Tallies`.
        needs_even_weights: Whether (or in which rows) an estimate is null where Kish's n of the
            strata it uses is under 50 or under 0.4 n, as heavy-tailed weights demand.

    Raises:
        InputError: If a count is NaN or negative, k > n, or n > N.

    Source:
        Sarndal, Swensson and Wretman, "Model Assisted Survey Sampling" (1992) for the stratified
        estimates; see `intervals` for the limits.

    >>> tallies = Tallies(
    ...     population=np.array([[8000.0, 2000.0, 50000.0, 940000.0]]),
    ...     labelled=np.array([[120.0, 80.0, 150.0, 150.0]]),
    ...     events=np.array([[114.0, 52.0, 9.0, 0.0]]),
    ...     is_fired=np.array([[True, True, False, False]]),
    ... )
    >>> recall = estimate(tallies)["recall"]
    >>> [round(float(v[0]), 6) for v in (recall.value, recall.low, recall.high)]
    [0.747899, 0.321446, 0.855432]
    """
    check_tallies(tallies)
    merged = merge_unlabelled(tallies)
    is_fired = np.broadcast_to(merged.is_fired, merged.population.shape)
    share, (low, high) = _shares(merged)
    # A side's stratum without population adds nothing, whatever its limits say.
    fired = np.where(is_fired, merged.population, 0.0)
    unfired = np.where(is_fired, 0.0, merged.population)
    tp, fn = _side(fired, share, low, high), _side(unfired, share, low, high)
    fp, tn = (_side(c, 1 - share, 1 - high, 1 - low) for c in (fired, unfired))
    n_fired, n_all = fired.sum(axis=1), merged.population.sum(axis=1)

    with np.errstate(divide="ignore", invalid="ignore"):
        low_all, high_all = mover_sum(merged.population, share, low, high)
        f1 = _odds(fn, tp, n_fired)
        values: dict[str, tuple[Floats, Floats, Floats]] = {
            "precision": (tp.total / n_fired, tp.limits[0] / n_fired, tp.limits[1] / n_fired),
            "recall": _odds(fn, tp, 0.0),
            "fpr": _odds(tn, fp, 0.0),
            "prevalence": ((tp.total + fn.total) / n_all, low_all / n_all, high_all / n_all),
            "f1": (2 * f1[0], 2 * f1[1], 2 * f1[2]),
        }
    reasons = _null_reasons(merged, is_fired, needs_even_weights)
    return {name: _finish(*values[name], reasons[name]) for name in METRICS}


def wrong_totals(
    tallies: Tallies, *, needs_even_weights: bool | Booleans = False
) -> dict[str, Estimate]:
    """Return the totals of what was wrongly fired (`fired`) and wrongly not fired (`unfired`).

    sum_F N (1 - p) and sum_U N p with 95% MOVER limits, in the unit of the population: items,
    reach or money. A side without population has a total of 0; a side without labels is null.

    Args:
        tallies: Counts of shape (rows, strata).
        needs_even_weights: As in `estimate`.

    Raises:
        InputError: If a count is NaN or negative, k > n, or n > N.

    >>> N, n, k = np.array([[100.0, 900.0]]), np.array([[10.0, 10.0]]), np.array([[8.0, 0.0]])
    >>> wrong_totals(Tallies(N, n, k, np.array([[True, False]])))["fired"].value.round(9).tolist()
    [20.0]
    """
    check_tallies(tallies)
    merged = merge_unlabelled(tallies)
    is_fired = np.broadcast_to(merged.is_fired, merged.population.shape)
    share, (low, high) = _shares(merged)
    kish = kish_labels(merged)
    found = {}
    for name, side, values in (
        ("fired", is_fired, (1 - share, 1 - high, 1 - low)),
        ("unfired", ~is_fired, (share, low, high)),
    ):
        weights = np.where(side, merged.population, 0.0)
        total = _side(weights, *values)
        size, n = weights.sum(axis=1), np.where(side, merged.labelled, 0.0).sum(axis=1)
        reason = np.full(len(n), None, dtype=object)
        effective = np.where(side, kish, 0.0).sum(axis=1)
        is_uneven = (effective < MIN_KISH) | (effective < MIN_KISH_SHARE * n)
        reason[is_uneven & needs_even_weights] = TOO_UNEVEN
        reason[n <= 0] = FIRED_UNLABELLED if name == "fired" else UNFIRED_UNLABELLED
        reason[size <= 0] = None
        is_null = np.array([text is not None for text in reason], dtype=bool)
        found[name] = Estimate(
            np.where(is_null, np.nan, total.total),
            np.where(is_null, 0.0, np.clip(total.limits[0], 0.0, size)),
            np.where(is_null, size, np.clip(total.limits[1], 0.0, size)),
            reason,
        )
    return found


def _shares(tallies: Tallies) -> tuple[Floats, Limits]:
    n, k = tallies.labelled, tallies.events
    if tallies.weights is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n > 0, k / n, 0.0), jeffreys_limits(k, n)
    share, n_star = effective_labels(n, tallies.weights)
    is_plain = n_star == n
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(is_plain & (n > 0), k / n, share)
    return share, jeffreys_limits(np.where(is_plain, k, share * n_star), n_star)


def _side(population: Floats, share: Floats, low: Floats, high: Floats) -> _Side:
    return _Side((population * share).sum(axis=1), mover_sum(population, share, low, high))


def _odds(top: _Side, bottom: _Side, constant: Floats | float) -> tuple[Floats, Floats, Floats]:
    """Return 1 / (1 + (constant + top) / bottom) with limits."""
    total, limits = top.total + constant, (top.limits[0] + constant, top.limits[1] + constant)
    low, high = mover_ratio(total, limits, bottom.total, bottom.limits)
    return bottom.total / (bottom.total + total), 1 / (1 + high), 1 / (1 + low)


def _null_reasons(
    tallies: Tallies, is_fired: Booleans, needs_even_weights: bool | Booleans
) -> dict[str, Texts]:
    def on(side: Booleans, counts: Floats) -> Floats:
        return np.where(side, counts, 0.0).sum(axis=1)

    both = np.ones_like(is_fired)
    has_fired = on(is_fired, tallies.population) > 0
    n, k, kish = tallies.labelled, tallies.events, kish_labels(tallies)
    fired = [
        (on(is_fired, tallies.population) <= 0, NOTHING_FIRED),
        (has_fired & (on(is_fired, n) <= 0), FIRED_UNLABELLED),
    ]
    unfired = [
        (on(~is_fired, tallies.population) <= 0, UNFIRED_UNKNOWN),
        (on(~is_fired, n) <= 0, UNFIRED_UNLABELLED),
    ]
    positives = [(on(both, k) <= 0, NO_POSITIVES)]
    negatives = [(on(both, n - k) <= 0, NO_NEGATIVES)]
    rules = {
        "precision": (is_fired, fired),
        "recall": (both, fired + unfired + positives),
        "fpr": (both, fired + unfired + negatives),
        "prevalence": (both, [*unfired, fired[1]]),
        "f1": (both, fired + unfired + positives),
    }
    found = {}
    for name, (side, tests) in rules.items():
        reason = np.full(len(n), None, dtype=object)
        effective = on(side, kish)
        is_uneven = (effective < MIN_KISH) | (effective < MIN_KISH_SHARE * on(side, n))
        reason[is_uneven & needs_even_weights] = TOO_UNEVEN
        for is_null, text in reversed(tests):
            reason[is_null] = text
        found[name] = reason
    return found


def _finish(value: Floats, low: Floats, high: Floats, reason: Texts) -> Estimate:
    is_null = np.array([text is not None for text in reason], dtype=bool)
    return Estimate(
        np.where(is_null, np.nan, value),
        np.where(is_null, 0.0, np.clip(low, 0.0, 1.0)),
        np.where(is_null, 1.0, np.clip(high, 0.0, 1.0)),
        reason,
    )
