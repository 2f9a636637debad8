"""How good the reviewers are: against golden questions, against each other, against the truth.

Golden questions and decisions in common carry all of it: a decision that one reviewer answered
alone says nothing of whether the answer was right.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from scipy.special import ndtri

from governance_pipeline.domain.agreement import Alpha, krippendorff_alpha
from governance_pipeline.domain.crowd import UNKNOWN, dawid_skene
from governance_pipeline.domain.intervals import (
    CONFIDENCE,
    Booleans,
    Floats,
    Integers,
    Texts,
    jeffreys_limits,
    newcombe_limits,
)
from governance_pipeline.domain.label_noise import (
    Noise,
    binary_noise,
    pool_covariance,
    rogan_gladen,
)
from governance_pipeline.domain.reviews import (
    FIRING,
    POOL,
    Golden,
    Shared,
    check_verdicts,
    golden_answers,
    golden_truth,
    shared_decisions,
    tally,
)

WINDOW_DAYS = 28
# A reviewer's alpha over fewer decisions has limits wider than any use of it.
MIN_SHARED = 30
# A sensitivity of 0.9 out of so few has a half-width of 0.15 already.
MIN_OF_A_CLASS = 15
# Of the pool's sensitivity and specificity: more, and the model does not tell them from the truth.
MAX_DEVIATION = 0.05
SEED = 28

NO_GOLDEN = "no golden question was answered"
NO_GOLDEN_BEFORE = "no golden question was answered in one of the two windows"
FEW_SHARED = f"under {MIN_SHARED} of the decisions have a second reviewer"
ONE_VERDICT = "all decisions in common got one verdict"
UNTOLD = "too few golden questions and third reviews to tell mistakes from the truth"
UNSETTLED = "the estimates did not settle"
FEW_POSITIVE = f"under {MIN_OF_A_CLASS} of the answers are on what should fire"
NO_AUDITS = "no random audit was answered"
BY_CHANCE = "its answers are no better than chance"
FEW_NEGATIVE = f"under {MIN_OF_A_CLASS} of the answers are on what should not fire"


def reviewer_quality(*, as_of: dt.date, reviews: pd.DataFrame) -> pd.DataFrame:
    """Return one row per reviewer of the last 28 days, and `all` for the reviewers together.

    Args:
        as_of: Last day of the window.
        reviews: `int_reviews`: one row per label with reviewer_hash, source, labelled_at,
            labelled_date, verdict, golden_verdict, channel, label_id and decision_id.

    Raises:
        InputError: If a verdict is out of the vocabulary.
    """
    end, length = pd.Timestamp(as_of), pd.Timedelta(days=WINDOW_DAYS)
    day = pd.to_datetime(reviews["labelled_date"])
    told = reviews[(day > end - 2 * length) & (day <= end)].assign(day=day)
    check_verdicts(told)
    # Sums of fractions depend on the order of their terms, and a query gives its rows in any.
    told = told.sort_values(["labelled_at", "channel", "label_id"])
    is_recent = told["day"] > end - length
    recent, before = told[is_recent], told[~is_recent]
    hashes = pd.Index([*sorted(recent["reviewer_hash"].dropna().unique()), POOL])
    shared = shared_decisions(recent, hashes)
    noise, columns_of_noise = _noise(shared, golden_truth(recent, hashes), hashes)
    columns = {
        "reviewer_hash": hashes.to_numpy(dtype=object),
        "window_end": np.full(len(hashes), end, dtype="datetime64[s]"),
        "labels": tally(recent, hashes),
        "unsure_labels": tally(recent[recent["verdict"] == "unsure"], hashes),
        **_golden(recent, before, hashes),
        **_agreement(shared, hashes),
        **columns_of_noise,
        **_corrected(recent, hashes, noise, columns_of_noise),
    }
    table = pd.DataFrame(columns)
    # A reason that never occurs keeps its type on the way to a file.
    types = {name: "string" for name in table if str(name).endswith("_null_reason")}
    return table.astype({**types, "reviewer_hash": "string"})


def _golden(
    recent: pd.DataFrame, before: pd.DataFrame, hashes: pd.Index
) -> dict[str, Floats | Integers | Texts]:
    n, k = golden_answers(recent, hashes)
    n_before, k_before = golden_answers(before, hashes)
    low, high = jeffreys_limits(k, n)
    change_low, change_high = newcombe_limits(k, n, k_before, n_before)
    is_known = n > 0
    is_compared = is_known & (n_before > 0)
    share, share_before = k / np.maximum(n, 1), k_before / np.maximum(n_before, 1)
    return {
        "golden_labels": n,
        "golden_accuracy": np.where(is_known, share, np.nan),
        "golden_accuracy_lo": low,
        "golden_accuracy_hi": high,
        "golden_accuracy_null_reason": _reasons((~is_known, NO_GOLDEN)),
        "golden_change": np.where(is_compared, share - share_before, np.nan),
        "golden_change_lo": change_low,
        "golden_change_hi": change_high,
        "golden_change_null_reason": _reasons((~is_compared, NO_GOLDEN_BEFORE)),
    }


def _agreement(shared: Shared, hashes: pd.Index) -> dict[str, Floats | Integers | Texts]:
    """Return alpha over all decisions in common, and over each reviewer's alone."""
    by_rater = np.split(
        shared.unit[np.argsort(shared.rater, kind="stable")],
        np.cumsum(np.bincount(shared.rater, minlength=len(hashes)))[:-1],
    )
    # Its own generator each: one reviewer more must not move the limits of the others.
    chosen = [shared.counts[mine] for mine in by_rater[:-1]] + [shared.counts]
    found = [krippendorff_alpha(counts, np.random.default_rng(SEED)) for counts in chosen]
    units = np.array([alpha.units for alpha in found], dtype=np.int64)
    is_few = units < MIN_SHARED
    values = {end: _of(found, end) for end in ("value", "low", "high")}
    is_null = is_few | np.isnan(values["value"])
    return {
        "shared_decisions": units,
        "alpha": np.where(is_null, np.nan, values["value"]),
        "alpha_lo": np.where(is_null, -1.0, values["low"]),
        "alpha_hi": np.where(is_null, 1.0, values["high"]),
        "alpha_null_reason": _reasons((is_few, FEW_SHARED), (is_null, ONE_VERDICT)),
    }


