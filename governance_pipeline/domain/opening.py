"""Opening, weighing and assigning an escalation."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from governance_pipeline.domain import clocks as clocking
from governance_pipeline.domain.calendars import span
from governance_pipeline.domain.clocks import Clock
from governance_pipeline.domain.commands import Assign, Bounce, Open, Triage
from governance_pipeline.domain.desk import Desk, team_of
from governance_pipeline.domain.drafting import Draft, roles_of
from governance_pipeline.domain.escalation import OWNER, TRIAGER, Escalation
from governance_pipeline.domain.findings import Finding, Seen
from governance_pipeline.domain.fingerprints import fingerprint
from governance_pipeline.domain.priority import SEVERITIES, URGENCIES, priority, weigh
from governance_pipeline.domain.routing import Routed, route
from governance_pipeline.errors import RefusedError

HANDED_OVER_FROM = ("ACKNOWLEDGED", "IN_PROGRESS")


def completed(finding: Finding, desk: Desk) -> Finding:
    """Return a finding with the policy of its strategy, where it names none itself."""
    strategy = desk.strategies.get(finding.strategy_id or "")
    if finding.policy is None and strategy is not None:
        return replace(finding, policy=strategy.policy)
    return finding


def blank(command: Open, now: dt.datetime) -> Escalation:
    """Return the escalation before its first event."""
    return Escalation(command.escalation_id, command.finding, now)


def open_(draft: Draft, command: Open) -> None:
    """Open an escalation, weigh it, and assign it to the team that the routing names.

    What a person opens who is no triager waits for one, its clocks running.
    """
    desk, now = draft.desk, draft.now
    finding = completed(command.finding, desk)
    if finding.detected_at > now:
        raise RefusedError(f"{finding.title}: detected at {finding.detected_at:%F %H:%M}, not yet")
    if team_of(finding.requester) not in desk.teams:
        raise RefusedError(
            f"requester {finding.requester} is of no team of the register; write team/name"
        )
    due = statutory_due(finding, desk)
    weighed, routed = weigh(finding, desk, now, due), route(finding, desk)
    facts: dict[str, Any] = {"finding": finding, "opened_at": now, "statutory_due": due}
    draft.state = replace(draft.state, **facts)
    clocks: dict[str, Clock] = {}
    for kind in ("acknowledge", "mitigate", "resolve"):
        clocks |= draft.started(kind, finding.detected_at, weighed.priority)
    print_ = fingerprint(finding)
    draft.record(
        "opened", "NEW", **facts,
        requester=finding.requester, stakeholders=stakeholders(finding, routed, desk),
        harm=weighed.harm, reach=weighed.reach, severity=weighed.severity,
        urgency=weighed.urgency, priority=weighed.priority, priority_reason=weighed.reason,
        exposure=finding.exposure, clocks=clocks,
        findings={print_: Seen(print_, finding, finding.on, finding.on)},
    )  # fmt: skip
    if finding.source == "person" and TRIAGER not in roles_of(draft.state, command.actor, desk):
        return
    draft.move("triaged", "TRIAGED", why=weighed.reason, is_automatic=True)
    _assign_by_routing(draft, routed)


def statutory_due(finding: Finding, desk: Desk) -> dt.datetime | None:
    """Return when a law's cap ends, if the finding started one.

    Raises:
        RefusedError: If the policy knows no such trigger.
    """
    if finding.statutory is None:
        return None
    caps = {cap.trigger: cap for cap in desk.policy.statutory}
    if finding.statutory not in caps:
        raise RefusedError(
            f"{finding.statutory} is no statutory trigger; there are {', '.join(sorted(caps))}"
        )
    cap = caps[finding.statutory]
    return desk.calendar(cap.calendar).add(finding.detected_at, span(cap.limit))


def stakeholders(finding: Finding, routed: Routed, desk: Desk) -> tuple[str, ...]:
    """Return the teams that are told the result: the requester's, the rule's, the partners."""
    strategy = desk.strategies.get(finding.strategy_id or "")
    partners = strategy.partner_teams if strategy else []
    told = [team_of(finding.requester), *routed.notify, *partners]
    return tuple(dict.fromkeys(team for team in told if team in desk.teams))


def triage(draft: Draft, command: Triage) -> None:
    """Set severity or urgency by hand; a new escalation is then assigned."""
    draft.need_open()
    draft.need(frozenset({TRIAGER}), "weigh it")
    state = draft.state
    severity, urgency = command.severity or state.severity, command.urgency or state.urgency
    if severity not in SEVERITIES or urgency not in URGENCIES:
        raise draft.refuse(f"{severity} {urgency} is not one of S1 to S4 and of U1 to U3")
    reason = f"{severity}, {urgency}: {command.reason}"
    reweigh(draft, severity, urgency, reason)
    if draft.state.status == "NEW":
        draft.move("triaged", "TRIAGED")
        _assign_by_routing(draft, route(state.finding, draft.desk))


def reweigh(draft: Draft, severity: str, urgency: str, reason: str, **changes: Any) -> None:
    """Record a severity, an urgency and the priority they give, and move the clocks to it.

    Clocks keep their starts and pauses. A priority that allows no pause ends one first.
    """
    state, desk = draft.state, draft.desk
    new = priority(severity, urgency, desk)
    if state.status == "ON_HOLD" and not desk.target(new).pause_allowed:
        draft.move(
            "resumed", "IN_PROGRESS", why=f"{new} allows no pause", is_automatic=True,
            clocks=resumed(draft), hold_reason=None,
        )  # fmt: skip
    if (severity, urgency) == (state.severity, state.urgency):
        if changes:
            draft.record("noted", **changes)
        return
    draft.record(
        "reprioritised", severity=severity, urgency=urgency, priority=new, priority_reason=reason,
        clocks=retargeted(draft, new, state.owner_team), **changes,
    )  # fmt: skip


def resumed(draft: Draft) -> dict[str, Clock]:
    """Return the paused clocks as they go on now."""
    return {
        clock.clock_id: clocking.resume(clock, draft.now, draft.desk.calendar(clock.calendar))
        for clock in draft.running()
        if clock.is_paused
    }


def retargeted(draft: Draft, priority: str, owner: str | None) -> dict[str, Clock]:
    """Return the clocks that another priority or owner changes: elapsed time is kept."""
    desk, state, changed = draft.desk, draft.state, {}
    name = desk.calendar_name(priority, owner)
    for clock in draft.running():
        promise = desk.promise(priority, clock.kind)
        calendar = desk.calendar(clock.calendar)
        if promise is None:
            fresh = clocking.cancel(clock, draft.now, calendar)
        else:
            share = share_of(clock.clock_id, desk)
            fresh = clocking.retarget(clock, name, desk.calendar(name), promise * share)
        if fresh != clock:
            changed[clock.clock_id] = fresh
    is_owed = state.mitigated_at is None and state.result is None and not state.reopened
    if is_owed and not draft.running("mitigate"):
        changed |= _mitigating(draft, priority)
    return changed


def _mitigating(draft: Draft, priority: str) -> dict[str, Clock]:
    """Return a clock of mitigating, as if it had run and paused since the detection."""
    started = draft.started("mitigate", draft.state.finding.detected_at, priority)
    pauses = next((clock.pauses for clock in draft.running("resolve")), ())
    return {
        name: clocking.with_pauses(clock, pauses, draft.desk.calendar(clock.calendar))
        for name, clock in started.items()
    }


def share_of(clock_id: str, desk: Desk) -> float:
    """Return the share of a target that a clock has: less for one that came back."""
    came_back = clock_id.startswith("resolve#")
    return desk.policy.closing.reopen_share_of_target if came_back else 1.0


def assign(draft: Draft, command: Assign) -> None:
    """Give it to another team, to a person of its team, or both."""
    draft.need_open()
    state = draft.state
    team = command.team or state.owner_team
    if team is None:
        raise draft.refuse(f"it is {state.status}; triage it first")
    if team not in draft.desk.teams:
        raise draft.refuse(f"team {team} is not in the register; use one of its teams")
    person = None
    if command.person:
        person = draft.desk.actor(f"{team}/{command.person.rpartition('/')[2]}")
    if team == state.owner_team and state.status != "TRIAGED":
        if person is None:
            raise draft.refuse(f"{team} has it already; name a person or another team")
        draft.need(frozenset({OWNER, TRIAGER}), "assign it")
        draft.record("assigned", assignee=person)
        return
    draft.need(frozenset({TRIAGER}), "give it to another team")
    if state.status == "ASSIGNED":
        draft.record("assigned", **_owned(draft, team, person))
    elif state.status in ("TRIAGED", *HANDED_OVER_FROM):
        draft.move("assigned", "ASSIGNED", **_owned(draft, team, person))
    else:
        raise draft.refuse(f"it is {state.status} and is not handed over now")


def bounce(draft: Draft, command: Bounce) -> None:
    """Give it back: to the team that stands in, the second time to the duty team."""
    state, desk = draft.state, draft.desk
    if state.status != "ASSIGNED":
        raise draft.refuse(f"it is {state.status}; only what is ASSIGNED is given back")
    bounces = state.bounces + 1
    draft.move("bounced", "TRIAGED", bounces=bounces, assignee=None)
    backup = state.backup_team or desk.duty
    team = desk.duty if bounces > 1 or backup == state.owner_team else backup
    why = f"{state.owner_team} says it is the wrong team: {command.reason}"
    draft.move(
        "assigned", "ASSIGNED", why=why, is_automatic=True, **_owned(draft, team, None)
    )  # fmt: skip


def _assign_by_routing(draft: Draft, routed: Routed) -> None:
    draft.move(
        "assigned", "ASSIGNED", why=f"routing rule {routed.rule}", is_automatic=True,
        backup_team=routed.backup, rule=routed.rule, **_owned(draft, routed.team, None),
    )  # fmt: skip


def _owned(draft: Draft, team: str, person: str | None) -> dict[str, Any]:
    clocks = retargeted(draft, draft.state.priority, team)
    return {"owner_team": team, "assignee": person, "clocks": clocks}
