"""What the escalation commands print; nothing is decided here."""

import datetime as dt
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from governance_pipeline.adapters import ops_codec as codec
from governance_pipeline.domain.calendars import NOTHING
from governance_pipeline.domain.clocks import Clock, is_breached, slack
from governance_pipeline.domain.desk import Desk, team_of
from governance_pipeline.domain.escalation import Escalation, Event
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import Match

if TYPE_CHECKING:  # a tenth of a second that a list does not need
    from governance_pipeline.adapters.desk_work import Worked
    from governance_pipeline.adapters.transitions import Taken

WIDTH = 100
STYLE = {"P1": "bold red", "P2": "red", "P3": "yellow", "P4": ""}
TIMELINE, FINDINGS, MESSAGES = 12, 4, 5
"""Lines of each part of a story, so that it fits one screen."""

NEXT = {
    "NEW": ("triager", "weighs it", "triage"),
    "TRIAGED": ("triager", "gives it to a team", "assign"),
    "ASSIGNED": ("owner", "acknowledges it", "ack"),
    "ACKNOWLEDGED": ("owner", "begins to work", "start"),
    "IN_PROGRESS": ("owner", "mends it", "mitigate | resolve"),
    "ON_HOLD": ("owner", "goes on", "resume"),
    "MITIGATED": ("owner", "says what was done", "resolve"),
    "DELIVERED": ("requester", "has the last word", "accept | reopen"),
}
"""Who acts next where something is to be done by a person, and by which command."""

QUEUED = (
    "escalation_id", "is_open", "priority", "status", "owner_team", "title", "due_at",
    "due_calendar",
)  # fmt: skip
"""What the queue is shown by."""


def queue(
    rows: Sequence[dict[str, Any]], desk: Desk, now: dt.datetime, *, limit: int, as_json: bool
) -> None:
    """Print the queue: by priority, then by the time that is left."""
    left = {row["escalation_id"]: _left(row, desk, now) for row in rows}

    def turn(row: Mapping[str, Any]) -> tuple[bool, str, dt.timedelta, str]:
        time = left[row["escalation_id"]]
        waits = dt.timedelta.max if time is None else time
        return not row["is_open"], row["priority"], waits, row["escalation_id"]

    ordered = sorted(rows, key=turn)
    if as_json:
        lines = (json.dumps(_plain(row) | _slack(left[row["escalation_id"]])) for row in ordered)
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    table = Table(box=None, pad_edge=False, expand=True, padding=(0, 1, 0, 0))
    # Only the title gives way where a line is too long.
    for name, least in (("id", 19), ("prio", 4), ("status", 12), ("left", 7), ("owner", 13)):
        side: Literal["left", "right"] = "right" if name == "left" else "left"
        table.add_column(name, no_wrap=True, justify=side, min_width=least)
    table.add_column("what", no_wrap=True, ratio=1)
    for row in ordered[:limit]:
        table.add_row(
            row["escalation_id"],
            Text(row["priority"], style=STYLE[row["priority"]]),
            row["status"],
            _time_left(left[row["escalation_id"]], row),
            row["owner_team"] or "-",
            row["title"],
        )
    console().print(table)
    if len(ordered) > limit:
        click.echo(f"and {len(ordered) - limit:,} more; --limit shows them, --json writes all")


def story(
    state: Escalation,
    log: Sequence[Event],
    messages: Sequence[Mapping[str, Any]],
    desk: Desk,
    now: dt.datetime,
    ui_url: str,
    *,
    as_json: bool,
) -> None:
    """Print everything about an escalation on one screen."""
    if as_json:
        whole = {**codec.as_dict(state), "events": [_plain(codec.event_row(e)) for e in log]}
        click.echo(json.dumps({**whole, "messages": [_plain(m) for m in messages]}))
        return
    out = console()
    head = Text(f"{state.escalation_id}  ", style="bold")
    head.append(state.priority, style=STYLE[state.priority])
    out.print(head + Text(f"  {state.status}", style="bold"))
    out.print(Text(state.finding.title))
    facts = Table.grid(padding=(0, 1, 0, 0))
    facts.add_column(style="bold", no_wrap=True, min_width=9)
    facts.add_column()
    for name, said in (*_facts(state), *_next(state, desk), *_link(state, ui_url)):
        facts.add_row(name, Text(said))
    out.print(facts)
    out.print()
    out.print(_clocks(state, desk, now))
    _timeline(out, log)
    _findings(out, state)
    _messages(out, messages)
    _result(out, state)


def acted(state: Escalation, events: Sequence[Event], *, as_json: bool) -> None:
    """Print what an action did."""
    if as_json:
        click.echo(json.dumps(codec.as_dict(state)))
        return
    if not events:
        click.echo(f"{state.escalation_id} is {state.status} as before; that was known")
    for event in events:
        click.echo(f"{event.escalation_id} {event.kind}: it is {event.after}")
    due = [clock for clock in state.clocks.values() if clock.is_running and clock.due_at]
    for clock in sorted(due, key=lambda c: str(c.due_at))[:1]:
        click.echo(f"next: {clock.kind} by {clock.due_at:%F %H:%M} UTC")