def _of(found: list[Alpha], end: str) -> Floats:
    return np.array([getattr(alpha, end) for alpha in found], dtype=float)


def _noise(
    shared: Shared, golden: Golden, hashes: pd.Index
) -> tuple[Noise, dict[str, Floats | Texts]]:
    """Return sensitivity and specificity, each null where its class was met too rarely.

    Golden questions are items whose truth is known. What is uncertain of the pool is so of every
    reviewer, because it moves them all; a reviewer's own few answers come on top.
    """
    expected, covariance = np.zeros((len(hashes), 2, 2)), np.full((2, 2), np.inf)
    is_unsettled = False
    if len(shared.unit) + len(golden.rater):
        units = len(shared.counts)
        truth = np.concatenate([np.full(units, UNKNOWN), golden.truth])
        crowd = dawid_skene(
            np.concatenate([shared.unit, units + np.arange(len(golden.rater))]),
            np.concatenate([shared.rater, golden.rater]),
            np.concatenate([shared.label, golden.label]),
            2,
            truth=truth,
        )
        expected[: len(crowd.expected)] = crowd.expected
        expected[-1] = crowd.expected.sum(axis=0)
        is_unsettled = not crowd.converged
        covariance = _pool(expected[-1], crowd.prior[1], shared, golden)
    own = binary_noise(expected)
    is_reviewer = np.arange(len(hashes)) < len(hashes) - 1
    noise = Noise(
        own.sensitivity,
        own.specificity,
        covariance[0, 0] + is_reviewer * np.asarray(own.sensitivity_variance),
        covariance[1, 1] + is_reviewer * np.asarray(own.specificity_variance),
        np.full(len(hashes), covariance[0, 1]),
    )
    is_apart = bool(np.diagonal(covariance).max() > MAX_DEVIATION**2)
    general = [
        (np.full(len(hashes), is_apart), UNTOLD),
        (np.full(len(hashes), is_unsettled), UNSETTLED),
    ]
    met = expected.sum(axis=2)
    columns: dict[str, Floats | Texts] = {}
    for name, value, variance, of_class, few in (
        ("sensitivity", noise.sensitivity, noise.sensitivity_variance, 1, FEW_POSITIVE),
        ("specificity", noise.specificity, noise.specificity_variance, 0, FEW_NEGATIVE),
    ):
        reason = _reasons(*general, (met[:, of_class] < MIN_OF_A_CLASS, few))
        share = np.asarray(value, dtype=float)
        columns |= _limited(name, share, np.asarray(variance, dtype=float), reason)
    return noise, columns


