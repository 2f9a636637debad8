"""Who owns a finding: the first rule of the policy whose conditions all hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from governance_pipeline.domain.desk import Desk, fact
from governance_pipeline.domain.findings import Finding
from governance_pipeline.registry.conditions import Condition


@dataclass(frozen=True)
class Routed:
    """The owner, who stands in, who else is told the result, and by which rule (from 1)."""

    team: str
    backup: str
    notify: tuple[str, ...]
    rule: int


def holds(conditions: Iterable[Condition], finding: Finding, desk: Desk) -> bool:
    """Return whether every condition holds; what is unknown equals nothing and differs from all."""
    return all(_holds(condition, fact(condition.field, finding, desk)) for condition in conditions)


def _holds(condition: Condition, value: str | None) -> bool:
    if condition.op == "is_known":
        return value is not None
    if condition.op == "is_unknown":
        return value is None
    is_among = value in condition.values
    return is_among if condition.op in ("equals", "is_in") else not is_among


def route(finding: Finding, desk: Desk) -> Routed:
    """Return the owner of a finding; there is always one, and it is a team of the register."""
    for number, rule in enumerate(desk.policy.routing, start=1):
        if holds(rule.when, finding, desk):
            team = _team(rule.team, finding, desk)
            fallback = _team(rule.fallback, finding, desk) or desk.duty
            backup = _team("strategy_backup", finding, desk) or fallback
            owner = team or fallback
            told = (_team(name, finding, desk) for name in rule.notify)
            return Routed(
                owner,
                backup if backup != owner else desk.duty,
                tuple(name for name in told if name and name != owner),
                number,
            )
    return Routed(desk.duty, desk.duty, (), 0)


def _team(name: str, finding: Finding, desk: Desk) -> str | None:
    """Return the team that a rule's word stands for, or None if the register has none."""
    strategy = desk.strategies.get(finding.strategy_id or "")
    channel = desk.channels.get(finding.channel or "")
    words: dict[str, str | None] = {
        "duty": desk.duty,
        "asset_owner": finding.asset_owner,
        "strategy_owner": strategy.owner_team if strategy else None,
        "strategy_backup": strategy.backup_owner if strategy else None,
        "channel_owner": channel.owner_team if channel else None,
    }
    meant = words.get(name, name)
    return meant if meant in desk.teams else None
