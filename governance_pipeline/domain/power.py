"""What a plan's labels will show: expected half-widths, and how soon a drop would be detected."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from governance_pipeline.domain.accuracy import estimate
from governance_pipeline.domain.bets import (
    error_factors,
    log_growth,
    scale_to_null,
    unit_weights,
)
from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.domain.tallies import Tallies
from governance_pipeline.errors import InputError

ALPHA = 0.05
STARTS = 53
ALTERNATIVES = 4
# The log of what the product of the bets must reach: the bound, shared by starts and stakes.
EVIDENCE = math.log(1 / ALPHA) + math.log(STARTS) + math.log(ALTERNATIVES)
WINDOW_DAYS = 28


def expected_half_widths(
    population: Floats, labels: Floats, rates: Floats, is_fired: Booleans, metric: str
) -> Floats:
    """Return the half-width of a metric's 95% interval after 28 such days, shape (rows,).

    The interval is the one that the verdicts use, on the labels expected and the rates known.

    Args:
        population: Units a day, shape (rows, strata).
        labels: Effective labels a day, at most the population, shape (rows, strata).
        rates: p_h, the share of `should_fire`, shape (rows, strata).
        is_fired: Which strata fired, shape (strata,).
        metric: `precision` or `recall`.

    >>> N, n, p = (np.array([v]) for v in ([1000.0, 9000.0], [20.0, 30.0], [0.9, 0.02]))
    >>> expected_half_widths(N, n, p, np.array([True, False]), "precision").round(3)
    array([0.025])
    """
    n = labels * WINDOW_DAYS
    sides = np.broadcast_to(is_fired, population.shape)
    found = estimate(Tallies(population * WINDOW_DAYS, n, n * rates, sides))[metric]
    return (found.high - found.low) / 2


def daily_growth(
    population: Floats,
    labels: Floats,
    rates: Floats,
    is_fired: Booleans,
    *,
    target: Floats,
    metric: str,
    drops: ArrayLike,
    least: ArrayLike = 1.0,
) -> Floats:
    """Return the best expected growth of log E a day once a metric fell, shape (rows, drops).

    Args:
        population: Units a day, shape (rows, strata).
        labels: Expected labels a day, shape (rows, strata).
        rates: p_h, the share of `should_fire` that the bets predict from, shape (rows, strata).
        is_fired: Which strata fired, shape (strata,).
        target: m in (0, 1), shape (rows,).
        metric: `precision` or `recall`.
        drops: How far below m the metric fell, shape (drops,) or (rows, drops).
        least: The least inclusion probability of a stratum as a share of its mean: an uneven draw
            must stake less. Scalar or shape (rows, 1).

    Raises:
        InputError: If a target is not strictly between 0 and 1.

    Source:
        ACCURACY sections 5 and 8; Waudby-Smith and Ramdas (2024).

    >>> one = np.ones((1, 1))
    >>> daily_growth(500 * one, 20 * one, 0.9 * one, np.array([True]), target=np.array([0.9]),
    ...     metric="precision", drops=[0.1]).round(2)
    array([[0.88]])
    """
    m = np.asarray(target, dtype=float)
    if not ((m > 0) & (m < 1)).all():
        raise InputError("a target must be strictly between 0 and 1")
    on_fired, on_unfired = unit_weights((population * is_fired).sum(axis=1), m, metric)
    weights = np.where(is_fired, on_fired[:, None], on_unfired[:, None])
    is_open = (labels > 0) & (weights > 0)
    errors = np.where(is_fired, 1 - rates, rates)
    errors = scale_to_null(errors, weights * population * (labels > 0), 1 - m)
    probability = np.where(labels > 0, labels / np.maximum(population, 1e-300), 1.0)
    stakes = np.where(is_open, labels.sum(axis=1)[:, None] * weights / probability, 0.0)
    worst = (stakes / np.asarray(least) * errors).max(axis=1)
    bound = np.where(worst > 0, 1 / np.maximum(worst, 1e-300), 0.0)
    factors = np.broadcast_to(error_factors(m, metric, drops), (len(m), np.shape(drops)[-1]))[
        :, None, :
    ]
    is_raised = is_fired if metric == "precision" else ~is_fired
    factors = np.where(is_raised[None, :, None], factors, 1.0)
    return np.maximum(log_growth(labels, errors, stakes, bound, factors).max(axis=-1), 0.0)


def days_to_detect(growth_a_day: ArrayLike, mean_lag: ArrayLike) -> Floats:
    """Return the days from a drop to an e-value of 20, infinite where nothing grows.

    (ln(1 / alpha) + ln 53 + ln 4) / growth: the product must reach 1 / alpha although it is
    averaged over a year's weekly starts and four stakes. The labels' mean lag comes on top.

    Args:
        growth_a_day: Expected growth of log E a day, >= 0.
        mean_lag: Mean days from a decision to its label, >= 0.

    Source:
        ACCURACY section 8.

    >>> days_to_detect([0.888, 0.0], 3.3).round(1).tolist()
    [12.7, inf]
    """
    growth = np.asarray(growth_a_day, dtype=float)
    with np.errstate(divide="ignore"):
        return np.where(growth > 0, EVIDENCE / growth, np.inf) + np.asarray(mean_lag, dtype=float)
