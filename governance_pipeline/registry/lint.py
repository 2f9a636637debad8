"""What a typed model cannot see: references, histories, promises that are due."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from governance_pipeline.registry.lint_escalation import escalation_mistakes, route_mistakes
from governance_pipeline.registry.models import LEGACY, Registry, Strategy

WATCHED = ("shadow", "ramp", "live")
ADVISED_TOLERANCE = 0.02


@dataclass(frozen=True)
class Finding:
    """Something to mend: an error keeps a register from being applied, a warning does not."""

    severity: Literal["error", "warning"]
    where: str
    message: str
    remedy: str


def lint(registry: Registry, today: dt.date | None = None) -> list[Finding]:
    """Return what is wrong with a register, errors first.

    Args:
        registry: The loaded register.
        today: The day by which expiry and goals are judged; dates are not judged without it.
    """
    found = [
        finding
        for strategy_id, strategy in sorted(registry.strategies.items())
        for rule in (_references, _history, _goals, _sampling, _dates)
        for finding in rule(registry, strategy, today)
        if strategy_id
    ]
    found += _colliding_keys(registry)
    found += _escalations(registry)
    return sorted(found, key=lambda finding: (finding.severity, finding.where, finding.message))


def _references(registry: Registry, s: Strategy, _today: dt.date | None) -> Iterator[Finding]:
    teams = [("owner_team", s.owner_team), ("backup_owner", s.backup_owner)]
    teams += [("partner_teams", team) for team in s.partner_teams]
    for field, team in teams:
        if team not in registry.teams:
            yield _error(s, f"{field} {team} is not in teams.yaml", "add the team or correct it")
    for channel in s.channels:
        if channel not in registry.channels:
            yield _error(s, f"channel {channel} is not in channels.yaml", "add the channel")
    if s.policy not in registry.policies:
        yield _error(
            s, f"policy {s.policy} is not in policies.yaml", "add the policy or correct it"
        )
    for market in s.scope.markets:
        if market not in registry.markets:
            yield _error(s, f"scope names market {market}, unknown to markets.yaml", "add it")
    if s.owner_team == s.backup_owner:
        yield _warning(s, "the backup owner is the owner", "name a team that can stand in")


def _history(_registry: Registry, s: Strategy, _today: dt.date | None) -> Iterator[Finding]:
    numbers = [version.number for version in s.versions]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield _error(s, f"versions {numbers} do not count up by one", "list them in order, no gaps")
    starts = [version.effective_from for version in s.versions]
    if sorted(set(starts)) != starts:
        yield _error(s, "two versions take effect on one day or out of order", "date each later")
    for version in s.versions:
        if version.rollback_of is not None and version.rollback_of not in numbers:
            yield _error(
                s,
                f"version {version.number} rolls back {version.rollback_of}, which is not listed",
                "name a listed version",
            )
    if s.versions[-1].approver == LEGACY and s.lifecycle in WATCHED:
        yield _warning(s, "its version was never approved here", "have it approved by a person")


def _goals(_registry: Registry, s: Strategy, today: dt.date | None) -> Iterator[Finding]:
    for metric in ("precision", "recall"):
        goals = [goal for goal in s.goals if goal.metric == metric]
        days = [goal.effective_from for goal in goals]
        if len(set(days)) != len(days):
            yield _error(s, f"two {metric} goals take effect on one day", "keep one of them")
        in_force = [g for g in goals if today is None or g.effective_from <= today]
        if not in_force and s.lifecycle in WATCHED:
            yield _error(s, f"no {metric} goal is in force", "set one, or null with a reason")
        for goal in goals:
            if goal.goal is not None and goal.tolerance >= goal.goal:
                yield _error(s, f"{metric} tolerance eats the whole goal", "make it smaller")
            if goal.goal is not None and goal.tolerance < ADVISED_TOLERANCE:
                yield _warning(
                    s,
                    f"{metric} tolerance {goal.tolerance:g} is less than real days wobble",
                    f"use {ADVISED_TOLERANCE:g} or more",
                )
            if goal.goal is None:
                yield _warning(s, f"{metric} has no goal: {goal.goal_null_reason}", "find one")


def _sampling(_registry: Registry, s: Strategy, _today: dt.date | None) -> Iterator[Finding]:
    if s.lifecycle not in WATCHED:
        return
    has_rates = s.versions[-1].sampling is not None
    if s.audit_sample == "pipeline" and not has_rates:
        yield _error(
            s,
            "nothing of it would be audited",
            "give its version sampling, or audit_sample: upstream",
        )
    if s.audit_sample != "pipeline" and has_rates:
        yield _warning(s, "its sampling is not used, upstream draws", "remove one of the two")


def _dates(_registry: Registry, s: Strategy, today: dt.date | None) -> Iterator[Finding]:
    if s.expires_on is None and not s.never_stale and s.lifecycle in WATCHED:
        yield _warning(s, "it never expires", "set expires_on, or never_stale with a reason")
    if s.sor_required and not s.sor_reason:
        yield _error(s, "sor_required without sor_reason", "say why a statement is due")
    if today and s.expires_on and s.expires_on < today and s.lifecycle in WATCHED:
        yield _warning(s, f"it expired on {s.expires_on}", "review and extend it, or retire it")


def _colliding_keys(registry: Registry) -> list[Finding]:
    keys = Counter(strategy_id.replace("-", "_") for strategy_id in registry.strategies)
    return [
        Finding("error", key, f"{n} strategies would share one catalog key", "rename one of them")
        for key, n in sorted(keys.items())
        if n > 1
    ]


def _escalations(registry: Registry) -> Iterator[Finding]:
    # The shipped policy names the example market's teams; what is unknown falls to who is known.
    grave: Literal["error", "warning"] = (
        "warning" if registry.escalation_policy.is_shipped else "error"
    )
    for where, message, remedy in escalation_mistakes(registry):
        yield Finding(grave, where, message, remedy)
    for where, message, remedy in route_mistakes(registry):
        yield Finding("error", where, message, remedy)


def _error(strategy: Strategy, message: str, remedy: str) -> Finding:
    return Finding("error", strategy.strategy_id, message, remedy)


def _warning(strategy: Strategy, message: str, remedy: str) -> Finding:
    return Finding("warning", strategy.strategy_id, message, remedy)
