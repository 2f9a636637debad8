"""How well the desk does: how fast, how often late, how much is left, who cries wolf.

Times count from the detection, in hours of the wall clock. What has not happened yet is censored
and not left out: the slow ones would be missing from every mean.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from governance_pipeline.domain.clocks import BREACHED, CANCELLED, RUNNING
from governance_pipeline.domain.escalation import TERMINAL, UNFOUNDED
from governance_pipeline.domain.intervals import CONFIDENCE, Floats, wilson_limits

STAGES = {"acknowledge": "acknowledged", "mitigate": "mitigated", "resolve": "resolved"}
COUNTED = (*STAGES.values(), "delivered", "reopened", "accepted")
"""Kinds of events that anything is counted from, beside those that end an escalation."""

COLUMNS = (
    "metric", "priority", "source", "n", "events", "value", "value_lo", "value_hi", "null_reason",
)  # fmt: skip
ALL = "all"


@dataclass(frozen=True)
class DeskTables:
    """What the metrics are counted from, as the store's tables hold it.

    `escalations`, `events` and `clocks` are frames with the columns of the tables of that name;
    `now` is when they were read, UTC.
    """

    escalations: pd.DataFrame
    events: pd.DataFrame
    clocks: pd.DataFrame
    now: dt.datetime


def median_survival(hours: Floats, is_over: Floats) -> tuple[float, float, float]:
    """Return the Kaplan-Meier median time with its 95% limits, in the unit of `hours`.

    The median is the first time by which half is over; NaN if that is not known yet, a limit
    infinite if it is not reached. Limits invert the log-log band.

    Args:
        hours: How long each took so far, shape (n,), n >= 1, not negative.
        is_over: Whether it is over (1) or goes on (0), shape (n,).

    Source:
        Kaplan and Meier (1958); Brookmeyer and Crowley (1982) for the limits.

    >>> median_survival(np.array([1.0, 2, 3, 4, 9]), np.array([1, 1, 1, 1, 0]))[0]
    3.0
    """
    over = is_over.astype(bool)
    if not over.any():
        return np.nan, np.nan, np.inf
    # Not scipy's: its statistics take half a second to load, and every day's run would pay it.
    times, ended = np.unique(hours[over], return_counts=True)
    at_risk = len(hours) - np.searchsorted(np.sort(hours), times)
    survival: Floats = np.cumprod(1 - ended / at_risk, dtype=np.float64)
    # Where all are over there is no band, which is known.
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.cumsum(ended / (at_risk * (at_risk - ended)))) / np.log(survival)
        reach = -ndtri((1 - CONFIDENCE) / 2) * spread
        below, above = (survival ** np.exp(sign * reach) for sign in (-1.0, 1.0))
    median = _first_below(times, survival)
    low = _first_below(times, np.nan_to_num(below, nan=1.0))
    high = _first_below(times, np.nan_to_num(above, nan=1.0))
    if np.isinf(median):
        return np.nan, low, high
    return median, min(low, median), high


def desk_metrics(desk: DeskTables, since: dt.datetime, reopen_days: int = 14) -> pd.DataFrame:
    """Return every metric of the desk as one row each, columns as in `COLUMNS`.

    Args:
        desk: The tables.
        since: Begin of the period in which clocks fall due and results are accepted; it ends now.
        reopen_days: For how long what was delivered may come back.
    """
    rows = [
        *_times(desk),
        *_breaches(desk, since),
        *_backlog(desk),
        *_reopened(desk, reopen_days),
        *_precision(desk, since),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _times(desk: DeskTables) -> Iterator[dict[str, Any]]:
    begun = desk.escalations.set_index("escalation_id")
    ended = desk.events.loc[desk.events["to_status"].isin(TERMINAL)]
    left = _moments(ended.groupby("escalation_id")["at"].max())
    for stage, kind in STAGES.items():
        at = _first(desk.events, kind).reindex(begun.index)
        until = at.fillna(left.reindex(begun.index)).fillna(pd.Timestamp(desk.now))
        hours = (until - _moments(begun["detected_at"])).dt.total_seconds().to_numpy() / 3600
        over = at.notna().to_numpy().astype(float)
        # Only what owed it: a priority without a promise to mitigate is not slow at it.
        owed = begun.index.isin(desk.clocks.loc[desk.clocks["kind"] == stage, "escalation_id"])
        for priority, mask in _each(begun["priority"]):
            chosen = mask & owed
            yield _time_row(f"hours_to_{stage}", priority, hours[chosen], over[chosen])


def _time_row(metric: str, priority: str, hours: Floats, over: Floats) -> dict[str, Any]:
    row = _row(metric, priority, ALL, len(hours), int(over.sum()))
    if not len(hours):
        return row | {"null_reason": "nothing owed it"}
    median, low, high = median_survival(hours, over)
    if np.isnan(median):
        return row | {"value_lo": _finite(low), "null_reason": "less than half is over"}
    return row | {"value": median, "value_lo": _finite(low), "value_hi": _finite(high)}


def _breaches(desk: DeskTables, since: dt.datetime) -> Iterator[dict[str, Any]]:
    clocks = desk.clocks.loc[desk.clocks["outcome"] != CANCELLED]
    priority = desk.escalations.set_index("escalation_id")["priority"]
    due = _moments(clocks["due_at"])
    fell_due = clocks.loc[(due >= pd.Timestamp(since)) & (due < pd.Timestamp(desk.now))]
    # A clock that runs past its due time is late already.
    late = fell_due["outcome"].isin((BREACHED, RUNNING)).to_numpy()
    for kind in ("acknowledge", "mitigate", "resolve", "deliver"):
        is_kind = (fell_due["kind"] == kind).to_numpy()
        for name, mask in _each(fell_due["escalation_id"].map(priority)):
            chosen = mask & is_kind
            yield _share_row(f"breach_rate_{kind}", name, ALL, late[chosen], "no clock fell due")


def _backlog(desk: DeskTables) -> Iterator[dict[str, Any]]:
    still = desk.escalations.loc[desk.escalations["is_open"].astype(bool)]
    now = pd.Timestamp(desk.now)
    age = (now - _moments(still["detected_at"])).dt.total_seconds().to_numpy() / 3600
    is_overdue = (desk.clocks["outcome"] == RUNNING) & (_moments(desk.clocks["due_at"]) < now)
    late = desk.clocks.loc[is_overdue]
    is_late = still["escalation_id"].isin(late["escalation_id"]).to_numpy()
    for name, mask in _each(still["priority"]):
        for quantile in (50, 90):
            row = _row(f"backlog_age_p{quantile}_hours", name, ALL, int(mask.sum()), None)
            if mask.any():
                yield row | {"value": float(np.percentile(age[mask], quantile))}
            else:
                yield row | {"null_reason": "nothing is open"}
        yield _share_row("backlog_late_share", name, ALL, is_late[mask], "nothing is open")


def _reopened(desk: DeskTables, days: int) -> Iterator[dict[str, Any]]:
    window = pd.Timedelta(days=days)
    delivered = _first(desk.events, "delivered")
    mature = delivered.loc[delivered + window <= pd.Timestamp(desk.now)]
    back = desk.events.loc[desk.events["kind"] == "reopened", ["escalation_id", "at"]]
    back = back.merge(mature.rename("since"), left_on="escalation_id", right_index=True)
    is_soon = (back["at"] >= back["since"]) & (back["at"] < back["since"] + window)
    soon = back.loc[is_soon, "escalation_id"]
    is_back = mature.index.isin(soon)
    priority = desk.escalations.set_index("escalation_id")["priority"].reindex(mature.index)
    for name, mask in _each(priority):
        reason = f"nothing was delivered {days} days ago or before"
        yield _share_row("reopen_rate", name, ALL, is_back[mask], reason)


def _precision(desk: DeskTables, since: dt.datetime) -> Iterator[dict[str, Any]]:
    closed = _first(desk.events, "accepted")
    recent = closed.loc[closed >= pd.Timestamp(since)].index
    ended = desk.escalations.loc[desk.escalations["escalation_id"].isin(recent)]
    ended = ended.loc[ended["status"] == "CLOSED"]
    is_right = ~ended["result_code"].isin(UNFOUNDED).to_numpy()
    for source, mask in _each(ended["source"]):
        yield _share_row("escalation_precision", ALL, source, is_right[mask], "nothing was closed")


def _first(events: pd.DataFrame, kind: str) -> pd.Series[Any]:
    return _moments(events.loc[events["kind"] == kind].groupby("escalation_id")["at"].min())


def _moments(times: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as instants in UTC, whatever an empty column was read as."""
    return pd.to_datetime(times, utc=True)


def _each(values: pd.Series[Any]) -> Iterator[tuple[str, Any]]:
    """Yield `all` and each value in order, with a mask of where it is."""
    yield ALL, np.ones(len(values), dtype=bool)
    for value in sorted(values.dropna().unique()):
        yield str(value), (values == value).to_numpy()


def _share_row(
    metric: str, priority: str, source: str, is_so: Any, null_reason: str
) -> dict[str, Any]:
    n, events = len(is_so), int(np.sum(is_so))
    row = _row(metric, priority, source, n, events)
    if not n:
        return row | {"null_reason": null_reason}
    low, high = wilson_limits(events, n)
    return row | {"value": events / n, "value_lo": float(low), "value_hi": float(high)}


def _row(metric: str, priority: str, source: str, n: int, events: int | None) -> dict[str, Any]:
    return {"metric": metric, "priority": priority, "source": source, "n": n, "events": events}


def _first_below(times: Floats, survival: Floats) -> float:
    reached = survival <= 0.5 + 1e-12  # a product of shares misses a half by rounding
    return float(times[np.argmax(reached)]) if reached.any() else np.inf


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
