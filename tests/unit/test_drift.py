"""Bets and their accumulation: worked examples, exact means under the null, and restarts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.domain.bets import (
    best_bound_shares,
    error_factors,
    event_rates,
    poisson_log_bet,
    scale_to_null,
    stratified_log_bet,
    unit_weights,
)
from governance_pipeline.domain.drift import (
    STARTS_A_YEAR,
    accumulate,
    start_products,
    weekly_starts,
)
from governance_pipeline.errors import InputError

WEIGHTS, RATES = [0.8, 0.2], [0.05, 0.30]


def mean_of_bet(
    labels: list[int], truth: list[float], weights: list[float], rates: list[float], lam: float
) -> float:
    """Return E[E] by summing over every possible number of events in every stratum."""
    total = 0.0
    for events in itertools.product(*(range(n + 1) for n in labels)):
        chance = math.prod(
            math.comb(n, k) * p**k * (1 - p) ** (n - k)
            for n, k, p in zip(labels, events, truth, strict=True)
        )
        if chance > 0:
            total += chance * math.exp(stratified_log_bet(labels, events, weights, rates, lam))
    return total


def test_the_stratified_bet_of_the_worked_examples() -> None:
    assert stratified_log_bet([50], [10], [1.0], [0.1], 2.0) == pytest.approx(1.3704521192)
    found = stratified_log_bet([30, 20], [3, 8], WEIGHTS, RATES, 1.0)
    assert found == pytest.approx(1.0427330260, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "lam", "first", "mean"),
    [
        ([12, 8], 0.5, 0.0, 0.983638), ([12, 8], 0.5, 0.05, 1.0), ([12, 8], 0.5, 0.1, 0.983273),
        ([12, 8], 0.5, 0.125, 0.962510), ([12, 8], 2.0, 0.0, 0.772103), ([12, 8], 2.0, 0.05, 1.0),
        ([12, 8], 2.0, 0.1, 0.753376), ([12, 8], 2.0, 0.125, 0.513995),
        ([12, 0], 2.0, 0.0, 0.068719), ([12, 0], 2.0, 0.05, 0.215671), ([12, 0], 2.0, 0.125, 1.0),
    ],
)  # fmt: skip
def test_the_mean_of_the_stratified_bet_under_the_null(
    labels: list[int], lam: float, first: float, mean: float
) -> None:
    truth = [first, (0.1 - 0.8 * first) / 0.2]
    assert mean_of_bet(labels, truth, WEIGHTS, RATES, lam) == pytest.approx(mean, abs=1e-5)


@st.composite
def boundary_nulls(draw: st.DrawFn, units: int) -> tuple[np.ndarray, ...]:
    """Draw weights, predicted rates and true rates with sum a y = c, both of them in (0, 1)."""
    share = st.floats(0.01, 1)
    weights = np.array(draw(st.lists(share, min_size=units, max_size=units)))
    weights /= weights.sum()
    rates = np.array(draw(st.lists(st.floats(0.01, 0.6), min_size=units, max_size=units)))
    null_mass = (weights * rates).sum()
    shape = np.array(draw(st.lists(st.floats(0, 1), min_size=units, max_size=units))) + 1e-6
    truth = np.minimum(shape * null_mass / (weights * shape).sum(), 1.0)
    return weights, rates, truth


@given(
    boundary_nulls(3), st.lists(st.integers(0, 5), min_size=3, max_size=3), st.floats(0.01, 0.96)
)
@settings(max_examples=80, deadline=None)
def test_the_stratified_bet_never_wins_under_the_null(
    null: tuple[np.ndarray, ...],
    labels: list[int],
    share: float,
) -> None:
    weights, rates, truth = (list(v) for v in null)
    used = [h for h in range(3) if labels[h]]
    if not used:
        labels, used = [1, 0, 0], [0]
    mass = sum(a * e for a, e in zip(weights, rates, strict=True))
    scale = mass / sum(weights[h] * rates[h] for h in used)
    n = sum(labels)
    worst = max(weights[h] * n / labels[h] * rates[h] * scale for h in used)
    assert mean_of_bet(labels, truth, weights, rates, share / worst) <= 1 + 1e-9


@given(
    boundary_nulls(6),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.floats(0.01, 0.96),
)
@settings(max_examples=300, deadline=None)
def test_the_poisson_bet_never_wins_under_the_null(
    null: tuple[np.ndarray, ...],
    probabilities: list[float],
    share: float,
) -> None:
    """Units are drawn independently, so the mean of the product is the product of the means."""
    weights, rates, truth = null
    pi = np.where(np.array(probabilities) < 0.15, 0.0, np.array(probabilities))
    if not pi.any():
        pi[0] = 0.5
    drawable = pi > 0
    eps = scale_to_null(rates, weights * drawable, np.array((weights * rates).sum()))
    stakes = np.where(drawable, pi.sum() * weights / np.where(drawable, pi, 1), 0.0)
    lam = share / (stakes * eps).max()
    won, lost = (
        np.exp(poisson_log_bet(lam, stakes, eps, np.full(6, event))) for event in (True, False)
    )
    mean = np.prod(1 + pi * (truth * won + (1 - truth) * lost - 1))
    assert mean <= 1 + 1e-9


def test_a_cell_that_cannot_be_drawn_hands_its_mass_to_the_others() -> None:
    eps = scale_to_null(np.array([0.1, 0.1]), np.array([0.5, 0.0]), np.array(0.1))
    assert eps[0] == pytest.approx(0.2)


def test_a_stake_that_can_lose_everything_is_refused() -> None:
    with pytest.raises(InputError, match="lam must"):
        poisson_log_bet(10.0, 1.0, 0.1, np.array([False]))
    with pytest.raises(InputError, match="lam must"):
        stratified_log_bet([5], [0], [1.0], [0.5], 2.0)


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_the_linear_null_is_the_metric_at_its_target(metric: str) -> None:
    tp, fp, m = 60.0, 40.0, 0.6
    fn = 0.0 if metric == "precision" else tp * (1 - m) / m
    fired, unfired = unit_weights(tp + fp, m, metric)
    assert fired * fp + unfired * fn == pytest.approx(1 - m)


def test_another_metric_is_refused() -> None:
    with pytest.raises(InputError, match="metric must be precision or recall"):
        unit_weights(10, 0.5, "f1")


def test_reference_rates_and_alternatives() -> None:
    assert event_rates(2, 10) == pytest.approx(2.3 / 10.6)
    assert error_factors(0.8, "recall")[1] == pytest.approx((1 / 0.74 - 1) / (1 / 0.8 - 1))


def test_the_stake_is_the_best_of_the_grid() -> None:
    one = np.ones((1, 1))
    share = best_bound_shares(50 * one, 0.1 * one, one, np.array([10.0]), np.full((1, 1, 1), 2.2))
    # With one cell the best lam is (q - eps) / (eps (1 - eps)), here 1.333 of a bound of 10.
    assert share[0, 0] == pytest.approx(0.1333, abs=0.011)


def test_the_evidence_has_mean_one_under_the_null() -> None:
    """Every path of a fair game of four days, so the mean is exact."""
    outcomes = np.array(list(itertools.product([0.4, 1.6], repeat=4))).T
    bets = np.log(outcomes)[:, :, None]
    never = np.zeros(outcomes.shape, dtype=bool)
    is_start = weekly_starts(np.zeros(16, dtype=np.int64), never)
    found = accumulate(bets, is_start, never)
    assert found.e_value.mean(axis=1) == pytest.approx(np.ones(4))


def test_a_restart_forgets_the_past_and_uses_up_a_start() -> None:
    restarts = np.zeros((4, 1), dtype=bool)
    restarts[2] = True
    bets = np.log(np.array([5.0, 5.0, 1.0, 3.0])).reshape(4, 1, 1)
    is_start = weekly_starts(np.array([0]), restarts)
    assert is_start[:, 0].tolist() == [True, False, True, False]
    found = accumulate(bets, is_start, restarts)
    assert found.e_value[3, 0] == pytest.approx((3 + STARTS_A_YEAR - 2) / STARTS_A_YEAR)
    assert found.most_likely_start[:, 0].tolist() == [0, 0, 2, 2]


def test_a_year_never_has_more_than_its_starts() -> None:
    never = np.zeros((500, 1), dtype=bool)
    assert weekly_starts(np.array([0]), never).sum() == STARTS_A_YEAR


def test_since_is_the_start_with_the_largest_product() -> None:
    rng = np.random.default_rng(3)
    bets = np.where(np.arange(40) < 20, -0.1, 0.3)[:, None, None] + rng.normal(0, 0.05, (40, 1, 1))
    never = np.zeros((40, 1), dtype=bool)
    is_start = weekly_starts(np.array([0]), never)
    found = accumulate(bets, is_start, never)
    products = start_products(bets, is_start, never)
    assert found.most_likely_start[-1, 0] == products[:, 0].argmax() == 21
    total = np.exp(products[np.isfinite(products)]).sum()
    assert found.e_value[-1, 0] == pytest.approx((total + STARTS_A_YEAR - 6) / STARTS_A_YEAR)


def test_the_statistic_stays_finite() -> None:
    never = np.zeros((30, 1), dtype=bool)
    found = accumulate(np.full((30, 1, 1), 1e6), weekly_starts(np.array([0]), never), never)
    assert np.isfinite(found.e_value).all()


def test_a_bet_that_is_not_a_number_is_refused() -> None:
    never = np.zeros((1, 1), dtype=bool)
    with pytest.raises(InputError, match="log_bets"):
        accumulate(np.full((1, 1, 1), np.nan), never, never)
