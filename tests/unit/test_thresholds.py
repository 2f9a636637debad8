"""A recommended cut keeps its promise of precision, by simulation and by cases."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from governance_pipeline.domain.intervals import Floats, exact_lower_limit, jeffreys_limits
from governance_pipeline.domain.recommending import threshold_table
from governance_pipeline.domain.tallies import Weights
from governance_pipeline.domain.thresholds import (
    BAND_TOO_FEW,
    IMMATURE,
    NO_CUT,
    NO_GOAL,
    NO_SCORE,
    NOT_REACHED,
    SCORE_BINS,
    TOO_FEW,
    ScoreBins,
    at_cut,
    current_cut,
    harm_avoided,
    recommend,
)

REPLICATES = 2000
ALLOWED = 0.05 + 2.6 * (0.05 * 0.95 / REPLICATES) ** 0.5
LOW_BINS_RARELY = np.where(np.arange(SCORE_BINS) < 14, [[0.9], [0.05]], [[0.5], [0.9]])
EVENLY = np.full((2, SCORE_BINS), 0.3)


def drawn(
    units: Floats, truth: Floats, probability: Floats, replicates: int = REPLICATES, seed: int = 1
) -> ScoreBins:
    """Draw samples of a frame of two sides x 20 bins; `truth` is the share that should fire."""
    rng = np.random.default_rng(seed)
    shape = (replicates, 2, SCORE_BINS)
    positive = rng.binomial(units.astype(int), truth, size=shape)
    k = rng.binomial(positive, probability)
    n = k + rng.binomial(units.astype(int) - positive, probability)
    w = 1 / probability
    sums = [(v * w**power).sum(axis=1) for v, power in ((n, 1), (n, 2), (k, 1), (k, 2))]
    items = Weights(*sums)
    population = np.broadcast_to(units.sum(axis=0), (replicates, SCORE_BINS)).astype(float)
    fired = np.broadcast_to(units[0], (replicates, SCORE_BINS)).astype(float)
    return ScoreBins(
        population, 10 * population, fired, n.sum(axis=1) * 1.0, k.sum(axis=1) * 1.0, items, items
    )


def counted(labelled: Floats, events: Floats, units: Floats | None = None) -> ScoreBins:
    """Return one row of equally drawn counts; ten units stand behind a label."""
    n, k = np.atleast_2d(labelled).astype(float), np.atleast_2d(events).astype(float)
    population = 10 * n if units is None else np.atleast_2d(units).astype(float)
    flat = Weights(10 * n, 100 * n, 10 * k, 100 * k)
    fires = np.where(np.arange(SCORE_BINS) >= 14, population, 0.0)
    return ScoreBins(population, 5 * population, fires, n, k, flat, flat)


def at(**values: float) -> Floats:
    """Return 20 bins, named `b14=3.0`, the others 0."""
    bins = np.zeros(SCORE_BINS)
    for name, value in values.items():
        bins[int(name[1:])] = value
    return bins


@pytest.mark.parametrize("goal", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("units", [40, 150, 1500])
@pytest.mark.parametrize("probability", [EVENLY, LOW_BINS_RARELY], ids=["even", "uneven"])
def test_below_the_goal_everywhere_a_cut_is_recommended_in_at_most_5_of_100_samples(
    goal: float, units: int, probability: Floats
) -> None:
    frame = np.full((2, SCORE_BINS), units / 2)
    bins = drawn(frame, np.full((2, SCORE_BINS), goal - 1e-3), probability)
    found = recommend(bins, np.full(REPLICATES, goal))
    assert (found.recommended != NO_CUT).mean() <= ALLOWED


@pytest.mark.parametrize("units", [60, 400, 2000])
@pytest.mark.parametrize("probability", [EVENLY, LOW_BINS_RARELY], ids=["even", "uneven"])
def test_a_cut_below_the_goal_is_recommended_in_at_most_5_of_100_samples(
    units: int, probability: Floats
) -> None:
    frame = np.full((2, SCORE_BINS), units / 2)
    truth = np.tile(np.linspace(0.55, 0.995, SCORE_BINS), (2, 1))
    above = np.cumsum(truth[0, ::-1])[::-1] / np.arange(SCORE_BINS, 0, -1)
    found = recommend(drawn(frame, truth, probability), np.full(REPLICATES, 0.9))
    is_bad = (found.recommended != NO_CUT) & (above[found.recommended] < 0.9)
    assert is_bad.mean() <= ALLOWED
    if units == 2000:
        assert (found.recommended != NO_CUT).mean() > 0.99, "it finds the good ones"


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=20, max_size=20),
    st.floats(0.5, 0.99),
    st.floats(0.0, 0.3),
)
@settings(max_examples=60, deadline=None)
def test_a_higher_goal_never_recommends_a_lower_cut(
    counts: list[tuple[int, int]], goal: float, more: float
) -> None:
    n = np.array([a + b for a, b in counts])
    bins = counted(n, np.array([a for a, _ in counts]))
    easy, hard = (
        recommend(bins, np.array([g])).recommended[0] for g in (goal, min(goal + more, 0.995))
    )
    assert hard == NO_CUT or (easy != NO_CUT and easy <= hard)


def test_the_search_stops_at_the_first_cut_that_fails() -> None:
    n = at(b19=100, b18=100, b17=3000)
    k = at(b19=100, b18=60, b17=3000)
    assert recommend(counted(n, k), np.array([0.9])).recommended.tolist() == [19]


def test_the_search_begins_where_enough_is_labelled_to_pass() -> None:
    n = at(b19=5, b18=10, b17=40)
    found = recommend(counted(n, n), np.array([0.9]))
    assert found.recommended.tolist() == [17]
    assert found.guaranteed[0] == pytest.approx(0.05 ** (1 / 55))


def test_a_unit_in_a_bin_without_a_label_counts_as_wrong() -> None:
    n = at(b19=100, b18=0)
    units = at(b19=1000, b18=100)
    found = recommend(counted(n, n, units), np.array([0.9]))
    assert found.recommended.tolist() == [19]
    few = at(b19=1000, b18=10)
    lenient = recommend(counted(n, n, few), np.array([0.9]))
    assert lenient.recommended.tolist() == [18]
    assert lenient.guaranteed[0] == pytest.approx(0.05 ** (1 / 100) * 1000 / 1010)


def test_no_cut_lies_below_what_is_logged() -> None:
    n = at(b15=200, b19=200)
    found = recommend(counted(n, n), np.array([0.8]))
    assert found.recommended.tolist() == [15]
    assert at_cut(counted(n, n), found.recommended)["recall"].null_reason[0] is not None


def test_a_null_says_why() -> None:
    none = np.zeros(SCORE_BINS)
    for bins, goal, reason in (
        (counted(none, none), 0.9, NO_SCORE),
        (counted(at(b19=20), at(b19=20)), np.nan, NO_GOAL),
        (counted(at(b19=20), at(b19=20)), 0.9, TOO_FEW),
        (counted(at(b19=90), at(b19=60)), 0.9, NOT_REACHED),
    ):
        found = recommend(bins, np.array([goal]))
        assert found.null_reason.tolist() == [reason]
        assert found.recommended.tolist() == [NO_CUT]
        assert np.isnan(found.guaranteed[0])


def test_a_strategy_that_does_not_fire_by_score_has_no_current_cut() -> None:
    n = np.full(SCORE_BINS, 10.0)
    bins = counted(n, n)
    bins.fired[0] = at(b14=80, b15=90, b16=20, b17=90, b18=90, b19=90)
    assert current_cut(bins).tolist() == [NO_CUT]
    bins.fired[0] = at(b15=49, b16=51, b17=90, b18=90, b19=90)
    assert current_cut(bins).tolist() == [16]


def test_harm_moves_with_the_cut_and_is_null_on_few_labels() -> None:
    n, k = at(b10=100, b19=100), at(b10=40, b19=100)
    bins = counted(n, k)
    stricter = harm_avoided(bins, np.array([10]), np.array([15]))
    looser = harm_avoided(bins, np.array([15]), np.array([10]))
    low, high = jeffreys_limits(60, 100)
    assert stricter.value[0] == pytest.approx(5000 * 0.6)
    assert (stricter.low[0], stricter.high[0]) == pytest.approx((5000 * low, 5000 * high))
    assert looser.value[0] == pytest.approx(-5000 * 0.6)
    assert (looser.low[0], looser.high[0]) == pytest.approx((-5000 * high, -5000 * low))
    few = harm_avoided(counted(n / 10, k / 10), np.array([10]), np.array([15]))
    assert np.isnan(few.value[0])
    assert few.null_reason.tolist() == [BAND_TOO_FEW]
    same = harm_avoided(bins, np.array([10]), np.array([10]))
    assert (same.value[0], same.null_reason[0]) == (0.0, None)


def test_recall_at_a_cut_counts_what_would_not_fire() -> None:
    bins = counted(at(b5=100, b19=100), at(b5=10, b19=90))
    found = at_cut(bins, np.array([19]))
    assert found["precision"].value[0] == pytest.approx(0.9)
    assert found["recall"].value[0] == pytest.approx(0.9)
    assert found["recall"].low[0] < 0.9 < found["recall"].high[0]


@given(st.integers(1, 400), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_the_exact_limit_is_clopper_and_pearson_s(labelled: int, share: float) -> None:
    events = round(share * labelled)
    expected = proportion_confint(events, labelled, alpha=0.1, method="beta")[0]
    assert exact_lower_limit(events, labelled) == pytest.approx(expected, abs=1e-9)


FIRST = dt.date(2026, 3, 1)


def table(days: int, labelled_days: int, channels: tuple[str, ...] = ("video",)) -> pd.DataFrame:
    """Judge a strategy that decides on 200 units a day, all drawn, and all right from 0.5 on."""
    frame, draws = [], []
    for day, channel in ((d, c) for d in range(days) for c in channels):
        date = FIRST + dt.timedelta(days=day)
        for fine_bin in range(10, 20):
            key = {
                "strategy_id": "s", "version": 1, "channel": channel, "environment": "live",
                "decision_date": date, "is_fired": fine_bin >= 14, "fine_bin": fine_bin,
                "stratum": f"{'fired' if fine_bin >= 14 else 'unfired'}/{fine_bin // 4}",
            }  # fmt: skip
            frame.append(
                key | {"population": 20, "reach": 200, "expected_draws": 10.0,
                       "min_probability": 0.5, "drawn": 10}
            )  # fmt: skip
            for number in range(10 if day < labelled_days else 0):
                draws.append(
                    key
                    | {
                        "decision_id": f"{channel}{day}-{fine_bin}-{number}", "reach": 10,
                        "inclusion_probability": 0.5, "gmv": 1.0, "verdict": "should_fire",
                        "verdict_first": "should_fire", "known_on": date, "is_disputed": False,
                    }
                )  # fmt: skip
    strategies = pd.DataFrame({"strategy_id": ["s"], "lifecycle": ["live"]})
    goals = pd.DataFrame(
        {
            "strategy_id": ["s"], "metric": ["precision"], "effective_from": [FIRST],
            "goal": [0.9], "goal_null_reason": [None], "tolerance": [0.02],
            "evidence_half_width": [0.1],
        }
    )  # fmt: skip
    columns = [
        "decision_id",
        "inclusion_probability",
        "gmv",
        "verdict",
        "verdict_first",
        "known_on",
    ]
    given_draws = pd.DataFrame(draws, columns=None if draws else [*key, *columns, "reach"])
    return threshold_table(
        FIRST + dt.timedelta(days=days - 1), pd.DataFrame(frame), given_draws, strategies, goals
    )


def test_only_the_last_28_days_that_are_labelled_count() -> None:
    found = table(days=40, labelled_days=36).set_index("channel").loc["video"]
    assert found["window_days"] == 28
    assert found["labelled"] == 28 * 100
    assert (found["current_cut"], found["recommended_cut"]) == (0.7, 0.5)
    assert found["recommended_precision"] == 1
    assert found["current_recall"] == pytest.approx(0.6)


def test_a_strategy_of_several_channels_is_also_judged_as_a_whole() -> None:
    found = table(days=3, labelled_days=3, channels=("lives", "video")).set_index("channel")
    assert found["labelled"].to_dict() == {"all": 600, "lives": 300, "video": 300}
    whole, one = found.loc[["all", "lives"], "guaranteed_precision"].tolist()
    assert whole > one
    alone = table(days=3, labelled_days=3)
    assert alone["channel"].tolist() == ["all", "video"]
    assert alone["labelled"].tolist() == [300, 300]


def test_before_a_day_is_labelled_nothing_is_recommended() -> None:
    found = table(days=3, labelled_days=0)
    assert set(found["null_reason"]) == {IMMATURE}
    assert found["recommended_cut"].isna().all()
