"""What escalations do and refuse: weight, routing, clocks, pauses, results, coming back."""

import datetime as dt
from dataclasses import replace

import pytest

from governance_pipeline.domain import commands as c
from governance_pipeline.domain.clocks import BREACHED, CANCELLED, MET, RUNNING
from governance_pipeline.domain.deciding import advance, decide
from governance_pipeline.domain.desk import PIPELINE
from governance_pipeline.domain.escalation import Escalation, Measurement, apply, replay
from governance_pipeline.domain.fingerprints import fingerprint, match
from governance_pipeline.domain.ladder import due_commands, recipients
from governance_pipeline.domain.opening import completed
from governance_pipeline.domain.priority import weigh
from governance_pipeline.domain.routing import holds, route
from governance_pipeline.errors import InputError, RefusedError
from governance_pipeline.registry.conditions import Condition
from tests.unit.desks import (
    DESK,
    HOUR,
    NOW,
    OTHER_OWNER,
    OWNER,
    REQUESTER,
    REVIEWER,
    TRIAGER,
    Case,
    finding,
)

DAY = 24 * HOUR
SOON = dt.timedelta(minutes=5)
ACK = c.Acknowledge(actor=OWNER, reason="on it")
HOLD = c.Hold(actor=OWNER, reason="which sellers?", awaiting="awaiting_requester")
RESUME = c.Resume(actor=OWNER, reason="answered")
RESOLVE = c.Resolve(
    actor=OWNER, reason="cut was too low", code="threshold_tuned", evidence_uri="e", change="v3"
)
MEASURED = c.Measure(
    actor=PIPELINE, reason="28 days", measurement=Measurement("improved", "recall rose")
)


def delivered(case: Case) -> Case:
    case.do(RESOLVE)
    case.do(MEASURED)
    for team in case.state.stakeholders:
        case.do(c.Deliver(actor=PIPELINE, reason="sent", recipient=team, receipt="250 OK"))
    return case


def low(**changes: object) -> Case:
    """An escalation of P3, whose clocks run in the owner's business hours."""
    return Case(finding(type="wrong_promotion", **changes))


@pytest.mark.parametrize(
    ("changes", "severity", "urgency", "priority"),
    [
        ({}, "S2", "U2", "P2"),
        ({"policy": "prohibited_goods"}, "S1", "U2", "P1"),
        ({"type": "wrong_promotion"}, "S3", "U2", "P3"),
        ({"type": "wrong_promotion", "exposure": 100_000.0}, "S2", "U2", "P2"),
        ({"type": "wrong_promotion", "exposure": 60_000.0}, "S2", "U2", "P2"),  # 1% of a channel
        ({"type": "wrong_promotion", "exposure": 1_000_000.0}, "S1", "U2", "P1"),
        ({"exposure_before": 4_000.0}, "S2", "U1", "P1"),
        ({"exposure_before": 4_001.0}, "S2", "U2", "P2"),
        ({"is_ongoing": False}, "S2", "U3", "P3"),
        ({"is_ongoing": False, "needed_by": dt.date(2026, 4, 14)}, "S2", "U2", "P2"),
        ({"is_ongoing": False, "needed_by": dt.date(2026, 4, 15)}, "S2", "U3", "P3"),
        ({"is_event_running": True, "is_ongoing": False}, "S2", "U1", "P1"),
        ({"type": "request", "exposure": None}, "S4", "U2", "P4"),
    ],
)
def test_severity_is_the_worse_of_harm_and_reach(
    changes: dict[str, object], severity: str, urgency: str, priority: str
) -> None:
    weighed = weigh(completed(finding(**changes), DESK), DESK, NOW)
    assert (weighed.severity, weighed.urgency, weighed.priority) == (severity, urgency, priority)
    assert weighed.reason.startswith(f"{severity}: ")


