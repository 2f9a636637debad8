"""Which of many e-values to believe: e-BH over a year's slots, with memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from governance_pipeline.domain.intervals import Floats
from governance_pipeline.errors import InputError

FALSE_DISCOVERY_RATE = 0.1
# Slots come in tens, so that a strategy added within the year finds a spare one.
SLOT_STEP = 10


def slots_for(series: int) -> int:
    """Return how many slots a fleet of `series` reserves for the year.

    >>> slots_for(66), slots_for(2)
    (70, 2)
    """
    if series < 2 * SLOT_STEP:
        return max(series, 1)
    return SLOT_STEP * -(-series // SLOT_STEP)


def e_bh(e_values: Floats, slots: int, q: float = FALSE_DISCOVERY_RATE) -> NDArray[np.bool_]:
    """Return which hypotheses e-BH rejects: the k largest, k maximal with e_(k) >= slots / (q k).

    Args:
        e_values: Shape (series,), at least 0; NaN is never rejected.
        slots: Number of hypotheses, at least the number of e-values.
        q: False discovery rate, in (0, 1).

    Raises:
        InputError: If there are fewer slots than e-values.

    Source:
        Wang and Ramdas, "False discovery rate control with e-values" (2022).

    >>> e_bh(np.array([100, 60, 40, 22, 9, 8, 1, 1, 0.5, 0.2]), 10).nonzero()[0].tolist()
    [0, 1, 2]
    """
    if slots < len(e_values):
        raise InputError(f"slots must be at least the {len(e_values)} e-values, got {slots}")
    values = np.where(np.isnan(e_values), -np.inf, e_values)
    order = np.argsort(-values, kind="stable")
    passes = values[order] * q * np.arange(1, len(values) + 1) >= slots
    rejected = np.zeros(len(values), dtype=bool)
    if passes.any():
        rejected[order[: np.flatnonzero(passes)[-1] + 1]] = True
    return rejected


def reject_over_time(
    e_values: Floats,
    slots: int,
    q: float = FALSE_DISCOVERY_RATE,
    *,
    reopened: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.bool_], Floats]:
    """Return who is rejected by each day, and the e-values frozen at the first rejection.

    A frozen e-value goes on counting for the others, so the rejected set only grows and the false
    discovery rate holds whenever somebody looks. A single series needs e >= 20. Where an audit is
    closed, the series begins anew: its e-value of the day counts again, and it may be rejected
    again.

    Args:
        e_values: Shape (days, series); NaN where a series is not judged.
        slots: Hypotheses of the year, at least the number of series.
        q: False discovery rate, in (0, 1).
        reopened: Where a closed audit takes a rejection back, shape (days, series).

    Returns:
        Rejected by the day and the frozen e-value (NaN before), both of shape (days, series).

    Source:
        Wang and Ramdas (2022), on e-values stopped at the first rejection.

    >>> rejected, frozen = reject_over_time(np.array([[5.0, 1.0], [30.0, 12.0], [2.0, 12.0]]), 2)
    >>> rejected.tolist()
    [[False, False], [True, True], [True, True]]
    """
    days, series = e_values.shape
    is_rejected = np.zeros((days, series), dtype=bool)
    frozen = np.full((days, series), np.nan)
    known = np.full(series, np.nan)
    for day in range(days):
        if reopened is not None:
            known = np.where(reopened[day], np.nan, known)
        current = np.where(np.isnan(known), e_values[day], known)
        rejected = current >= 20 if slots == 1 else e_bh(current, slots, q)
        known = np.where(rejected & np.isnan(known), current, known)
        is_rejected[day], frozen[day] = ~np.isnan(known), known
    return is_rejected, frozen
