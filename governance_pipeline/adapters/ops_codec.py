"""Escalations as JSON and as rows: what the store writes, and what it reads back as the same."""

from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from sqlalchemy import Row
from typing_extensions import TypedDict

from governance_pipeline.domain.clocks import Clock
from governance_pipeline.domain.escalation import Escalation, Event
from governance_pipeline.domain.findings import Seen

FACTS = ("source", "type", "title", "strategy_id", "channel", "category", "market")
KEPT = (
    "escalation_id", "version", "status", "is_open", "priority", "severity", "urgency",
    "owner_team", "assignee", "requester", "external_ref", "occurrences", "reopened", "end_code",
    "opened_at", "updated_at", "wake_at",
)  # fmt: skip


@cache
def _states() -> TypeAdapter[Escalation]:
    return TypeAdapter(Escalation)


@cache
def _changes() -> TypeAdapter[dict[str, Any]]:
    # An event changes any of a state's fields, each of the type it has there.
    fields = get_type_hints(Escalation)
    return TypeAdapter(TypedDict("Changes", fields, total=False))  # type: ignore[operator]


def state_to_json(state: Escalation) -> str:
    """Return a state as JSON."""
    return _states().dump_json(state).decode()


def state_from_json(text: str) -> Escalation:
    """Return the state that was written as JSON."""
    return _states().validate_json(text)


def event_row(event: Event) -> dict[str, Any]:
    """Return an event as a row of `escalation_events`."""
    return {
        "escalation_id": event.escalation_id,
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "actor": event.actor,
        "reason": event.reason,
        "from_status": event.before,
        "to_status": event.after,
        "changes": _changes().dump_json(dict(event.changes)).decode(),
    }


def event_of(row: Row[Any]) -> Event:
    """Return the event that a row holds."""
    return Event(
        escalation_id=row.escalation_id,
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        actor=row.actor,
        reason=row.reason,
        before=row.from_status,
        after=row.to_status,
        changes=_changes().validate_json(row.changes),
    )


def state_row(state: Escalation) -> dict[str, Any]:
    """Return a state as a row of `escalations`, with the running clock that is due first."""
    due = [c for c in state.clocks.values() if c.is_running and c.due_at is not None]
    first = min(due, key=lambda c: (c.due_at, c.clock_id), default=None)
    return {
        **{name: getattr(state, name) for name in KEPT},
        **{name: getattr(state.finding, name) for name in FACTS},
        "detected_at": state.finding.detected_at,
        "result_code": state.result.code if state.result else None,
        "verdict": state.measurement.verdict if state.measurement else None,
        "due_at": first.due_at if first else None,
        "due_clock": first.clock_id if first else None,
        "due_calendar": first.calendar if first else None,
        "state": state_to_json(state),
    }


def finding_row(escalation_id: str, seen: Seen) -> dict[str, Any]:
    """Return a finding as a row of `escalation_findings`."""
    facts = (*FACTS, "metric", "observed", "expected", "exposure")
    return {
        "escalation_id": escalation_id,
        "fingerprint": seen.fingerprint,
        **{name: getattr(seen.finding, name) for name in facts},
        "first_on": seen.first_on,
        "last_on": seen.last_on,
        "days_seen": seen.times,
        "cleared_on": seen.cleared_on,
    }


def clock_row(escalation_id: str, clock: Clock) -> dict[str, Any]:
    """Return a clock as a row of `escalation_clocks`; lengths are in hours."""
    hours = None if clock.elapsed is None else clock.elapsed.total_seconds() / 3600
    same = ("clock_id", "kind", "calendar", "started_at", "due_at", "statutory_due", "stopped_at")
    return {
        "escalation_id": escalation_id,
        **{name: getattr(clock, name) for name in same},
        "target_hours": clock.target.total_seconds() / 3600,
        "pauses": len(clock.pauses),
        "elapsed_hours": hours,
        "outcome": clock.outcome,
    }


def as_dict(state: Escalation) -> Mapping[str, Any]:
    """Return a state as nested dictionaries of JSON's types, for programs."""
    return _states().dump_python(state, mode="json")
