"""What the newest verdict tables say that somebody should act on, as findings.

Each function takes one row of what `adapters.findings` asks for; days are dates, shares in 0..1.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from governance_pipeline.domain.findings import Finding

Row = Mapping[str, Any]

REFUSALS_WITHIN = 28
"""Days up to the newest delivery in which a refused one opens an escalation."""

CONTRADICTORY_SHARE = 0.05
CONTRADICTORY_ITEMS = 30
"""Two strategies contradict each other on a share of what both act on, and on enough of it."""

_TYPES = {
    ("restrictive", "precision"): "wrong_suppression",
    ("restrictive", "recall"): "missed_violation",
    ("boost", "precision"): "wrong_promotion",
    ("boost", "recall"): "missed_promotion",
}
_HURT = {
    "wrong_suppression": "reach_lost",
    "missed_violation": "missed_reach",
    "wrong_promotion": "wrongly_boosted_reach",
    "missed_promotion": "not_boosted_reach",
}
_HURT_SAID = {
    "reach_lost": "impressions a day taken from honest sellers",
    "missed_reach": "impressions a day of what should have been stopped",
    "wrongly_boosted_reach": "impressions a day given to what should not have them",
    "not_boosted_reach": "impressions a day that deserving items did not get",
}


def drift(row: Row, now: dt.datetime, requester: str) -> Finding:
    """Return the finding of a strategy's metric that needs an audit, with whom it hurts.

    Args:
        row: A status with its estimate, the harm of the last cohorts, and the impressions of its
            channels a day.
        now: When it became known, in UTC.
        requester: The team that is told the result.

    >>> about = {"strategy_id": "s", "name": "S", "metric": "recall", "polarity": "boost",
    ...     "date": dt.date(2026, 5, 1), "channel": None, "estimate": 0.5, "estimate_lo": 0.4,
    ...     "estimate_hi": 0.6, "goal": 0.8, "cohorts": 28, "not_boosted_reach_est": 1400.0,
    ...     "not_boosted_reach_lo": 280.0, "not_boosted_reach_hi": 2800.0}
    >>> found = drift(about, dt.datetime(2026, 5, 2, tzinfo=dt.UTC), "governance")
    >>> found.type, found.exposure, found.title
    ('missed_promotion', 100.0, 'S: recall 50% (40-60) against a goal of 80%')
    """
    kind = _TYPES[row["polarity"], row["metric"]]
    cause = row.get("suspected_cause")
    return Finding(
        source="drift",
        type=kind,
        title=f"{row['name']}: {row['metric']} {_estimated(row)}",
        detected_at=now,
        on=row["date"],
        requester=requester,
        channel=row.get("channel"),
        strategy_id=row["strategy_id"],
        metric=row["metric"],
        observed=row.get("estimate"),
        expected=row.get("goal"),
        exposure=_a_day(row, f"{_HURT[kind]}_hi"),
        channel_impressions=row.get("channel_impressions"),
        evidence_uri=page_of(row["strategy_id"]),
        details=_sentences(
            row.get("reason"),
            f"suspected cause: {cause}, {row.get('cause_evidence')}" if cause else None,
            _hurt_said(row, _HURT[kind]),
        ),
        since=row.get("since"),
    )


def refusal(row: Row, now: dt.datetime, requester: str) -> Finding:
    """Return the finding of a feed of which deliveries were refused and not mended yet.

    Args:
        row: The newest refused delivery of a feed and channel, and how many are open.
        now: When it became known, in UTC.
        requester: The team that is told the result.
    """
    more = row["refused"] - 1
    return Finding(
        source="data_quality",
        type="data_quality",
        title=f"Delivery {row['feed']}/{row['channel']} of {row['delivery_date']} was refused",
        detected_at=now,
        on=row["delivery_date"],
        requester=requester,
        channel=row["channel"],
        feed=row["feed"],
        metric="refused",
        observed=float(row["rows_quarantined"]),
        expected=0.0,
        evidence_uri=f"/assets/accepted/{row['channel']}/decisions"
        if row["feed"] == "decisions"
        else f"/assets/accepted/{row['feed']}",
        details=_sentences(
            row.get("refusal"), f"{more} older deliveries of it are refused too" if more else None
        ),
        since=row["first_refused"],
        opens=row["opens"],
    )


def broken_rule(row: Row, now: dt.datetime, requester: str) -> Finding:
    """Return the finding of a rule about a feed as a whole that its newest delivery broke."""
    return Finding(
        source="data_quality",
        type="data_quality",
        title=f"{row['feed']} of {row['channel']}: {row['rule']} does not hold",
        detected_at=now,
        on=row["delivery_date"],
        requester=requester,
        channel=row["channel"],
        feed=row["feed"],
        metric=row["rule"],
        observed=float(row["failed_rows"]),
        expected=0.0,
        details=row.get("observed"),
        since=row["delivery_date"],
    )


def conflict(row: Row, now: dt.datetime, requester: str) -> Finding:
    """Return the finding of two strategies that do opposite things to the same items."""
    first, second, share = row["strategy_a"], row["strategy_b"], row["contradictory_share"]
    return Finding(
        source="conflict",
        type="strategy_conflict",
        title=f"{first} and {second} contradict each other on {row['channel']}",
        detected_at=now,
        on=row["window_end"],
        requester=requester,
        channel=row["channel"],
        strategy_id=first,
        metric=f"contradicts {second}",
        observed=share,
        expected=CONTRADICTORY_SHARE,
        evidence_uri=page_of(first),
        details=f"{row['contradictory_items']} of {row['items_both']} items that both acted on got "
        f"opposite actions ({row['actions']})",
    )


def page_of(strategy_id: str) -> str:
    """Return where the catalog shows a strategy, below its address.

    >>> page_of("live-flash-sale-boost")
    '/assets/strategies/live_flash_sale_boost'
    """
    return f"/assets/strategies/{strategy_id.replace('-', '_')}"


def _estimated(row: Row) -> str:
    goal = f"against a goal of {row['goal']:.0%}"
    if row.get("estimate") is None:
        return f"dropped, {goal}"
    low, high = 100 * row["estimate_lo"], 100 * row["estimate_hi"]
    return f"{row['estimate']:.0%} ({low:.0f}-{high:.0f}) {goal}"


def _a_day(row: Row, name: str) -> float | None:
    value, days = row.get(name), row.get("cohorts")
    return None if value is None or not days else value / days


def _hurt_said(row: Row, measure: str) -> str | None:
    found = [_a_day(row, f"{measure}_{end}") for end in ("est", "lo", "hi")]
    if None in found:
        return None
    est, low, high = (f"{value:,.0f}" for value in found)
    return f"{est} ({low} to {high}) {_HURT_SAID[measure]}"


def _sentences(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)
