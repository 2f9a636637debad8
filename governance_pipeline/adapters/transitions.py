"""Transitions as rows of files: what a team's ticket tool is told, and what it tells back."""

import csv
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import sqlalchemy as sa

from governance_pipeline.adapters.escalating import Announce, act_on, in_silence
from governance_pipeline.adapters.ops_schema import escalations, events
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain import commands as c
from governance_pipeline.domain.desk import Desk
from governance_pipeline.errors import GovernanceError, InputError

VERBS: dict[str, tuple[type[c.Command], tuple[str, ...]]] = {
    "ack": (c.Acknowledge, ()),
    "start": (c.Start, ()),
    "hold": (c.Hold, ("awaiting",)),
    "resume": (c.Resume, ()),
    "mitigate": (c.Mitigate, ("record",)),
    "resolve": (c.Resolve, ("code", "evidence_uri", "change")),
    "deliver": (c.Deliver, ("recipient", "receipt")),
    "reject": (c.Reject, ("code",)),
    "cancel": (c.Cancel, ()),
    "accept": (c.Accept, ()),
    "reopen": (c.Reopen, ()),
    "link": (c.Link, ("external_ref",)),
    "triage": (c.Triage, ("severity", "urgency")),
    "assign": (c.Assign, ("team", "person")),
    "bounce": (c.Bounce, ()),
    "duplicate": (c.MarkDuplicate, ("duplicate_of",)),
}
"""What may be asked by a row, and the columns it needs beside actor, reason and at."""

EXPORTED = (
    "escalation_id", "external_ref", "seq", "at", "kind", "from_status", "to_status", "actor",
    "reason", "priority", "owner_team", "title",
)  # fmt: skip


@dataclass
class Taken:
    """What became of a file: rows done, rows known already, and one sentence per refused row."""

    done: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)


OPTIONAL = ("triage", "assign")
"""Verbs that need none of their columns."""


def command_of(
    store: OpsStore, verb: str, actor: str, reason: str, values: Mapping[str, Any]
) -> c.Command:
    """Return the command that a verb stands for.

    Args:
        store: Knows what another escalation is, where a verb names one.
        verb: One of `VERBS`.
        actor: Who asks.
        reason: Why.
        values: What the verb needs, by name; the rest is left alone.

    Raises:
        InputError: If the verb is unknown or a value that it needs is missing.
    """
    if verb not in VERBS:
        raise InputError(f"{verb!r} is no action; there are {', '.join(VERBS)}")
    kind, needed = VERBS[verb]
    given = {name: values.get(name) or None for name in needed}
    missing = [name for name, value in given.items() if value is None]
    if missing and verb not in OPTIONAL:
        raise InputError(f"{verb} needs {', '.join(missing)}")
    if kind is c.MarkDuplicate:
        parent = store.load(str(given["duplicate_of"]))
        given = {"parent_id": parent.escalation_id, "parent_status": parent.status}
    return kind(actor=actor, reason=reason, **given)


