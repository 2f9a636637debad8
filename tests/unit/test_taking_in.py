"""What a day's findings make of the escalations."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from governance_pipeline.domain.commands import Deliver, Measure, Resolve
from governance_pipeline.domain.deciding import act
from governance_pipeline.domain.desk import PIPELINE
from governance_pipeline.domain.escalation import Escalation, Measurement
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.taking_in import TakenIn, take_in
from tests.unit.desks import DESK, DROP, NOW, OWNER, finding

DAY = dt.timedelta(days=1)
SOURCES = {"drift", "conflict"}
CONFLICT = replace(
    DROP, source="conflict", type="strategy_conflict", metric="contradicts another",
    title="Two strategies contradict each other",
)  # fmt: skip


def later(found: Finding, days: int = 1, **changes: object) -> Finding:
    moved = {"detected_at": NOW + days * DAY, "on": NOW.date() + days * DAY, **changes}
    return replace(found, **moved)  # type: ignore[arg-type]


def taken(found: Iterable[Finding], known: Iterable[Escalation] = (), days: int = 0) -> TakenIn:
    return take_in(found, known, SOURCES, DESK, NOW + days * DAY)


def after(done: TakenIn) -> list[Escalation]:
    return [change.after for change in done.changes.values()]


def opened() -> Escalation:
    (state,) = after(taken([DROP]))
    return state


def delivered(state: Escalation) -> Escalation:
    now = NOW + DAY
    done = Resolve(
        actor=OWNER, reason="mended", code="strategy_fixed", evidence_uri="x", change="y"
    )
    state, _ = act(state, done, DESK, now)
    told = Measurement("improved", "it is better")
    state, _ = act(state, Measure(actor=PIPELINE, reason="x", measurement=told), DESK, now)
    for team in state.stakeholders:
        command = Deliver(actor=PIPELINE, reason="sent", recipient=team, receipt="taken")
        state, _ = act(state, command, DESK, now)
    assert state.status == "DELIVERED"
    return state


def test_a_finding_taken_in_again_on_the_same_day_changes_nothing() -> None:
    done = taken([DROP], [opened()])
    assert not done.changes
    assert done.became == {"known": 1}


def test_the_same_finding_tomorrow_is_an_occurrence_and_no_second_escalation() -> None:
    first = opened()
    done = taken([later(DROP)], [first], days=1)
    (state,) = after(done)
    assert (state.escalation_id, state.occurrences) == (first.escalation_id, 2)
    assert done.became == {"occurrence": 1}


def test_growth_from_one_day_to_the_next_makes_it_urgent() -> None:
    (calm,) = after(taken([later(DROP, exposure=6_100.0)], [opened()], days=1))
    (urgent,) = after(taken([later(DROP, exposure=12_000.0)], [opened()], days=1))
    assert (calm.urgency, urgent.urgency) == ("U2", "U1")


def test_findings_about_one_strategy_share_an_escalation() -> None:
    done = taken([DROP, CONFLICT])
    (state,) = after(done)
    assert {seen.finding.source for seen in state.findings.values()} == {"drift", "conflict"}
    assert done.became == {"opened": 1, "joined": 1}


def test_what_is_not_found_any_more_is_proposed_to_be_resolved() -> None:
    done = taken([], [opened()], days=1)
    (state,) = after(done)
    assert state.cleared_at == NOW + DAY
    assert state.status == "ASSIGNED"
    assert not taken([], [state], days=2).changes


def test_nothing_is_cleared_of_a_source_that_was_not_asked() -> None:
    asked = take_in([], [opened()], {"conflict"}, DESK, NOW + DAY)
    assert not asked.changes


def test_a_relapse_within_a_fortnight_reopens_what_was_delivered() -> None:
    ended = delivered(opened())
    (gone,) = after(taken([], [ended], days=2))
    back = taken([later(DROP, 5)], [gone], days=5)
    (state,) = after(back)
    assert (state.status, state.reopened) == ("ASSIGNED", 1)
    assert back.became == {"reopened": 1, "reopen": 1}


def test_a_relapse_after_the_fortnight_is_a_new_escalation() -> None:
    (gone,) = after(taken([], [delivered(opened())], days=2))
    back = taken([later(DROP, 30)], [replace(gone, status="CLOSED")], days=30)
    (state,) = after(back)
    assert state.escalation_id != gone.escalation_id


def test_a_finding_that_only_looks_alike_opens_its_own() -> None:
    other = finding(strategy_id="misleading-price-demote", metric="precision")
    assert len(after(taken([DROP, other]))) == 2
