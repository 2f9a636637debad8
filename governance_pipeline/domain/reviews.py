"""Reviews made ready to be measured: who answered what, and what several answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.agreement import rating_counts
from governance_pipeline.domain.intervals import Integers
from governance_pipeline.errors import InputError

POOL = "all"
FIRING = ("should_not_fire", "should_fire")
POLICY = ("not_violating", "violating")
ANSWERS = (*FIRING, *POLICY)
VERDICTS = (*ANSWERS, "unsure")


@dataclass(frozen=True)
class Shared:
    """Decisions with two reviewers or more, a reviewer's last word on each; codes from 0.

    `counts` is (units, 2); `unit`, `rater` and `label` have one entry per answer, and 1 is
    `should_fire`.
    """

    counts: Integers
    unit: Integers
    rater: Integers
    label: Integers


@dataclass(frozen=True)
class Golden:
    """Golden questions answered by reviewers with a name, one entry per answer."""

    rater: Integers
    label: Integers
    truth: Integers


def check_verdicts(reviews: pd.DataFrame) -> None:
    """Let reviews pass whose verdicts are in the vocabulary.

    Raises:
        InputError: If a verdict is in none of its words, or a golden one neither null nor in them.
    """
    for column, is_known in (
        ("verdict", reviews["verdict"].isin(VERDICTS)),
        ("golden_verdict", reviews["golden_verdict"].isin(VERDICTS)),
    ):
        is_wrong = ~is_known & (reviews[column].notna() | (column == "verdict"))
        if is_wrong.any():
            row = reviews[is_wrong].iloc[0]
            raise InputError(
                f"label {row['label_id']}: {column} must be one of {VERDICTS}, got {row[column]}"
            )


def tally(reviews: pd.DataFrame, hashes: pd.Index) -> Integers:
    """Return how many reviews each reviewer gave, and the last how many there are."""
    each = reviews["reviewer_hash"].value_counts().reindex(hashes).fillna(0)
    each[POOL] = len(reviews)
    return np.asarray(each, dtype=np.int64)


def golden_answers(reviews: pd.DataFrame, hashes: pd.Index) -> tuple[Integers, Integers]:
    """Return how many golden questions each reviewer answered, and how many rightly.

    Who was unsure did not answer; answers in the words of a policy and in those of firing are not
    compared, because the polarity between them is not known here.
    """
    answers = _comparable(reviews)
    right = answers[answers["verdict"] == answers["golden_verdict"]]
    return tally(answers, hashes), tally(right, hashes)


def _comparable(reviews: pd.DataFrame) -> pd.DataFrame:
    return reviews[
        (reviews["source"] == "golden")
        & reviews["verdict"].isin(ANSWERS)
        & reviews["golden_verdict"].isin(ANSWERS)
        & (reviews["verdict"].isin(FIRING) == reviews["golden_verdict"].isin(FIRING))
    ]


def golden_truth(reviews: pd.DataFrame, hashes: pd.Index) -> Golden:
    """Return the answers whose truth is known in the words of firing."""
    answers = _comparable(reviews)
    answers = answers[answers["verdict"].isin(FIRING) & answers["reviewer_hash"].notna()]
    return Golden(
        _codes(answers["reviewer_hash"], hashes),
        _fires(answers["verdict"]),
        _fires(answers["golden_verdict"]),
    )


def _codes(reviewers: pd.Series, hashes: pd.Index) -> Integers:
    return np.asarray(hashes.get_indexer(pd.Index(reviewers)), dtype=np.int64)


def _fires(verdicts: pd.Series) -> Integers:
    return np.asarray(verdicts == FIRING[1], dtype=np.int64)


def shared_decisions(reviews: pd.DataFrame, hashes: pd.Index) -> Shared:
    """Return the audited decisions that two reviewers or more decided on, a voice each.

    Args:
        reviews: `int_reviews` in the order they were given in, verdicts translated by polarity.
        hashes: The reviewers, in the order of their codes.
    """
    audits = reviews[
        (reviews["source"] == "random_audit")
        & reviews["decision_id"].notna()
        & reviews["reviewer_hash"].notna()
    ]
    voices = audits.drop_duplicates(["channel", "decision_id", "reviewer_hash"], keep="last")
    voices = voices[voices["verdict"].isin(FIRING)]
    size = voices.groupby(["channel", "decision_id"], sort=False)["verdict"].transform("size")
    voices = voices[size.to_numpy() >= 2]
    codes = voices.groupby(["channel", "decision_id"], sort=False).ngroup()
    unit = np.asarray(codes, dtype=np.int64)
    label = _fires(voices["verdict"])
    counts = rating_counts(unit, label, int(unit.max(initial=-1)) + 1, len(FIRING))
    return Shared(counts, unit, _codes(voices["reviewer_hash"], hashes), label)
