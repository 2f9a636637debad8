"""What is noted on an escalation while it goes on: findings, tickets, reminders, dates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from governance_pipeline.domain.commands import Clear, Hasten, Link, Note, Remind
from governance_pipeline.domain.drafting import Draft
from governance_pipeline.domain.escalation import AUTO, OWNER, REQUESTER, TRIAGER
from governance_pipeline.domain.findings import Seen
from governance_pipeline.domain.fingerprints import fingerprint
from governance_pipeline.domain.opening import completed, reweigh
from governance_pipeline.domain.priority import weigh, worse

ANYBODY = frozenset({AUTO, OWNER, REQUESTER, TRIAGER})


def note(draft: Draft, command: Note) -> None:
    """Note that a finding was seen on a day; seen on that day and not gone since, nothing happens.

    Severity and urgency may rise by it and never fall. Exposure is the largest day's.
    """
    state, finding = draft.state, completed(command.finding, draft.desk)
    print_ = fingerprint(finding)
    seen = state.findings.get(print_)
    if seen is not None and seen.cleared_on is None and seen.last_on >= finding.on:
        return
    if seen is None:
        fresh = Seen(print_, finding, finding.on, finding.on)
    else:
        last = max(seen.last_on, finding.on)
        times = seen.times + (finding.on > seen.last_on)
        fresh = replace(seen, finding=finding, last_on=last, times=times, cleared_on=None)
    known = [x for x in (state.exposure, finding.exposure) if x is not None]
    changes: dict[str, Any] = {
        "findings": {print_: fresh},
        "occurrences": state.occurrences + 1,
        "exposure": max(known, default=None),
        "cleared_at": None,
    }
    if not state.is_open:
        draft.record("noted", **changes)
        return
    weighed = weigh(finding, draft.desk, draft.now, state.statutory_due)
    severity = worse(state.severity, weighed.severity) or state.severity
    urgency = worse(state.urgency, weighed.urgency) or state.urgency
    reweigh(draft, severity, urgency, weighed.reason, **changes)


def clear(draft: Draft, command: Clear) -> None:
    """Note that a finding has gone; when none is left, a resolution is proposed."""
    seen = draft.state.findings.get(command.fingerprint)
    if seen is None:
        raise draft.refuse(f"it has no finding {command.fingerprint}")
    if seen.cleared_on is not None:
        return
    gone = replace(seen, cleared_on=command.on)
    findings = {**draft.state.findings, command.fingerprint: gone}
    is_last = all(other.cleared_on is not None for other in findings.values())
    draft.record(
        "cleared", findings={command.fingerprint: gone}, cleared_at=draft.now if is_last else None
    )


def link(draft: Draft, command: Link) -> None:
    """Name the ticket that it mirrors."""
    draft.need(ANYBODY, "link it")
    if command.external_ref != draft.state.external_ref:
        draft.record("linked", external_ref=command.external_ref)


def remind(draft: Draft, command: Remind) -> None:
    """Record a step of the ladder; each clock's steps are told once and in order."""
    draft.need(frozenset({AUTO}), "remind of it")
    clock = draft.state.clocks.get(command.clock_id)
    if clock is None or not clock.is_running:
        raise draft.refuse(f"its clock {command.clock_id} does not run")
    if command.step > draft.state.told.get(command.clock_id, 0.0):
        draft.record("reminded", told={command.clock_id: command.step})


def hasten(draft: Draft, command: Hasten) -> None:
    """Raise the urgency because a date came near; it never falls by this."""
    draft.need_open()
    draft.need(frozenset({AUTO}), "hasten it")
    state = draft.state
    urgency = worse(state.urgency, command.urgency) or state.urgency
    if urgency != state.urgency:
        reweigh(draft, state.severity, urgency, f"{state.severity}, {urgency}: {command.reason}")
