"""Intervals and estimates against published values, other packages, and direct counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from governance_pipeline.domain import accuracy as acc
from governance_pipeline.domain.accuracy import estimate
from governance_pipeline.domain.intervals import Floats, jeffreys_limits, mover_ratio, mover_sum
from governance_pipeline.domain.tallies import (
    Tallies,
    Weights,
    check_probabilities,
    check_tallies,
    effective_labels,
    merge_unlabelled,
)
from governance_pipeline.errors import InputError

SIDES = np.array([[True, True, False, False]])
POPULATION = np.array([[8000.0, 2000.0, 50000.0, 940000.0]])
LABELLED = np.array([[120.0, 80.0, 150.0, 150.0]])


def row(*values: float) -> Floats:
    return np.array([values], dtype=float)


def weighted(population: Floats, weights: Floats, events: Floats, is_fired: bool = True) -> Tallies:
    """One stratum from single labels."""
    sums = [row(v.sum()) for v in (weights, weights**2, weights * events, weights**2 * events)]
    sides = np.array([[is_fired]])
    return Tallies(population, row(len(events)), row(events.sum()), sides, Weights(*sums))


@pytest.mark.parametrize(
    ("events", "labelled", "low", "high"),
    [
        (0, 10, 0.000048, 0.217196), (1, 10, 0.011012, 0.381315), (7, 10, 0.394182, 0.907305),
        (45, 50, 0.794645, 0.960806), (2, 500, 0.000832, 0.012770), (81, 263, 0.254522, 0.365647),
        (15, 148, 0.060449, 0.157643), (1, 29, 0.003746, 0.150078),
    ],
)  # fmt: skip
def test_jeffreys_limits_are_the_published_ones(
    events: int, labelled: int, low: float, high: float
) -> None:
    found = jeffreys_limits(events, labelled, end_rule=False)
    assert found[0] == pytest.approx(low, abs=1e-5)
    assert found[1] == pytest.approx(high, abs=1e-5)


@given(st.integers(1, 1500), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_jeffreys_limits_agree_with_statsmodels(labelled: int, share: float) -> None:
    events = round(share * labelled)
    ours = jeffreys_limits(events, labelled, end_rule=False)
    theirs = proportion_confint(events, labelled, method="jeffreys")
    assert np.allclose([float(v) for v in ours], theirs, atol=1e-9)


def test_no_event_gives_zero_below_and_only_events_one_above() -> None:
    low, high = jeffreys_limits([0, 9, 0], [9, 9, 0])
    assert low[0] == 0
    assert high[1] == 1
    assert (low[2], high[2]) == (0, 1)


@pytest.mark.parametrize(
    ("events", "labelled", "message"),
    [(3, 2, "exceed labelled, got 3 of 2"), (-1, 2, "negative"), (np.nan, 2, "finite")],
)
def test_impossible_counts_are_refused(events: float, labelled: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        jeffreys_limits(events, labelled)


def test_a_stratified_mean_agrees_with_the_survey_package() -> None:
    population, labelled, events = np.array([[4421, 755, 1018], [100, 50, 50], [91, 26, 35]]) * 1.0
    weights, share = population / population.sum(), events / labelled
    low, high = mover_sum(weights, share, *jeffreys_limits(events, labelled))
    assert (weights * share).sum() == pytest.approx(0.8279480142, abs=1e-9)
    assert (float(low), float(high)) == pytest.approx((0.7721469354, 0.8682343964), abs=1e-9)


def test_a_ratio_that_is_one_in_the_sample_still_has_a_width() -> None:
    population, labelled, both = np.array([[4421, 755, 1018], [100, 50, 50], [73, 16, 24]]) * 1.0
    none = np.zeros(3)
    bottom = mover_sum(population, both / labelled, *jeffreys_limits(both, labelled))
    top = mover_sum(population, none, *jeffreys_limits(none, labelled))
    low, high = mover_ratio(np.array(0.0), top, (population * both / labelled).sum(), bottom)
    assert 1 / (1 + high) < 0.99
    assert low == 0


def test_a_difference_agrees_with_newcombes_method_10() -> None:
    limits = [proportion_confint(k, n, method="wilson") for k, n in ((56, 70), (48, 80))]
    low, high = mover_sum(
        [1, -1], [56 / 70, 48 / 80], [limit[0] for limit in limits], [limit[1] for limit in limits]
    )
    assert (float(low), float(high)) == pytest.approx((0.0524314724, 0.3338726540), abs=1e-9)


EXPECTED: dict[tuple[float, ...], dict[str, tuple[float, ...]]] = {
    (114, 52, 9, 0): {
        "precision": (0.89, 0.844407, 0.920252), "recall": (0.747899, 0.321446, 0.855432),
        "fpr": (0.001113, 0.000807, 0.001575), "prevalence": (0.0119, 0.010337, 0.027661),
    },
    (120, 80, 0, 0): {"precision": (1, 0.982351, 1), "recall": (1, 0.390486, 1)},
}  # fmt: skip


@pytest.mark.parametrize("events", list(EXPECTED))
def test_estimates_of_the_worked_example(events: tuple[float, ...]) -> None:
    found = estimate(Tallies(POPULATION, LABELLED, row(*events), SIDES))
    for metric, expected in EXPECTED[events].items():
        values = [float(v[0]) for v in (found[metric].value, found[metric].low, found[metric].high)]
        assert values == pytest.approx(expected, abs=1e-5), metric


STRATUM = st.tuples(st.integers(0, 40), st.floats(0, 1))


@given(st.lists(STRATUM, min_size=2, max_size=8))
@settings(max_examples=150, deadline=None)
def test_a_census_gives_the_direct_count(strata: list[tuple[int, float]]) -> None:
    population = row(*(size for size, _ in strata))
    events = row(*(round(size * share) for size, share in strata))
    sides = np.array([[number % 2 == 0 for number in range(len(strata))]])
    ones = Weights(population, population, events, events)
    tp, fired = (float((v * sides).sum()) for v in (events, population))
    for weights in (None, ones):
        found = estimate(Tallies(population, population, events, sides, weights))
        if fired:
            assert found["precision"].value[0] == pytest.approx(tp / fired, abs=1e-12)
        else:
            assert found["precision"].null_reason[0] == acc.NOTHING_FIRED
        if fired and fired < population.sum() and events.sum():
            assert found["recall"].value[0] == pytest.approx(tp / events.sum(), abs=1e-12)
            f1 = 2 * tp / (fired + events.sum())
            assert found["f1"].value[0] == pytest.approx(f1, abs=1e-12)
        for result in found.values():
            assert result.high[0] > result.low[0]
            if not np.isnan(result.value[0]):
                assert result.low[0] - 1e-12 <= result.value[0] <= result.high[0] + 1e-12


@pytest.mark.parametrize(
    ("population", "labelled", "metric", "reason"),
    [
        ((0, 0, 9, 9), (0, 0, 3, 3), "precision", acc.NOTHING_FIRED),
        ((9, 9, 9, 9), (0, 0, 3, 3), "precision", acc.FIRED_UNLABELLED),
        ((9, 9, 0, 0), (3, 3, 0, 0), "recall", acc.UNFIRED_UNKNOWN),
        ((9, 9, 9, 9), (3, 3, 0, 0), "recall", acc.UNFIRED_UNLABELLED),
        ((9, 9, 9, 9), (3, 3, 3, 3), "recall", acc.NO_POSITIVES),
    ],
)
def test_what_cannot_be_known_is_null_with_a_reason(
    population: tuple[float, ...], labelled: tuple[float, ...], metric: str, reason: str
) -> None:
    found = estimate(Tallies(row(*population), row(*labelled), row(0, 0, 0, 0), SIDES))[metric]
    assert np.isnan(found.value[0])
    assert (found.low[0], found.high[0], found.null_reason[0]) == (0, 1, reason)


def test_a_stratum_without_labels_joins_the_nearest_of_its_side() -> None:
    merged = merge_unlabelled(Tallies(row(5, 6, 7, 8), row(0, 2, 0, 4), row(0, 1, 0, 1), SIDES))
    assert merged.population.tolist() == [[0, 11, 0, 15]]


def test_rows_do_not_touch_each_other() -> None:
    events = np.array([[114.0, 52, 9, 0], [120, 80, 0, 0], [0, 0, 0, 0]])
    many = estimate(
        Tallies(
            np.repeat(POPULATION, 3, 0), np.repeat(LABELLED, 3, 0), events, np.repeat(SIDES, 3, 0)
        )
    )
    for number, one in enumerate(events):
        alone = estimate(Tallies(POPULATION, LABELLED, one[None], SIDES))
        for metric in acc.METRICS:
            np.testing.assert_array_equal(many[metric].low[number], alone[metric].low[0])


def test_equal_weights_leave_every_label_its_worth() -> None:
    weights = np.full(40, 12.5)
    events = (np.arange(40) < 30).astype(float)
    tallies = weighted(row(500), weights, events)
    plain = Tallies(row(500), row(40), row(30), np.array([[True]]))
    for field in ("value", "low", "high"):
        ours, theirs = (getattr(estimate(t)["precision"], field) for t in (tallies, plain))
        assert ours == pytest.approx(theirs, abs=1e-12)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=60), st.randoms())
@settings(max_examples=80, deadline=None)
def test_uneven_weights_never_make_labels_worth_more(probabilities: list[float], random) -> None:  # type: ignore[no-untyped-def]
    weights = 1 / np.array(probabilities)
    events = np.array([random.random() < 0.5 for _ in probabilities], dtype=np.float64)
    tallies = weighted(row(1e6), weights, events)
    assert tallies.weights is not None
    share, n_star = effective_labels(tallies.labelled, tallies.weights)
    assert 0 <= n_star[0, 0] <= len(probabilities)
    assert share[0, 0] == pytest.approx((weights * events).sum() / weights.sum())
    found = estimate(tallies)["precision"]
    assert found.low[0] < found.high[0]


def test_heavy_tailed_weights_give_null_and_not_a_narrow_interval() -> None:
    rng = np.random.default_rng(1)
    tallies = weighted(row(1e6), rng.lognormal(0, 1.5, 400), (rng.random(400) < 0.9).astype(float))
    found = estimate(tallies, needs_even_weights=True)["precision"]
    assert found.null_reason[0] == acc.TOO_UNEVEN
    assert estimate(tallies)["precision"].null_reason[0] is None


def test_too_few_labels_give_null_where_weights_must_be_even() -> None:
    tallies = weighted(row(1e6), np.full(49, 2.0), np.ones(49))
    assert estimate(tallies, needs_even_weights=True)["precision"].null_reason[0] == acc.TOO_UNEVEN


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((row(5), row(6), row(1)), "labelled exceeds population in row 0, stratum 0: 6 > 5"),
        ((row(5), row(4), row(5)), "events exceeds labelled"),
        ((row(-5), row(0), row(0)), "population must be finite and not negative"),
        ((row(5), row(np.nan), row(0)), "labelled must be finite"),
    ],
)
def test_impossible_tallies_are_refused_by_name(
    counts: tuple[Floats, Floats, Floats], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_tallies(Tallies(*counts, np.array([[True]])))


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.5, np.nan])
def test_impossible_probabilities_are_refused(probability: float) -> None:
    with pytest.raises(InputError, match="inclusion_probability"):
        check_probabilities(np.array([0.5, probability]))


@pytest.mark.parametrize("prevalence", [0.05, 0.5])
def test_intervals_cover(prevalence: float) -> None:
    rng = np.random.default_rng(7)
    population = np.tile([1000.0, 9000.0], (4000, 1))
    labelled = np.tile([100.0, 200.0], (4000, 1))
    truth = np.array([0.8, prevalence])
    events = rng.binomial(labelled.astype(int), truth).astype(float)
    found = estimate(Tallies(population, labelled, events, np.tile([True, False], (4000, 1))))
    positives = population[0] * truth
    for metric, value in (("precision", 0.8), ("recall", positives[0] / positives.sum())):
        covers = (found[metric].low <= value) & (value <= found[metric].high)
        assert 0.925 <= covers.mean() <= 0.975, metric
