"""What may be asked of an escalation; each names its actor and a reason."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from governance_pipeline.domain.escalation import Measurement
from governance_pipeline.domain.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every command says: who (`team/name`, a team, or `pipeline`), and why."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Command):
    """Open an escalation of a finding: weighed, routed and assigned at once."""

    escalation_id: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage(Command):
    """Set its severity or urgency by hand; only this may let a severity fall."""

    severity: str | None = None
    urgency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Command):
    """Give it to a team, or within its team to a person."""

    team: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce(Command):
    """Give it back as the wrong team: to the stand-in first, then to the duty team."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge(Command):
    """Say that the owner has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Command):
    """Begin to work on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Command):
    """Stop its clocks for a reason that lies elsewhere."""

    awaiting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Command):
    """Let its clocks go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigate(Command):
    """Say that the harm has stopped, and by which record (change, rollback or hold)."""

    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve(Command):
    """Hand in a result: its code, its evidence, the change that was made."""

    code: str
    evidence_uri: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Command):
    """Record what was measured before and after."""

    measurement: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver(Command):
    """Record that a stakeholder has the result; the last receipt makes it delivered."""

    recipient: str
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(Command):
    """Accept the result, or let the policy's silence accept it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Command):
    """Turn it down before work began, with a code that the requester is told."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDuplicate(Command):
    """Point it at the open escalation that it repeats."""

    parent_id: str
    parent_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Command):
    """Withdraw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopen(Command):
    """Send back a result that does not hold, or open it again after it was delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Command):
    """Note that a finding was seen on a day: again, or for the first time on this escalation."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear(Command):
    """Note that a finding has gone; when all have, that proposes to resolve it."""

    fingerprint: str
    on: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Command):
    """Name the ticket of the team's own tool that it mirrors."""

    external_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remind(Command):
    """Record that a clock reached a step of the ladder; `ladder.recipients` says who is told."""

    clock_id: str
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hasten(Command):
    """Raise its urgency because a date came near."""

    urgency: str
