"""The clocks of an escalation: what they promise, when they are due, how they ended.

A clock is a value; every function returns the next one. Its calendar is named, not held, so that
a stored clock is read without the policy that made it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from governance_pipeline.domain.calendars import NOTHING, Calendar, Span

RUNNING, MET, BREACHED, CANCELLED = OUTCOMES = ("running", "met", "breached", "cancelled")
Pause = tuple[dt.datetime, dt.datetime | None]


@dataclass(frozen=True, slots=True)
class Clock:
    """One instance of a promise: `target` of open time from `started_at` on.

    `due_at` is None while it is paused, since nobody knows yet. `statutory_due` caps it whatever
    the calendar. Intervals are half-open, times UTC.
    """

    clock_id: str
    kind: str
    calendar: str
    target: dt.timedelta
    started_at: dt.datetime
    due_at: dt.datetime | None
    statutory_due: dt.datetime | None = None
    pauses: tuple[Pause, ...] = ()
    stopped_at: dt.datetime | None = None
    elapsed: dt.timedelta | None = None
    outcome: str = RUNNING

    @property
    def is_running(self) -> bool:
        """Whether it still counts, paused or not."""
        return self.outcome == RUNNING

    @property
    def is_paused(self) -> bool:
        """Whether it stands still for now."""
        return bool(self.pauses) and self.pauses[-1][1] is None


def start(
    clock_id: str,
    name: str,
    calendar: Calendar,
    target: dt.timedelta,
    started_at: dt.datetime,
    statutory_due: dt.datetime | None = None,
) -> Clock:
    """Return a running clock of the kind its id begins with; `name` names its calendar."""
    clock = Clock(
        clock_id, clock_id.partition("#")[0], name, target, started_at, None, statutory_due
    )
    return _due(clock, calendar)


def paused_time(clock: Clock, now: dt.datetime, calendar: Calendar) -> dt.timedelta:
    """Return the open time that its pauses took, the running one up to now."""
    return sum((calendar.elapsed(since, end or now) for since, end in clock.pauses), NOTHING)


def active_elapsed(clock: Clock, now: dt.datetime, calendar: Calendar) -> dt.timedelta:
    """Return the open time from its start to its stop, or to now, without its pauses.

    >>> from governance_pipeline.domain.calendars import ALWAYS
    >>> noon, hour = dt.datetime(2026, 3, 6, 12, tzinfo=dt.UTC), dt.timedelta(hours=1)
    >>> clock = pause(start("resolve", "always", ALWAYS, 4 * hour, noon), noon + hour)
    >>> clock = resume(clock, noon + 3 * hour, ALWAYS)
    >>> str(active_elapsed(clock, noon + 4 * hour, ALWAYS)), clock.due_at.hour
    ('2:00:00', 18)
    """
    end = clock.stopped_at or now
    return calendar.elapsed(clock.started_at, end) - paused_time(clock, end, calendar)


def slack(clock: Clock, now: dt.datetime, calendar: Calendar) -> dt.timedelta:
    """Return the time left, negative past due: open time of its calendar, or of a law's cap."""
    left = clock.target - active_elapsed(clock, now, calendar)
    return left if clock.statutory_due is None else min(left, clock.statutory_due - now)


def is_breached(clock: Clock, now: dt.datetime, calendar: Calendar) -> bool:
    """Return whether more than its target is used up, or a law's cap reached before it stopped."""
    if clock.outcome != RUNNING:
        return clock.outcome == BREACHED
    if clock.statutory_due is not None and now >= clock.statutory_due:
        return True
    return active_elapsed(clock, now, calendar) > clock.target


def instant_of_share(clock: Clock, share: float, calendar: Calendar) -> dt.datetime:
    """Return when a share of its target will be used up if nothing pauses it from now on."""
    worked = clock.target * share + paused_time(clock, clock.started_at, calendar)
    reached = calendar.add(clock.started_at, Span(worked))
    cap = clock.statutory_due
    if cap is None:
        return reached
    # A clock that begins after its cap, as when an escalation comes back, is due at once.
    if cap <= clock.started_at:
        return cap
    return min(reached, clock.started_at + (cap - clock.started_at) * share)


def stop(clock: Clock, at: dt.datetime, calendar: Calendar) -> Clock:
    """Return it met or breached."""
    clock = resume(clock, at, calendar)
    outcome = BREACHED if is_breached(clock, at, calendar) else MET
    return _ended(clock, at, calendar, outcome)


def cancel(clock: Clock, at: dt.datetime, calendar: Calendar) -> Clock:
    """Return it ended without a verdict, since what it promised is no longer owed."""
    return _ended(resume(clock, at, calendar), at, calendar, CANCELLED)


def restart(clock: Clock, calendar: Calendar) -> Clock:
    """Return a stopped clock running on from its own start, as if it had never stopped."""
    return _due(replace(clock, stopped_at=None, elapsed=None, outcome=RUNNING), calendar)


def pause(clock: Clock, at: dt.datetime) -> Clock:
    """Return it standing still from an instant on."""
    if clock.is_paused:
        return clock
    return replace(clock, pauses=(*clock.pauses, (at, None)), due_at=None)


def resume(clock: Clock, at: dt.datetime, calendar: Calendar) -> Clock:
    """Return it counting again from an instant on; unchanged if it was not paused."""
    if not clock.is_paused:
        return clock
    since = clock.pauses[-1][0]
    return _due(replace(clock, pauses=(*clock.pauses[:-1], (since, at))), calendar)


def with_pauses(clock: Clock, pauses: tuple[Pause, ...], calendar: Calendar) -> Clock:
    """Return it with the pauses of another, its due time after them."""
    paused = replace(clock, pauses=pauses)
    return replace(paused, due_at=None) if paused.is_paused else _due(paused, calendar)


def retarget(clock: Clock, name: str, calendar: Calendar, target: dt.timedelta) -> Clock:
    """Return it with another target and calendar; its start and its pauses stay."""
    if (clock.calendar, clock.target) == (name, target):
        return clock
    changed = replace(clock, calendar=name, target=target)
    return changed if changed.is_paused else _due(changed, calendar)


def _due(clock: Clock, calendar: Calendar) -> Clock:
    return replace(clock, due_at=instant_of_share(clock, 1.0, calendar))


def _ended(clock: Clock, at: dt.datetime, calendar: Calendar, outcome: str) -> Clock:
    ended = replace(clock, stopped_at=at, outcome=outcome)
    return replace(ended, elapsed=active_elapsed(ended, at, calendar))
