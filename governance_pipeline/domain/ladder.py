"""What happens by itself as time goes by: reminders, the end of pauses, urgency, silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from governance_pipeline.domain.calendars import NOTHING, Span, span
from governance_pipeline.domain.clocks import Clock, instant_of_share, paused_time
from governance_pipeline.domain.commands import Accept, Command, Hasten, Remind, Resume
from governance_pipeline.domain.desk import PIPELINE, Desk, team_of
from governance_pipeline.domain.escalation import Escalation
from governance_pipeline.registry.escalation import Step


@dataclass(frozen=True)
class Wakening:
    """Something that an escalation does by itself: from when on, and what."""

    at: dt.datetime
    command: Command


def due_commands(state: Escalation, desk: Desk, now: dt.datetime) -> list[Command]:
    """Return what an escalation does by itself by now, in the order in which it came due."""
    due = [w for w in wakenings(state, desk, now) if w.at <= now]
    return [w.command for w in sorted(due, key=lambda w: w.at)]


def wake_at(state: Escalation, desk: Desk) -> dt.datetime | None:
    """Return when an escalation next does something by itself, None if it never will."""
    return min((w.at for w in wakenings(state, desk, None)), default=None)


def wakenings(state: Escalation, desk: Desk, now: dt.datetime | None) -> Iterator[Wakening]:
    """Yield everything an escalation will do by itself as it stands.

    Of a clock's steps up to `now` only the highest is told: one message, however late.
    """
    if not state.is_open:
        return
    for clock in state.clocks.values():
        if clock.is_running and not clock.is_paused:
            yield from _reminder(state, clock, desk, now)
    if state.status == "ON_HOLD":
        yield Wakening(
            pause_ends_at(state, desk),
            Resume(actor=PIPELINE, reason="a pause may not last longer"),
        )
    is_owed = any(clock.is_running and clock.kind == "resolve" for clock in state.clocks.values())
    if state.statutory_due and state.urgency != "U1" and is_owed:
        near = state.statutory_due - span(desk.policy.urgency.statutory_within).time
        reason = f"the statutory cap of {state.finding.statutory} is near"
        yield Wakening(near, Hasten(actor=PIPELINE, reason=reason, urgency="U1"))
    if state.status == "DELIVERED" and state.statutory_due is None:
        reason = "nobody objected in time"
        yield Wakening(silence_accepts_at(state, desk), Accept(actor=PIPELINE, reason=reason))


def recipients(state: Escalation, step: Step, desk: Desk) -> tuple[str, ...]:
    """Return the teams that a step of the ladder tells, each once."""
    words = {
        "owner": state.owner_team or desk.duty,
        "backup": state.backup_team or desk.duty,
        "duty": desk.duty,
        "requester": team_of(state.requester),
    }
    return tuple(dict.fromkeys(words.get(name, name) for name in step.notify))


def pause_ends_at(state: Escalation, desk: Desk) -> dt.datetime:
    """Return when the pause that runs has lasted as long as the policy lets it."""
    limits = []
    for clock in state.clocks.values():
        if clock.is_running and clock.is_paused:
            calendar, since = desk.calendar(clock.calendar), clock.pauses[-1][0]
            left = pause_left(clock, since, desk)
            limits.append(calendar.add(since, Span(max(left, NOTHING))))
            limits.append(calendar.add(since, span(desk.policy.pauses.max_single)))
    return min(limits, default=state.updated_at or state.opened_at)


def pause_left(clock: Clock, now: dt.datetime, desk: Desk) -> dt.timedelta:
    """Return the open time that a clock may still be paused."""
    allowed = clock.target * desk.policy.pauses.max_share_of_target
    return allowed - paused_time(clock, now, desk.calendar(clock.calendar))


def silence_accepts_at(state: Escalation, desk: Desk) -> dt.datetime:
    """Return when a delivered result counts as accepted if nobody of the requester speaks."""
    team = desk.teams.get(team_of(state.requester)) or desk.teams.get(desk.duty)
    calendar = desk.calendar(team.calendar if team else "always")
    delivered = state.delivered_at or state.opened_at
    return calendar.add(delivered, span(desk.policy.closing.silence_accepts_after))


def _reminder(
    state: Escalation, clock: Clock, desk: Desk, now: dt.datetime | None
) -> Iterator[Wakening]:
    told, calendar = state.told.get(clock.clock_id, 0.0), desk.calendar(clock.calendar)
    steps = [s for s in desk.policy.ladder if s.at > told and state.priority in s.priorities]
    if now is not None:
        steps = [s for s in steps if instant_of_share(clock, s.at, calendar) <= now][-1:]
    for step in steps[:1]:
        yield Wakening(
            instant_of_share(clock, step.at, calendar),
            Remind(
                actor=PIPELINE,
                reason=f"{step.at:.0%} of the time to {clock.kind} is used up",
                clock_id=clock.clock_id,
                step=step.at,
            ),
        )
