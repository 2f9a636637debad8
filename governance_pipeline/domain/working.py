"""What the owner does: acknowledge, work, hold, mitigate, hand in a result."""

from __future__ import annotations

from governance_pipeline.domain import clocks as clocking
from governance_pipeline.domain.calendars import NOTHING
from governance_pipeline.domain.commands import Acknowledge, Hold, Mitigate, Resolve, Resume, Start
from governance_pipeline.domain.drafting import Draft
from governance_pipeline.domain.escalation import RESULT_CODES, Result
from governance_pipeline.domain.ladder import pause_left
from governance_pipeline.domain.opening import resumed

PAUSED = ("mitigate", "resolve")


def acknowledge(draft: Draft, _command: Acknowledge) -> None:
    """Stop the clock of acknowledging; who does it has it, unless somebody has it already."""
    actor, state = draft.command.actor, draft.state
    draft.move(
        "acknowledged", "ACKNOWLEDGED",
        acknowledged_at=state.acknowledged_at or draft.now,
        assignee=state.assignee or (actor if "/" in actor else None),
        clocks=draft.stopped("acknowledge"),
    )  # fmt: skip


def start(draft: Draft, _command: Start) -> None:
    """Begin to work; that acknowledges too."""
    if draft.state.status == "ASSIGNED":
        acknowledge(draft, Acknowledge(actor=draft.command.actor, reason=draft.command.reason))
    if draft.state.status != "ACKNOWLEDGED":
        raise draft.refuse(f"it is {draft.state.status}; work begins on what is ACKNOWLEDGED")
    draft.move("started", "IN_PROGRESS")


def hold(draft: Draft, command: Hold) -> None:
    """Stop the clocks for one of the policy's reasons, never at P1 or under a statutory cap."""
    _be_at_work(draft)
    state, pauses = draft.state, draft.desk.policy.pauses
    if command.awaiting not in pauses.reasons:
        raise draft.refuse(
            f"{command.awaiting} stops no clock; the reasons are {', '.join(pauses.reasons)}"
        )
    if not draft.desk.target(state.priority).pause_allowed:
        raise draft.refuse(f"at {state.priority} no clock is paused")
    if state.statutory_due is not None:
        raise draft.refuse(f"the statutory cap of {state.finding.statutory} pauses for nothing")
    clocks = draft.running(*PAUSED)
    if any(pause_left(clock, draft.now, draft.desk) <= NOTHING for clock in clocks):
        raise draft.refuse(
            "it was paused as long as the policy lets it; resolve it or hand it over"
        )
    draft.move(
        "held", "ON_HOLD", hold_reason=command.awaiting,
        clocks={clock.clock_id: clocking.pause(clock, draft.now) for clock in clocks},
    )  # fmt: skip


def resume(draft: Draft, _command: Resume) -> None:
    """Let the clocks go on."""
    if draft.state.status != "ON_HOLD":
        raise draft.refuse(f"it is {draft.state.status}, not ON_HOLD; there is nothing to resume")
    draft.move("resumed", "IN_PROGRESS", clocks=resumed(draft), hold_reason=None)


def mitigate(draft: Draft, command: Mitigate) -> None:
    """Stop the clock of mitigating on a record of what stopped the harm."""
    if not command.record.strip():
        raise draft.refuse("name the record of the mitigation: a change, a rollback or a hold")
    _be_at_work(draft)
    draft.move(
        "mitigated", "MITIGATED", mitigation=command.record,
        mitigated_at=draft.state.mitigated_at or draft.now,
        clocks=draft.stopped("mitigate"),
    )  # fmt: skip


def resolve(draft: Draft, command: Resolve) -> None:
    """Hand in a result; the clock of delivering it starts."""
    if command.code not in RESULT_CODES:
        raise draft.refuse(
            f"{command.code} is no result code; the codes are {', '.join(RESULT_CODES)}"
        )
    if not command.evidence_uri.strip() or not command.change.strip():
        raise draft.refuse("a result needs evidence and the change that was made, or `none`")
    if draft.state.status != "MITIGATED":
        _be_at_work(draft)
    result = Result(command.code, command.evidence_uri, command.change, command.actor)
    draft.move(
        "resolved", "RESULT_READY", result=result, result_at=draft.now, measurement=None,
        receipts={},
        clocks={
            **draft.stopped("acknowledge", "mitigate", "resolve"),
            **draft.started("deliver", draft.now, draft.state.priority),
        },
    )  # fmt: skip


def _be_at_work(draft: Draft) -> None:
    """Take the steps that working implies: acknowledge, start, resume."""
    if draft.state.status in ("ASSIGNED", "ACKNOWLEDGED"):
        start(draft, Start(actor=draft.command.actor, reason=draft.command.reason))
    elif draft.state.status == "ON_HOLD":
        resume(draft, Resume(actor=draft.command.actor, reason=draft.command.reason))
