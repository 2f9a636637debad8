"""The escalations' store: a log that is appended to, and tables that say what it adds up to.

Two who act at once read the same version; the first to append wins, and the other is told who
that was. Messages are inserted with the events that cause them, so that neither is without the
other.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from governance_pipeline.adapters import ops_codec as codec
from governance_pipeline.adapters.ops_engine import open_engine
from governance_pipeline.adapters.ops_schema import clocks, escalations, events, findings, outbox
from governance_pipeline.domain.escalation import Escalation, Event, apply, replay
from governance_pipeline.errors import ConflictError, InputError, StoreError

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 500
"""Escalations in one transaction of a pass, and ids in one query."""


# Built once: to put a statement together costs more than to run it.
_INSERT = {table.name: table.insert() for table in (events, escalations, outbox)}
_UPDATE = (
    escalations.update()
    .where(escalations.c.escalation_id == sa.bindparam("new_escalation_id"))
    .values({column.name: sa.bindparam(f"new_{column.name}") for column in escalations.c})
)


@dataclass(frozen=True)
class Message:
    """A message that leaves through the outbox; the same key never leaves twice.

    `route` is a name in the recipient team's routes, None where it is chosen on sending.
    """

    kind: str
    recipient: str
    idempotency_key: str
    payload: Mapping[str, Any]
    event_seq: int
    route: str | None = None
    next_attempt_at: dt.datetime | None = None
    message_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Batch:
    """What is appended to one escalation: events after `expected_version`, and their messages."""

    escalation_id: str
    expected_version: int
    events: Sequence[Event]
    messages: Sequence[Message] = ()


class OpsStore:
    """The store behind a URL, in its newest shape."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)

    def __enter__(self) -> "OpsStore":
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of its connections."""
        self.engine.dispose()

    def writing(self) -> Any:
        """Return a context of a connection in a transaction that writes."""
        return self.engine.execution_options(is_writing=True).begin()

    def reading(self) -> Connection:
        """Return a connection to which the store stays as it was at its first query."""
        # SQLite does so by itself; PostgreSQL shows each query what is there by then.
        is_server = self.engine.dialect.name == "postgresql"
        options = {"isolation_level": "REPEATABLE READ"} if is_server else {}
        return self.engine.execution_options(**options).connect()

    def append(
        self,
        escalation_id: str,
        expected_version: int,
        appended: Sequence[Event],
        messages: Sequence[Message] = (),
    ) -> Escalation:
        """Append events and their messages in one transaction, and return the state they give.

        Args:
            escalation_id: Whose log.
            expected_version: How many events the log had when the decision was made; 0 opens it.
            appended: The events, in order, at least one.
            messages: What leaves because of them.

        Raises:
            ConflictError: If somebody else appended first; it names who, what and when.
        """
        batch = Batch(escalation_id, expected_version, appended, messages)
        states, _ = self._append([batch])
        if escalation_id not in states:
            raise ConflictError(self._conflict(escalation_id, expected_version))
        return states[escalation_id]

    def append_all(self, batches: Iterable[Batch]) -> tuple[dict[str, Escalation], list[str]]:
        """Append to many escalations; return their states, and the ids somebody else changed."""
        states: dict[str, Escalation] = {}
        late: list[str] = []
        waiting = list(batches)
        for start in range(0, len(waiting), CHUNK):
            done, missed = self._append(waiting[start : start + CHUNK])
            states |= done
            late += missed
        return states, late

    def _append(self, batches: Sequence[Batch]) -> tuple[dict[str, Escalation], list[str]]:
        try:
            with self.writing() as connection:
                return _write(connection, batches)
        except IntegrityError as error:
            # Another opened one of them at the same instant: by themselves all others succeed.
            if len(batches) == 1:
                self._need_conflict(batches[0], error)
                return {}, [batches[0].escalation_id]
        states: dict[str, Escalation] = {}
        late: list[str] = []
        for batch in batches:
            done, missed = self._append([batch])
            states |= done
            late += missed
        return states, late

    def _need_conflict(self, batch: Batch, error: IntegrityError) -> None:
        """Say what is wrong if it is not that somebody else was first."""
        state = self.find(batch.escalation_id)
        if (state.version if state else 0) == batch.expected_version:
            raise StoreError(
                f"the store refused what was added to {batch.escalation_id}: "
                f"{str(error.orig).strip().splitlines()[0]}; nothing of it was kept"
            ) from error

    def _conflict(self, escalation_id: str, expected: int) -> str:
        last = next(reversed(self.events(escalation_id)), None)
        if last is None:
            return f"{escalation_id} has no events, though {expected} were expected"
        return (
            f"{last.actor} acted on {escalation_id} at {last.at:%F %H:%M:%S} UTC ({last.kind}, it "
            f"is {last.after} now); look at it again, then decide"
        )

    def load(self, escalation_id: str) -> Escalation:
        """Return an escalation by its id, or by the beginning of one.

        Raises:
            InputError: If none or several begin so.
        """
        with self.engine.connect() as connection:
            query = (
                sa.select(escalations.c.state)
                .where(escalations.c.escalation_id.startswith(escalation_id, autoescape=True))
                .order_by(escalations.c.escalation_id)
                .limit(3)
            )
            found = [codec.state_from_json(text) for text in connection.scalars(query)]
        exact = [state for state in found if state.escalation_id == escalation_id]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if not found:
            raise InputError(
                f"there is no escalation {escalation_id}; see `governance escalations list --all`"
            )
        ids = ", ".join(state.escalation_id for state in found)
        raise InputError(f"{escalation_id} is the beginning of {ids}; write more of it")

    def find(self, escalation_id: str) -> Escalation | None:
        """Return the escalation of exactly this id, or None."""
        query = sa.select(escalations.c.state).where(escalations.c.escalation_id == escalation_id)
        return self._state(query)

    def events(self, escalation_id: str) -> list[Event]:
        """Return the log of an escalation, oldest first."""
        query = (
            sa.select(events).where(events.c.escalation_id == escalation_id).order_by(events.c.seq)
        )
        with self.engine.connect() as connection:
            return [codec.event_of(row) for row in connection.execute(query)]

    def open_states(self) -> Iterator[Escalation]:
        """Yield every escalation that goes on, in order of id."""
        return self._states(sa.select(escalations.c.state).where(escalations.c.is_open))

    def waking(self, now: dt.datetime) -> Iterator[Escalation]:
        """Yield the escalations that do something by themselves by now."""
        return self._states(sa.select(escalations.c.state).where(escalations.c.wake_at <= now))

    def with_status(self, status: str) -> Iterator[Escalation]:
        """Yield the escalations of one status."""
        return self._states(sa.select(escalations.c.state).where(escalations.c.status == status))

    def with_fingerprints(self, prints: Sequence[str]) -> Iterator[Escalation]:
        """Yield the escalations, open or ended, that hold one of some findings."""
        for start in range(0, len(prints), CHUNK):
            held = sa.select(findings.c.escalation_id).where(
                findings.c.fingerprint.in_(prints[start : start + CHUNK])
            )
            yield from self._states(
                sa.select(escalations.c.state).where(escalations.c.escalation_id.in_(held))
            )

    def with_ticket(self, external_ref: str) -> Escalation | None:
        """Return the newest escalation that mirrors a ticket, or None."""
        query = (
            sa.select(escalations.c.state)
            .where(escalations.c.external_ref == external_ref)
            .order_by(escalations.c.opened_at.desc())
            .limit(1)
        )
        return self._state(query)

    def summaries(
        self, columns: Sequence[str] = (), *, everything: bool = False, team: str | None = None
    ) -> list[dict[str, Any]]:
        """Return one row per open escalation, or per any, without its state.

        Args:
            columns: Which columns of `escalations`; all without any.
            everything: Ended ones too.
            team: Only those that this team owns.
        """
        names = columns or [column.name for column in escalations.c if column.name != "state"]
        query = sa.select(*(escalations.c[name] for name in names))
        if not everything:
            query = query.where(escalations.c.is_open)
        if team is not None:
            query = query.where(escalations.c.owner_team == team)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def messages(self, escalation_id: str) -> list[dict[str, Any]]:
        """Return the messages of an escalation, oldest first."""
        query = (
            sa.select(outbox)
            .where(outbox.c.escalation_id == escalation_id)
            .order_by(outbox.c.created_at, outbox.c.event_seq, outbox.c.message_id)
        )
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def frame(self, table: str) -> "pd.DataFrame":
        """Return a table of the store as a frame, in the order of its key; no state, no changes."""
        import pandas as pd  # half a second that acting does not need

        source = {t.name: t for t in (escalations, events, findings, clocks, outbox)}[table]
        columns = [column for column in source.c if column.name not in ("state", "changes")]
        query = sa.select(*columns).order_by(*source.primary_key.columns)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return pd.DataFrame(rows, columns=[column.name for column in columns])

    def replayed(self) -> Iterator[Escalation]:
        """Yield every escalation as its log gives it, in order of id."""
        with self.engine.connect() as connection:
            yield from _replayed(connection)

    def rebuild(self) -> int:
        """Write anew what follows from the log, and return how many escalations there are."""
        count = 0
        with self.writing() as connection:
            for table in (escalations, findings, clocks):
                connection.execute(table.delete())
            for state in _replayed(connection):
                _insert_whole(connection, state)
                count += 1
        return count

    def _state(self, query: "sa.Select[Any]") -> Escalation | None:
        with self.engine.connect() as connection:
            text = connection.scalar(query)
        return None if text is None else codec.state_from_json(text)

    def _states(self, query: "sa.Select[Any]") -> Iterator[Escalation]:
        ordered = query.order_by(escalations.c.escalation_id)
        with self.engine.connect() as connection:
            texts = connection.execution_options(yield_per=1000).scalars(ordered)
            yield from map(codec.state_from_json, texts)


def _write(
    connection: Connection, batches: Sequence[Batch]
) -> tuple[dict[str, Escalation], list[str]]:
    ids = [batch.escalation_id for batch in batches]
    query = (
        sa.select(escalations.c.state)
        .where(escalations.c.escalation_id.in_(ids))
        .order_by(escalations.c.escalation_id)
        .with_for_update()
    )
    known = {s.escalation_id: s for s in map(codec.state_from_json, connection.scalars(query))}
    rows = _Rows()
    states: dict[str, Escalation] = {}
    late: list[str] = []
    for batch in batches:
        before = known.get(batch.escalation_id)
        if (before.version if before else 0) != batch.expected_version:
            late.append(batch.escalation_id)
            continue
        after = before
        for event in batch.events:
            after = apply(after, event)
        assert after is not None
        states[batch.escalation_id] = after
        rows.add(before, after, batch)
    rows.write(connection)
    return states, late


class _Rows:
    """The rows of one transaction, table by table, so that each table is written at once."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.opened: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []
        self.findings: list[dict[str, Any]] = []
        self.clocks: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []

    def add(self, before: Escalation | None, after: Escalation, batch: Batch) -> None:
        key = after.escalation_id
        self.events += [codec.event_row(event) for event in batch.events]
        row = codec.state_row(after)
        if before is None:
            self.opened.append(row)
        else:
            self.changed.append({f"new_{name}": value for name, value in row.items()})
        was = before.findings if before else {}
        self.findings += [
            codec.finding_row(key, seen) for k, seen in after.findings.items() if was.get(k) != seen
        ]
        ran = before.clocks if before else {}
        self.clocks += [
            codec.clock_row(key, clock) for k, clock in after.clocks.items() if ran.get(k) != clock
        ]
        at = batch.events[-1].at
        self.messages += [_message_row(key, message, at) for message in batch.messages]

    def write(self, connection: Connection) -> None:
        if self.events:
            connection.execute(_INSERT[events.name], self.events)
        if self.opened:
            connection.execute(_INSERT[escalations.name], self.opened)
        if self.changed:
            connection.execute(_UPDATE, self.changed)
        _replace(connection, findings, self.findings)
        _replace(connection, clocks, self.clocks)
        if self.messages:
            connection.execute(_INSERT[outbox.name], self.messages)


