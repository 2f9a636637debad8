"""A metric's status as a function of its history, and a strategy's as the worse of its two.

Everything is replayed from the first day, so that the same history gives the same statuses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from governance_pipeline.domain.intervals import Floats

# From what matters most; a strategy has the first of its metrics' statuses.
STATUSES = (
    "needs_audit",
    "watch",
    "insufficient_evidence",
    "immature",
    "healthy",
    "not_monitored",
)
NEEDS_AUDIT, WATCH, INSUFFICIENT, IMMATURE, HEALTHY, NOT_MONITORED = range(6)

E_WATCH = 3.0
E_CALM = 2.0
# A baseline's alarm: its limit and its bet err in 2.5% of strategy-years each.
E_BASELINE = 40.0
# An estimate that dips for a single day would be watched for a month after.
LOW_DAYS = 2
MIN_COHORTS = 7
MIN_STRATUM_LABELS = 5
STRATUM_SHARE = 0.05

# Why a metric has its status: the rule that decided.
WHYS = (
    "no_goal", "no_population", "rejected", "own_alarm", "evidence",
    "few_cohorts", "wide_interval", "empty_stratum", "below_target", "unproven", "healthy",
    "not_measurable", "baseline",
)  # fmt: skip

Codes = NDArray[np.int8]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class History:
    """What was known on each day, every field of shape (days, series).

    `target` is m = goal - tolerance, NaN without a goal; `estimate`, `low` and `high` the 28-day
    interval; `e_value` the evidence of a drop and `is_rejected` whether e-BH rejected it by then;
    `baseline_e_value` the evidence of a drop below its own past, NaN where there is none;
    `cohorts` how many were mature; `has_thin_stratum` whether a stratum that weighs over 5% has
    fewer than 5 labels; `evidence_half_width` the goal's.
    """

    has_population: Booleans
    target: Floats
    estimate: Floats
    low: Floats
    high: Floats
    e_value: Floats
    is_rejected: Booleans
    cohorts: NDArray[np.int64]
    has_thin_stratum: Booleans
    evidence_half_width: Floats
    baseline_e_value: Floats | None = None


@dataclass(frozen=True)
class Verdicts:
    """Index into `STATUSES` and into `WHYS`, each of shape (days, series)."""

    status: Codes
    why: Codes


def replay(history: History) -> Verdicts:
    """Return each series' status on each day, the first rule that matches.

    0 not_monitored, 1 needs_audit, 2 watch on evidence (e >= 3, or >= 40 against its own past,
    until that e < 2), 3 immature,
    4 insufficient_evidence, 5 watch on the estimate (below m for 2 days, until the lower limit
    reaches m and e < 2), 6 healthy. The first classification as healthy needs the lower limit at m.

    Source:
        ACCURACY section 6.

    >>> def of(*values):
    ...     return np.array(values, dtype=float).reshape(-1, 1)
    >>> yes = np.ones((3, 1), dtype=bool)
    >>> known = History(
    ...     yes, of(0.8, 0.8, 0.8), of(0.9, 0.7, 0.7), of(0.85, 0.65, 0.65),
    ...     of(0.95, 0.75, 0.75), of(1, 1, 1), ~yes, 9 * yes.astype(int), ~yes, of(0.1, 0.1, 0.1)
    ... )
    >>> [STATUSES[code] for code in replay(known).status[:, 0]]
    ['healthy', 'healthy', 'watch']
    """
    days, series = history.target.shape
    status = np.empty((days, series), dtype=np.int8)
    why = np.empty((days, series), dtype=np.int8)
    is_alert, is_below, is_low, is_proven = (np.zeros(series, dtype=bool) for _ in range(4))
    low_days = np.zeros(series, dtype=np.int64)
    baseline = np.ones((days, series))
    if history.baseline_e_value is not None:
        baseline = np.nan_to_num(history.baseline_e_value, nan=1.0)
    for day in range(days):
        e = np.nan_to_num(history.e_value[day], nan=1.0)
        target, estimate, low = history.target[day], history.estimate[day], history.low[day]
        is_alert = (e >= E_WATCH) | (is_alert & (e >= E_CALM))
        is_below = (baseline[day] >= E_BASELINE) | (is_below & (baseline[day] >= E_CALM))
        matured = history.cohorts[day] >= MIN_COHORTS
        is_null = np.isnan(estimate)
        wide = (history.high[day] - low) / 2 > history.evidence_half_width[day]
        decided = matured & ~is_null & ~wide & ~history.has_thin_stratum[day]
        reaches = low >= target
        low_days = np.where(decided, np.where(estimate < target, low_days + 1, 0), low_days)
        stays = is_low & ~(reaches & (e < E_CALM))
        is_low = np.where(decided, (low_days >= LOW_DAYS) | stays, is_low)
        is_proven = is_proven | (decided & reaches)
        rules: list[tuple[Booleans, int, str]] = [
            (np.isnan(target), NOT_MONITORED, "no_goal"),
            (~history.has_population[day], NOT_MONITORED, "no_population"),
            (history.is_rejected[day], NEEDS_AUDIT, "rejected"),
            (is_alert & (e >= 20), WATCH, "own_alarm"),
            (is_alert, WATCH, "evidence"),
            (is_below, WATCH, "baseline"),
            (~matured, IMMATURE, "few_cohorts"),
            (is_null, INSUFFICIENT, "not_measurable"),
            (wide, INSUFFICIENT, "wide_interval"),
            (history.has_thin_stratum[day], INSUFFICIENT, "empty_stratum"),
            (is_low, WATCH, "below_target"),
            (~is_proven, INSUFFICIENT, "unproven"),
        ]
        tests = [test for test, _, _ in rules]
        status[day] = np.select(tests, [code for _, code, _ in rules], HEALTHY)
        why[day] = np.select(tests, [WHYS.index(w) for _, _, w in rules], WHYS.index("healthy"))
    return Verdicts(status, why)


def worse(precision: Codes, recall: Codes, e_values: Floats) -> NDArray[np.int8]:
    """Return the metric that gives the strategy its status: 0 for precision, 1 for recall.

    The one whose status matters more; on a tie of alarms the one with more evidence, else
    precision.

    Args:
        precision: Status codes of precision, any shape.
        recall: Status codes of recall, same shape.
        e_values: Both e-values, shape (..., 2).

    >>> worse(np.array([4, 1]), np.array([2, 1]), np.array([[1, 1], [3, 9.0]])).tolist()
    [1, 1]
    """
    evidence = np.nan_to_num(e_values, nan=0.0)
    more = (precision == recall) & (recall <= WATCH) & (evidence[..., 1] > evidence[..., 0])
    return np.where((recall < precision) | more, 1, 0).astype(np.int8)
