"""A paired comparison tells apart what the labels can tell apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.domain.accuracy import NO_POSITIVES, UNFIRED_UNLABELLED
from governance_pipeline.domain.backtest import BETTER, NOT_WORSE, TOO_FEW, WORSE, backtest
from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.domain.pairing import compare
from governance_pipeline.errors import InputError

TOLERANCE = {"precision": 0.02, "recall": 0.02}


def units(
    now: Booleans, then: Booleans, should: Booleans, probability: float = 0.5
) -> pd.DataFrame:
    """Return drawn units, every one labelled, of reach 10 and gmv 2."""
    return pd.DataFrame(
        {
            "fires_now": now, "fires_then": then,
            "verdict": np.where(should, "should_fire", "should_not_fire"),
            "probability": probability, "reach": 10, "gmv": 2.0,
        }
    )  # fmt: skip


def sample(
    rng: np.random.Generator, n: int, probability: tuple[float, float]
) -> tuple[Booleans, Booleans, Booleans, Floats]:
    """Draw units of two cuts of a score, those that fire now more often than the others."""
    should = rng.random(20 * n) < 0.25
    score = np.where(should, rng.beta(5, 2, 20 * n), rng.beta(2, 5, 20 * n))
    now, then = score > 0.5, score > 0.6
    pi = np.where(now, *probability)
    drawn = rng.random(20 * n) < pi
    return now[drawn], then[drawn], should[drawn], 1 / pi[drawn]


@pytest.mark.parametrize("probability", [(0.05, 0.05), (0.2, 0.03)], ids=["equal", "unequal"])
def test_the_interval_holds_the_true_difference(probability: tuple[float, float]) -> None:
    rng = np.random.default_rng(5)
    large = sample(rng, 400_000, (1.0, 1.0))
    true = {name: found.difference for name, found in compare(*large).items()}
    hits = {"precision": 0, "recall": 0}
    for _ in range(600):
        for name, found in compare(*sample(rng, 300, probability)).items():
            hits[name] += found.difference_lo <= true[name] <= found.difference_hi
    assert min(hits.values()) / 600 > 0.95 - 2.6 * (0.05 * 0.95 / 600) ** 0.5


def test_pairing_is_sharper_than_two_samples() -> None:
    rng = np.random.default_rng(5)
    now, then, should, weight = sample(rng, 2000, (0.2, 0.03))
    found = compare(now, then, should, weight)["precision"]
    apart = np.hypot(found.then - found.then_lo, found.now_hi - found.now)
    assert found.difference - found.difference_lo < 0.8 * apart


@given(st.integers(0, 10_000), st.floats(0.1, 1.0))
@settings(max_examples=40, deadline=None)
def test_exchanging_the_two_turns_the_difference_around(seed: int, probability: float) -> None:
    now, then, should, weight = sample(np.random.default_rng(seed), 40, (probability, probability))
    for name, found in compare(now, then, should, weight).items():
        turned = compare(then, now, should, weight)[name]
        assert (found.null_reason is None) == (turned.null_reason is None)
        if found.null_reason is None:
            assert turned.difference == pytest.approx(-found.difference)
            assert turned.difference_lo == pytest.approx(-found.difference_hi)
            assert found.difference_lo <= found.difference <= found.difference_hi


def test_the_same_decisions_differ_by_nothing_yet_the_interval_has_a_width() -> None:
    # At a half both margins of a share are alike, and full correlation would leave no width.
    should = np.arange(200) % 2 == 0
    now = np.arange(200) % 4 < 2
    found = compare(now, now, should, np.full(200, 2.0))
    for difference in found.values():
        assert difference.difference == 0
        assert difference.difference_lo < 0 < difference.difference_hi


def test_a_metric_that_cannot_be_known_is_null_with_a_reason() -> None:
    yes, no = np.ones(5, dtype=bool), np.zeros(5, dtype=bool)
    assert compare(yes, yes, yes, np.ones(5))["recall"].null_reason == UNFIRED_UNLABELLED
    some = np.arange(5) < 3
    assert compare(some, some, no, np.ones(5))["recall"].null_reason == NO_POSITIVES
    assert np.isnan(compare(some, no, some, np.ones(5))["precision"].difference)


@pytest.mark.parametrize("weight", [0.5, np.nan, np.inf])
def test_a_weight_that_no_probability_gives_is_refused(weight: float) -> None:
    yes = np.ones(2, dtype=bool)
    with pytest.raises(InputError, match="at least 1"):
        compare(yes, yes, yes, np.array([1.0, weight]))


def test_the_verdict_is_in_words() -> None:
    index = np.arange(2000)
    should = index % 4 == 0
    good = should & (index % 10 != 0)
    noisy = good | (~should & (index % 9 == 1))
    assert backtest(units(noisy, good, should), TOLERANCE).verdict == BETTER
    assert backtest(units(good, noisy, should), TOLERANCE).verdict == WORSE
    assert backtest(units(good, good, should), TOLERANCE).verdict == NOT_WORSE
    few = index < 60
    assert backtest(units(good, good, should)[few], TOLERANCE).verdict == TOO_FEW


def test_a_gain_that_costs_the_other_metric_is_worse_and_says_both() -> None:
    index = np.arange(4000)
    should = index % 2 == 0
    now = should | (index % 5 == 0)
    then = should & (index % 4 == 0)
    found = backtest(units(now, then, should), TOLERANCE)
    assert found.verdict == WORSE
    assert "precision +" in found.reason
    assert "recall -" in found.reason


def test_what_would_change_is_weighted_up_to_the_window_and_needs_no_label() -> None:
    now = np.array([True, True, False, False])
    then = np.array([True, False, True, False])
    drawn = units(now, then, now, 0.25)
    drawn["verdict"] = pd.Series([None, "unsure", None, "should_fire"], dtype="str")
    found = backtest(drawn, TOLERANCE)
    assert (found.units, found.labelled) == (4, 1)
    assert found.changed_share == 0.5
    assert (found.reach_newly_fired, found.reach_released) == (40, 40)
    assert (found.gmv_newly_fired, found.gmv_released) == (8, 8)


def test_the_discordant_labels_are_counted() -> None:
    now = np.array([True, True, False, False])
    then = np.array([False, True, True, False])
    should = np.array([True, True, False, False])
    found = backtest(units(now, then, should), TOLERANCE)
    assert (found.only_now_right, found.only_then_right) == (2, 0)
