"""How an escalation ends and comes back: measured, delivered, accepted, turned down, reopened."""

from __future__ import annotations

from governance_pipeline.domain import clocks as clocking
from governance_pipeline.domain.calendars import ALWAYS, span
from governance_pipeline.domain.commands import (
    Accept,
    Cancel,
    Deliver,
    MarkDuplicate,
    Measure,
    Reject,
    Reopen,
)
from governance_pipeline.domain.desk import PIPELINE
from governance_pipeline.domain.drafting import Draft
from governance_pipeline.domain.escalation import AUTO, OWNER, TERMINAL
from governance_pipeline.domain.ladder import silence_accepts_at
from governance_pipeline.domain.opening import share_of
from governance_pipeline.domain.priority import priority, step_up

WITH_RESULT = ("RESULT_READY", "DELIVERED", "CLOSED")


def measure(draft: Draft, command: Measure) -> None:
    """Record whether acting helped, as often as that is known better."""
    draft.need(frozenset({AUTO}), "measure it")
    if draft.state.status not in WITH_RESULT:
        raise draft.refuse(f"it is {draft.state.status} and has no result to measure")
    if command.measurement != draft.state.measurement:
        draft.record("measured", measurement=command.measurement)


def deliver(draft: Draft, command: Deliver) -> None:
    """Record a stakeholder's receipt; with the last one the result is delivered."""
    state = draft.state
    if command.recipient in state.receipts:
        return
    if state.status != "RESULT_READY":
        raise draft.refuse(f"it is {state.status}; only a result that is ready is delivered")
    draft.need(frozenset({AUTO, OWNER}), "deliver it")
    if state.measurement is None:
        raise draft.refuse("its result was not measured yet; run the escalate job")
    if command.recipient not in state.stakeholders:
        raise draft.refuse(
            f"{command.recipient} is not told its result, only {', '.join(state.stakeholders)}"
        )
    receipts = {**state.receipts, command.recipient: command.receipt}
    if set(receipts) < set(state.stakeholders):
        draft.record("received", receipts=receipts)
    else:
        draft.move(
            "delivered", "DELIVERED", receipts=receipts, delivered_at=draft.now,
            clocks=draft.stopped("deliver"),
        )  # fmt: skip


def accept(draft: Draft, _command: Accept) -> None:
    """Close it: by the requester, never who handed in the result, or by silence."""
    state, actor = draft.state, draft.command.actor
    if state.status == "DELIVERED" and actor == PIPELINE:
        if state.statutory_due is not None:
            raise draft.refuse("what a law demands is accepted by a person")
        if draft.now < (until := silence_accepts_at(state, draft.desk)):
            raise draft.refuse(f"silence accepts it at {until:%F %H:%M} UTC, not before")
    _not_its_author(draft, "accept")
    draft.move("accepted", "CLOSED", closed_at=draft.now, clocks=draft.cancelled())


def reject(draft: Draft, command: Reject) -> None:
    """Turn it down; the requester is told the code and the reason."""
    if not command.code.strip():
        raise draft.refuse("name a code for why it is turned down, such as not_reproducible")
    draft.move(
        "rejected", "REJECTED", end_code=command.code, closed_at=draft.now,
        clocks=draft.cancelled(),
    )  # fmt: skip


def mark_duplicate(draft: Draft, command: MarkDuplicate) -> None:
    """Let another escalation stand for it, one that goes on."""
    if command.parent_id == draft.state.escalation_id:
        raise draft.refuse("it cannot be a duplicate of itself")
    if command.parent_status in TERMINAL:
        raise draft.refuse(f"{command.parent_id} is {command.parent_status}; nobody works on it")
    draft.move(
        "duplicated", "DUPLICATE", parent_id=command.parent_id, closed_at=draft.now,
        clocks=draft.cancelled(),
    )  # fmt: skip


def cancel(draft: Draft, _command: Cancel) -> None:
    """Withdraw it, unless a law wants it."""
    if draft.state.statutory_due is not None and draft.state.is_open:
        raise draft.refuse(f"{draft.state.finding.statutory} is a law's demand; resolve it")
    draft.move("cancelled", "CANCELLED", closed_at=draft.now, clocks=draft.cancelled())


def reopen(draft: Draft, _command: Reopen) -> None:
    """Send back what was handed in, or open again what was delivered."""
    if draft.state.status == "RESULT_READY":
        _send_back(draft)
        return
    state, desk = draft.state, draft.desk
    if state.delivered_at is not None and state.status in ("DELIVERED", "CLOSED"):
        until = ALWAYS.add(state.delivered_at, span(desk.policy.closing.reopen_within))
        if draft.now >= until:
            raise draft.refuse(f"it could come back until {until:%F %H:%M} UTC; open a new one")
    times = state.reopened + 1
    severity = step_up(state.severity) if times > 1 else state.severity
    new, share = priority(severity, state.urgency, desk), share_of("resolve#", desk)
    draft.move(
        "reopened", "REOPENED", reopened=times, severity=severity, priority=new,
        closed_at=None, cleared_at=None, result=None,
        clocks=draft.started("resolve", draft.now, new, share),
    )  # fmt: skip
    draft.move("assigned", "ASSIGNED", why="it stays with its owner", is_automatic=True)


def _send_back(draft: Draft) -> None:
    """Let the clocks run on as if nothing had been handed in: it was no result."""
    _not_its_author(draft, "send back")
    state, desk, clocks = draft.state, draft.desk, draft.cancelled("deliver")
    for clock in state.clocks.values():
        promise = desk.promise(state.priority, clock.kind)
        is_owed = clock.kind == "resolve" or (
            clock.kind == "mitigate" and state.mitigated_at is None
        )
        if clock.stopped_at != state.result_at or promise is None or not is_owed:
            continue
        name = desk.calendar_name(state.priority, state.owner_team)
        again = clocking.restart(clock, desk.calendar(clock.calendar))
        target = promise * share_of(clock.clock_id, desk)
        clocks[clock.clock_id] = clocking.retarget(again, name, desk.calendar(name), target)
    draft.move("sent_back", "IN_PROGRESS", result=None, result_at=None, clocks=clocks)


def _not_its_author(draft: Draft, what: str) -> None:
    result = draft.state.result
    if result is not None and result.by == draft.command.actor:
        raise draft.refuse(f"{result.by} handed the result in and may not {what} it; let another")