def opened(matched: Match, state: Escalation, *, as_json: bool) -> None:
    """Print what became of a finding."""
    if as_json:
        said = {"action": matched.action, "why": matched.why, **codec.as_dict(state)}
        click.echo(json.dumps(said))
        return
    owner = f"owned by {state.owner_team}" if state.owner_team else "waiting for a triager"
    if matched.action == "open":
        click.echo(f"{state.escalation_id} is open: {state.priority}, {owner}")
    else:
        click.echo(f"noted on {state.escalation_id} ({state.status}, {owner}): {matched.why}")
    click.echo(state.priority_reason)


def worked(done: "Worked", *, as_json: bool) -> None:
    """Print what a pass did."""
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    found = [f"{count} {what}" for what, count in done.found.items()]
    if found:
        click.echo(f"findings: {', '.join(found)}")
    said = {
        "changed by themselves": done.woken, "results measured": done.measured,
        "messages sent": done.sent, "to be tried again": done.failed, "given up": done.dead,
        "without an address": done.unaddressed, "results delivered": done.delivered,
    }  # fmt: skip
    happened = [f"{count} {what}" for what, count in said.items() if count]
    if happened or not found:
        click.echo(", ".join(happened) or "nothing was due")
    if done.waits_for:
        click.echo(f"findings wait: {done.waits_for}")