@pytest.mark.parametrize(
    ("changes", "team", "backup"),
    [
        ({}, "moderation", "governance"),
        ({"type": "safety"}, "moderation", "governance"),
        ({"type": "data_quality", "strategy_id": None}, "data_platform", "governance"),
        ({"type": "metric_drop", "cause": "mix", "strategy_id": None}, "product",
         "search_recommendation"),
        ({"type": "metric_drop", "strategy_id": None}, "search_recommendation", "product"),
        ({"strategy_id": "no-such-strategy"}, "governance", "governance"),
        ({"strategy_id": None, "channel": None}, "product", "governance"),
    ],
)  # fmt: skip
def test_the_first_rule_that_holds_names_the_owner(
    changes: dict[str, object], team: str, backup: str
) -> None:
    routed = route(finding(**changes), DESK)
    assert (routed.team, routed.backup) == (team, backup)


@pytest.mark.parametrize(
    ("field", "op", "value", "is_so"),
    [
        ("metric", "equals", "recall", True),
        ("metric", "differs", "recall", False),
        ("metric", "is_in", ["recall", "precision"], True),
        ("metric", "is_not_in", ["precision"], True),
        ("metric", "is_not_in", ["recall"], False),
        ("market", "equals", "DE", False),
        ("market", "differs", "DE", True),
        ("market", "is_unknown", None, True),
        ("metric", "is_known", None, True),
        ("strategy.action", "equals", "block", True),
        ("channel.owner_team", "equals", "search_recommendation", True),
    ],
)
def test_conditions_are_data_and_what_is_unknown_equals_nothing(
    field: str, op: str, value: object, is_so: bool
) -> None:
    condition = Condition.model_validate({"field": field, "op": op, "value": value})
    assert holds([condition], finding(), DESK) is is_so


def test_what_is_found_is_weighed_and_assigned_at_once_by_the_pipeline() -> None:
    case = Case()
    assert [event.after for event in case.log] == ["NEW", "TRIAGED", "ASSIGNED"]
    assert (case.state.owner_team, case.state.priority) == ("moderation", "P2")
    assert case.state.stakeholders == ("search_recommendation",)
    assert all(clock.started_at == NOW for clock in case.state.clocks.values())


def test_what_a_person_opens_waits_for_a_triager_while_its_clocks_run() -> None:
    found = finding(source="person", requester=REQUESTER)
    asked = c.Open(actor=REQUESTER, reason="calls", escalation_id="x", finding=found)
    state = replay(decide(None, asked, DESK, NOW))
    assert (state.status, state.owner_team) == ("NEW", None)
    assert state.clocks["acknowledge"].is_running
    state = apply_all(state, c.Triage(actor=TRIAGER, reason="clear"), NOW + HOUR)
    assert (state.status, state.owner_team) == ("ASSIGNED", "moderation")


def apply_all(state: Escalation, command: c.Command, now: dt.datetime) -> Escalation:
    for event in decide(state, command, DESK, now):
        state = apply(state, event)
    return state


def test_clocks_count_from_the_detection_however_late_it_is_opened() -> None:
    case = Case(finding(detected_at=NOW - 2 * HOUR))
    acknowledge = case.do(ACK, SOON).clocks["acknowledge"]
    assert (acknowledge.outcome, acknowledge.elapsed) == (BREACHED, 2 * HOUR + SOON)


def test_a_target_that_is_used_up_to_the_end_is_met() -> None:
    assert Case().do(ACK, HOUR).clocks["acknowledge"].outcome == MET
    late = Case().do(ACK, HOUR + dt.timedelta(microseconds=1)).clocks["acknowledge"]
    assert late.outcome == BREACHED


def test_a_low_priority_counts_in_the_owner_s_business_hours() -> None:
    case = low()  # found on Friday 06:00 UTC, before moderation opens in California
    assert case.state.priority == "P3"
    assert case.state.clocks["acknowledge"].due_at == dt.datetime(2026, 4, 10, 20, tzinfo=dt.UTC)
    case.do(ACK, 3 * DAY)  # Monday morning in Europe: only Friday was worked
    assert case.state.clocks["acknowledge"].elapsed == 9 * HOUR
    given = case.do(c.Assign(actor=TRIAGER, reason="theirs", team="algo"))
    assert {clock.calendar for clock in given.clocks.values() if clock.is_running} == {"eu"}


