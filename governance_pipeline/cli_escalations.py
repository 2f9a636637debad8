"""`governance escalations`: who has to act, by when, what was done, and whether it helped."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click

from governance_pipeline.feeds import CHANNELS
from governance_pipeline.registry.conditions import FindingType
from governance_pipeline.registry.escalation import PauseReason, Severity, Urgency
from governance_pipeline.settings import Settings

Command = Callable[..., None]
DAY = click.DateTime(["%Y-%m-%d"])
AS_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


@click.group()
def escalations() -> None:
    """Who has to act, by when, what was done, and whether it helped."""


def acting(function: Command) -> Command:
    """Give a command the arguments of everything that is done to an escalation."""
    function = AS_JSON(function)
    function = click.option("--reason", required=True, help="Why, for the log.")(function)
    function = click.option("--actor", required=True, help="Who: team/name, or a team.")(function)
    return click.argument("escalation_id", metavar="ID")(click.pass_obj(function))


@escalations.command("list")
@click.option("--all", "everything", is_flag=True, help="Ended ones too.")
@click.option("--team", help="Only of this owner team.")
@click.option("--limit", default=50, show_default=True, help="Rows shown as a table.")
@AS_JSON
@click.pass_obj
def list_(
    settings: Settings, everything: bool, team: str | None, limit: int, as_json: bool
) -> None:
    """List what goes on: by priority, then by what is due next in its own calendar.

    \b
        governance escalations list --team moderation
    """
    from governance_pipeline import show_escalations as show

    with _desk(settings) as (store, desk):
        columns = () if as_json else show.QUEUED
        rows = store.summaries(columns, everything=everything, team=team)
    show.queue(rows, desk, _now(), limit=limit, as_json=as_json)


@escalations.command("show")
@click.argument("escalation_id", metavar="ID")
@AS_JSON
@click.pass_obj
def show_(settings: Settings, escalation_id: str, as_json: bool) -> None:
    """Tell the whole story of ID (its beginning is enough) on one screen.

    \b
        governance escalations show 20260410-8d37
    """
    from governance_pipeline import show_escalations as show

    with _desk(settings) as (store, desk):
        state = store.load(escalation_id)
        log, messages = store.events(state.escalation_id), store.messages(state.escalation_id)
    show.story(state, log, messages, desk, _now(), settings.ui_url, as_json=as_json)


@escalations.command("open")
@click.option("--title", required=True, help="What is wrong, in one sentence.")
@click.option("--type", "kind", required=True, type=click.Choice(get_args(FindingType)))
@click.option("--strategy", "strategy_id", help="The strategy it is about.")
@click.option("--channel", type=click.Choice(CHANNELS))
@click.option("--category", help="The category it is limited to.")
@click.option("--market", help="The market it is limited to.")
@click.option("--policy", help="The policy it is about; the strategy's by default.")
@click.option("--metric", help="What was measured.")
@click.option("--observed", type=float)
@click.option("--expected", type=float)
@click.option("--exposure", type=float, help="Impressions affected a day.")
@click.option("--needed-by", type=DAY, help="When the answer is needed.")
@click.option("--statutory", help="What a law's clock starts on, e.g. gpsr_order.")
@click.option("--evidence", "evidence_uri", help="Where it is shown.")
@click.option("--requester", help="Who is told the result; the actor by default.")
@click.option("--actor", required=True, help="Who: team/name, or a team.")
@click.option("--reason", required=True, help="Why, for the log.")
@AS_JSON
@click.pass_obj
def open_(
    settings: Settings,
    /,
    title: str,
    kind: str,
    needed_by: dt.datetime | None,
    requester: str | None,
    actor: str,
    reason: str,
    as_json: bool,
    **facts: Any,
) -> None:
    """Open an escalation; what is known already is noted on the one that knows it.

    \b
        governance escalations open --title "Toys are hidden in Germany" --type wrong_suppression \\
          --strategy prohibited-goods-filter --market DE --actor product/pia --reason "seller calls"
    """
    from governance_pipeline import show_escalations as show
    from governance_pipeline.adapters.announcing import announce
    from governance_pipeline.adapters.escalating import take_in
    from governance_pipeline.domain.findings import Finding

    with _desk(settings) as (store, desk):
        who, now = desk.actor(actor), _now()
        found = Finding(
            source="person", type=kind, title=title, detected_at=now, on=now.date(),
            requester=desk.actor(requester) if requester else who,
            needed_by=needed_by.date() if needed_by else None, **facts,
        )  # fmt: skip
        matched, state, _ = take_in(store, desk, found, who, reason, now, announce)
    show.opened(matched, state, as_json=as_json)


@escalations.command()
@click.option("--severity", type=click.Choice(get_args(Severity)))
@click.option("--urgency", type=click.Choice(get_args(Urgency)))
@acting
def triage(settings: Settings, **asked: Any) -> None:
    """Weigh ID by hand; only a triager may let its severity fall.

    \b
        governance escalations triage 20260410-8d37 --severity S3 --actor governance/gwen \\
          --reason "no seller is hurt"
    """
    _act(settings, "triage", **asked)


@escalations.command()
@click.option("--ticket", "external_ref", help="The ticket of the team's tool that it mirrors.")
@acting
def ack(settings: Settings, external_ref: str | None, **asked: Any) -> None:
    """Acknowledge ID: the owner has seen it.

    \b
        governance escalations ack 20260410-8d37 --actor moderation/ines --reason "on it"
    """
    if external_ref:
        _act(settings, "link", external_ref=external_ref, is_silent=True, **asked)
    _act(settings, "ack", **asked)


@escalations.command()
@acting
def start(settings: Settings, **asked: Any) -> None:
    """Begin to work on ID; that acknowledges it too.

    \b
        governance escalations start 20260410-8d37 --actor moderation/ines --reason "looking at it"
    """
    _act(settings, "start", **asked)


@escalations.command()
@click.option("--team", help="The team that has it from now on.")
@click.option("--to", "person", help="The person of its team that has it.")
@click.option("--wrong-team", is_flag=True, help="Give it back.")
@acting
def assign(settings: Settings, wrong_team: bool, **asked: Any) -> None:
    """Give ID to another team or to a person, or give it back.

    \b
        governance escalations assign 20260410-8d37 --to ines --actor moderation --reason "knows it"
    """
    if wrong_team:
        del asked["team"], asked["person"]
    _act(settings, "bounce" if wrong_team else "assign", **asked)


@escalations.command()
@click.option("--awaiting", required=True, type=click.Choice(get_args(PauseReason)))
@acting
def hold(settings: Settings, **asked: Any) -> None:
    """Stop the clocks of ID for what lies elsewhere; not at P1, not under a statutory cap.

    \b
        governance escalations hold 20260410-8d37 --awaiting awaiting_requester \\
          --actor moderation/ines --reason "which sellers?"
    """
    _act(settings, "hold", **asked)


@escalations.command()
@acting
def resume(settings: Settings, **asked: Any) -> None:
    """Let the clocks of ID go on.

    \b
        governance escalations resume 20260410-8d37 --actor moderation/ines --reason "answered"
    """
    _act(settings, "resume", **asked)


@escalations.command()
@click.option("--record", required=True, help="The change, rollback or hold that stopped it.")
@acting
def mitigate(settings: Settings, **asked: Any) -> None:
    """Say that the harm of ID has stopped, and by what.

    \b
        governance escalations mitigate 20260410-8d37 --record "rollback to version 2" \\
          --actor moderation/ines --reason "harm stops tonight"
    """
    _act(settings, "mitigate", **asked)


@escalations.command()
@click.option("--code", required=True, help="What kind of result; a wrong one names them all.")
@click.option("--evidence", "evidence_uri", required=True, help="Where it is shown.")
@click.option("--change", required=True, help="The change that was made, or none.")
@acting
def resolve(settings: Settings, **asked: Any) -> None:
    """Hand in the result of ID; the pipeline then measures whether it helped.

    \b
        governance escalations resolve 20260410-8d37 --code threshold_tuned \\
          --evidence https://wiki.market.example/e17 --change "version 3" \\
          --actor moderation/ines --reason "cut was too low"
    """
    _act(settings, "resolve", **asked)


@escalations.command()
@click.option("--to", "recipient", required=True, help="The team that was told.")
@click.option("--receipt", required=True, help="How, e.g. a meeting or a ticket.")
@acting
def deliver(settings: Settings, **asked: Any) -> None:
    """Record that a stakeholder was told the result of ID otherwise than by a message.

    \b
        governance escalations deliver 20260410-8d37 --to product --receipt "weekly review" \\
          --actor moderation/ines --reason "they have no route"
    """
    _act(settings, "deliver", **asked)


@escalations.command()
@click.option("--code", help="Why it is turned down, e.g. not_reproducible.")
@click.option("--duplicate-of", help="The escalation that it repeats.")
@acting
def reject(settings: Settings, code: str | None, duplicate_of: str | None, **asked: Any) -> None:
    """Turn ID down before work begins, or point it at the one that it repeats.

    \b
        governance escalations reject 20260410-8d37 --code not_reproducible \\
          --actor governance/gwen --reason "the figures are of a test market"
    """
    if bool(code) == bool(duplicate_of):
        raise click.UsageError("give --code or --duplicate-of")
    if code:
        _act(settings, "reject", code=code, **asked)
    else:
        _act(settings, "duplicate", duplicate_of=duplicate_of, **asked)


@escalations.command()
@acting
def cancel(settings: Settings, **asked: Any) -> None:
    """Withdraw ID; what a law demands cannot be withdrawn.

    \b
        governance escalations cancel 20260410-8d37 --actor product/pia --reason "campaign is off"
    """
    _act(settings, "cancel", **asked)


@escalations.command()
@acting
def accept(settings: Settings, **asked: Any) -> None:
    """Accept the result of ID, as its requester; who handed it in may not.

    \b
        governance escalations accept 20260410-8d37 --actor product/pia --reason "it holds"
    """
    _act(settings, "accept", **asked)


@escalations.command()
@acting
def reopen(settings: Settings, **asked: Any) -> None:
    """Send back a result that does not hold, or open ID again within 14 days of its delivery.

    \b
        governance escalations reopen 20260410-8d37 --actor product/pia --reason "it is back"
    """
    _act(settings, "reopen", **asked)


@escalations.command()
@click.option("--all", "everything", is_flag=True, help="Look at all that go on.")
@AS_JSON
@click.pass_obj
def work(settings: Settings, everything: bool, as_json: bool) -> None:
    """Do what the job `escalate` does: findings, clocks, reminders, results, messages.

    \b
        governance escalations work
    """
    from governance_pipeline import show_escalations as show
    from governance_pipeline.adapters.desk_work import run_desk

    show.worked(run_desk(settings, _now(), everything=everything), as_json=as_json)


@escalations.command()
@AS_JSON
@click.option("--retry", is_flag=True, help="Let them be tried anew.")
@click.pass_obj
def letters(settings: Settings, retry: bool, as_json: bool) -> None:
    """List the messages that nobody got, for want of an address or of an answer; or try them anew.

    \b
        governance escalations letters --retry
    """
    from governance_pipeline import show_escalations as show
    from governance_pipeline.adapters import outbox

    with _desk(settings) as (store, _):
        if retry:
            click.echo(f"{outbox.retry_lost(store, _now())} messages are tried anew")
        else:
            show.letters(outbox.lost(store), as_json=as_json)


@escalations.command()
@click.option("--to", required=True, metavar="PLACE", help="A file, an address, or env:NAME.")
@click.option("--since", type=DAY, help="Leave out what is older.")
@click.pass_obj
def export(settings: Settings, to: str, since: dt.datetime | None) -> None:
    """Write every transition as CSV, as JSON lines (.jsonl), or post it to a webhook.

    env:NAME is the address that an environment variable holds, as one with a secret should be.

    \b
        governance escalations export --to transitions.csv --since 2026-04-01
        governance escalations export --to env:TICKET_TOOL_URL --since 2026-04-01
    """
    from governance_pipeline.adapters.ticket_tool import address_of, host_of, post_transitions
    from governance_pipeline.adapters.transitions import write_transitions

    begin = since.replace(tzinfo=dt.UTC) if since else None
    address = address_of(to)
    with _desk(settings) as (store, _):
        if address is None:
            click.echo(f"{write_transitions(store, Path(to), begin)} transitions in {to}")
        else:
            count = post_transitions(store, address, begin)
            click.echo(f"{count} transitions posted to {host_of(address)}")


@escalations.command("import")
@click.argument("place")
@AS_JSON
@click.pass_obj
def import_(settings: Settings, place: str, as_json: bool) -> None:
    """Act on every row of PLACE, as the ticket tool of a team says it was done.

    PLACE is a file, an address that answers with rows, or env:NAME; CSV, JSON lines or a JSON
    array. Columns: escalation_id or external_ref, action, actor, reason, at, and what the action
    needs.

    \b
        governance escalations import transitions.csv
        governance escalations import env:TICKET_TOOL_URL
    """
    from governance_pipeline import show_escalations as show
    from governance_pipeline.adapters.announcing import announce
    from governance_pipeline.adapters.ticket_tool import address_of, host_of, pull_transitions
    from governance_pipeline.adapters.transitions import take_transitions

    address = address_of(place)
    with _desk(settings) as (store, desk):
        if address is None:
            taken = take_transitions(store, desk, Path(place), _now(), announce)
        else:
            taken = pull_transitions(store, desk, address, _now(), announce)
    show.taken(taken, host_of(address) if address else Path(place).name, as_json=as_json)


@contextmanager
def _desk(settings: Settings) -> Iterator[tuple[Any, Any]]:
    from governance_pipeline.adapters.escalating import open_desk
    from governance_pipeline.adapters.ops_store import OpsStore

    desk = open_desk(settings.paths)
    with OpsStore(settings.store_url) as store:
        yield store, desk


def _act(
    settings: Settings,
    verb: str,
    *,
    escalation_id: str,
    actor: str,
    reason: str,
    as_json: bool,
    is_silent: bool = False,
    **values: Any,
) -> None:
    from governance_pipeline import show_escalations as show
    from governance_pipeline.adapters.announcing import announce
    from governance_pipeline.adapters.escalating import act_on
    from governance_pipeline.adapters.transitions import command_of

    with _desk(settings) as (store, desk):
        command = command_of(store, verb, desk.actor(actor), reason, values)
        state, events = act_on(store, desk, escalation_id, command, _now(), announce)
    if not is_silent:
        show.acted(state, events, as_json=as_json)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
