"""Delays that differ by verdict, on whole streams: they must not look like a drop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.monitors import watch
from benchmarks.accuracy.streams import (
    binormal_scores,
    draw,
    geometric_lags,
    precision_world,
    same_lags,
    scored_world,
)
from governance_pipeline.domain.betting import Claims, log_bets
from governance_pipeline.domain.gates import build_gates

DAYS, POOLS, PRECISION, LABELS = 60, 40, 0.6, 200


@pytest.mark.parametrize(("right", "wrong"), [(2.0, 6.0), (6.0, 1.2)])
def test_errors_that_come_back_at_another_speed_are_no_drop(right: float, wrong: float) -> None:
    """With cohorts in flight counted, 8 in 100 alarmed at a launch and 98 at the change of bets."""
    lags = np.stack([geometric_lags(right), geometric_lags(wrong)])
    world = precision_world(DAYS, PRECISION, LABELS, lags)
    found = watch(draw(world, POOLS, np.random.default_rng(4)), "precision", PRECISION, ("goal",))
    assert found.is_once[-1].all()
    assert (found.alarms("goal") == DAYS).all()


def test_a_pool_that_begins_to_bet_once_goes_on_so_and_begins_anew() -> None:
    lags = np.stack([geometric_lags(2.0), geometric_lags(6.0)])
    world = precision_world(DAYS, PRECISION, LABELS, lags)
    found = watch(draw(world, POOLS, np.random.default_rng(4)), "precision", PRECISION, ("goal",))
    assert (np.diff(found.is_once.astype(int), axis=0) >= 0).all()
    begins = found.is_once.argmax(axis=0)
    starts_left = 53 - (1 + begins // 7) - (begins % 7 > 0)
    of_the_day = found.e_values["goal"][begins, np.arange(POOLS)]
    # No whole cohort is in yet, so a start of product 1 is all there is.
    assert of_the_day * 53 == pytest.approx(starts_left + 1)


def test_a_cohort_is_not_bet_on_with_what_its_own_verdicts_say() -> None:
    """A refit on day 7 fixes the stakes of the cohorts 7 to 13: those of day 7 may not speak."""
    scores = binormal_scores(0.1, 0.9)
    world = scored_world(16, scores, scores.error_rate, 100, same_lags(0), planned=True)
    stream = draw(world, 3, np.random.default_rng(5))
    levels = np.full((16, 3, 2), np.nan)
    levels[:, :, 0] = 0.9
    claims = Claims(("precision", "recall"), levels)
    gates = build_gates(stream.cohorts, 0)
    told = stream.labels
    other = replace(told, is_event=np.where(told.day == 7, ~told.is_event, told.is_event))
    first, second = (
        log_bets(stream.design, labels, stream.cohorts, gates, claims)[0][:, :, 0]
        for labels in (told, other)
    )
    same = (first == second).all(axis=(1, 2))
    assert same.tolist() == [True] * 7 + [False] + [True] * 6 + [False] * 2
