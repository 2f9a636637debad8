"""What an escalation's rules make of a command: the events that follow, or a refusal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from governance_pipeline.domain import commands as c
from governance_pipeline.domain import ending, noting, opening, working
from governance_pipeline.domain.desk import Desk
from governance_pipeline.domain.drafting import Draft
from governance_pipeline.domain.escalation import Escalation, Event, apply
from governance_pipeline.domain.ladder import due_commands
from governance_pipeline.errors import InputError, RefusedError

Handler = Callable[[Draft, Any], None]

HANDLERS: dict[type[c.Command], Handler] = {
    c.Triage: opening.triage,
    c.Assign: opening.assign,
    c.Bounce: opening.bounce,
    c.Acknowledge: working.acknowledge,
    c.Start: working.start,
    c.Hold: working.hold,
    c.Resume: working.resume,
    c.Mitigate: working.mitigate,
    c.Resolve: working.resolve,
    c.Measure: ending.measure,
    c.Deliver: ending.deliver,
    c.Accept: ending.accept,
    c.Reject: ending.reject,
    c.MarkDuplicate: ending.mark_duplicate,
    c.Cancel: ending.cancel,
    c.Reopen: ending.reopen,
    c.Note: noting.note,
    c.Clear: noting.clear,
    c.Link: noting.link,
    c.Remind: noting.remind,
    c.Hasten: noting.hasten,
}


def decide(
    state: Escalation | None, command: c.Command, desk: Desk, now: dt.datetime
) -> tuple[Event, ...]:
    """Return the events that a command causes; none if what it says is known already.

    Args:
        state: The escalation as it stands, None to open one.
        command: What is asked, by whom, why.
        desk: The policy, ready to use.
        now: When it is asked, in UTC, not before the last event.

    Raises:
        RefusedError: If the rules do not allow it; the reason is said, the state stays.
        InputError: If `now` is not in UTC.
    """
    if now.utcoffset() != dt.timedelta(0):
        raise InputError(f"{now} is not in UTC; give it as UTC")
    if not command.reason.strip():
        raise RefusedError("an action without a reason is refused; give a reason")
    if isinstance(command, c.Open):
        if state is not None:
            raise RefusedError(f"{state.escalation_id} is open already, since {state.opened_at:%F}")
        draft = Draft(opening.blank(command, now), command, desk, now)
        opening.open_(draft, command)
        return draft.done()
    if state is None:
        raise RefusedError("there is no such escalation; list them with `governance escalations`")
    if state.updated_at and now < state.updated_at:
        raise RefusedError(
            f"{state.escalation_id} was {state.status} since {state.updated_at:%F %H:%M:%S}, after "
            f"{now:%F %H:%M:%S}; what came before cannot be added"
        )
    draft = Draft(state, command, desk, now)
    HANDLERS[type(command)](draft, command)
    return draft.done()


def act(
    state: Escalation | None, command: c.Command, desk: Desk, now: dt.datetime
) -> tuple[Escalation, tuple[Event, ...]]:
    """Return the state after a command with the events that led there.

    Raises:
        RefusedError: If the rules do not allow it.
    """
    events = decide(state, command, desk, now)
    for event in events:
        state = apply(state, event)
    assert state is not None  # opening records an event, and everything else needs a state
    return state, events


def advance(
    state: Escalation, desk: Desk, now: dt.datetime
) -> tuple[Escalation, tuple[Event, ...]]:
    """Return an escalation after all that it does by itself up to an instant.

    Each thing is looked up anew after the one before, which may have changed what is due.
    """
    done: list[Event] = []
    while due := due_commands(state, desk, now):
        state, events = act(state, due[0], desk, now)
        if not events:
            break
        done += events
    return state, tuple(done)