def test_a_pause_moves_the_due_time_and_does_not_count() -> None:
    case = Case()
    case.do(ACK, SOON)
    due = case.state.clocks["resolve"].due_at
    assert due is not None
    held = case.do(HOLD)
    assert held.clocks["resolve"].due_at is None
    resumed = case.do(RESUME, 3 * HOUR)
    assert resumed.clocks["resolve"].due_at == due + 3 * HOUR
    assert resumed.clocks["resolve"].outcome == RUNNING
    case.do(RESOLVE)
    assert case.state.clocks["resolve"].elapsed == 2 * HOUR + SOON


def test_nothing_pauses_at_p1_nor_under_a_law() -> None:
    urgent = Case(finding(policy="prohibited_goods"))
    with pytest.raises(RefusedError, match="at P1 no clock is paused"):
        urgent.do(HOLD, SOON)
    lawful = Case(finding(statutory="inform_verification_due"))
    with pytest.raises(RefusedError, match="statutory cap of inform_verification_due pauses"):
        lawful.do(HOLD, SOON)
    with pytest.raises(RefusedError, match="no_time stops no clock"):
        Case().do(c.Hold(actor=OWNER, reason="busy", awaiting="no_time"), SOON)


def test_rising_to_p1_ends_a_pause_first() -> None:
    case = Case()
    case.do(HOLD, SOON)
    worse = finding(on=NOW.date() + dt.timedelta(days=1), exposure=2e6)
    case.do(c.Note(actor=PIPELINE, reason="more", finding=worse))
    assert [event.kind for event in case.log[-2:]] == ["resumed", "reprioritised"]
    assert (case.state.status, case.state.priority) == ("IN_PROGRESS", "P1")


def test_a_pause_ends_by_itself() -> None:
    case = Case()
    case.do(HOLD, SOON)  # 5 days at most, and no longer than 12 hours, the target of mitigating
    assert due_commands(case.state, DESK, case.now + 12 * HOUR - SOON) == []
    state, events = advance(case.state, DESK, case.now + 12 * HOUR)
    assert events[0].kind == "resumed"
    with pytest.raises(RefusedError, match="paused as long as the policy lets it"):
        decide(state, HOLD, DESK, case.now + 13 * HOUR)


def test_another_priority_keeps_the_time_that_has_passed() -> None:
    case = Case()
    case.do(ACK, SOON)
    case.do(HOLD)
    case.do(RESUME, 2 * HOUR)
    lower = c.Triage(actor=TRIAGER, reason="no seller is hurt", severity="S3")
    resolve = case.do(lower).clocks["resolve"]
    assert (resolve.started_at, len(resolve.pauses)) == (NOW, 1)
    assert (resolve.target, resolve.calendar) == (45 * HOUR, "us")
    assert case.state.clocks["mitigate"].outcome == CANCELLED
    back = case.do(c.Triage(actor=TRIAGER, reason="they are", severity="S2"))
    assert back.clocks["mitigate#2"].started_at == NOW
    assert back.clocks["mitigate#2"].pauses == resolve.pauses


def test_only_a_triager_lets_a_severity_fall_and_findings_only_raise_it() -> None:
    case = Case(finding(exposure=150_000.0, type="wrong_promotion"))
    milder = finding(on=NOW.date() + dt.timedelta(days=1), exposure=10.0, type="wrong_promotion")
    case.do(c.Note(actor=PIPELINE, reason="less", finding=milder))
    assert case.state.severity == "S2"
    with pytest.raises(RefusedError, match="may not weigh it"):
        case.do(c.Triage(actor=OWNER, reason="it is fine", severity="S4"))
    assert case.do(c.Triage(actor=TRIAGER, reason="it is", severity="S4")).severity == "S4"