def letters(lost: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print the messages that nobody got."""
    for row in lost:
        if as_json:
            click.echo(json.dumps({k: v for k, v in row.items() if k != "payload"}, default=str))
        else:
            way = f"{row['kind']} to {row['recipient']} by {row['route']}"
            click.echo(f"{row['escalation_id']}  {way}: {row['last_error']}")
    if not lost and not as_json:
        click.echo("every message arrived")


def taken(done: "Taken", place: str, *, as_json: bool) -> None:
    """Print what became of transitions from somewhere; refusals end in exit code 1."""
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        click.echo(f"{done.done} transitions taken from {place}, {done.known} known already")
        for sentence in done.refused:
            click.echo(f"refused: {sentence}", err=True)
    if done.refused:
        raise SystemExit(1)


def console() -> Console:
    """Return the console of every table, as wide as a terminal is at least."""
    columns = shutil.get_terminal_size((WIDTH, 50)).columns
    return Console(width=max(WIDTH, columns), highlight=False)


def length(time: dt.timedelta) -> str:
    """Return a length of time in the units that people read.

    >>> length(dt.timedelta(days=2, hours=3)), length(dt.timedelta(minutes=-90))
    ('2d 3h', '-1h 30m')
    """
    minutes = abs(round(time.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n}{unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if n][:2]
    return ("-" if time < NOTHING else "") + (" ".join(parts) or "0m")


def _facts(state: Escalation) -> Iterator[tuple[str, str]]:
    found = state.finding
    yield "what", _what(found)
    if found.since:
        yield "since", f"{found.since}, by the data"
    if found.details:
        yield "why", found.details
    exposure = state.exposure
    if exposure is not None:
        all_ = found.channel_impressions
        share = f", {exposure / all_:.1%} of the channel's" if all_ else ""
        yield "hurt", f"{exposure:,.0f} impressions a day{share}"
    yield "priority", state.priority_reason
    owner = state.assignee or state.owner_team or "nobody yet"
    backup = f"; {state.backup_team} stands in" if state.backup_team else ""
    ticket = f"; ticket {state.external_ref}" if state.external_ref else ""
    yield "owner", f"{owner}{backup}{ticket}"
    told = ", ".join(state.stakeholders)
    yield "for", f"{state.requester}, opened from {found.source}; the result goes to {told}"
    if state.statutory_due:
        yield "law", f"{found.statutory}, at the latest {state.statutory_due:%F %H:%M} UTC"
    if state.cleared_at:
        yield "gone", f"since {state.cleared_at:%F %H:%M} nothing is found any more; resolve it"
    if state.hold_reason:
        yield "waits", state.hold_reason.replace("_", " ")


def _next(state: Escalation, desk: Desk) -> Iterator[tuple[str, str]]:
    if state.status not in NEXT:
        return
    role, does, verb = NEXT[state.status]
    who = {
        "owner": state.owner_team or desk.duty,
        "requester": team_of(state.requester),
        "triager": "/".join(desk.policy.roles.triager),
    }[role]
    yield "next", f"{who} {does}: governance escalations {verb} {state.escalation_id}"


def _link(state: Escalation, ui_url: str) -> Iterator[tuple[str, str]]:
    evidence = state.finding.evidence_uri
    if evidence:
        yield "link", f"{ui_url.rstrip('/')}{evidence}" if evidence.startswith("/") else evidence


def _what(found: Finding) -> str:
    where = [found.strategy_id, found.channel, found.category, found.market, found.feed]
    place = ", ".join(part for part in where if part)
    numbers = ""
    if found.observed is not None:
        figures = [x for x in (found.observed, found.expected) if x is not None]
        is_share = all(0 <= x <= 1 for x in figures)
        said = [f"{x:.1%}" if is_share else f"{x:,.4g}" for x in figures]
        numbers = f": {found.metric or 'observed'} {' against '.join(said)}"
    return f"{found.type.replace('_', ' ')} on {place or 'the whole market'}{numbers}"


def _clocks(state: Escalation, desk: Desk, now: dt.datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("clock", "target", "calendar", "since", "due", "left", "outcome"):
        table.add_column(name, no_wrap=True)
    for clock in state.clocks.values():
        table.add_row(
            clock.clock_id,
            length(clock.target),
            clock.calendar,
            f"{clock.started_at:%F %H:%M}",
            f"{clock.due_at:%F %H:%M}" if clock.due_at else "paused",
            length(slack(clock, now, desk.calendar(clock.calendar))) if clock.is_running else "",
            _outcome(clock, desk, now),
        )
    return table


def _outcome(clock: Clock, desk: Desk, now: dt.datetime) -> Text:
    if clock.is_running:
        late = is_breached(clock, now, desk.calendar(clock.calendar))
        return Text("late", style="bold red") if late else Text("running")
    spent = f" in {length(clock.elapsed)}" if clock.elapsed is not None else ""
    return Text(f"{clock.outcome}{spent}", style="red" if clock.outcome == "breached" else "")


def _timeline(out: Console, log: Sequence[Event]) -> None:
    out.print()
    out.print(Text("timeline (UTC)", style="bold"))
    shown = log if len(log) <= TIMELINE else [*log[:3], *log[-(TIMELINE - 3) :]]
    for event in shown:
        if event is log[-(TIMELINE - 3)] if len(log) > TIMELINE else False:
            out.print(f"  ... {len(log) - TIMELINE} more; --json shows all", style="dim")
        status = event.after if event.is_transition else ""
        line = f"  {event.at:%F %H:%M}  {event.kind:13} {status:12}  {event.actor}: {event.reason}"
        out.print(Text(line), no_wrap=True, overflow="ellipsis")


def _findings(out: Console, state: Escalation) -> None:
    out.print()
    out.print(Text("findings", style="bold"))
    for seen in [*state.findings.values()][:FINDINGS]:
        until = f" to {seen.last_on}" if seen.times > 1 else ""
        gone = f", gone {seen.cleared_on}" if seen.cleared_on else ""
        line = f"  {seen.first_on}{until}{gone}  {seen.finding.title}"
        out.print(Text(line), no_wrap=True, overflow="ellipsis")
    if len(state.findings) > FINDINGS:
        more = len(state.findings) - FINDINGS
        out.print(Text(f"  ... {more} more; --json shows all", style="dim"))


def _messages(out: Console, messages: Sequence[Mapping[str, Any]]) -> None:
    if not messages:
        return
    out.print()
    out.print(Text("messages", style="bold"))
    if len(messages) > MESSAGES:
        out.print(Text(f"  ... {len(messages) - MESSAGES} before; --json shows all", style="dim"))
    for row in messages[-MESSAGES:]:
        when = row["sent_at"] or row["created_at"]
        said = row["last_error"] or ""
        if row["state"] == "pending":
            said = f"leaves {row['next_attempt_at']:%F %H:%M} {said}"
        way = f"{row['recipient']} by {row['route']}" if row["route"] else row["recipient"]
        state = row["state"].replace("_", " ")
        line = f"  {when:%F %H:%M}  {row['kind']:13} {state:10}  to {way} {said}"
        out.print(Text(line.rstrip()), no_wrap=True, overflow="ellipsis")


def _result(out: Console, state: Escalation) -> None:
    if state.result is None:
        return
    out.print()
    made = state.result
    out.print(Text("result", style="bold"))
    out.print(f"  {made.code} by {made.by}: {made.change}; {made.evidence_uri}", markup=False)
    said = state.measurement.statement if state.measurement else "not measured yet"
    out.print(Padding(Text(said), (0, 0, 0, 2)))
    for team in state.stakeholders:
        out.print(f"  {team}: {state.receipts.get(team, 'no receipt yet')}", markup=False)


def _left(row: Mapping[str, Any], desk: Desk, now: dt.datetime) -> dt.timedelta | None:
    """Return the open time until what is due first, None where nothing is."""
    if row["due_at"] is None:
        return None
    return desk.calendar(row["due_calendar"]).elapsed(now, row["due_at"])


def _time_left(left: dt.timedelta | None, row: Mapping[str, Any]) -> Text:
    if left is None:
        return Text("paused" if row["status"] == "ON_HOLD" else "-")
    return Text(length(left), style="bold red" if left < NOTHING else "")


def _slack(left: dt.timedelta | None) -> dict[str, float | None]:
    return {"slack_hours": None if left is None else left.total_seconds() / 3600}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.date) else value
        for name, value in row.items()
    }
