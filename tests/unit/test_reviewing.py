"""The table of reviewers: what counts for whom, over which days, and what is null and why."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain import reviewing
from governance_pipeline.domain.reviewing import reviewer_quality
from governance_pipeline.errors import InputError

END = dt.date(2026, 3, 31)
COLUMNS = [
    "label_id", "channel", "decision_id", "reviewer_hash", "source", "labelled_at",
    "labelled_date", "verdict", "golden_verdict",
]  # fmt: skip
RATES = ["golden_accuracy", "golden_change", "alpha", "sensitivity", "specificity"]


def review(label_id: str, reviewer: str | None, verdict: str, **given: object) -> dict[str, object]:
    day = pd.Timestamp(str(given.pop("day", END)))
    return {
        "label_id": label_id,
        "channel": "lives",
        "decision_id": None,
        "reviewer_hash": reviewer,
        "source": "random_audit",
        "labelled_at": day + pd.Timedelta(hours=9),
        "labelled_date": day,
        "verdict": verdict,
        "golden_verdict": None,
        **given,
    }


def golden(label_id: str, reviewer: str | None, verdict: str, **given: object) -> dict[str, object]:
    return review(
        label_id, reviewer, verdict, source="golden", **{"golden_verdict": "should_fire", **given}
    )


def measured(*rows: dict[str, object]) -> pd.DataFrame:
    reviews = pd.DataFrame(list(rows), columns=COLUMNS)
    return reviewer_quality(as_of=END, reviews=reviews).set_index("reviewer_hash")


def rows_of(table: pd.DataFrame) -> dict[Any, dict[Any, Any]]:
    return dict(table.set_index("reviewer_hash").to_dict("index"))


def crowd(decisions: int = 3000, *, golden_questions: int = 600, third: float = 0) -> pd.DataFrame:
    """Two of five reviewers on each decision, three on some, one on a golden question."""
    rng = np.random.default_rng(3)
    truth = rng.random(decisions) < 0.4
    error = np.array([0.12, 0.02, 0.02, 0.02, 0.02])
    words = np.array(["should_not_fire", "should_fire"])
    rows = []
    for n, is_true in enumerate(truth):
        for r in rng.permutation(5)[: 2 + (rng.random() < third)]:
            says = words[int(is_true ^ (rng.random() < error[r]))]
            rows.append(review(f"l{n}-{r}", f"r{r}", says, decision_id=f"d{n}"))
    for n in range(golden_questions):
        is_true, r = n % 2, rng.integers(5)
        says = words[is_true ^ (rng.random() < error[r])]
        rows.append(golden(f"g{n}", f"r{r}", says, golden_verdict=words[is_true]))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_without_reviews_the_pool_says_why_it_knows_nothing() -> None:
    found = measured()
    assert found.index.tolist() == ["all"]
    alone = found.loc["all"]
    assert alone["labels"] == 0
    assert alone[RATES].isna().all()
    assert alone[[f"{name}_null_reason" for name in RATES]].notna().all()
    assert (alone["golden_accuracy_lo"], alone["golden_accuracy_hi"]) == (0, 1)
    assert (alone["alpha_lo"], alone["alpha_hi"]) == (-1, 1)
    assert (alone["sensitivity_lo"], alone["sensitivity_hi"]) == (0, 1)


def test_a_window_is_28_days_and_its_change_is_from_the_28_before() -> None:
    found = measured(
        golden("g1", "ann", "should_fire", day="2026-03-31"),
        golden("g2", "ann", "should_not_fire", day="2026-03-04"),
        golden("g3", "ann", "should_fire", day="2026-03-03"),
        golden("g4", "ann", "should_fire", day="2026-02-04"),
        golden("g5", "ann", "should_not_fire", day="2026-02-03"),
        golden("g6", "ann", "should_not_fire", day="2026-04-01"),
        golden("g7", "bob", "should_fire", day="2026-02-20"),
    )
    assert found.index.tolist() == ["ann", "all"], "bob answered nothing in the window"
    ann = found.loc["ann"]
    assert (ann["labels"], ann["golden_labels"], ann["golden_accuracy"]) == (2, 2, 0.5)
    assert ann["golden_change"] == -0.5
    assert ann["golden_change_lo"] < -0.5 < ann["golden_change_hi"]
    assert found.loc["all", "golden_change"] == -0.5


def test_who_is_unsure_did_not_answer_and_two_vocabularies_are_not_compared() -> None:
    found = measured(
        golden("g1", "ann", "should_fire"),
        golden("g2", "ann", "unsure"),
        golden("g3", "ann", "violating"),
        golden("g4", "ann", "violating", golden_verdict="violating"),
        golden("g5", "ann", "should_fire", golden_verdict="unsure"),
        review("l1", "ann", "should_fire", golden_verdict="should_fire"),
    ).loc["ann"]
    assert (found["labels"], found["unsure_labels"], found["golden_labels"]) == (6, 1, 2)
    assert found["golden_accuracy"] == 1
    assert found["golden_accuracy_lo"] < 1


def test_a_reviewer_without_a_name_counts_for_the_pool_alone() -> None:
    found = measured(golden("g1", None, "should_fire"), golden("g2", "ann", "should_fire"))
    assert found["golden_labels"].to_dict() == {"ann": 1, "all": 2}


def test_answers_of_one_reviewer_are_no_agreement() -> None:
    twice = [
        review(f"l{n}-{again}", "ann", "should_fire", decision_id=f"d{n}")
        for n in range(50)
        for again in range(2)
    ]
    found = measured(*twice)
    assert found["shared_decisions"].to_dict() == {"ann": 0, "all": 0}
    assert (found["alpha_null_reason"] == reviewing.FEW_SHARED).all()
    assert (found["sensitivity_null_reason"] == reviewing.UNTOLD).all()


def test_only_the_last_word_of_a_reviewer_counts() -> None:
    rows = []
    for n in range(40):
        right = "should_fire" if n % 2 else "should_not_fire"
        wrong = "should_not_fire" if n % 2 else "should_fire"
        rows += [
            review(f"a{n}", "ann", wrong, decision_id=f"d{n}", day="2026-03-20"),
            review(f"b{n}", "ann", right, decision_id=f"d{n}", day="2026-03-21"),
            review(f"c{n}", "bob", right, decision_id=f"d{n}", day="2026-03-19"),
        ]
    found = measured(*rows)
    assert found["alpha"].to_numpy() == pytest.approx([1, 1, 1])
    assert (found["alpha_lo"] < 1).all()
    assert (found["sensitivity_null_reason"] == reviewing.UNTOLD).all()


def test_decisions_in_common_with_one_verdict_have_no_alpha() -> None:
    found = measured(
        *(
            review(f"l{n}{who}", who, "should_fire", decision_id=f"d{n}")
            for n in range(60)
            for who in ("ann", "bob", "cyd")
        )
    )
    assert (found["alpha_null_reason"] == reviewing.ONE_VERDICT).all()
    assert (found["sensitivity_null_reason"] == reviewing.UNTOLD).all()
    assert found["corrected_share"].isna().all()


def test_decisions_of_two_reviewers_alone_do_not_tell_their_mistakes() -> None:
    found = rows_of(reviewer_quality(as_of=END, reviews=crowd(golden_questions=0)))["all"]
    assert found["alpha"] > 0.8
    for name in ("sensitivity", "specificity", "corrected_share"):
        assert np.isnan(found[name]), name
        assert found[f"{name}_null_reason"] == reviewing.UNTOLD


def test_a_handful_of_golden_questions_does_not_tell_them_either() -> None:
    found = rows_of(reviewer_quality(as_of=END, reviews=crowd(300, golden_questions=20)))["all"]
    assert found["sensitivity_null_reason"] == reviewing.UNTOLD


def test_golden_questions_alone_give_both_rates_with_limits_of_their_own() -> None:
    rows = [
        golden(
            f"{kind}{n}", f"r{n % 4}", "should_fire" if n % 4 or n % 8 else "should_not_fire",
            golden_verdict=kind,
        )
        for kind, asked in (("should_fire", 400), ("should_not_fire", 80))
        for n in range(asked)
    ]  # fmt: skip
    for row in rows:
        if row["golden_verdict"] == "should_not_fire":
            flip = {"should_fire": "should_not_fire", "should_not_fire": "should_fire"}
            row["verdict"] = flip[str(row["verdict"])]
    found = measured(*rows).loc["all"]
    for name, asked in (("sensitivity", 400), ("specificity", 80)):
        near = (asked * 7 / 8 + 0.5) / (asked + 1)
        reach = 1.959964 * np.sqrt(near * (1 - near) / asked)
        assert found[name] == pytest.approx(7 / 8)
        assert found[f"{name}_hi"] - found[name] == pytest.approx(reach, rel=1e-5)


def test_third_reviews_tell_mistakes_without_a_golden_question() -> None:
    found = rows_of(reviewer_quality(as_of=END, reviews=crowd(golden_questions=0, third=0.5)))
    assert found["all"]["sensitivity"] == pytest.approx(0.96, abs=0.02)
    assert found["r0"]["specificity"] == pytest.approx(0.88, abs=0.04)


def test_a_reviewer_who_met_one_class_only_is_measured_on_it_alone() -> None:
    more = pd.DataFrame([golden(f"x{n}", "new", "should_fire") for n in range(20)])
    reviews = pd.concat([crowd(), more], ignore_index=True)
    found = rows_of(reviewer_quality(as_of=END, reviews=reviews))["new"]
    assert found["sensitivity"] == 1
    assert found["specificity_null_reason"] == reviewing.FEW_NEGATIVE
    assert np.isnan(found["specificity"])
    assert found["corrected_share_null_reason"] == reviewing.NO_AUDITS


def test_golden_questions_appeals_and_reports_are_no_agreement() -> None:
    reviews = crowd(200)
    reviews["source"] = np.where(np.arange(len(reviews)) % 2, "appeal", "golden")
    found = reviewer_quality(as_of=END, reviews=reviews)
    assert (found["shared_decisions"] == 0).all()


def test_who_errs_most_is_told_apart_and_the_share_is_put_right() -> None:
    found = rows_of(reviewer_quality(as_of=END, reviews=crowd()))
    everybody, worst = found.pop("all"), found.pop("r0")
    assert worst["alpha"] < min(row["alpha"] for row in found.values())
    assert worst["alpha_hi"] < everybody["alpha_lo"]
    assert (worst["sensitivity"], worst["specificity"]) == pytest.approx((0.88, 0.88), abs=0.04)
    for name in ("sensitivity", "specificity"):
        assert worst[f"{name}_lo"] < 0.88 < worst[f"{name}_hi"]
        assert everybody[f"{name}_lo"] < 0.96 < everybody[f"{name}_hi"]
        # What is uncertain of the pool is so of each reviewer, with the few answers on top.
        width = everybody[f"{name}_hi"] - everybody[f"{name}_lo"]
        assert 0.005 < width < worst[f"{name}_hi"] - worst[f"{name}_lo"]
    for row in found.values():
        assert (row["sensitivity"], row["specificity"]) == pytest.approx((0.98, 0.98), abs=0.025)
    # The first draws of `crowd` are its truth.
    truth = float(np.mean(np.random.default_rng(3).random(3000) < 0.4))
    assert everybody["corrected_share_lo"] < truth < everybody["corrected_share_hi"]
    assert abs(everybody["corrected_share"] - truth) < abs(everybody["firing_share"] - truth)


def test_who_answers_by_chance_is_named_and_not_corrected() -> None:
    reviews = crowd(600)
    mine = reviews["reviewer_hash"] == "r0"
    flip = {"should_fire": "should_not_fire", "should_not_fire": "should_fire"}
    reviews.loc[mine, "verdict"] = reviews.loc[mine, "verdict"].map(flip)
    found = rows_of(reviewer_quality(as_of=END, reviews=reviews))
    assert found["r0"]["corrected_share_null_reason"] == reviewing.BY_CHANCE
    assert np.isnan(found["r0"]["corrected_share"])
    assert found["all"]["corrected_share"] > 0


def test_the_order_of_the_reviews_changes_nothing() -> None:
    reviews = crowd(400)
    shuffled = reviews.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        reviewer_quality(as_of=END, reviews=reviews),
        reviewer_quality(as_of=END, reviews=shuffled),
        check_exact=True,
    )


def test_a_decision_that_one_reviewer_answered_says_nothing_of_its_mistakes() -> None:
    reviews = crowd(400)
    alone = [review(f"x{n}", "r0", "should_fire", decision_id=f"elsewhere{n}") for n in range(300)]
    more = pd.concat([reviews, pd.DataFrame(alone)], ignore_index=True)
    before = rows_of(reviewer_quality(as_of=END, reviews=reviews))
    after = rows_of(reviewer_quality(as_of=END, reviews=more))
    for who in ("r0", "r1", "all"):
        for name in ("shared_decisions", "alpha", "alpha_lo", "sensitivity", "specificity"):
            assert after[who][name] == before[who][name], (who, name)
    assert after["r0"]["labels"] == before["r0"]["labels"] + 300


def test_one_reviewer_more_does_not_move_the_limits_of_the_others() -> None:
    reviews = crowd(400)
    alone = review("x", "another", "should_fire", decision_id="elsewhere")
    more = pd.concat([reviews, pd.DataFrame([alone])], ignore_index=True)
    ends = ["alpha", "alpha_lo", "alpha_hi"]
    before = reviewer_quality(as_of=END, reviews=reviews).set_index("reviewer_hash")[ends]
    after = reviewer_quality(as_of=END, reviews=more).set_index("reviewer_hash")[ends]
    pd.testing.assert_frame_equal(after.loc[before.index], before)


def test_a_verdict_out_of_the_vocabulary_is_named() -> None:
    with pytest.raises(InputError, match=r"label l9: verdict must be one of .*, got maybe"):
        measured(review("l9", "ann", "maybe"))
    with pytest.raises(InputError, match=r"label g9: golden_verdict must be one of .*, got maybe"):
        measured(golden("g9", "ann", "should_fire", golden_verdict="maybe"))
