"""What a status row tells a person: the reason, what to do next, and when it will be decided."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

LONGEST_WAIT_DAYS = 365
WINDOW_DAYS = 28

# What to do where it does not depend on when the metric can be decided.
NEXT_ACTIONS = {
    "rejected": "audit the strategy, then close the audit with its finding",
    "own_alarm": "look at its newest errors",
    "baseline": "look at its newest errors, and ask whether the goal should be higher",
    "no_goal": "set a goal, or keep the registered reason",
    "no_population": "check that its decisions are delivered, or retire it",
    "few_cohorts": "wait for the reviewers",
    "healthy": "none",
}


@dataclass(frozen=True)
class Facts:
    """One metric on one day; rates and limits in [0, 1], NaN where unknown.

    `labelled` counts the labels behind the estimate, `daily` the labels a day it gets, `cohorts`
    the mature cohorts (at most 28), `null_reason` why there is no estimate, `goal_reason` why there
    is no goal, `alarm` the channel that raised the alarm if it was not this row's.
    """

    metric: str
    why: str
    date: dt.date
    estimate: float
    low: float
    high: float
    goal: float
    target: float
    half_width: float
    e_value: float
    labelled: float
    daily: float
    cohorts: int
    lag_days: float
    since: dt.date | None
    null_reason: str | None = None
    goal_reason: str | None = None
    alarm: str | None = None


@dataclass(frozen=True)
class Words:
    """The sentences and the numbers of a status row; `decidable_on` is null where labels at
    today's rate will never decide it."""

    reason: str
    next_action: str
    labels_needed: int
    decidable_on: dt.date | None


def describe(facts: Facts) -> Words:
    """Put one metric's status into words.

    >>> day = dt.date(2026, 3, 9)
    >>> words = describe(Facts("recall", "few_cohorts", day, math.nan, 0, 1, .75, .73, .1, 1.0,
    ...     120, 40.0, 4, 3.0, None))
    >>> words.reason
    'recall: 4 cohorts are at least 90% labelled, 7 are needed'
    >>> words.labels_needed, words.decidable_on.isoformat()
    (120, '2026-03-12')
    """
    reason = _reason(facts)
    needed, on = _labels(facts)
    return Words(reason, _next_action(facts, on), needed, on)


def _interval(facts: Facts) -> str:
    return f"{facts.estimate:.3f} ({facts.low:.3f} to {facts.high:.3f})"


def _reason(facts: Facts) -> str:
    since = f", most likely since {facts.since:%Y-%m-%d}" if facts.since else ""
    at = f"on {facts.alarm} " if facts.alarm else ""
    drop = f"a drop below {facts.target:.3f}{since} (e = {facts.e_value:.3g})"
    texts = {
        "no_goal": f"no goal: {facts.goal_reason or 'none is registered'}",
        "no_population": "it has decided nothing in 28 days",
        "rejected": f"{at}dropped below {facts.target:.3f}{since} (e = {facts.e_value:.3g})",
        "own_alarm": f"evidence of {drop}, not yet enough among so many strategies",
        "evidence": f"first evidence of {drop}",
        "baseline": f"holds its goal and is no longer what it was at first{since}",
        "few_cohorts": f"{facts.cohorts} cohorts are at least 90% labelled, 7 are needed",
        "not_measurable": f"no estimate: {facts.null_reason}",
        "wide_interval": f"the interval {_interval(facts)} is wider than +-{facts.half_width:.2f}",
        "empty_stratum": "a stratum that carries over 5% of the errors has fewer than 5 labels",
        "below_target": f"{_interval(facts)} was below {facts.target:.3f}, not yet clear of it",
        "unproven": f"{_interval(facts)} does not yet reach {facts.target:.3f} at its lower limit",
        "healthy": f"{_interval(facts)} holds {facts.target:.3f}",
    }
    return f"{facts.metric}: {texts[facts.why]}"


def _next_action(facts: Facts, decidable: dt.date | None) -> str:
    if facts.why in NEXT_ACTIONS:
        return NEXT_ACTIONS[facts.why]
    if decidable is None:
        return "raise its sampling rate: at today's it will not be decided"
    return "keep labelling"


def _labels(facts: Facts) -> tuple[int, dt.date | None]:
    """Return how many more labels decide the metric, and the day they are in at today's rate."""
    if facts.why in ("rejected", "no_goal", "healthy", "baseline"):
        return 0, facts.date
    if facts.why == "no_population":
        return 0, None
    if facts.why == "few_cohorts":
        missing = max(7 - facts.cohorts, 0)
        wait = math.ceil(max(missing, 1 + facts.lag_days - facts.cohorts))
        return math.ceil(missing * facts.daily), facts.date + dt.timedelta(days=wait)
    needed = max(1, math.ceil(_wanted(facts) - facts.labelled - 1e-6))
    room = facts.daily * WINDOW_DAYS - facts.labelled
    wait = math.ceil(needed / facts.daily) if facts.daily > 0 else LONGEST_WAIT_DAYS + 1
    # Past 28 days old labels leave the window as fast as new ones enter it.
    is_reachable = needed <= room if facts.cohorts < WINDOW_DAYS else False
    if facts.why in ("evidence", "own_alarm", "below_target"):
        is_reachable = wait <= LONGEST_WAIT_DAYS
    return needed, facts.date + dt.timedelta(days=wait) if is_reachable else None


def _wanted(facts: Facts) -> float:
    """Return the labels that would settle it; an interval shrinks with the root of its labels."""
    n = max(facts.labelled, 1.0)
    half_width = (facts.high - facts.low) / 2
    if facts.why in ("wide_interval", "not_measurable", "empty_stratum"):
        return n * max((half_width / facts.half_width) ** 2, 1.0)
    if math.isnan(facts.estimate):
        return n + 7 * facts.daily
    margin = max(abs(facts.estimate - facts.target), facts.goal - facts.target)
    side = (
        facts.estimate - facts.low
        if facts.estimate >= facts.target
        else facts.high - facts.estimate
    )
    return n * max((side / margin) ** 2, 1.0)
