"""Anybody asks anything of an escalation in any order, and what must hold is looked at each time.

One machine for all stores: `keep` is what happens to the events, nothing by default.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from governance_pipeline.domain import commands as c
from governance_pipeline.domain.calendars import NOTHING
from governance_pipeline.domain.clocks import BREACHED, MET, OUTCOMES, RUNNING, Clock
from governance_pipeline.domain.deciding import act, advance
from governance_pipeline.domain.desk import PIPELINE
from governance_pipeline.domain.drafting import roles_of
from governance_pipeline.domain.escalation import (
    RESULT_CODES,
    TERMINAL,
    TRANSITIONS,
    TRIAGER,
    Escalation,
    Event,
    Measurement,
    replay,
)
from governance_pipeline.domain.fingerprints import new_id
from governance_pipeline.domain.ladder import due_commands, wake_at
from governance_pipeline.errors import RefusedError
from tests.unit import desks
from tests.unit.desks import DESK, NOW

ACTORS = (
    PIPELINE, desks.OWNER, desks.OTHER_OWNER, desks.TRIAGER, desks.REQUESTER, desks.REVIEWER,
    "algo/ana", "data_platform/dan",
)  # fmt: skip
WAITS = [dt.timedelta(minutes=m) for m in (0, 1, 7, 45, 240, 1_000, 3_100, 10_000, 20_200)]
MEASURED = Measurement("improved", "recall rose by 20 points", "recall", 0.5, 0.7, 0.2, 0.1, 0.3)

findings = st.builds(
    desks.finding,
    type=st.sampled_from(["missed_violation", "wrong_suppression", "metric_drop", "request"]),
    source=st.sampled_from(["drift", "person"]),
    strategy_id=st.sampled_from([None, "counterfeit-listing-block", "trusted-seller-boost"]),
    exposure=st.sampled_from([None, 10.0, 6_000.0, 150_000.0, 2e6]),
    exposure_before=st.sampled_from([None, 5_000.0]),
    category=st.sampled_from([None, "toys"]),
    statutory=st.sampled_from([None, None, None, "gpsr_order", "ncii_notice"]),
    requester=st.sampled_from(["search_recommendation", "governance/gus"]),
    needed_by=st.sampled_from([None, NOW.date() + dt.timedelta(days=2)]),
    is_ongoing=st.booleans(),
)


def asked(kind: type[c.Command], actor: str, data: st.DataObject, state: Escalation) -> c.Command:
    """Return a command of a kind with what it needs drawn."""
    draw = data.draw
    needs: dict[type[c.Command], dict[str, Any]] = {
        c.Triage: {
            "severity": st.sampled_from([None, "S1", "S2", "S3", "S4"]),
            "urgency": st.sampled_from([None, "U1", "U2", "U3"]),
        },
        c.Assign: {
            "team": st.sampled_from([None, "moderation", "algo", "product"]),
            "person": st.sampled_from([None, "ines", "ana"]),
        },
        c.Hold: {"awaiting": st.sampled_from([*DESK.policy.pauses.reasons, "no_time"])},
        c.Mitigate: {"record": st.just("change 7")},
        c.Resolve: {
            "code": st.sampled_from([*RESULT_CODES, "unheard_of"]),
            "evidence_uri": st.just("file:before-after"),
            "change": st.just("version 3"),
        },
        c.Measure: {"measurement": st.just(MEASURED)},
        c.Deliver: {
            "recipient": st.sampled_from([*state.stakeholders, "algo"]),
            "receipt": st.just("250 OK"),
        },
        c.Reject: {"code": st.just("not_reproducible")},
        c.MarkDuplicate: {
            "parent_id": st.just("20260401-0000000000"),
            "parent_status": st.sampled_from(["IN_PROGRESS", "CLOSED"]),
        },
        c.Note: {"finding": findings},
        c.Clear: {
            "fingerprint": st.sampled_from(sorted(state.findings)),
            "on": st.just(NOW.date()),
        },
        c.Link: {"external_ref": st.just("OPS-7")},
        c.Remind: {
            "clock_id": st.sampled_from(sorted(state.clocks)),
            "step": st.sampled_from([0.5, 1.0]),
        },
        c.Hasten: {"urgency": st.sampled_from(["U1", "U3"])},
    }
    values = {name: draw(strategy) for name, strategy in needs.get(kind, {}).items()}
    return kind(actor=actor, reason="it is so", **values)


APT: dict[str, Sequence[tuple[type[c.Command], str]]] = {
    "NEW": [(c.Triage, "triager"), (c.Reject, "triager"), (c.Cancel, "requester")],
    "ASSIGNED": [(c.Acknowledge, "owner"), (c.Bounce, "owner"), (c.Assign, "triager")],
    "ACKNOWLEDGED": [(c.Start, "owner"), (c.Hold, "owner")],
    "IN_PROGRESS": [(c.Hold, "owner"), (c.Mitigate, "owner"), (c.Resolve, "owner")],
    "ON_HOLD": [(c.Resume, "owner"), (c.Triage, "triager"), (c.Resolve, "owner")],
    "MITIGATED": [(c.Resolve, "owner")],
    "RESULT_READY": [
        (c.Measure, "auto"), (c.Deliver, "auto"), (c.Deliver, "auto"), (c.Reopen, "reviewer"),
    ],
    "DELIVERED": [(c.Accept, "requester"), (c.Reopen, "requester")],
    "CLOSED": [(c.Reopen, "auto")],
}  # fmt: skip
KINDS = [
    c.Triage, c.Assign, c.Bounce, c.Acknowledge, c.Start, c.Hold, c.Resume, c.Mitigate, c.Resolve,
    c.Measure, c.Deliver, c.Accept, c.Reject, c.MarkDuplicate, c.Cancel, c.Reopen, c.Note, c.Clear,
    c.Link, c.Remind, c.Hasten,
]  # fmt: skip


class Desk(RuleBasedStateMachine):
    """One escalation, many hands."""

    def keep(self, before: Escalation | None, events: Sequence[Event]) -> None:
        """Do with the events what a store does."""

    @initialize(found=findings)
    def open(self, found: Any) -> None:
        self.now = NOW
        command = c.Open(
            actor=PIPELINE if found.source == "drift" else found.requester,
            reason="it was found", escalation_id=new_id(found), finding=found,
        )  # fmt: skip
        self.state, events = act(None, command, DESK, self.now)
        self.log: list[Event] = []
        self.fates: dict[str, str] = {}
        self.follow(None, events)

    def follow(self, before: Escalation | None, events: Sequence[Event]) -> None:
        """Look at what a command did, event by event."""
        self.keep(before, events)
        for event in events:
            check_step(before, event)
            self.log.append(event)
            before = replay([event]) if before is None else apply_one(before, event)
        assert before == self.state

    def ask(self, command: c.Command) -> None:
        before = self.state
        try:
            self.state, events = act(before, command, DESK, self.now)
        except RefusedError as refusal:
            assert len(str(refusal)) > 20
            return
        self.follow(before, events)

    @rule(data=st.data(), wait=st.sampled_from(WAITS))
    @precondition(lambda self: self.state.status in APT)
    def go_on(self, data: st.DataObject, wait: dt.timedelta) -> None:
        kind, role = data.draw(st.sampled_from(APT[self.state.status]))
        fit = [actor for actor in ACTORS if role in roles_of(self.state, actor, DESK)]
        self.now += wait
        if fit:
            self.ask(asked(kind, data.draw(st.sampled_from(fit)), data, self.state))

    @rule(
        data=st.data(),
        kind=st.sampled_from(KINDS),
        actor=st.sampled_from(ACTORS),
        wait=st.sampled_from(WAITS),
    )
    def try_anything(
        self, data: st.DataObject, kind: type[c.Command], actor: str, wait: dt.timedelta
    ) -> None:
        self.now += wait
        self.ask(asked(kind, actor, data, self.state))

    @rule(wait=st.sampled_from(WAITS))
    def let_time_pass(self, wait: dt.timedelta) -> None:
        self.now += wait
        before = self.state
        self.state, events = advance(before, DESK, self.now)
        self.follow(before, events)
        assert not due_commands(self.state, DESK, self.now)
        assert self.state.wake_at is None or self.state.wake_at > self.now

    @invariant()
    def clocks_are_sane(self) -> None:
        for clock in self.state.clocks.values():
            check_clock(clock, self.state, self.now)

    @invariant()
    def clocks_are_kept(self) -> None:
        fates = {name: clock.outcome for name, clock in self.state.clocks.items()}
        assert self.fates.keys() <= fates.keys()
        assert set(fates.values()) <= set(OUTCOMES)
        self.fates = fates

    @invariant()
    def it_wakes_when_something_is_due(self) -> None:
        assert self.state.wake_at == wake_at(self.state, DESK)

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        assert [event.seq for event in self.log] == list(range(1, len(self.log) + 1))
        assert replay(self.log) == self.state


def apply_one(before: Escalation, event: Event) -> Escalation:
    from governance_pipeline.domain.escalation import apply

    return apply(before, event)


def check_step(before: Escalation | None, event: Event) -> None:
    """No transition outside the table, none by who may not, no severity that falls by itself."""
    assert event.reason.strip()
    assert event.actor.strip()
    if before is None:
        assert (event.before, event.after) == (None, "NEW")
        return
    assert event.before == before.status
    assert before.updated_at is not None
    assert event.at >= before.updated_at
    if event.is_transition:
        allowed = TRANSITIONS[(before.status, event.after)]
        assert roles_of(before, event.actor, DESK) & allowed
    for name in ("severity", "urgency"):
        now = event.changes.get(name, getattr(before, name))
        if now > getattr(before, name):  # S3 is less grave than S2
            assert TRIAGER in roles_of(before, event.actor, DESK)


def check_clock(clock: Clock, state: Escalation, now: dt.datetime) -> None:
    """A clock counts forward, its pauses lie apart, and nobody owes anything after the end."""
    calendar, end = DESK.calendar(clock.calendar), clock.stopped_at or now
    edges = [edge for pause in clock.pauses for edge in pause if edge is not None]
    assert edges == sorted(edges)
    assert not edges or clock.started_at <= edges[0] <= edges[-1] <= end
    spent = calendar.elapsed(clock.started_at, end)
    spent -= sum((calendar.elapsed(a, b or end) for a, b in clock.pauses), NOTHING)
    assert spent >= NOTHING
    assert (clock.outcome == RUNNING) == (clock.stopped_at is None) == (clock.elapsed is None)
    if clock.is_running:
        assert state.status not in TERMINAL
        assert clock.is_paused == (state.status == "ON_HOLD" and clock.kind != "acknowledge")
        assert (clock.due_at is None) == clock.is_paused
    else:
        assert clock.elapsed == spent
    if clock.outcome in (MET, BREACHED):
        is_late = clock.statutory_due is not None and end >= clock.statutory_due
        assert (clock.outcome == BREACHED) == (is_late or spent > clock.target)
    if clock.is_paused:
        assert DESK.target(state.priority).pause_allowed
        assert state.priority != "P1"
        assert state.statutory_due is None
