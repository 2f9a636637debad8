"""Whether acting helped: a metric before and after a change, on one slice, from audit labels."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.accuracy import Estimate, estimate
from governance_pipeline.domain.cohorts import MATURE_SHARE, WINDOW
from governance_pipeline.domain.desk import Desk
from governance_pipeline.domain.escalation import Escalation, Measurement
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.intervals import Booleans, Floats, Integers, mover_sum
from governance_pipeline.domain.tallies import Tallies, Weights

IMPROVED, NOT_IMPROVED, TOO_EARLY = "improved", "not_improved", "too_early"
NOT_MEASURABLE = "not_measurable"
A_RISE = 0.05
"""What counts as worth detecting where no goal says how much is missing."""

POWERED = 1.65
"""(1.96 + 1.28) / 1.96: so much narrower an interval shows a rise in nine of ten cases."""

ABOUT = {
    "wrong_suppression": "precision", "wrong_promotion": "precision",
    "missed_violation": "recall", "missed_promotion": "recall",
}  # fmt: skip
STRATUM = ["channel", "is_fired", "stratum"]
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Change:
    """What is measured: a metric, how high it should be, and the day its cause was changed.

    `since` is the first day on which it was low, if that is known; `target` is None without goal.
    """

    metric: str
    changed_on: dt.date
    since: dt.date | None = None
    target: float | None = None


def metric_of(finding: Finding) -> str | None:
    """Return the metric by which a finding's end is measured, None if labels say nothing of it."""
    if finding.strategy_id is None:
        return None
    if finding.metric in ("precision", "recall"):
        return finding.metric
    return ABOUT.get(finding.type)


def changed_on(state: Escalation, desk: Desk) -> dt.date:
    """Return the first day that may show a change.

    A day or a version that the result's change names, else the day of the mitigation, else that
    of the result.
    """
    said = state.result.change if state.result else ""
    if day := re.search(r"\b\d{4}-\d{2}-\d{2}\b", said):
        return dt.date.fromisoformat(day.group())
    strategy = desk.strategies.get(state.finding.strategy_id or "")
    if strategy and (number := re.search(r"\bv(?:ersion )?(\d+)\b", said)):
        for version in strategy.versions:
            if version.number == int(number.group(1)):
                return version.effective_from
    moment = state.mitigated_at or state.result_at or state.opened_at
    return moment.date()


def begins_on(changed: dt.date) -> dt.date:
    """Return the first day that a comparison looks at."""
    return changed - WINDOW * DAY


def target_of(finding: Finding, metric: str, desk: Desk, day: dt.date) -> float | None:
    """Return the least that satisfies the goal in force on a day: goal less tolerance."""
    strategy = desk.strategies.get(finding.strategy_id or "")
    goals = [g for g in strategy.goals if g.metric == metric] if strategy else []
    in_force = [g for g in goals if g.effective_from <= day and g.goal is not None]
    if not in_force:
        return None
    newest = max(in_force, key=lambda g: g.effective_from)
    return (newest.goal or 0.0) - newest.tolerance


def compare(
    population: pd.DataFrame, draws: pd.DataFrame, change: Change, as_of: dt.date
) -> Measurement:
    """Return a metric before and after a change, with the difference and its 95% interval.

    Before are up to 28 days that end before the change and begin no earlier than the trouble,
    after up to 28 days from the day after it; of both the days at least 90% labelled.

    Args:
        population: Units by decision_date, channel, is_fired and stratum of the slice, with
            `population` and `drawn`.
        draws: Its drawn units with a verdict: decision_date, the stratum, inclusion_probability,
            verdict and known_on.
        change: What is measured.
        as_of: The last day of data.

    Source:
        `accuracy.estimate` for each side; Zou, Huang and Zhang (2009), `mover_sum`, for the
        difference of two independent estimates.
    """
    days = _days(population, draws, as_of)
    first = max(change.changed_on - WINDOW * DAY, change.since or dt.date.min)
    before = days[(days["day"] >= first) & (days["day"] < change.changed_on)]
    before = before[before["is_mature"]]
    after = days[(days["day"] > change.changed_on) & days["is_mature"]].head(WINDOW)
    found = _estimates(population, draws, (before, after), change.metric)
    if found.null_reason[0] is not None:
        said = f"{change.metric} before the change cannot be told: {found.null_reason[0]}"
        return Measurement(NOT_MEASURABLE, said, change.metric)
    return _judged(found, (len(before), len(after)), change, _lag(draws), as_of)


def _judged(
    found: Estimate, days: tuple[int, int], change: Change, lag: int, as_of: dt.date
) -> Measurement:
    """Return the verdict on two estimates, the first of before."""
    was, metric = float(found.value[0]), change.metric
    rise = A_RISE if change.target is None else max(change.target - was, A_RISE)
    known_on = max(_known_on(found, days[0], rise, change.changed_on, lag), as_of + DAY)
    before = f"{metric} was {_said(found, 0)} on {days[0]} days before {change.changed_on}"
    if found.null_reason[1] is not None:
        said = f"{before}; too early to say what it is since, known on about {known_on}"
        return Measurement(TOO_EARLY, said, metric, was, known_on=known_on)
    now = float(found.value[1])
    low, high = (
        float(limit)
        for limit in mover_sum([1.0, -1.0], found.value[::-1], found.low[::-1], found.high[::-1])
    )
    said = (
        f"{before} and is {_said(found, 1)} on {days[1]} days after: "
        f"{100 * (now - was):+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
    )
    figures = (metric, was, now, now - was, low, high)
    if low > 0:
        return Measurement(IMPROVED, f"{said}, improved", *figures)
    if high < rise or days[1] >= WINDOW:
        return Measurement(NOT_IMPROVED, f"{said}, not improved", *figures)
    return Measurement(
        TOO_EARLY, f"{said}, too early to say, known on about {known_on}", *figures, known_on
    )


