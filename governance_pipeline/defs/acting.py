"""Opening an escalation and acting on one from the launchpad, by the rules of the command line.

The configuration is typed: the launchpad names a field that is wrong before anything runs.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import dagster as dg

from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.escalating import act_on, open_desk, take_in
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.transitions import OPTIONAL, VERBS, command_of
from governance_pipeline.defs.resources import DeskAt
from governance_pipeline.domain.desk import Desk
from governance_pipeline.domain.escalation import RESULT_CODES, Escalation, Event
from governance_pipeline.domain.findings import Finding
from governance_pipeline.errors import InputError
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.registry.conditions import FindingType
from governance_pipeline.registry.escalation import PauseReason, Severity, Urgency


def _one_of(name: str, values: Sequence[str]) -> dg.Enum:
    return dg.Enum(name, [dg.EnumValue(value) for value in values])


CHOICES: Mapping[str, dg.Enum] = {
    "severity": _one_of("Severity", get_args(Severity)),
    "urgency": _one_of("Urgency", get_args(Urgency)),
    "awaiting": _one_of("PauseReason", get_args(PauseReason)),
    "resolve.code": _one_of("ResultCode", RESULT_CODES),
    "type": _one_of("FindingType", get_args(FindingType)),
    "channel": _one_of("Channel", CHANNELS),
}
WHO: Mapping[str, dg.Field] = {
    "actor": dg.Field(str, description="Who: team/name, or a team."),
    "reason": dg.Field(str, description="Why, for the log."),
}
FACTS: Mapping[str, Any] = {
    "strategy_id": str, "channel": CHOICES["channel"], "category": str, "market": str,
    "policy": str, "metric": str, "observed": float, "expected": float, "exposure": float,
    "statutory": str, "evidence_uri": str,
}  # fmt: skip
"""What may be said of what is opened, beside its title and type."""


def opening_job() -> dg.JobDefinition:
    """Return the job by which somebody opens an escalation from the launchpad."""

    @dg.op(
        name="open",
        description="Open an escalation; what is known already is noted on the one that knows it.",
        config_schema={
            **WHO,
            "title": dg.Field(str, description="What is wrong, in one sentence."),
            "type": dg.Field(CHOICES["type"]),
            **{name: dg.Field(kind, is_required=False) for name, kind in FACTS.items()},
            "needed_by": dg.Field(str, is_required=False, description="A day, as 2026-04-01."),
            "requester": dg.Field(
                str, is_required=False, description="Who is told the result; else the actor."
            ),
        },
    )
    def open_(context: dg.OpExecutionContext, desk: DeskAt) -> None:
        said = dict(context.op_config)
        with _desk(desk) as (store, known, now):
            actor, reason = known.actor(said.pop("actor")), said.pop("reason")
            requester, day = said.pop("requester", None), said.pop("needed_by", None)
            found = Finding(
                source="person", detected_at=now, on=now.date(),
                requester=known.actor(requester) if requester else actor,
                needed_by=_day(day) if day else None, **said,
            )  # fmt: skip
            _, state, events = take_in(store, known, found, actor, reason, now, announce)
        _tell(context, state, events)

    @dg.job(name="open_escalation", description="Open an escalation, from the launchpad.")
    def open_escalation() -> None:
        open_()

    return open_escalation


def acting_job() -> dg.JobDefinition:
    """Return the job by which an engineer acts on an escalation from the launchpad."""

    @dg.op(
        name="act",
        description="Act on one escalation, by the rules that the command line has.",
        config_schema={
            "escalation": dg.Field(str, description="Its id, or the beginning of it."),
            **WHO,
            "action": dg.Selector({verb: _verb(verb) for verb in VERBS}),  # type: ignore[no-untyped-call]
        },
    )
    def act(context: dg.OpExecutionContext, desk: DeskAt) -> None:
        said = context.op_config
        ((verb, values),) = said["action"].items()
        with _desk(desk) as (store, known, now):
            actor = known.actor(said["actor"])
            command = command_of(store, verb, actor, said["reason"], values)
            state, events = act_on(store, known, said["escalation"], command, now, announce)
        _tell(context, state, events)

    @dg.job(
        name="act_on_escalation",
        description="Acknowledge, hold, resolve, accept ... one escalation, from the launchpad.",
    )
    def act_on_escalation() -> None:
        act()

    return act_on_escalation


def _verb(verb: str) -> dg.Field:
    kind, needed = VERBS[verb]
    fields = {
        name: dg.Field(
            CHOICES.get(f"{verb}.{name}", CHOICES.get(name, str)), is_required=verb not in OPTIONAL
        )
        for name in needed
    }
    said = (kind.__doc__ or "").splitlines()[0]
    return dg.Field(fields, description=said)


@contextmanager
def _desk(at: DeskAt) -> Iterator[tuple[OpsStore, Desk, dt.datetime]]:
    known = open_desk(at.settings.paths)
    with OpsStore(at.settings.store_url) as store:
        yield store, known, dt.datetime.now(dt.UTC)


def _day(said: str) -> dt.date:
    try:
        return dt.date.fromisoformat(said)
    except ValueError as error:
        raise InputError(f"needed_by {said!r} is no day; write it as 2026-04-01") from error


def _tell(context: dg.OpExecutionContext, state: Escalation, events: Sequence[Event]) -> None:
    said = ", ".join(event.kind for event in events) or "nothing, it was so already"
    context.log.info(f"{state.escalation_id} is {state.status}: {said}")
    context.add_output_metadata(
        {"escalation": state.escalation_id, "status": state.status, "events": said}
    )
