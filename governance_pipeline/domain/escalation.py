"""An escalation as its log tells it: states, the transitions between them, events, replay.

An event holds everything it changed, clocks included, so that the log alone gives every state:
a later policy, calendar or version of this program decides the future and never the past.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from governance_pipeline.domain.clocks import Clock
from governance_pipeline.domain.findings import Finding, Seen
from governance_pipeline.errors import InputError

AUTO, TRIAGER, OWNER, REQUESTER, REVIEWER = "auto", "triager", "owner", "requester", "reviewer"

STATUSES = (
    "NEW", "TRIAGED", "ASSIGNED", "ACKNOWLEDGED", "IN_PROGRESS", "ON_HOLD", "MITIGATED",
    "RESULT_READY", "DELIVERED", "CLOSED", "REOPENED", "DUPLICATE", "REJECTED", "CANCELLED",
)  # fmt: skip
TERMINAL = frozenset({"CLOSED", "DUPLICATE", "REJECTED", "CANCELLED"})
"""Ends; only CLOSED may be left again, by REOPENED, within the policy's window."""

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("NEW", "TRIAGED", "triager auto"),
    ("NEW TRIAGED ASSIGNED", "DUPLICATE", "triager auto"),
    ("NEW TRIAGED ASSIGNED ACKNOWLEDGED", "REJECTED", "triager"),
    ("NEW TRIAGED ASSIGNED ACKNOWLEDGED IN_PROGRESS ON_HOLD", "CANCELLED", "requester triager"),
    ("TRIAGED", "ASSIGNED", "auto triager"),
    ("ASSIGNED", "ACKNOWLEDGED", "owner"),
    ("ASSIGNED", "TRIAGED", "owner"),
    ("ACKNOWLEDGED IN_PROGRESS", "ASSIGNED", "triager"),
    ("ACKNOWLEDGED", "IN_PROGRESS", "owner"),
    ("IN_PROGRESS", "ON_HOLD", "owner"),
    ("ON_HOLD", "IN_PROGRESS", "owner requester triager auto"),
    ("IN_PROGRESS", "MITIGATED", "owner"),
    ("IN_PROGRESS MITIGATED", "RESULT_READY", "owner"),
    ("RESULT_READY", "IN_PROGRESS", "reviewer requester"),
    ("RESULT_READY", "DELIVERED", "auto owner"),
    ("DELIVERED", "CLOSED", "requester auto"),
    ("DELIVERED CLOSED", "REOPENED", "requester auto"),
    ("REOPENED", "ASSIGNED", "auto"),
)
TRANSITIONS: Mapping[tuple[str, str], frozenset[str]] = {
    (before, after): frozenset(roles.split())
    for befores, after, roles in _TABLE
    for before in befores.split()
}
"""Every transition there is, and the roles that may make it."""

RESULT_CODES = (
    "strategy_fixed", "strategy_rolled_back", "strategy_added", "threshold_tuned",
    "decision_confirmed_correct", "data_defect_fixed", "policy_clarified", "no_defect_found",
    "wont_fix_accepted_risk",
)  # fmt: skip
UNFOUNDED = frozenset({"no_defect_found", "decision_confirmed_correct"})
"""Results that say the finding cried wolf."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was done about it, by whom, where that is shown, and which change it was."""

    code: str
    evidence_uri: str
    change: str
    by: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """Whether acting helped, on the requester's own slice, as a difference with its interval.

    `verdict` is `improved`, `not_improved`, `too_early` or `not_measurable`; `known_on` says when
    a verdict that is too early will be known.
    """

    verdict: str
    statement: str
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    difference: float | None = None
    difference_lo: float | None = None
    difference_hi: float | None = None
    known_on: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """The state of an escalation after `version` events; times are UTC.

    `stakeholders` are the teams told the result, each with a receipt before it counts as
    delivered. `told` is the ladder's last step per clock. `cleared_at` is when the last of its
    findings had gone: a proposal to resolve it. `wake_at` is when something happens by itself.
    """

    escalation_id: str
    finding: Finding
    opened_at: dt.datetime
    version: int = 0
    status: str = "NEW"
    updated_at: dt.datetime | None = None
    requester: str = ""
    stakeholders: tuple[str, ...] = ()
    harm: str | None = None
    reach: str | None = None
    severity: str = "S2"
    urgency: str = "U2"
    priority: str = "P2"
    priority_reason: str = ""
    exposure: float | None = None
    statutory_due: dt.datetime | None = None
    owner_team: str | None = None
    backup_team: str | None = None
    assignee: str | None = None
    rule: int | None = None
    bounces: int = 0
    occurrences: int = 1
    findings: Mapping[str, Seen] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    external_ref: str | None = None
    hold_reason: str | None = None
    mitigation: str | None = None
    result: Result | None = None
    measurement: Measurement | None = None
    receipts: Mapping[str, str] = field(default_factory=dict)
    acknowledged_at: dt.datetime | None = None
    mitigated_at: dt.datetime | None = None
    result_at: dt.datetime | None = None
    delivered_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None
    cleared_at: dt.datetime | None = None
    reopened: int = 0
    parent_id: str | None = None
    end_code: str | None = None
    told: Mapping[str, float] = field(default_factory=dict)
    wake_at: dt.datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether anybody still owes something."""
        return self.status not in TERMINAL


MERGED = frozenset({"findings", "clocks", "told"})
"""Fields of which an event holds only the entries it changed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log: who did what, why and when, and every field that changed by it.

    `before` and `after` are statuses, alike where it made no transition; `before` is None for the
    first.
    """

    escalation_id: str
    seq: int
    kind: str
    at: dt.datetime
    actor: str
    reason: str
    before: str | None
    after: str
    changes: Mapping[str, Any]

    @property
    def is_transition(self) -> bool:
        """Whether it moved the escalation to another state."""
        return self.before != self.after


def apply(state: Escalation | None, event: Event) -> Escalation:
    """Return the state after an event.

    Raises:
        InputError: If the event is not the next of the log.
    """
    version, status = (0, None) if state is None else (state.version, state.status)
    if (event.seq, event.before) != (version + 1, status):
        raise InputError(
            f"event {event.seq} of {event.escalation_id} follows {event.before}, but the log is at "
            f"{status} after {version} events"
        )
    changes = dict(event.changes)
    if state is None:
        return Escalation(
            escalation_id=event.escalation_id, version=1, status=event.after,
            updated_at=event.at, **changes,
        )  # fmt: skip
    for name in MERGED.intersection(changes):
        changes[name] = {**getattr(state, name), **changes[name]}
    return replace(state, version=event.seq, status=event.after, updated_at=event.at, **changes)


def replay(events: Iterable[Event]) -> Escalation:
    """Return the state that a whole log gives, every clock included.

    Raises:
        InputError: If the log is empty or broken.
    """
    state: Escalation | None = None
    for event in events:
        state = apply(state, event)
    if state is None:
        raise InputError("a log without events is no escalation")
    return state
