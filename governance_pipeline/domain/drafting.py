"""A decision being made: the events so far, the state they give, and who may go on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from governance_pipeline.domain import clocks as clocking
from governance_pipeline.domain.clocks import Clock
from governance_pipeline.domain.commands import Command
from governance_pipeline.domain.desk import PIPELINE, Desk, team_of
from governance_pipeline.domain.escalation import (
    AUTO,
    OWNER,
    REQUESTER,
    REVIEWER,
    TERMINAL,
    TRANSITIONS,
    TRIAGER,
    Escalation,
    Event,
    apply,
)
from governance_pipeline.domain.ladder import wake_at
from governance_pipeline.errors import RefusedError


def roles_of(state: Escalation, actor: str, desk: Desk) -> frozenset[str]:
    """Return as what somebody may act on an escalation."""
    if actor == PIPELINE:
        return frozenset({AUTO})
    team, roles = team_of(actor), desk.policy.roles
    held = {
        TRIAGER: team in roles.triager,
        REVIEWER: team in roles.reviewer,
        OWNER: team == state.owner_team,
        REQUESTER: team == team_of(state.requester),
    }
    return frozenset(role for role, is_held in held.items() if is_held)


class Draft:
    """Collects the events of one command; each is applied at once, so that the next sees it."""

    def __init__(self, state: Escalation, command: Command, desk: Desk, now: dt.datetime) -> None:
        self.state = state
        self.command = command
        self.desk = desk
        self.now = now
        self.events: list[Event] = []

    def record(
        self,
        kind: str,
        after: str | None = None,
        *,
        why: str | None = None,
        is_automatic: bool = False,
        **changes: Any,
    ) -> None:
        """Add an event; without `after` it makes no transition."""
        first = self.state.version == 0
        event = Event(
            escalation_id=self.state.escalation_id,
            seq=self.state.version + 1,
            kind=kind,
            at=self.now,
            actor=PIPELINE if is_automatic else self.command.actor,
            reason=why or self.command.reason,
            before=None if first else self.state.status,
            after=after or self.state.status,
            changes=changes,
        )
        self.state = apply(None if first else self.state, event)
        self.events.append(event)

    def move(
        self,
        kind: str,
        after: str,
        *,
        why: str | None = None,
        is_automatic: bool = False,
        **changes: Any,
    ) -> None:
        """Make a transition.

        Raises:
            RefusedError: If there is no such transition, or the actor may not make it.
        """
        before = self.state.status
        allowed = TRANSITIONS.get((before, after))
        if allowed is None:
            onward = [to for origin, to in TRANSITIONS if origin == before]
            raise RefusedError(
                f"{self.state.escalation_id} is {before} and cannot become {after}, only "
                f"{', '.join(onward) or 'nothing else'}"
            )
        if not is_automatic or AUTO not in allowed:
            self.need(allowed, f"make it {after}")
        self.record(kind, after, why=why, is_automatic=is_automatic, **changes)

    def need(self, allowed: frozenset[str], what: str) -> None:
        """Refuse who has none of some roles."""
        held = roles_of(self.state, self.command.actor, self.desk)
        if not held & allowed:
            roles = self.desk.policy.roles
            teams = {
                OWNER: self.state.owner_team or "nobody yet",
                REQUESTER: team_of(self.state.requester),
                TRIAGER: "/".join(roles.triager),
                REVIEWER: "/".join(roles.reviewer),
                AUTO: "the pipeline",
            }
            wanted = " or ".join(f"{role} ({teams[role]})" for role in sorted(allowed))
            raise RefusedError(
                f"{self.command.actor} may not {what}: {self.state.escalation_id} needs the "
                f"{wanted} for that"
            )

    def refuse(self, why: str) -> RefusedError:
        """Return the refusal that names the escalation and why."""
        return RefusedError(f"{self.state.escalation_id}: {why}")

    def need_open(self) -> None:
        """Refuse what has ended."""
        if self.state.status in TERMINAL:
            raise self.refuse(f"it is {self.state.status} and stays so")

    def running(self, *kinds: str) -> list[Clock]:
        """Return the running clocks of some kinds, of all without a kind."""
        return [
            clock
            for clock in self.state.clocks.values()
            if clock.is_running and (not kinds or clock.kind in kinds)
        ]

    def stopped(self, *kinds: str) -> dict[str, Clock]:
        """Return the running clocks of some kinds as they end now."""
        return {
            c.clock_id: clocking.stop(c, self.now, self.desk.calendar(c.calendar))
            for c in self.running(*kinds)
        }

    def cancelled(self, *kinds: str) -> dict[str, Clock]:
        """Return the running clocks of some kinds, of all without a kind, as no longer owed."""
        return {
            c.clock_id: clocking.cancel(c, self.now, self.desk.calendar(c.calendar))
            for c in self.running(*kinds)
        }

    def started(
        self, kind: str, at: dt.datetime, priority: str, share: float = 1.0
    ) -> Mapping[str, Clock]:
        """Return a new clock of a kind, none if the priority promises nothing of it."""
        promise = self.desk.promise(priority, kind)
        if promise is None:
            return {}
        instances = sum(clock.kind == kind for clock in self.state.clocks.values())
        clock_id = f"{kind}#{instances + 1}" if instances else kind
        name = self.desk.calendar_name(priority, self.state.owner_team)
        cap = self.state.statutory_due if kind == "resolve" else None
        clock = clocking.start(clock_id, name, self.desk.calendar(name), promise * share, at, cap)
        return {clock_id: clock}

    def done(self) -> tuple[Event, ...]:
        """Return the events; the last says when the escalation next wakes by itself."""
        if not self.events:
            return ()
        wakes = wake_at(self.state, self.desk)
        if wakes != self.state.wake_at:
            last = self.events[-1]
            self.events[-1] = replace(last, changes={**last.changes, "wake_at": wakes})
        return tuple(self.events)
