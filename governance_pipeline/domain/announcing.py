"""Who is told what when an escalation changes: one message per transition, team and route.

An evaluation that changes nothing has no event, and so no message.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance_pipeline.domain.calendars import Calendar
from governance_pipeline.domain.desk import Desk, team_of
from governance_pipeline.domain.escalation import Escalation, Event
from governance_pipeline.domain.ladder import recipients
from governance_pipeline.registry.models import Route

A_SECOND = dt.timedelta(seconds=1)
TO_OWNER = {
    "reprioritised": "reprioritised", "reopened": "reopened", "sent_back": "reopened",
    "accepted": "closed",
}  # fmt: skip
TO_REQUESTER = {
    "held": "held", "rejected": "ended", "cancelled": "ended", "duplicated": "ended",
}  # fmt: skip
RESULT = "result"
"""The kind of message that hands the result to a stakeholder; sending it is the receipt."""


@dataclass(frozen=True)
class Announcement:
    """One message: of which kind, because of which event, to which team by which of its routes.

    `route` is None for a team without routes: nobody can be reached there. `at` is when it may
    leave, in UTC: at once, or when the team works again.
    """

    kind: str
    event: Event
    team: str
    route: str | None
    at: dt.datetime

    @property
    def key(self) -> str:
        """What makes it this message: sent again after a crash it carries the same key."""
        said = (self.event.escalation_id, self.event.seq, self.kind, self.team, self.route or "-")
        return "/".join(map(str, said))


def announcements(state: Escalation, events: Sequence[Event], desk: Desk) -> Iterator[Announcement]:
    """Yield the messages of some events.

    Args:
        state: The escalation after them.
        events: What one command caused, in order.
        desk: The policy, teams and calendars.
    """
    is_new = any(event.kind == "opened" for event in events)
    for event in events:
        for kind, teams in _told(state, event, is_new, desk):
            for team in dict.fromkeys(teams):
                yield from _by_routes(kind, event, team, state.priority, desk)


def leaves_at(route: Route, priority: str, calendar: Calendar, now: dt.datetime) -> dt.datetime:
    """Return when a message may leave by a route: P1 at once, a digest with the next working day.

    Args:
        route: The way to the team.
        priority: Of the escalation.
        calendar: When the team works.
        now: When it was decided, in UTC.
    """
    if priority == "P1" or not (route.is_digest or route.keeps_quiet):
        return now
    if route.is_digest:
        # From the first moment of the next day on: all of a day leave together.
        local = now.astimezone(calendar.zone) + dt.timedelta(days=1)
        morning = local.replace(hour=0, minute=0, second=0, microsecond=0)
        return _opening(calendar, morning.astimezone(dt.UTC))
    return _opening(calendar, now)


def facts(state: Escalation, event: Event, kind: str) -> Mapping[str, Any]:
    """Return what a message says, as plain values; what does not apply is None."""
    finding, result, measured = state.finding, state.result, state.measurement
    due = {c.clock_id: c.due_at for c in state.clocks.values() if c.is_running and c.due_at}
    return {
        "kind": kind,
        "escalation_id": state.escalation_id,
        "title": finding.title,
        "status": state.status,
        "priority": state.priority,
        "priority_reason": state.priority_reason,
        "owner_team": state.owner_team,
        "assignee": state.assignee,
        "requester": team_of(state.requester),
        "actor": event.actor,
        "reason": event.reason,
        "details": finding.details,
        "where": [x for x in (finding.strategy_id, finding.channel, finding.category,
                              finding.market, finding.feed) if x],
        "since": finding.since,
        "detected_at": finding.detected_at,
        "occurrences": max((seen.times for seen in state.findings.values()), default=1),
        "due": dict(sorted(due.items(), key=lambda item: item[1])),
        "hold_reason": state.hold_reason,
        "mitigation": state.mitigation,
        "result": None if result is None else {
            "code": result.code, "evidence": result.evidence_uri, "change": result.change,
        },
        "measured": None if measured is None else measured.statement,
        "evidence_uri": finding.evidence_uri,
        "external_ref": state.external_ref,
    }  # fmt: skip


def _told(
    state: Escalation, event: Event, is_new: bool, desk: Desk
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the kinds of message of an event with the teams that are told."""
    owner, requester = state.owner_team or desk.duty, team_of(state.requester)
    kind, changes = event.kind, event.changes
    if kind == "opened":
        # Its owner is told with the event that opened it; until it has one, who triages it.
        yield "opened", [owner]
    elif kind == "assigned" and not is_new and "owner_team" in changes:
        yield "assigned", [owner]
    elif kind == "reprioritised" and is_new:
        return  # who is told of a new one is told as what it stands now
    elif kind in TO_OWNER:
        yield TO_OWNER[kind], [owner]
    elif kind in TO_REQUESTER:
        yield TO_REQUESTER[kind], [requester]
    elif kind == "acknowledged" and state.finding.source == "person":
        yield "acknowledged", [requester]
    elif kind == "mitigated":
        yield "mitigated", state.stakeholders
    elif kind == "cleared" and changes.get("cleared_at") is not None:
        yield "cleared", [owner]
    elif kind == "measured":
        yield (RESULT if event.after == "RESULT_READY" else "measured"), state.stakeholders
    elif kind == "reminded":
        reached = set(changes["told"].values())
        for step in desk.policy.ladder:
            if step.at in reached:
                yield "reminder", recipients(state, step, desk)


def _by_routes(
    kind: str, event: Event, team: str, priority: str, desk: Desk
) -> Iterator[Announcement]:
    known = desk.teams.get(team)
    routes = {} if known is None else known.routes
    calendar = desk.calendar(known.calendar if known else "always")
    usable = {name: route for name, route in routes.items() if priority in route.priorities}
    if not usable:
        yield Announcement(kind, event, team, None, event.at)
    for name, route in usable.items():
        yield Announcement(kind, event, team, name, leaves_at(route, priority, calendar, event.at))


def _opening(calendar: Calendar, at: dt.datetime) -> dt.datetime:
    """Return the instant itself where the calendar is open, else when it next opens."""
    if calendar.elapsed(at, at + A_SECOND):
        return at
    return calendar.instant(calendar.position(at) + A_SECOND) - A_SECOND