def _replayed(connection: Connection) -> Iterator[Escalation]:
    keys = events.c.escalation_id
    ids = list(connection.scalars(sa.select(keys).where(events.c.seq == 1).order_by(keys)))
    for start in range(0, len(ids), CHUNK):
        some = keys.between(ids[start], ids[min(start + CHUNK, len(ids)) - 1])
        query = sa.select(events).where(some).order_by(keys, events.c.seq)
        for _, log in groupby(connection.execute(query), key=lambda row: row.escalation_id):
            yield replay(codec.event_of(row) for row in log)


def _insert_whole(connection: Connection, state: Escalation) -> None:
    connection.execute(escalations.insert(), [codec.state_row(state)])
    key = state.escalation_id
    seen = [codec.finding_row(key, finding) for finding in state.findings.values()]
    ran = [codec.clock_row(key, clock) for clock in state.clocks.values()]
    for table, rows in ((findings, seen), (clocks, ran)):
        if rows:
            connection.execute(table.insert(), rows)


def _replace(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Write rows over those of the same key."""
    if rows:
        connection.execute(_upsert(table, connection.dialect.name), rows)


@cache
def _upsert(table: sa.Table, dialect: str) -> Any:
    # Each dialect has an insert of its own, and loading the other's takes time.
    made = import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
    return made.on_conflict_do_update(
        index_elements=table.primary_key.columns,
        set_={c.name: made.excluded[c.name] for c in table.c if not c.primary_key},
    )


def _message_row(escalation_id: str, message: Message, at: dt.datetime) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "escalation_id": escalation_id,
        "event_seq": message.event_seq,
        "kind": message.kind,
        "recipient": message.recipient,
        "route": message.route,
        "idempotency_key": message.idempotency_key,
        "payload": json.dumps(message.payload, default=str, ensure_ascii=False),
        "state": "pending",
        "attempts": 0,
        "next_attempt_at": message.next_attempt_at or at,
        "created_at": at,
    }
