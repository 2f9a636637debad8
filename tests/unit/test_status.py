"""Every status rule, its memory, and what a status row says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import numpy as np
import pytest

from governance_pipeline.domain.status import STATUSES, WHYS, History, replay, worse
from governance_pipeline.domain.wording import Facts, describe

DAY = dt.date(2026, 4, 1)


def history(days: int, **changes: list[float]) -> History:
    """A healthy series of some days, with the given fields instead."""
    fields: dict[str, list[float]] = {
        "has_population": [1.0] * days,
        "target": [0.88] * days,
        "estimate": [0.92] * days,
        "low": [0.89] * days,
        "high": [0.95] * days,
        "e_value": [1.0] * days,
        "is_rejected": [0.0] * days,
        "cohorts": [28.0] * days,
        "has_thin_stratum": [0.0] * days,
        "evidence_half_width": [0.10] * days,
        "baseline_e_value": [math.nan] * days,
    }
    values = {name: np.array(v)[:, None] for name, v in (fields | changes).items()}
    for name in ("has_population", "is_rejected", "has_thin_stratum"):
        values[name] = values[name] > 0
    values["cohorts"] = values["cohorts"].astype(np.int64)
    return History(**values)


def statuses(given: History) -> list[str]:
    return [STATUSES[code] for code in replay(given).status[:, 0]]


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({}, "healthy", "healthy"),
        ({"target": [math.nan]}, "not_monitored", "no_goal"),
        ({"has_population": [0]}, "not_monitored", "no_population"),
        ({"is_rejected": [1], "cohorts": [2]}, "needs_audit", "rejected"),
        ({"e_value": [3.0], "cohorts": [2]}, "watch", "evidence"),
        ({"e_value": [25.0]}, "watch", "own_alarm"),
        ({"baseline_e_value": [40.0]}, "watch", "baseline"),
        ({"baseline_e_value": [39.0]}, "healthy", "healthy"),
        ({"cohorts": [6]}, "immature", "few_cohorts"),
        ({"high": [1.0], "low": [0.7]}, "insufficient_evidence", "wide_interval"),
        ({"has_thin_stratum": [1]}, "insufficient_evidence", "empty_stratum"),
        ({"estimate": [math.nan]}, "insufficient_evidence", "not_measurable"),
        ({"estimate": [0.87] * 2, "low": [0.84] * 2}, "watch", "below_target"),
        ({"low": [0.87]}, "insufficient_evidence", "unproven"),
    ],
)
def test_the_first_rule_that_matches_decides(
    changes: dict[str, list[float]], status: str, why: str
) -> None:
    days = max((len(values) for values in changes.values()), default=1)
    found = replay(history(days, **changes))
    assert STATUSES[found.status[-1, 0]] == status
    assert WHYS[found.why[-1, 0]] == why


def test_evidence_is_watched_until_it_is_below_two() -> None:
    given = history(5, e_value=[2.5, 3.0, 2.5, 1.9, 2.5])
    assert statuses(given) == ["healthy", "watch", "watch", "healthy", "healthy"]


def test_a_low_estimate_is_watched_until_the_lower_limit_is_clear() -> None:
    given = history(5, estimate=[0.92, 0.87, 0.87, 0.90, 0.92], low=[0.89, 0.84, 0.84, 0.87, 0.88])
    assert statuses(given) == ["healthy", "healthy", "watch", "watch", "healthy"]


def test_an_estimate_that_dips_for_a_day_is_no_news() -> None:
    given = history(4, estimate=[0.92, 0.87, 0.89, 0.87], low=[0.89, 0.84, 0.86, 0.84])
    assert statuses(given) == ["healthy"] * 4


def test_a_healthy_series_stays_so_when_its_lower_limit_dips() -> None:
    assert statuses(history(3, low=[0.87, 0.88, 0.87])) == [
        "insufficient_evidence",
        "healthy",
        "healthy",
    ]


def test_what_is_too_wide_does_not_enter_the_memory() -> None:
    given = history(2, estimate=[0.80, 0.92], low=[0.5, 0.87], high=[0.95, 0.95])
    assert statuses(given) == ["insufficient_evidence", "insufficient_evidence"]


def test_a_longer_history_does_not_change_its_beginning() -> None:
    rng = np.random.default_rng(2)
    estimate = 0.89 + rng.normal(0, 0.01, 60)
    full = history(
        60,
        estimate=list(estimate),
        low=list(estimate - 0.02),
        e_value=list(rng.exponential(1.5, 60)),
    )
    part = History(**{f.name: getattr(full, f.name)[:30] for f in dataclasses.fields(full)})
    assert statuses(part) == statuses(full)[:30]


@pytest.mark.parametrize(
    ("precision", "recall", "metric"),
    [
        ("needs_audit", "watch", 0), ("healthy", "watch", 1), ("immature", "healthy", 0),
        ("healthy", "insufficient_evidence", 1), ("healthy", "not_monitored", 0),
        ("not_monitored", "healthy", 1), ("healthy", "healthy", 0),
    ],
)  # fmt: skip
def test_a_strategy_has_the_worse_of_its_two_statuses(
    precision: str, recall: str, metric: int
) -> None:
    codes = [np.array(STATUSES.index(name)) for name in (precision, recall)]
    assert worse(codes[0], codes[1], np.ones(2)) == metric


def facts(why: str, **changes: object) -> Facts:
    base = Facts(
        metric="recall", why=why, date=DAY, estimate=0.80, low=0.60, high=0.90, goal=0.75,
        target=0.72, half_width=0.1, e_value=4.0, labelled=400, daily=40, cohorts=10, lag_days=3,
        since=None,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("why", WHYS)
def test_every_reason_has_words_and_a_next_action(why: str) -> None:
    words = describe(facts(why))
    assert words.reason.startswith("recall: ")
    assert words.next_action
    assert words.labels_needed >= 0


def test_a_wide_interval_says_how_many_labels_narrow_it() -> None:
    words = describe(facts("wide_interval"))
    assert words.labels_needed == 500  # half-width .15 to .10: 2.25 times 400 labels
    assert words.decidable_on == DAY + dt.timedelta(days=13)


def test_a_full_window_that_is_too_wide_is_never_decided_at_its_rate() -> None:
    words = describe(facts("wide_interval", cohorts=28, labelled=1120))
    assert words.decidable_on is None
    assert "raise its sampling rate" in words.next_action


def test_an_alarm_says_since_when_and_on_which_channel() -> None:
    words = describe(facts("rejected", since=dt.date(2026, 3, 25), alarm="video"))
    assert words.reason == (
        "recall: on video dropped below 0.720, most likely since 2026-03-25 (e = 4)"
    )


def test_an_immature_metric_names_the_day_it_is_mature() -> None:
    words = describe(facts("few_cohorts", cohorts=5))
    assert (words.labels_needed, words.decidable_on) == (80, DAY + dt.timedelta(days=2))