def _known_on(found: Estimate, days: int, rise: float, changed_on: dt.date, lag: int) -> dt.date:
    """Return when a rise will show: the days whose interval is narrow enough, and their labels.

    An interval's half-width falls with the root of the days, at the label rate of before.
    """
    half = POWERED * float(found.high[0] - found.low[0]) / 2
    room = rise**2 - half**2
    needed = WINDOW if room <= 0 else min(WINDOW, int(np.ceil(max(days, 1) * half**2 / room)))
    return changed_on + (max(needed, 1) + lag) * DAY


def _days(population: pd.DataFrame, draws: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return the days with decisions, and whether at least 90% of their draws came back."""
    counted = population.groupby("decision_date")[["population", "drawn"]].sum()
    labelled = draws.groupby("decision_date").size().reindex(counted.index).fillna(0)
    days = pd.DataFrame(
        {
            "day": [pd.Timestamp(day).date() for day in counted.index],
            "is_mature": (labelled >= MATURE_SHARE * counted["drawn"]).to_numpy(),
        }
    )
    return days[(counted["population"].to_numpy() > 0) & (days["day"] <= as_of).to_numpy()]


def _estimates(
    population: pd.DataFrame,
    draws: pd.DataFrame,
    windows: tuple[pd.DataFrame, pd.DataFrame],
    metric: str,
) -> Estimate:
    """Return the metric in each window, each field of shape (windows,)."""
    code, is_fired = _strata(population, draws)
    shape = (len(windows), len(is_fired))
    sums = {name: np.zeros(shape) for name in ("N", "n", "k", "w", "w2", "wy", "w2y")}
    uneven = np.zeros(len(windows), dtype=bool)
    answered = draws[draws["verdict"] != "unsure"]
    for row, window in enumerate(windows):
        days = pd.to_datetime(window["day"])
        units = population[pd.to_datetime(population["decision_date"]).isin(days)]
        labels = answered[pd.to_datetime(answered["decision_date"]).isin(days)]
        y = np.asarray(labels["verdict"] == "should_fire", dtype=np.float64)
        w: Floats = 1 / labels["inclusion_probability"].to_numpy(dtype=np.float64)
        counts = units["population"].to_numpy(dtype=np.float64)
        sums["N"][row] = _sum(_codes(code, units), counts, shape[1])
        at = _codes(code, labels)
        one = np.ones_like(y)
        parts = {"n": one, "k": y, "w": w, "w2": w**2, "wy": w * y, "w2y": w**2 * y}
        for name, values in parts.items():
            sums[name][row] = _sum(at, values, shape[1])
        uneven[row] = _is_uneven(labels)
    weights = Weights(sums["w"], sums["w2"], sums["wy"], sums["w2y"])
    tallies = Tallies(sums["N"], sums["n"], sums["k"], np.tile(is_fired, (2, 1)), weights)
    return estimate(tallies, needs_even_weights=uneven)[metric]


def _strata(population: pd.DataFrame, draws: pd.DataFrame) -> tuple[pd.Series[int], Booleans]:
    """Return the code of every stratum, and the side of each; score bins in their order."""
    known = pd.concat([population[STRATUM], draws[STRATUM]]).drop_duplicates()
    order = pd.to_numeric(known["stratum"].str.split("/").str[1], errors="coerce").fillna(-1)
    known = known.assign(order=order).sort_values(["is_fired", "channel", "order", "stratum"])
    index = pd.MultiIndex.from_frame(known[STRATUM])
    return pd.Series(np.arange(len(known)), index=index), known["is_fired"].to_numpy(dtype=bool)


def _codes(code: pd.Series[int], rows: pd.DataFrame) -> Integers:
    return np.asarray(code.reindex(pd.MultiIndex.from_frame(rows[STRATUM])), dtype=np.int64)


def _is_uneven(labels: pd.DataFrame) -> bool:
    """Return whether units of one stratum and day were drawn with unequal probabilities."""
    groups = labels.groupby(["decision_date", *STRATUM])["inclusion_probability"]
    return bool((groups.max() > groups.min() * (1 + 1e-9)).any())


def _sum(at: Integers, values: Floats, size: int) -> Floats:
    summed: Floats = np.bincount(at, weights=values, minlength=size).astype(np.float64)
    return summed


def _lag(draws: pd.DataFrame) -> int:
    """Return the days until 90% of the labels of a day are in."""
    if draws.empty:
        return 0
    came = pd.to_datetime(draws["known_on"]) - pd.to_datetime(draws["decision_date"])
    return int(came.dt.days.quantile(MATURE_SHARE, interpolation="higher"))


def _said(found: Estimate, row: int) -> str:
    low, high = 100 * found.low[row], 100 * found.high[row]
    return f"{found.value[row]:.1%} ({low:.0f}-{high:.0f})"
