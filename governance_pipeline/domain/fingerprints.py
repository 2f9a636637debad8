"""What is the same finding again, what belongs together, and what explains what."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from governance_pipeline.domain.calendars import ALWAYS, span
from governance_pipeline.domain.desk import Desk
from governance_pipeline.domain.escalation import TERMINAL, Escalation
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.routing import holds
from governance_pipeline.registry.escalation import Inhibition

IDENTITY = (
    "type", "policy", "strategy_id", "channel", "category", "market", "metric", "feed", "statutory",
)  # fmt: skip


def fingerprint(finding: Finding) -> str:
    """Return 16 hexadecimal digits that two findings share exactly if they are the same one.

    Numbers, days and wording do not enter: the same drop tomorrow is the same finding.
    """
    said = "\x1f".join(str(getattr(finding, name) or "-") for name in IDENTITY)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def new_id(finding: Finding) -> str:
    """Return the id of the escalation that a finding would open: its day and its fingerprint.

    Opening twice, say after a crash, gives one id, which the store refuses the second time.
    """
    return f"{finding.detected_at:%Y%m%d}-{fingerprint(finding)[:10]}"


def group_key(finding: Finding, desk: Desk) -> str | None:
    """Return what findings of one escalation have in common, None if a part of it is unknown."""
    if finding.statutory is not None:
        return None  # a law's clock is an escalation's own
    values = [getattr(finding, name) for name in desk.policy.dedupe.group_by]
    return None if not values or None in values else "|".join(values)


@dataclass(frozen=True)
class Match:
    """What becomes of a finding, on which escalation, and why.

    `action` is `open`, `occurrence` (seen before), `joined` (belongs to an open one), `inhibited`
    (explained by an open one), `reopen` (came back), or `ignored` (a person has said no lately).
    """

    action: str
    escalation_id: str | None
    why: str


def match(finding: Finding, known: Iterable[Escalation], desk: Desk, now: dt.datetime) -> Match:
    """Return what becomes of a finding.

    Args:
        finding: The finding.
        known: Every open escalation, and the ended ones that hold its fingerprint.
        desk: The policy.
        now: In UTC.
    """
    known = sorted(known, key=lambda e: (e.opened_at, e.escalation_id), reverse=True)
    print_, group = fingerprint(finding), group_key(finding, desk)
    still = [e for e in known if e.status not in TERMINAL]
    for escalation in still:
        if print_ in escalation.findings:
            return _again(escalation, print_)
    for escalation in still:
        if group is not None and group == group_key(escalation.finding, desk):
            return Match("joined", escalation.escalation_id, "it is about the same strategy")
    for escalation in still:
        for rule in desk.policy.dedupe.inhibitions if finding.statutory is None else ():
            if inhibits(escalation, finding, rule, desk):
                return Match("inhibited", escalation.escalation_id, rule.name)
    for escalation in known:
        if escalation.status in TERMINAL and print_ in escalation.findings:
            since = escalation.delivered_at or escalation.updated_at or escalation.opened_at
            if now < ALWAYS.add(since, span(desk.policy.closing.reopen_within)):
                return _again(escalation, print_)
    return Match("open", None, "nothing known is like it")


def inhibits(escalation: Escalation, finding: Finding, rule: Inhibition, desk: Desk) -> bool:
    """Return whether an open escalation explains a finding by a rule."""
    return (
        escalation.priority in rule.priorities
        and holds(rule.cause, escalation.finding, desk)
        and holds(rule.inhibits, finding, desk)
        and all(
            getattr(escalation.finding, name) is not None
            and getattr(escalation.finding, name) == getattr(finding, name)
            for name in rule.same
        )
    )


def _again(escalation: Escalation, print_: str) -> Match:
    """Return what a finding is that an escalation knows: gone and back, seen again, or refused."""
    has_gone = escalation.findings[print_].cleared_on is not None
    if escalation.status in ("DELIVERED", "CLOSED") and has_gone:
        return Match("reopen", escalation.escalation_id, "it had gone and came back")
    if escalation.status in TERMINAL:
        return Match("ignored", escalation.escalation_id, f"it is {escalation.status} lately")
    return Match("occurrence", escalation.escalation_id, "it is known and goes on")
