"""The register as the rules of escalations read it: policy, calendars, teams and strategies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from governance_pipeline.domain.calendars import ALWAYS, Calendar, compiled, span
from governance_pipeline.errors import RefusedError
from governance_pipeline.registry.escalation import TEAM_CALENDAR, EscalationPolicy, Target
from governance_pipeline.registry.models import ChannelEntry, Registry, Strategy, Team

PIPELINE = "pipeline"
"""The actor of everything that happens by itself."""


@dataclass(frozen=True)
class Desk:
    """A policy ready to decide by."""

    policy: EscalationPolicy
    calendars: Mapping[str, Calendar]
    teams: Mapping[str, Team]
    strategies: Mapping[str, Strategy]
    channels: Mapping[str, ChannelEntry]

    @property
    def duty(self) -> str:
        """The team that decides where nobody else does: a known one, whatever the policy names."""
        named = self.policy.duty_team
        return named if named in self.teams else min(self.teams, default=named)

    def calendar(self, name: str) -> Calendar:
        """Return a calendar; one that the policy no longer has is always open, the strictest."""
        return self.calendars.get(name, ALWAYS)

    def calendar_name(self, priority: str, owner_team: str | None) -> str:
        """Return the name of the calendar that a priority's clocks run in for a team."""
        named = self.target(priority).calendar
        if named != TEAM_CALENDAR:
            return named
        team = self.teams.get(owner_team or self.duty) or self.teams.get(self.duty)
        return team.calendar if team else "always"

    def target(self, priority: str) -> Target:
        """Return what a priority promises."""
        return self.policy.targets[priority]  # type: ignore[index]

    def promise(self, priority: str, kind: str) -> dt.timedelta | None:
        """Return the open time that a priority promises for a kind of clock, if it does."""
        text = getattr(self.target(priority), kind)
        return span(text).time if text else None

    def actor(self, said: str) -> str:
        """Return who acts as `team/name`, or the team alone.

        Args:
            said: `team/name`, a team, or the name of a member of exactly one team.

        Raises:
            RefusedError: If no team has such a member.
        """
        team, _, name = said.partition("/")
        if team in self.teams:
            members = self.teams[team].members
            if name and members and name not in members:
                raise RefusedError(f"{name} is no member of {team}; add them in teams.yaml")
            return said
        homes = [t.team for t in self.teams.values() if said in t.members]
        if len(homes) != 1:
            raise RefusedError(
                f"no team can be told from actor {said!r}; write team/name, with a team of "
                f"{', '.join(sorted(self.teams))}"
            )
        return f"{homes[0]}/{said}"


def desk_of(registry: Registry) -> Desk:
    """Return the desk of a register."""
    policy = registry.escalation_policy
    calendars = {name: compiled(entry) for name, entry in policy.calendars.items()}
    return Desk(policy, calendars, registry.teams, registry.strategies, registry.channels)


def team_of(actor: str) -> str:
    """Return the team that somebody acts for."""
    return actor.partition("/")[0]


def fact(field: str, finding: Any, desk: Desk) -> str | None:
    """Return what a rule reads by a field's name: of the finding, its strategy or its channel."""
    of, _, name = field.rpartition(".")
    if not of:
        return getattr(finding, name)
    if of == "strategy":
        entry: Any = desk.strategies.get(finding.strategy_id)
    else:
        entry = desk.channels.get(finding.channel)
    return None if entry is None else getattr(entry, name)
