"""What the escalation policy names outside itself: teams, calendars, policies, countries."""

from collections.abc import Iterator

import holidays

from governance_pipeline.registry.conditions import Condition
from governance_pipeline.registry.escalation import RECIPIENTS, SYMBOLIC_TEAMS
from governance_pipeline.registry.models import Registry

FILE = "escalation_policy.yaml"
Mistake = tuple[str, str, str]


def escalation_mistakes(registry: Registry) -> Iterator[Mistake]:
    """Yield (where, what is wrong, remedy) of everything that is not in the register."""
    yield from _teams(registry)
    yield from _ladder(registry)
    yield from _values(registry)
    yield from _calendars(registry)


def route_mistakes(registry: Registry) -> Iterator[Mistake]:
    """Yield what is wrong with the teams' calendars and routes."""
    for team in registry.teams.values():
        where = f"teams.yaml: {team.team}"
        if team.calendar not in registry.escalation_policy.calendars:
            yield where, f"calendar {team.calendar} is not in {FILE}", "add it or name another"
        for name in team.notify:
            if team.routes and name not in team.routes:
                yield where, f"notify names {name}, which has no route", "add it to routes"


def _teams(registry: Registry) -> Iterator[Mistake]:
    policy = registry.escalation_policy
    named = [("duty_team", policy.duty_team, False)]
    named += [("roles.triager", team, False) for team in policy.roles.triager]
    named += [("roles.reviewer", team, False) for team in policy.roles.reviewer]
    for number, rule in enumerate(policy.routing):
        where = f"routing.{number}"
        named += [(where, rule.team, True), (f"{where}.fallback", rule.fallback, True)]
        named += [(f"{where}.notify", team, True) for team in rule.notify]
        if rule.fallback == rule.team and rule.team in SYMBOLIC_TEAMS and rule.team != "duty":
            yield f"{FILE}: {where}", "its fallback is as unknown as its team", "name another"
    for where, team, may_be_symbolic in named:
        if team not in registry.teams and not (may_be_symbolic and team in SYMBOLIC_TEAMS):
            yield f"{FILE}: {where}", f"team {team} is not in teams.yaml", "add or correct it"


def _ladder(registry: Registry) -> Iterator[Mistake]:
    for number, step in enumerate(registry.escalation_policy.ladder):
        for name in step.notify:
            if name not in RECIPIENTS and name not in registry.teams:
                known = ", ".join(RECIPIENTS)
                yield (
                    f"{FILE}: ladder.{number}",
                    f"{name} is neither a team nor one of {known}",
                    "correct it",
                )


def _values(registry: Registry) -> Iterator[Mistake]:
    known = {
        "policy": set(registry.policies),
        "strategy.policy": set(registry.policies),
        "strategy_id": set(registry.strategies),
        "channel": set(registry.channels),
        "market": set(registry.markets),
        "strategy.owner_team": set(registry.teams),
        "channel.owner_team": set(registry.teams),
    }
    for where, condition in _conditions(registry):
        for value in condition.values:
            if condition.field in known and value not in known[condition.field]:
                yield (
                    f"{FILE}: {where}",
                    f"{condition.field} {value} is not in the register",
                    "correct it",
                )


def _conditions(registry: Registry) -> Iterator[tuple[str, Condition]]:
    policy = registry.escalation_policy
    for number, harm in enumerate(policy.severity.harm):
        yield from ((f"severity.harm.{number}", c) for c in harm.when)
    for number, rule in enumerate(policy.routing):
        yield from ((f"routing.{number}", c) for c in rule.when)
    for number, inhibition in enumerate(policy.dedupe.inhibitions):
        for condition in (*inhibition.cause, *inhibition.inhibits):
            yield f"dedupe.inhibitions.{number}", condition


def _calendars(registry: Registry) -> Iterator[Mistake]:
    countries = holidays.list_supported_countries()
    for name, calendar in registry.escalation_policy.calendars.items():
        if calendar.country is None:
            continue
        where = f"{FILE}: calendars.{name}"
        if calendar.country not in countries:
            yield where, f"the holidays of {calendar.country} are unknown", "use its ISO 3166 code"
        elif calendar.subdivision and calendar.subdivision not in countries[calendar.country]:
            known = ", ".join(countries[calendar.country])
            yield where, f"{calendar.country} has no {calendar.subdivision}", f"use one of {known}"