def test_a_law_s_cap_wins_over_the_policy_and_hastens_as_it_nears() -> None:
    case = low(statutory="gpsr_order", is_ongoing=False)
    cap = dt.datetime(2026, 4, 14, 23, tzinfo=dt.UTC)  # the end of Tuesday in Dublin
    assert case.state.statutory_due == cap
    assert case.state.urgency == "U3"
    assert case.state.clocks["resolve"].due_at == cap
    state, events = advance(case.state, DESK, cap - 48 * HOUR)
    assert "U1" in [event.changes.get("urgency") for event in events]
    assert state.clocks["resolve"].statutory_due == cap
    with pytest.raises(RefusedError, match="law's demand"):
        case.do(c.Cancel(actor=REQUESTER, reason="never mind"), SOON)
    case.do(RESOLVE, cap - case.now)
    assert case.state.clocks["resolve"].outcome == BREACHED


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (replace(ACK, actor="algo/ana"), r"needs the owner \(moderation\)"),
        (c.Accept(actor=REQUESTER, reason="fine"), "is ASSIGNED and cannot become CLOSED"),
        (replace(RESOLVE, code="done"), "done is no result code"),
        (replace(RESOLVE, evidence_uri=" "), "needs evidence"),
        (c.Mitigate(actor=OWNER, reason="x", record=""), "name the record"),
        (c.Reject(actor=TRIAGER, reason="x", code=""), "name a code"),
        (replace(ACK, reason=" "), "give a reason"),
        (c.Assign(actor=TRIAGER, reason="x", team="nobody"), "team nobody is not in the register"),
        (c.Cancel(actor=OWNER, reason="x"), "may not make it CANCELLED"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(command: c.Command, said: str) -> None:
    case = Case()
    with pytest.raises(RefusedError, match=said):
        case.do(command)
    assert len(case.log) == case.state.version == 3


def test_what_was_before_cannot_be_added_after() -> None:
    case = Case()
    case.do(ACK)
    with pytest.raises(RefusedError, match="what came before cannot be added"):
        decide(case.state, HOLD, DESK, case.now - SOON)
    with pytest.raises(InputError, match="not in UTC"):
        decide(case.state, HOLD, DESK, dt.datetime(2026, 4, 10, 9))


def test_working_implies_the_steps_before_it() -> None:
    case = Case()
    case.do(RESOLVE)
    assert [event.after for event in case.log[3:]] == [
        "ACKNOWLEDGED", "IN_PROGRESS", "RESULT_READY",
    ]  # fmt: skip
    assert case.state.clocks["deliver"].started_at == case.now


def test_the_wrong_team_gives_it_to_the_stand_in_then_to_the_duty_team() -> None:
    case = Case(finding(strategy_id="trusted-seller-boost"))
    first = case.state.owner_team
    bounced = case.do(c.Bounce(actor=f"{first}/x", reason="not ours"))
    assert bounced.owner_team == case.state.backup_team != first
    again = case.do(c.Bounce(actor=f"{bounced.owner_team}/x", reason="nor ours"))
    assert (again.owner_team, again.bounces) == ("governance", 2)


def test_a_result_is_delivered_when_everybody_has_it_and_it_was_measured() -> None:
    case = Case(finding(type="safety"))
    case.do(RESOLVE)
    teams = case.state.stakeholders
    assert len(teams) == 3
    receipt = c.Deliver(actor=PIPELINE, reason="sent", recipient=teams[0], receipt="250 OK")
    with pytest.raises(RefusedError, match="was not measured yet"):
        case.do(receipt)
    case.do(MEASURED)
    for team in teams:
        assert case.state.status == "RESULT_READY"
        case.do(replace(receipt, recipient=team), SOON)
    assert case.state.status == "DELIVERED"
    assert case.state.clocks["deliver"].outcome == MET
    assert case.do(replace(receipt, recipient=teams[0])).version == case.log[-1].seq


def test_who_handed_a_result_in_neither_accepts_it_nor_sends_it_back() -> None:
    own = Case(finding(requester="moderation/mia"))
    own.do(RESOLVE)
    with pytest.raises(RefusedError, match="handed the result in and may not send back it"):
        own.do(c.Reopen(actor=OWNER, reason="hm"))
    own.do(MEASURED)
    for team in own.state.stakeholders:
        own.do(c.Deliver(actor=PIPELINE, reason="sent", recipient=team, receipt="ok"))
    with pytest.raises(RefusedError, match="may not accept it"):
        own.do(c.Accept(actor=OWNER, reason="fine"))
    assert own.do(c.Accept(actor=OTHER_OWNER, reason="fine")).status == "CLOSED"


def test_what_is_sent_back_was_no_result_and_its_clock_ran_on() -> None:
    case = Case()
    case.do(RESOLVE)
    back = case.do(c.Reopen(actor=REVIEWER, reason="no evidence"), 5 * HOUR)
    assert (back.status, back.result) == ("IN_PROGRESS", None)
    assert back.clocks["resolve"].is_running
    assert back.clocks["mitigate"].is_running
    assert back.clocks["deliver"].outcome == CANCELLED
    case.do(RESOLVE)
    assert case.state.clocks["resolve"].elapsed == 7 * HOUR
    assert case.state.clocks["deliver#2"].is_running


def test_silence_accepts_after_three_business_days_of_the_requester() -> None:
    case = delivered(Case())
    assert case.state.wake_at == dt.datetime(2026, 4, 16, 7, tzinfo=dt.UTC)  # end of Wednesday
    assert case.state.wake_at is not None
    state, events = advance(case.state, DESK, case.state.wake_at)
    assert (state.status, events[-1].actor) == ("CLOSED", PIPELINE)


def test_what_a_law_demands_is_accepted_by_a_person_only() -> None:
    case = delivered(Case(finding(statutory="inform_verification_due")))
    assert due_commands(case.state, DESK, case.now + 30 * DAY) == []
    with pytest.raises(RefusedError, match="accepted by a person"):
        case.do(c.Accept(actor=PIPELINE, reason="silence"), 30 * DAY)
    assert case.do(c.Accept(actor=REQUESTER, reason="it holds")).status == "CLOSED"


def test_what_comes_back_within_14_days_has_half_the_time_and_rises_the_second_time() -> None:
    case = delivered(low())
    reopen = c.Reopen(actor=REQUESTER, reason="it is back")
    back = case.do(reopen)
    assert (back.status, back.owner_team) == ("ASSIGNED", "moderation")
    assert back.clocks["resolve"].outcome == MET
    assert back.clocks["resolve#2"].target == 45 * HOUR / 2
    assert back.severity == "S3"
    again = delivered(case).do(reopen)
    assert (again.severity, again.reopened) == ("S2", 2)
    late = delivered(case)
    late.do(c.Accept(actor=REQUESTER, reason="it holds"))
    with pytest.raises(RefusedError, match="open a new one"):
        late.do(reopen, 14 * DAY)


def test_each_step_of_the_ladder_is_told_once_and_only_the_highest_of_many() -> None:
    case = Case()
    state, events = advance(case.state, DESK, NOW + HOUR / 2)
    assert [event.changes["told"] for event in events] == [{"acknowledge": 0.5}]
    assert advance(state, DESK, NOW + HOUR / 2 + SOON / 60)[1] == ()
    state, events = advance(state, DESK, NOW + 7 * HOUR)
    assert [event.changes["told"] for event in events] == [{"acknowledge": 2.0}, {"mitigate": 0.5}]
    step = next(step for step in DESK.policy.ladder if step.at == 1.0)
    assert recipients(state, step, DESK) == ("moderation", "governance", "search_recommendation")


def test_the_same_finding_tomorrow_is_an_occurrence_and_today_nothing() -> None:
    case = Case()
    today = c.Note(actor=PIPELINE, reason="again", finding=finding(observed=0.4))
    assert case.do(today).version == 3
    tomorrow = finding(on=NOW.date() + dt.timedelta(days=1), observed=0.4)
    noted = case.do(replace(today, finding=tomorrow))
    assert (noted.occurrences, len(noted.findings)) == (2, 1)
    assert fingerprint(tomorrow) == fingerprint(finding())


def test_findings_find_the_escalation_that_they_belong_to() -> None:
    case = Case()
    print_ = fingerprint(case.state.finding)

    def becomes(now: dt.datetime = NOW, **changes: object) -> str:
        found = replace(finding(**changes), policy="counterfeit")
        return match(found, [case.state], DESK, now).action

    assert becomes() == "occurrence"
    assert becomes(metric="precision", type="wrong_suppression") == "joined"
    assert becomes(strategy_id=None, type="coverage_gap") == "open"
    case.do(c.Clear(actor=PIPELINE, reason="healthy", fingerprint=print_, on=NOW.date()))
    assert case.state.cleared_at == case.now
    assert becomes() == "occurrence"
    delivered(case)
    assert becomes(case.now) == "reopen"
    case.do(c.Accept(actor=REQUESTER, reason="it holds"))
    assert becomes(case.now) == "reopen"
    assert becomes(case.now + 14 * DAY) == "open"


def test_what_a_law_demands_is_an_escalation_of_its_own() -> None:
    case, lawful = Case(), finding(statutory="gpsr_order", policy="counterfeit")
    assert match(lawful, [case.state], DESK, NOW).action == "open"
    assert fingerprint(lawful) != fingerprint(case.state.finding)
    drop = replace(finding(metric="precision"), policy="counterfeit")
    assert match(drop, [Case(lawful).state], DESK, NOW).action == "open"


def test_what_a_person_closed_and_never_went_away_is_left_alone_for_a_while() -> None:
    case = delivered(Case())
    case.do(c.Accept(actor=REQUESTER, reason="we live with it"))
    found = replace(finding(), policy="counterfeit")
    assert match(found, [case.state], DESK, case.now + DAY).action == "ignored"
    assert match(found, [case.state], DESK, case.now + 15 * DAY).action == "open"


def test_a_broken_feed_explains_what_is_computed_from_it() -> None:
    feed = Case(
        finding(type="data_quality", strategy_id=None, feed="decisions", exposure=150_000.0)
    )
    assert feed.state.priority == "P2"
    drop = finding(type="metric_drop", strategy_id=None, feed="decisions", metric="reach")
    assert match(drop, [feed.state], DESK, NOW).action == "inhibited"
    assert match(replace(drop, feed="appeals"), [feed.state], DESK, NOW).action == "open"
    assert match(replace(drop, channel="video"), [feed.state], DESK, NOW).action == "open"


def test_a_drop_of_a_channel_explains_those_of_its_categories() -> None:
    whole = Case(finding(type="metric_drop", strategy_id=None, metric="nps"))
    toys = finding(type="metric_drop", strategy_id=None, metric="nps", category="toys")
    assert match(toys, [whole.state], DESK, NOW).action == "inhibited"
    part = Case(toys)
    assert match(whole.state.finding, [part.state], DESK, NOW).action == "open"


def test_actors_are_of_teams_that_the_register_knows() -> None:
    assert DESK.actor("moderation/ines") == "moderation/ines"
    with pytest.raises(RefusedError, match="no team can be told from actor 'ines'"):
        DESK.actor("ines")
    with pytest.raises(RefusedError, match="no team can be told"):
        DESK.actor(PIPELINE)
    team = DESK.teams["moderation"].model_copy(update={"members": ["ines"]})
    strict = replace(DESK, teams={**DESK.teams, "moderation": team})
    assert strict.actor("ines") == "moderation/ines"
    with pytest.raises(RefusedError, match="omar is no member of moderation"):
        strict.actor("moderation/omar")


def test_a_log_with_a_gap_is_refused() -> None:
    case = Case()
    with pytest.raises(InputError, match=r"event 3 .* follows TRIAGED, but the log is at NEW"):
        replay([case.log[0], case.log[2]])
    with pytest.raises(InputError, match="without events"):
        replay([])