def _pool(expected: Floats, prior: float, shared: Shared, golden: Golden) -> Floats:
    """Return the pool's covariance, taken a little inside where no mistake was seen."""
    met = expected.sum(axis=1)
    near = (np.diagonal(expected) + 0.5) / (met + 1)
    units = len(shared.counts)
    answers = np.bincount(shared.counts.sum(axis=1), minlength=3)
    return pool_covariance(
        Noise(near[1], near[0]),
        (prior * units + 0.5) / (units + 1),
        answers,
        np.bincount(golden.truth, minlength=2).astype(float),
    )


def _corrected(
    recent: pd.DataFrame, hashes: pd.Index, noise: Noise, told: dict[str, Floats | Texts]
) -> dict[str, Floats | Texts]:
    """Return the share of audits answered `should_fire`, and what it is without their mistakes."""
    audits = recent[(recent["source"] == "random_audit") & recent["verdict"].isin(FIRING)]
    n, k = tally(audits, hashes), tally(audits[audits["verdict"] == FIRING[1]], hashes)
    share = k / np.maximum(n, 1)
    youden = np.asarray(told["sensitivity"], dtype=float) + told["specificity"] - 1
    reason = _reasons((n == 0, NO_AUDITS), (youden <= 0, BY_CHANCE))
    for name in ("sensitivity_null_reason", "specificity_null_reason"):
        reason = np.where(_is_given(reason), reason, told[name])
    is_null = _is_given(reason)
    # What is not corrected is handed over as if it had no mistakes, and is null afterwards.
    usable = Noise(
        np.where(is_null, 1.0, noise.sensitivity),
        np.where(is_null, 1.0, noise.specificity),
        np.where(is_null, 0.0, noise.sensitivity_variance),
        np.where(is_null, 0.0, noise.specificity_variance),
        np.where(is_null, 0.0, noise.covariance),
    )
    near = (k + 0.5) / (n + 1)
    true, variance = rogan_gladen(share, near * (1 - near) / (n + 2), usable)
    return {
        "firing_share": np.where(n > 0, share, np.nan),
        **_limited("corrected_share", true, variance, reason),
    }


def _limited(
    name: str, share: Floats, variance: Floats, reason: Texts
) -> dict[str, Floats | Texts]:
    """Return a share, its normal 95% limits within (0, 1) and its reason, null where that is."""
    is_null = _is_given(reason)
    reach = -float(ndtri((1 - CONFIDENCE) / 2)) * np.sqrt(variance)
    return {
        name: np.where(is_null, np.nan, share),
        f"{name}_lo": np.where(is_null, 0.0, np.maximum(share - reach, 0.0)),
        f"{name}_hi": np.where(is_null, 1.0, np.minimum(share + reach, 1.0)),
        f"{name}_null_reason": reason,
    }


def _reasons(*tests: tuple[Booleans, str]) -> Texts:
    """Return the first reason that holds in each row, None where none does."""
    found = np.full(len(tests[0][0]), None, dtype=object)
    for is_null, text in reversed(tests):
        found[is_null] = text
    return found


def _is_given(reason: Texts) -> Booleans:
    return np.array([text is not None for text in reason], dtype=bool)
