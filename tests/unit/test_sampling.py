"""The allocation of labels and the chance of a unit to be drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.domain.power import daily_growth, days_to_detect
from governance_pipeline.domain.sampling import (
    FLOOR_SHARE,
    allocate_labels,
    drift_weight,
    inclusion_probability,
    neyman_importance,
    share_budget,
    smallest_budget,
)
from governance_pipeline.errors import InputError

SIDES = np.array([True, False])
sizes = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 1e7)), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(sizes, st.data())
def test_an_allocation_spends_its_budget_within_the_populations_and_above_the_floors(
    population: list[float], data: st.DataObject
) -> None:
    n = np.array([population])
    worth = np.array([[data.draw(st.floats(0, 1e6)) for _ in population]])
    least, total = float(smallest_budget(n)[0]), float(n.sum())
    budget = least + data.draw(st.floats(0, 1.5)) * max(total - least, 0.0)
    labels = allocate_labels(n, worth, np.array([budget]))
    assert labels.sum() == pytest.approx(min(budget, total), rel=1e-9, abs=1e-9)
    assert (labels <= n * (1 + 1e-12)).all()
    assert (labels >= np.minimum(n, 2.0) * (1 - 1e-9)).all()
    floor = FLOOR_SHARE * min(budget, total) * n / max(total, 1e-300)
    assert (labels >= np.minimum(floor, n) * (1 - 1e-9) - 1e-12).all()


def test_a_budget_for_every_unit_labels_every_unit_however_little_a_stratum_weighs() -> None:
    n = np.array([[0.0, 1_479_679.0, 16.0]])
    labels = allocate_labels(n, np.array([[0.0, 1.0, 0.0]]), n.sum(axis=1))
    assert labels == pytest.approx(n)


def test_beyond_the_floors_labels_are_in_proportion_to_what_they_are_worth() -> None:
    n = np.array([[1000.0, 1000.0, 1000.0]])
    labels = allocate_labels(n, np.array([[1.0, 2.0, 5.0]]), np.array([300.0]))
    beyond = labels - FLOOR_SHARE * 100
    assert beyond[0] / beyond.sum() == pytest.approx([0.125, 0.25, 0.625])


def test_what_a_full_stratum_cannot_take_goes_to_the_others() -> None:
    n = np.array([[10.0, 500.0, 500.0]])
    labels = allocate_labels(n, np.array([[1.0, 0.0, 0.0]]), np.array([200.0]))
    assert labels[0] == pytest.approx([10, 95, 95], abs=1e-3)


@pytest.mark.parametrize("budget", [0.0, -1.0, 4.0, float("nan")])
def test_a_budget_below_the_floors_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match=r"fewer than the least, 4\.7"):
        allocate_labels(np.array([[50.0, 50.0]]), np.ones((1, 2)), np.array([budget]))


def test_for_recall_the_fired_side_counts_by_what_is_missed_and_the_other_by_what_is_found() -> (
    None
):
    n, p = np.array([[400.0, 1600.0]]), np.array([[0.9, 0.1]])
    recall = 360 / (360 + 160)
    only_recall = neyman_importance(n, p, SIDES, np.array([[False, True]]))[0]
    worth = np.array([400 * 0.3 * (1 - recall), 1600 * 0.3 * recall])
    assert only_recall == pytest.approx(worth / worth.sum())
    assert neyman_importance(n, p, SIDES, np.array([[True, False]]))[0].tolist() == [1.0, 0.0]
    both = neyman_importance(n, p, SIDES, np.array([[True, True]]))[0]
    assert both == pytest.approx((only_recall + np.array([1.0, 0.0])) / 2)


def test_no_split_of_the_labels_estimates_recall_better_than_the_one_chosen() -> None:
    n, p = np.array([400.0, 1600.0]), np.array([0.9, 0.1])
    hit, missed = n * p
    recall = hit / (hit + missed)

    def variance(labels: np.ndarray) -> float:
        slopes = n * np.array([1 - recall, -recall]) / (hit + missed)
        return float((slopes**2 * p * (1 - p) / labels).sum())

    chosen = neyman_importance(n[None], p[None], SIDES, np.array([[False, True]]))[0]
    best = min(variance(100 * np.array([s, 1 - s])) for s in np.linspace(0.01, 0.99, 981))
    assert variance(100 * chosen) <= best * (1 + 1e-5)


def test_where_evidence_rises_labels_go_between_half_and_four_times_the_even_share() -> None:
    one = np.ones(5)
    weight = drift_weight([1, 1, 3, 15, 1e9], [False] * 5)
    assert (np.diff(weight[1:]) > 0).all()
    labels = share_budget(100.0, one, one, weight, (0 * one, 999 * one))
    assert labels.sum() == pytest.approx(100)
    assert labels[0] == labels[1] < labels[2] < labels[3] < labels[4]
    assert labels.min() >= 10
    assert labels.max() <= 80


def test_a_proven_drop_asks_for_an_audit_and_not_for_more_labels() -> None:
    assert drift_weight([1e6, 1e6], [True, False]).round(3).tolist() == [1.0, 7.071]


def test_strategies_that_share_a_review_pay_half_of_it_each() -> None:
    two = np.ones(2)
    alone = share_budget(40.0, two, two, two, (0 * two, 999 * two))
    shared = share_budget(40.0, two / 2, two, two, (0 * two, 999 * two))
    assert alone.tolist() == pytest.approx([20, 20])
    assert shared.tolist() == pytest.approx([40, 40])


def test_a_total_budget_that_leaves_a_strategy_unjudged_is_refused_with_the_least_one() -> None:
    two = np.ones(2)
    with pytest.raises(InputError, match="give at least 12"):
        share_budget(8.0, two, two, two, (6 * two, 99 * two))


@settings(max_examples=300, deadline=None)
@given(st.floats(1e-9, 1.0), st.floats(0, 1e12), st.floats(1e-6, 1e9), st.floats(0, 0.99))
def test_an_inclusion_probability_is_above_0_and_at_most_1_and_grows_with_reach(
    rate: float, reach: float, scale: float, share: float
) -> None:
    small, large = inclusion_probability(rate, [reach, reach * 1.5 + 1], scale, share)
    assert 0 < rate * (1 - share) * (1 - 1e-12) <= small <= large <= 1


def test_without_reach_a_unit_still_has_its_even_part() -> None:
    assert inclusion_probability(0.5, [np.nan, -3.0, 0.0], 10.0).tolist() == [0.35] * 3
    assert inclusion_probability(0.5, [0.0, 9e9], np.nan).tolist() == [0.5, 0.5]


def test_a_plan_by_reach_draws_as_many_as_its_rate_says_but_for_those_taken_for_certain() -> None:
    reach = np.random.default_rng(1).lognormal(3, 1.5, 100_000)
    drawn = inclusion_probability(0.3, reach, reach.mean())
    assert (drawn == 1).any()
    assert 0.95 * 0.3 < drawn.mean() < 0.3
    assert inclusion_probability(0.01, reach, reach.mean()).mean() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("rate", "scale", "share"), [(0.0, 1.0, 0.3), (1.1, 1.0, 0.3), (0.5, 0.0, 0.3), (0.5, 1.0, 1.0)]
)
def test_a_probability_that_none_can_be_is_refused(rate: float, scale: float, share: float) -> None:
    with pytest.raises(InputError):
        inclusion_probability(rate, 1.0, scale, share)


@pytest.mark.parametrize(("labels", "days"), [(20.0, 12.7), (50.0, 7.1)])
def test_a_ten_point_drop_takes_the_days_that_were_measured(labels: float, days: float) -> None:
    one = np.ones((1, 1))
    growth = daily_growth(
        500 * one, labels * one, 0.9 * one, np.array([True]),
        target=np.array([0.9]), metric="precision", drops=[0.1],
    )  # fmt: skip
    assert float(days_to_detect(growth, 3.3)[0, 0]) == pytest.approx(days, abs=0.1)


def test_an_uneven_draw_detects_later_and_a_larger_drop_sooner() -> None:
    n, labels, p = (np.array([v]) for v in ([100.0, 900.0], [20.0, 30.0], [0.9, 0.02]))
    even, uneven = (
        daily_growth(
            n, labels, p, SIDES, target=np.array([0.8]), metric="recall", drops=[0.1, 0.2, 0.3],
            least=least,
        )[0]
        for least in (1.0, 0.02)
    )  # fmt: skip
    assert 0 < even[0] < even[1] < even[2]
    assert (uneven[1:] < even[1:]).all()


def test_labels_that_say_nothing_of_a_metric_detect_nothing() -> None:
    n, labels, p = (np.array([v]) for v in ([100.0, 900.0], [0.0, 30.0], [0.9, 0.02]))
    growth = daily_growth(
        n, labels, p, SIDES, target=np.array([0.8]), metric="precision", drops=[0.1]
    )
    assert days_to_detect(growth, 0.0).tolist() == [[np.inf]]
