"""How much a finding matters: the worse of harm and reach, how urgent it is, and the matrix."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from governance_pipeline.domain.calendars import Calendar, span
from governance_pipeline.domain.desk import Desk
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.routing import holds

SEVERITIES = ("S1", "S2", "S3", "S4")
URGENCIES = ("U1", "U2", "U3")


@dataclass(frozen=True)
class Weighed:
    """A severity with its two grounds (None is unknown), an urgency, a priority, and why."""

    harm: str | None
    reach: str | None
    severity: str
    urgency: str
    priority: str
    reason: str


def worse(*classes: str | None) -> str | None:
    """Return the gravest of some classes, the first in order; None if none is known.

    >>> worse("S3", None, "S2")
    'S2'
    """
    return min((c for c in classes if c is not None), default=None)


def step_up(severity: str) -> str:
    """Return the severity one step graver; S1 stays."""
    return SEVERITIES[max(SEVERITIES.index(severity) - 1, 0)]


def weigh(
    finding: Finding, desk: Desk, now: dt.datetime, statutory_due: dt.datetime | None = None
) -> Weighed:
    """Return how much a finding matters at an instant."""
    harm, because = _harm(finding, desk)
    reach = reach_class(finding, desk)
    severity = worse(harm, reach) or desk.policy.severity.unknown
    urgency, urgent_because = urgency_of(finding, desk, now, statutory_due)
    grounds = [because] if harm == severity else []
    grounds += [_reach_said(finding)] if reach == severity else []
    grounds = grounds or ["neither harm nor reach is known"]
    reason = f"{severity}: {' and '.join(grounds)}; {urgency}: {urgent_because}"
    return Weighed(harm, reach, severity, urgency, priority(severity, urgency, desk), reason)


def priority(severity: str, urgency: str, desk: Desk) -> str:
    """Return the matrix's cell."""
    return desk.policy.priorities[severity][urgency]  # type: ignore[index]


def reach_class(finding: Finding, desk: Desk) -> str | None:
    """Return how far a finding reaches: by impressions a day or by their share of the channel.

    The first class of which either number is enough, S4 below all, None where no exposure is known.
    """
    if finding.exposure is None:
        return None
    share = finding.exposure / finding.channel_impressions if finding.channel_impressions else 0.0
    reached = [
        rule.severity
        for rule in desk.policy.severity.reach
        if finding.exposure >= rule.exposure or share >= rule.share
    ]
    return worse(*reached) or "S4"


def urgency_of(
    finding: Finding, desk: Desk, now: dt.datetime, statutory_due: dt.datetime | None
) -> tuple[str, str]:
    """Return the urgency and what makes it so; days are compared with days."""
    rule = desk.policy.urgency
    if finding.is_event_running:
        return "U1", "an event is running"
    if is_statutory_near(desk, now, statutory_due):
        return "U1", "a statutory cap is near"
    before = finding.exposure_before
    growth = finding.exposure / before if finding.exposure and before else 1.0
    if finding.is_ongoing and growth >= rule.growth:
        return "U1", f"it grows, {growth:.1f} times the day before"
    if finding.is_ongoing:
        return "U2", "it goes on"
    calendar = desk.calendar(desk.calendar_name("P3", None))
    if finding.needed_by and is_needed_soon(finding.needed_by, desk, calendar, now):
        return "U2", f"it is needed by {finding.needed_by}"
    return "U3", "it is over"


def is_statutory_near(desk: Desk, now: dt.datetime, due: dt.datetime | None) -> bool:
    """Return whether a law's cap is so near that everything about it is urgent."""
    return due is not None and now + span(desk.policy.urgency.statutory_within).time >= due


def is_needed_soon(needed_by: dt.date, desk: Desk, calendar: Calendar, now: dt.datetime) -> bool:
    """Return whether fewer business days are left than the policy wants."""
    ends = calendar.add(now, span(desk.policy.urgency.needed_within))
    return ends.astimezone(calendar.zone).date() > needed_by


def _harm(finding: Finding, desk: Desk) -> tuple[str | None, str]:
    for rule in desk.policy.severity.harm:
        if holds(rule.when, finding, desk):
            return rule.severity, rule.because
    return None, ""


def _reach_said(finding: Finding) -> str:
    return f"it reaches {finding.exposure:,.0f} impressions a day"