def exported(store: OpsStore, since: dt.datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield the log as plain rows with the columns of `EXPORTED`, oldest first.

    Args:
        store: Whose log.
        since: Leave out what is older, in UTC.
    """
    named = {**{col.name: col for col in escalations.c}, **{col.name: col for col in events.c}}
    query = (
        sa.select(*(named[name] for name in EXPORTED))
        .join(escalations, escalations.c.escalation_id == events.c.escalation_id)
        .order_by(events.c.at, events.c.escalation_id, events.c.seq)
    )
    if since is not None:
        query = query.where(events.c.at >= since)
    with store.engine.connect() as connection:
        rows = connection.execution_options(yield_per=2000).execute(query).mappings()
        yield from ({**row, "at": row["at"].isoformat()} for row in rows)


def write_transitions(store: OpsStore, to: Path, since: dt.datetime | None = None) -> int:
    """Write the log as CSV, or as JSON lines if the name ends in .jsonl; return how many rows.

    Args:
        store: Whose log.
        to: The file; it is replaced.
        since: Leave out what is older, in UTC.

    Raises:
        InputError: If the file cannot be written.
    """
    count = 0
    with _opened(to) as file:
        table = csv.DictWriter(file, EXPORTED)
        if to.suffix != ".jsonl":
            table.writeheader()
        for row in exported(store, since):
            if to.suffix == ".jsonl":
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            else:
                table.writerow({name: _harmless(value) for name, value in row.items()})
            count += 1
    return count


def take_transitions(
    store: OpsStore,
    desk: Desk,
    source: Path,
    now: dt.datetime,
    announce: Announce = in_silence,
) -> Taken:
    """Act on every row of a file; see `take_rows`.

    Raises:
        InputError: If the file cannot be read.
    """
    rows = parsed(_bytes(source), str(source))
    return take_rows(store, desk, rows, source.name, now, announce)


def take_rows(
    store: OpsStore,
    desk: Desk,
    rows: Iterable[Mapping[str, Any]],
    name: str,
    now: dt.datetime,
    announce: Announce = in_silence,
) -> Taken:
    """Act on every row as the person it names, at the time it says.

    A row names its escalation by `escalation_id` or `external_ref`, then `action`, `actor`,
    `reason`, `at` (ISO 8601; now if empty) and what the action needs. A row that was taken before
    is known by actor, time and reason. One that is refused is said, and the others go on.
    """
    taken = Taken()
    for number, row in enumerate(rows, start=1):
        try:
            if _take(store, desk, row, now, announce):
                taken.done += 1
            else:
                taken.known += 1
        except GovernanceError as refusal:
            taken.refused.append(f"{name} row {number}: {refusal}")
    return taken


def parsed(content: bytes, name: str) -> list[Mapping[str, Any]]:
    """Return the rows of CSV, of JSON lines, or of a JSON array; the first character tells.

    Raises:
        InputError: If it is none of them, naming where it came from.
    """
    try:
        text = content.decode("utf-8-sig")
        first = text.lstrip()[:1]
        if first == "[":
            rows: list[Any] = json.loads(text)
        elif first == "{":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = list(csv.DictReader(text.splitlines()))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{name} cannot be read: {error}; save it as UTF-8") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{name} row {number} is no object; write one per line")
    return rows


def _take(
    store: OpsStore, desk: Desk, row: Mapping[str, Any], now: dt.datetime, announce: Announce
) -> bool:
    at = _time(row.get("at"), now)
    escalation_id = row.get("escalation_id") or _by_ticket(store, row.get("external_ref"))
    actor = desk.actor(str(row.get("actor") or ""))
    verb = str(row.get("action") or "")
    command = command_of(store, verb, actor, str(row.get("reason") or ""), row)
    state = store.load(escalation_id)
    if row.get("at") and any(
        (event.actor, event.at, event.reason) == (actor, at, command.reason)
        for event in store.events(state.escalation_id)
    ):
        return False
    _, done = act_on(store, desk, state.escalation_id, command, at, announce)
    return bool(done)


def _by_ticket(store: OpsStore, external_ref: Any) -> str:
    state = store.with_ticket(str(external_ref)) if external_ref else None
    if state is None:
        raise InputError(
            f"no escalation mirrors {external_ref or 'a ticket that is not named'}; fill in "
            "escalation_id, or link it first"
        )
    return state.escalation_id


def _time(said: Any, now: dt.datetime) -> dt.datetime:
    if not said:
        return now
    try:
        at = dt.datetime.fromisoformat(str(said))
    except ValueError:
        raise InputError(f"{said!r} is no time; write it as 2026-04-10T06:00:00+00:00") from None
    at = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    if at > now:
        raise InputError(f"{said} has not come yet; it is {now:%F %H:%M:%S} UTC")
    return at


def _opened(to: Path) -> TextIO:
    try:
        return to.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{to} cannot be written: {error.strerror}; name another file") from error


def _bytes(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}; name another file") from error


def _harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
