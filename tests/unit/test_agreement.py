"""Agreement and label noise against published values, direct counts and a crowd with gold."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.domain.agreement import (
    DISPUTED,
    krippendorff_alpha,
    majority_vote,
    rating_counts,
)
from governance_pipeline.domain.crowd import UNKNOWN, Crowd, dawid_skene
from governance_pipeline.domain.intervals import Integers, newcombe_limits, wilson_limits
from governance_pipeline.domain.label_noise import (
    Noise,
    binary_noise,
    pool_covariance,
    rogan_gladen,
)
from governance_pipeline.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("GOVERNANCE_DATA", ROOT.parent / "shared" / "data"))

# Krippendorff (2011), section C: four observers, twelve units, five labels, "." is missing.
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")

Ratings = list[tuple[int, int, int]]


def alpha_of(counts: Integers, seed: int = 0) -> float:
    return krippendorff_alpha(counts, np.random.default_rng(seed), 100).value


def alpha_by_pairs(ratings: Ratings) -> float:
    """Alpha from every ordered pair of ratings, as its definition says."""
    labels: dict[int, list[int]] = {}
    for unit, _, label in ratings:
        labels.setdefault(unit, []).append(label)
    shared = [given for given in labels.values() if len(given) > 1]
    every = [label for given in shared for label in given]
    observed = sum(
        sum(a != b for a, b in permutations(given, 2)) / (len(given) - 1) for given in shared
    ) / len(every)
    pairs = len(every) * (len(every) - 1)
    return 1 - observed / (sum(a != b for a, b in permutations(every, 2)) / pairs)


@st.composite
def ratings(draw: st.DrawFn) -> Ratings:
    """Sparse ratings by up to 5 raters of up to 8 units, with three labels."""
    cells = draw(
        st.dictionaries(
            st.tuples(st.integers(0, 7), st.integers(0, 4)), st.integers(0, 2), min_size=8
        )
    )
    return [(unit, rater, label) for (unit, rater), label in cells.items()]


def counted(given: Ratings) -> Integers:
    unit, _, label = zip(*given, strict=True)
    return rating_counts(unit, label, 8, 3)


def test_alpha_of_krippendorffs_own_example() -> None:
    given = [
        (unit, rater, int(mark) - 1)
        for rater, marks in enumerate(OBSERVERS)
        for unit, mark in enumerate(marks)
        if mark != "."
    ]
    unit, _, label = zip(*given, strict=True)
    found = krippendorff_alpha(rating_counts(unit, label, 12, 5), np.random.default_rng(1))
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.units == 11, "the unit with a single rating says nothing"
    assert found.low < found.value < found.high <= 1


@given(ratings())
@settings(deadline=None)
def test_alpha_is_what_every_pair_of_ratings_says(given: Ratings) -> None:
    counts = counted(given)
    shared = counts[counts.sum(axis=1) > 1]
    if (shared.sum(axis=0) > 0).sum() < 2:
        assert np.isnan(alpha_of(counts)), "one label only: agreement beyond chance is undefined"
    else:
        assert alpha_of(counts) == pytest.approx(alpha_by_pairs(given), abs=1e-12)


@given(ratings(), st.permutations(range(8)), st.permutations(range(5)), st.permutations(range(3)))
@settings(deadline=None)
def test_alpha_does_not_know_the_names_of_units_raters_and_labels(
    given: Ratings, units: list[int], raters: list[int], labels: list[int]
) -> None:
    renamed = [(units[u], raters[r], labels[v]) for u, r, v in given]
    found = alpha_of(counted(given)), alpha_of(counted(renamed))
    assert found[0] == pytest.approx(found[1], nan_ok=True, abs=1e-12)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=60), st.integers(2, 4))
@settings(deadline=None)
def test_alpha_of_perfect_agreement_is_one_and_its_limits_are_not(
    labels: list[int], raters: int
) -> None:
    labels = [0, 1, *labels]
    counts = rating_counts(
        np.repeat(np.arange(len(labels)), raters), np.repeat(labels, raters), len(labels), 3
    )
    found = krippendorff_alpha(counts, np.random.default_rng(0))
    assert found.value == pytest.approx(1, abs=1e-12)
    assert found.high == found.value
    assert found.low < 1, "so many units without a disagreement do not exclude one"


def test_the_bootstrap_covers_alpha_and_repeats_itself() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random((400, 200)) < 0.3
    answers = [truth ^ (rng.random(truth.shape) < 0.1) for _ in range(2)]
    yes = answers[0].astype(int) + answers[1]
    everything = np.stack([2 - yes.ravel(), yes.ravel()], axis=1)
    long_run = alpha_of(everything)
    covered = 0
    for row in yes:
        counts = np.stack([2 - row, row], axis=1)
        found = krippendorff_alpha(counts, np.random.default_rng(1), 500)
        covered += found.low <= long_run <= found.high
    assert 0.91 <= covered / len(yes) <= 0.98
    again = [krippendorff_alpha(counts, np.random.default_rng(1), 500) for _ in range(2)]
    assert again[0] == again[1]


def test_a_tie_is_disputed_whatever_its_size() -> None:
    counts = np.array([[3, 1, 0], [1, 1, 0], [2, 2, 1], [0, 0, 1], [0, 0, 0]])
    assert majority_vote(counts).tolist() == [0, DISPUTED, DISPUTED, 2, DISPUTED]


def test_a_change_of_golden_accuracy_has_newcombes_limits() -> None:
    low, high = newcombe_limits(56, 70, 48, 80)
    assert (float(low), float(high)) == pytest.approx((0.0524314724, 0.3338726540), abs=1e-9)
    backwards = [float(limit) for limit in newcombe_limits(48, 80, 56, 70)]
    assert backwards == pytest.approx([-0.3338726540, -0.0524314724], abs=1e-9)
    unknown = [float(limit) for limit in newcombe_limits(0, 0, 48, 80)]
    assert unknown == [-1, 1]
    assert [float(limit) for limit in wilson_limits(0, 0)] == [0, 1]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Integers, Integers, Integers, int]:
    """Random labels of up to 12 items by up to 5 raters in two or three classes."""
    classes = draw(st.integers(2, 3))
    items = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    present = rng.random((items, 5)) < 0.6
    present[:, 0] = True
    item, rater = np.nonzero(present)
    return item, rater, rng.integers(0, classes, len(item)), classes


@given(crowds(), st.floats(0, 1))
@settings(deadline=None)
def test_the_likelihood_of_the_crowd_never_falls(
    crowd: tuple[Integers, Integers, Integers, int], told: float
) -> None:
    items = int(crowd[0].max()) + 1
    rng = np.random.default_rng(items)
    truth = np.where(rng.random(items) < told, rng.integers(0, crowd[3], items), UNKNOWN)
    found = dawid_skene(*crowd[:3], crowd[3], truth=truth, max_iterations=60)
    known = truth >= 0
    assert (found.posterior[known].argmax(axis=1) == truth[known]).all()
    assert found.posterior[known].max(axis=1) == pytest.approx(1)
    assert (np.diff(found.log_likelihood) >= -1e-9).all()
    assert found.posterior.sum(axis=1) == pytest.approx(1)
    assert found.prior.sum() == pytest.approx(1)
    assert found.confusion().sum(axis=2) == pytest.approx(1)


@given(crowds())
@settings(deadline=None, max_examples=40)
def test_the_likelihood_is_that_of_the_labels(
    crowd: tuple[Integers, Integers, Integers, int],
) -> None:
    item, rater, label, classes = crowd
    # The start, vote shares, has a first step that can be written out with loops.
    found = dawid_skene(item, rater, label, classes, max_iterations=1)
    items = int(item.max()) + 1
    share = rating_counts(item, label, items, classes) / np.bincount(item)[:, None]
    total = 0.0
    for i in range(items):
        by_class = share.mean(axis=0).copy()
        for r, given_label in zip(rater[item == i], label[item == i], strict=True):
            mine = share[item[rater == r]]
            said = mine[label[rater == r] == given_label].sum(axis=0)
            met = mine.sum(axis=0)
            by_class *= np.where(met > 0, said / np.where(met > 0, met, 1), 1 / classes)
        total += np.log(by_class.sum())
    assert found.log_likelihood[0] == pytest.approx(total, abs=1e-8)


def simulated(
    rng: np.random.Generator, *, answers: int, golden: int, items: int = 3000
) -> tuple[Crowd, Integers]:
    """Five reviewers, `answers` of them on each item; returns the crowd and the golden truth."""
    share = np.where(np.arange(items + golden) < items, 0.3, 0.5)
    truth = rng.random(items + golden) < share
    asked = np.argsort(rng.random((items + golden, 5)), axis=1)[:, :answers]
    # A golden question is asked once.
    keep = (np.arange(items + golden)[:, None] < items) | (np.arange(answers) == 0)
    item, rater = np.nonzero(keep)[0], asked[keep]
    is_right = rng.random(len(item)) < np.where(truth[item], SENSITIVITY[rater], SPECIFICITY[rater])
    told = np.where(np.arange(items + golden) < items, UNKNOWN, truth)
    label = (truth[item] == is_right).astype(int)
    return dawid_skene(item, rater, label, 2, truth=told), truth[items:].astype(int)


SENSITIVITY = np.array([0.97, 0.9, 0.8, 0.97, 0.95])
SPECIFICITY = np.array([0.98, 0.85, 0.96, 0.9, 0.99])


@pytest.mark.parametrize(("answers", "golden"), [(2, 1000), (3, 0)])
def test_the_crowd_finds_who_errs_and_how(answers: int, golden: int) -> None:
    crowd, _ = simulated(np.random.default_rng(2), answers=answers, golden=golden, items=6000)
    noise = binary_noise(crowd.expected)
    assert crowd.converged
    assert np.asarray(noise.sensitivity) == pytest.approx(SENSITIVITY, abs=0.04)
    assert np.asarray(noise.specificity) == pytest.approx(SPECIFICITY, abs=0.03)
    assert crowd.prior[1] == pytest.approx(0.3, abs=0.03)


def test_what_is_claimed_of_the_pool_is_how_much_it_varies() -> None:
    rng = np.random.default_rng(6)
    found, claimed = [], []
    for _ in range(40):
        crowd, truth = simulated(rng, answers=2, golden=500)
        pool = binary_noise(crowd.expected.sum(axis=0))
        found.append([float(np.asarray(v)) for v in (pool.sensitivity, pool.specificity)])
        claimed.append(
            pool_covariance(
                pool, crowd.prior[1], np.array([0, 0, 3000]), np.bincount(truth).astype(float)
            )
        )
    assert np.mean(found, axis=0) == pytest.approx(
        [SENSITIVITY.mean(), SPECIFICITY.mean()], abs=8e-3
    )
    deviation = np.sqrt(np.diagonal(np.mean(claimed, axis=0)))
    assert np.std(found, axis=0) == pytest.approx(deviation, rel=0.3)


def test_two_answers_an_item_do_not_tell_mistakes_from_the_truth() -> None:
    noise = Noise(0.9, 0.95)
    none = np.zeros(2)
    assert np.isinf(pool_covariance(noise, 0.3, np.array([0, 0, 10**6]), none)).all()
    third = pool_covariance(noise, 0.3, np.array([0, 0, 0, 5000]), none)
    assert np.sqrt(np.diagonal(third)).max() < 0.02
    alone = pool_covariance(noise, 0.3, np.zeros(3, dtype=int), np.array([10.0, 1000.0]))
    assert np.diagonal(alone) == pytest.approx([0.9 * 0.1 / 1000, 0.95 * 0.05 / 10])
    # One golden question of each kind closes the model, and says next to nothing.
    barely = pool_covariance(noise, 0.3, np.array([0, 0, 5000]), np.ones(2))
    assert np.sqrt(np.diagonal(barely)).max() > 0.1
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        pool_covariance(Noise(1.0, 0.9), 0.3, np.array([0, 0, 5]), none)


def test_a_reviewer_without_a_mistake_is_not_taken_for_certain() -> None:
    noise = binary_noise(np.array([[[90.0, 10.0], [5.0, 45.0]], [[40.0, 0.0], [0.0, 9.0]]]))
    assert noise.sensitivity_variance == pytest.approx(
        [45.5 / 51 * 5.5 / 51 / 52, 9.5 / 10 * 0.5 / 10 / 11]
    )
    assert noise.specificity_variance == pytest.approx(
        [90.5 / 101 * 10.5 / 101 / 102, 40.5 / 41 * 0.5 / 41 / 42]
    )
    assert np.asarray(noise.sensitivity).tolist() == [0.9, 1]


def test_a_run_that_was_cut_short_says_so() -> None:
    crowd = dawid_skene([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 1], 2, max_iterations=1)
    assert not crowd.converged
    assert len(crowd.log_likelihood) == 1


@given(st.floats(0, 1), st.floats(0.55, 1), st.floats(0.55, 1))
def test_rogan_gladen_inverts_the_noise(share: float, se: float, sp: float) -> None:
    observed = share * se + (1 - share) * (1 - sp)
    found, _ = rogan_gladen(observed, 0.0, Noise(se, sp))
    assert float(found) == pytest.approx(share, abs=1e-9)


def test_the_variance_of_a_corrected_share_is_that_of_simulated_audits() -> None:
    rng = np.random.default_rng(4)
    se, sp, share, n, m = 0.9, 0.95, 0.3, 800, 300
    observed = rng.binomial(n, share * se + (1 - share) * (1 - sp), 20_000) / n
    given_se, given_sp = rng.binomial(m, se, 20_000) / m, rng.binomial(m, sp, 20_000) / m
    found, variance = rogan_gladen(
        observed, observed * (1 - observed) / n,
        Noise(given_se, given_sp, given_se * (1 - given_se) / m, given_sp * (1 - given_sp) / m),
    )  # fmt: skip
    assert variance.mean() == pytest.approx(found.var(), rel=0.04)


def test_the_variance_of_a_corrected_share_follows_its_slopes() -> None:
    at, step = np.array([0.3, 0.9, 0.8]), 1e-6
    covariance = np.array([[4e-4, 0, 0], [0, 9e-4, -3e-4], [0, -3e-4, 1e-4]])

    def corrected(p: float, se: float, sp: float) -> float:
        return float(rogan_gladen(p, 0.0, Noise(se, sp))[0])

    slopes = np.array(
        [(corrected(*(at + e)) - corrected(*(at - e))) / (2 * step) for e in np.eye(3) * step]
    )
    _, variance = rogan_gladen(at[0], 4e-4, Noise(at[1], at[2], 9e-4, 1e-4, -3e-4))
    assert float(variance) == pytest.approx(slopes @ covariance @ slopes, rel=1e-6)


def test_a_share_below_its_noise_is_clipped_to_zero() -> None:
    found, variance = rogan_gladen([0.02, 0.999], 1e-4, Noise(0.9, 0.95))
    assert found.tolist() == [0, 1]
    assert (variance > 1e-4).all()


@pytest.mark.parametrize(
    ("observed", "variance", "noise", "message"),
    [
        (0.3, 0.0, Noise(0.4, 0.6), "must together exceed 1, got 1: such labels say nothing"),
        (0.3, 0.0, Noise([0.9, 0.2], [0.9, 0.3]), "exceed 1, got 0.5"),
        (1.2, 0.0, Noise(0.9, 0.9), "observed must be in"),
        (np.nan, 0.0, Noise(0.9, 0.9), "observed must be in"),
        (0.3, 0.0, Noise(np.nan, 0.9), "sensitivity must be in"),
        (0.3, -0.1, Noise(0.9, 0.9), "variances must not be negative"),
        (0.3, 0.0, Noise(0.9, 0.9, 0.1, np.nan), "variances must not be negative"),
    ],
)
def test_labels_that_say_nothing_are_refused(
    observed: float, variance: float, noise: Noise, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rogan_gladen(observed, variance, noise)


@pytest.mark.parametrize(
    ("item", "rater", "label", "message"),
    [
        ([], [], [], "no label was given"),
        ([0, 2], [0, 0], [0, 1], "item 1 has no label"),
        ([0, 1], [0, 0], [0, 2], r"label must be in \[0, 2\), got 2"),
        ([0, -1], [0, 0], [0, 1], "item must be in"),
        ([0, 1], [0.5, 0], [0, 1], "rater must be whole codes"),
        ([0, 1], [0], [0, 1], "differ: 2, 1, 2"),
    ],
)
def test_impossible_ratings_are_refused(
    item: list[int], rater: list[int], label: list[int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        dawid_skene(item, rater, label, 2)


def test_an_impossible_truth_is_refused() -> None:
    with pytest.raises(InputError, match="truth of 1 items was given for 2"):
        dawid_skene([0, 1], [0, 0], [0, 1], 2, truth=[0])
    with pytest.raises(InputError, match="truth must be in"):
        dawid_skene([0, 1], [0, 0], [0, 1], 2, truth=[0, 2])


def test_impossible_counts_of_ratings_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="must not be negative, got -1"):
        krippendorff_alpha(np.array([[2, -1]]), rng)
    with pytest.raises(InputError, match="at least 2 labels"):
        majority_vote(np.array([[2], [1]]))
    with pytest.raises(InputError, match="resamples must be at least 100, got 5"):
        krippendorff_alpha(np.array([[2, 0]]), rng, 5)
    with pytest.raises(InputError, match="2 units were given for 1 labels"):
        rating_counts([0, 1], [0], 2, 2)
    with pytest.raises(InputError, match="classes must be at least 2"):
        rating_counts([0], [0], 1, 1)
    with pytest.raises(InputError, match=r"\(\.\.\., 2, 2\)"):
        binary_noise(np.ones((3, 3)))
    with pytest.raises(InputError, match="finite and not negative"):
        binary_noise(np.array([[1.0, 2.0], [np.nan, 1.0]]))


@pytest.fixture(scope="module")
def crowd() -> pd.DataFrame:
    """Three workers' answers on each pair of products, and whether the two are the same."""
    if not DATA.is_dir():
        pytest.skip("the public files are not here; GOVERNANCE_DATA names their folder")
    with duckdb.connect() as reader:
        return reader.execute(
            "select l.item, l.worker, l.label::int as label, g.gold::int as gold"
            f" from '{DATA}/crowd_cti_labels.parquet' l"
            f" join '{DATA}/crowd_cti_gold.parquet' g using (dataset, item)"
            " where dataset = 'd_jn-product' order by l.item, l.worker"
        ).df()


def test_a_real_crowd_is_right_as_often_as_published(crowd: pd.DataFrame) -> None:
    item, names = pd.factorize(crowd["item"])
    gold = crowd.drop_duplicates("item").set_index("item")["gold"].reindex(names).to_numpy()
    label, worker = crowd["label"].to_numpy(), pd.factorize(crowd["worker"])[0]
    majority = majority_vote(rating_counts(item, label, len(names), 2))
    assert round(float((majority == gold).mean()), 4) == 0.8966
    found = dawid_skene(item, worker, label, 2)
    assert found.converged
    assert round(float((found.posterior.argmax(axis=1) == gold).mean()), 4) == 0.9397
