"""The tallies of a designed sample: what was counted, what was labelled, with which weights.

A row is one strategy x channel x window; a stratum is one side (fired or not) x score bin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.errors import InputError

EQUAL_WEIGHTS = 1 - 1e-9


@dataclass(frozen=True)
class Weights:
    """Sums over the labels of a stratum, each of shape (rows, strata), w = 1 / pi (times reach).

    `total` is sum w, `squares` sum w^2, `events` sum w y, `event_squares` sum w^2 y.
    """

    total: Floats
    squares: Floats
    events: Floats
    event_squares: Floats


@dataclass(frozen=True)
class Tallies:
    """Counts of shape (rows, strata), the strata of a side in the order of their score bins.

    `population` is N (or reach, for the reach-weighted twin: `is_reach`), `labelled` n, `events`
    k, the labels that say `should_fire`; `is_fired` is (rows, strata). Without `weights` every
    unit of a stratum was equally likely to be drawn.
    """

    population: Floats
    labelled: Floats
    events: Floats
    is_fired: Booleans
    weights: Weights | None = None
    is_reach: bool = False


def check_tallies(tallies: Tallies) -> None:
    """Refuse counts that no sample can have.

    Raises:
        InputError: If a count is NaN or negative, k > n, or n > N (not asked of reach).

    >>> one = np.ones((1, 1))
    >>> check_tallies(Tallies(one, 2 * one, one, one > 0))
    Traceback (most recent call last):
    governance_pipeline.errors.InputError: labelled exceeds population in row 0, stratum 0: 2 > 1
    """
    named = {
        "population": tallies.population,
        "labelled": tallies.labelled,
        "events": tallies.events,
    }
    for name, counts in named.items():
        wrong = ~np.isfinite(counts) | (counts < 0)
        if wrong.any():
            row, stratum = np.argwhere(wrong)[0]
            raise InputError(
                f"{name} must be finite and not negative, got {counts[row, stratum]:g} "
                f"in row {row}, stratum {stratum}"
            )
    pairs = [("events", "labelled")] + ([] if tallies.is_reach else [("labelled", "population")])
    for small, large in pairs:
        wrong = named[small] > named[large] * (1 + 1e-9)
        if wrong.any():
            row, stratum = np.argwhere(wrong)[0]
            raise InputError(
                f"{small} exceeds {large} in row {row}, stratum {stratum}: "
                f"{named[small][row, stratum]:g} > {named[large][row, stratum]:g}"
            )


def check_probabilities(probability: Floats) -> None:
    """Refuse inclusion probabilities outside (0, 1].

    Raises:
        InputError: Naming the first of them.

    >>> check_probabilities(np.array([0.5, 0.0]))
    Traceback (most recent call last):
    governance_pipeline.errors.InputError: inclusion_probability must be in (0, 1], got 0
    """
    wrong = ~((probability > 0) & (probability <= 1))
    if wrong.any():
        raise InputError(f"inclusion_probability must be in (0, 1], got {probability[wrong][0]:g}")


def merge_unlabelled(tallies: Tallies) -> Tallies:
    """Hand the population of a stratum without labels to the nearest labelled one on its side.

    On a tie the lower bin takes it. A side without any label keeps its populations, and the
    estimates that need it are null.

    >>> N = np.array([[10.0, 5.0, 7.0]])
    >>> n = np.array([[2.0, 0.0, 0.0]])
    >>> merge_unlabelled(Tallies(N, n, n, N > 0)).population
    array([[22.,  0.,  0.]])
    """
    is_open = (tallies.population > 0) & (tallies.labelled == 0)
    if not is_open.any():
        return tallies
    is_fired = np.broadcast_to(tallies.is_fired, is_open.shape)
    population = tallies.population.copy()
    for side in (is_fired, ~is_fired):
        rows, strata = np.nonzero(is_open & side)
        nearest = _nearest((tallies.labelled > 0) & side)[rows, strata]
        rows, strata, nearest = (v[nearest >= 0] for v in (rows, strata, nearest))
        np.add.at(population, (rows, nearest), population[rows, strata])
        population[rows, strata] = 0.0
    return replace(tallies, population=population)


def _nearest(is_taker: Booleans) -> Integers:
    """Return the index of the nearest taker of the row, the lower on a tie, -1 if there is none."""
    count = is_taker.shape[1]
    index = np.broadcast_to(np.arange(count, dtype=np.int64), is_taker.shape)
    before = np.maximum.accumulate(np.where(is_taker, index, -count * 2), axis=1)
    after = np.minimum.accumulate(np.where(is_taker, index, count * 4)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(index - before <= after - index, before, after)
    return np.where(np.any(is_taker, axis=1, keepdims=True), nearest, -1)


def effective_labels(labelled: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Return the Hajek share and the effective number of labels n* of each stratum.

    n* = min(Kish's n, p (1 - p) / v, n) x (1.96 / t_{n-1})^2, with v the linearised variance of
    the Hajek mean; where all weights are equal it is n itself. A stratum without labels has
    share 0 and n* 0.

    Source:
        Kish, "Survey Sampling" (1965); Hajek (1971); Franco, Little, Louis and Slud, "Comparative
        study of confidence intervals for proportions in complex surveys" (2019), for t and min.

    >>> n = np.array([[4.0]])
    >>> w = np.array([1.0, 1.0, 1.0, 3.0])
    >>> y = np.array([1.0, 0.0, 0.0, 1.0])
    >>> sums = [np.array([[v.sum()]]) for v in (w, w**2, w * y, w**2 * y)]
    >>> share, n_star = effective_labels(n, Weights(*sums))
    >>> round(float(share[0, 0]), 4), round(float(n_star[0, 0]), 4)
    (0.6667, 1.1379)
    """
    n, w = labelled, weights
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(w.total > 0, np.clip(w.events / w.total, 0.0, 1.0), 0.0)
        kish = np.where(w.squares > 0, w.total**2 / w.squares, 0.0)
        spread = w.event_squares * (1 - 2 * share) + share**2 * w.squares
        variance = np.maximum(spread, 0.0) / w.total**2 * n / (n - 1)
        by_variance = np.where(variance > 0, share * (1 - share) / variance, np.inf)
    base = np.minimum(np.minimum(kish, n), np.where(np.isnan(by_variance), np.inf, by_variance))
    is_uneven: Booleans = np.asarray((n > 0) & (kish < n * EQUAL_WEIGHTS))
    if is_uneven.any():
        quantile = stdtrit(np.maximum(n - 1, 1.0), 0.975)
        base = base * (1.959963984540054 / quantile) ** 2
    return share, np.where(is_uneven, base, n)


def kish_labels(tallies: Tallies) -> Floats:
    """Return Kish's effective number of labels of each stratum, shape (rows, strata).

    >>> one = np.ones((1, 1))
    >>> kish_labels(Tallies(9 * one, 4 * one, one, one > 0))
    array([[4.]])
    """
    w = tallies.weights
    if w is None:
        return tallies.labelled
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(w.squares > 0, np.minimum(w.total**2 / w.squares, tallies.labelled), 0.0)
