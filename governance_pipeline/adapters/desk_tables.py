"""The escalations as tables of the warehouse, so that they are published with the verdicts.

Nobody is named: whoever acted, asked or has it is their team here, and what people wrote as a
reason stays in the store. Only what changed since the last time is written: the log is appended
to, and years of it would be read anew every day.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.ops_schema import UtcTime, clocks, escalations, events, findings
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain.desk import PIPELINE, team_of
from governance_pipeline.domain.desk_metrics import COUNTED, DeskTables, desk_metrics
from governance_pipeline.domain.escalation import TERMINAL

SCHEMA = "desk"
AT_ONCE = 2_000
"""Escalations whose rows are in memory at a time."""

TEXT, NUMBER, WHOLE = pa.string(), pa.float64(), pa.int64()
TIME = pa.timestamp("us", tz="UTC")
TYPES: tuple[tuple[type[Any], pa.DataType], ...] = (
    (UtcTime, TIME),
    (sa.Date, pa.date32()),
    (sa.Boolean, pa.bool_()),
    (sa.Integer, WHOLE),
    (sa.Float, NUMBER),
    (sa.String, TEXT),
)
STATE: Mapping[str, pa.DataType] = {
    "requester_team": TEXT, "stakeholders": TEXT, "priority_reason": TEXT, "exposure": NUMBER,
    "acknowledged_at": TIME, "mitigated_at": TIME, "result_at": TIME, "delivered_at": TIME,
    "closed_at": TIME, "measured": TEXT, "metric": TEXT, "before": NUMBER, "after": NUMBER,
    "difference": NUMBER, "difference_lo": NUMBER, "difference_hi": NUMBER, "known_on": pa.date32(),
}  # fmt: skip
"""What an escalation's state adds to its columns."""

METRICS = {
    "metric": TEXT, "priority": TEXT, "source": TEXT, "n": WHOLE, "events": WHOLE,
    "value": NUMBER, "value_lo": NUMBER, "value_hi": NUMBER, "null_reason": TEXT,
}  # fmt: skip
COUNTED_FROM = {
    "escalations": f"""select escalation_id, priority, source, status, is_open, detected_at,
        result_code from {SCHEMA}.escalations""",
    "events": f"""select escalation_id, kind, occurred_at as "at", to_status
        from {SCHEMA}.escalation_events
        where list_contains($kinds, kind) or list_contains($ends, to_status)""",
    "clocks": f"select escalation_id, kind, outcome, due_at from {SCHEMA}.escalation_clocks",
}
PERIOD = dt.timedelta(days=90)
"""In which clocks fall due and results are accepted, for the metrics."""

PRIVATE = {"state", "at", "changes", "assignee", "requester", "actor", "wake_at", "due_calendar"}
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Made:
    """A table: which columns of the store it is made from, its own, and how those follow."""

    table: sa.Table
    reads: Sequence[str]
    schema: pa.Schema
    follows: Callable[[Columns], Columns]


def write_desk_tables(store: OpsStore, path: Path, now: dt.datetime) -> dict[str, int]:
    """Bring every table of the desk in the warehouse up to date; return their rows.

    Args:
        store: Where the escalations are.
        path: The warehouse.
        now: By when the metrics are counted, in UTC.

    Raises:
        LockedError: If another process writes to the warehouse.
    """
    made = _tables()
    with warehouse.connect(path) as connection, store.reading() as reading:
        _prepare(connection, made, store)
        stale = _stale(connection, reading)
        for start in range(0, len(stale), AT_ONCE):
            # Each part is whole by itself: what a crash leaves out is written the next time.
            connection.execute("begin")
            for one in made:
                _write(connection, reading, one, stale[start : start + AT_ONCE])
            connection.execute("commit")
        counts = {one.table.name: _count(connection, one.table.name) for one in made}
        counts["escalation_metrics"] = _write_metrics(connection, now)
    return counts


def _tables() -> Sequence[Made]:
    shown = {t: _shown(t) for t in (events, escalations, findings, clocks)}
    of_event, of_state = {"actor_team": TEXT, "occurred_at": TIME}, STATE
    return (
        Made(events, (*shown[events], "actor", "at"), pa.schema({**shown[events], **of_event}),
             _of_events),
        Made(findings, [*shown[findings]], pa.schema(shown[findings]), lambda _: {}),
        Made(clocks, [*shown[clocks]], pa.schema(shown[clocks]), lambda _: {}),
        # The last: by its versions the next time knows what is written already.
        Made(escalations, (*shown[escalations], "requester", "state"),
             pa.schema({**shown[escalations], **of_state}), _of_states),
    )  # fmt: skip


def _shown(table: sa.Table) -> dict[str, pa.DataType]:
    return {
        column.name: next(made for kind, made in TYPES if isinstance(column.type, kind))
        for column in table.columns
        if column.name not in PRIVATE
    }


def _prepare(connection: duckdb.DuckDBPyConnection, made: Sequence[Made], store: OpsStore) -> None:
    """Make the tables anew where they are of another shape, or of another store."""
    connection.execute(f"create schema if not exists {SCHEMA}")
    connection.execute(f"create table if not exists {SCHEMA}.made_from (said varchar)")
    said = "\n".join([store.engine.url.render_as_string(), *(str(one.schema) for one in made)])
    if connection.execute(f"from {SCHEMA}.made_from").fetchall() == [(said,)]:
        return
    for one in made:
        shape = ", ".join(f'"{f.name}" {_type(f.type)}' for f in one.schema)
        connection.execute(f"create or replace table {SCHEMA}.{one.table.name} ({shape})")
    connection.execute(f"delete from {SCHEMA}.made_from")
    connection.execute(f"insert into {SCHEMA}.made_from values ($said)", {"said": said})


def _type(of: pa.DataType) -> str:
    # Without a zone, as all published times are: they are in UTC.
    known = {TEXT: "varchar", NUMBER: "double", WHOLE: "bigint", TIME: "timestamp"}
    return known.get(of) or {pa.date32(): "date", pa.bool_(): "boolean"}[of]


def _stale(connection: duckdb.DuckDBPyConnection, reading: sa.Connection) -> list[tuple[str, int]]:
    """Return the escalations that changed, each with how many of its events are written already."""
    known: dict[str, tuple[int, dt.datetime]] = {
        key: (version, at)
        for key, version, at in connection.execute(
            f"select escalation_id, version, updated_at from {SCHEMA}.escalations"
        ).fetchall()
    }
    columns = escalations.c.escalation_id, escalations.c.version, escalations.c.updated_at
    stale = []
    for key, version, at in reading.execute(sa.select(*columns).order_by(columns[0])):
        before, seen = known.pop(key, (0, None))
        if (version, at.replace(tzinfo=None)) != (before, seen):
            # A log that is no longer than before is another one, say of a backup.
            stale.append((key, before if version > before else 0))
    return stale + [(key, 0) for key in sorted(known)]


def _write(
    connection: duckdb.DuckDBPyConnection,
    reading: sa.Connection,
    made: Made,
    stale: Sequence[tuple[str, int]],
) -> None:
    target = f"{SCHEMA}.{made.table.name}"
    is_log = made.table is events
    anew = [key for key, known in stale if not (is_log and known)]
    connection.execute(
        f"delete from {target} where escalation_id in (select unnest($keys::varchar[]))",
        {"keys": anew},
    )
    wanted = sa.values(
        sa.column("escalation_id", sa.String), sa.column("known", sa.Integer), name="stale"
    ).data(list(stale)).cte("stale")  # fmt: skip
    of = made.table.c.escalation_id == wanted.c.escalation_id
    if is_log:
        of = sa.and_(of, events.c.seq > wanted.c.known)
    query = sa.select(*(made.table.c[name] for name in made.reads)).join(wanted, of)
    rows = reading.execute(query.order_by(*made.table.primary_key.columns)).all()
    if rows:
        columns: Columns = dict(zip(made.reads, zip(*rows, strict=True), strict=True))
        columns = {**columns, **made.follows(columns)}
        arrays = [pa.array(columns[field.name], field.type) for field in made.schema]
        connection.register("given", pa.Table.from_arrays(arrays, schema=made.schema))
        connection.execute(f"insert into {target} select * from given")
        connection.unregister("given")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    found = connection.execute(f"select count(*) from {SCHEMA}.{table}").fetchone()
    return int(found[0]) if found else 0


def _write_metrics(connection: duckdb.DuckDBPyConnection, now: dt.datetime) -> int:
    values = {"kinds": list(COUNTED), "ends": sorted(TERMINAL)}
    frames = {
        name: connection.execute(sql, values if "$" in sql else None).df()
        for name, sql in COUNTED_FROM.items()
    }
    for frame in frames.values():
        for column in frame.select_dtypes("datetime").columns:
            frame[column] = frame[column].dt.tz_localize("UTC")
    counted = desk_metrics(DeskTables(**frames, now=now), now - PERIOD)
    made = pa.Table.from_pandas(counted, schema=pa.schema(METRICS), preserve_index=False)
    connection.register("given", made)
    connection.execute(f"create or replace table {SCHEMA}.escalation_metrics as from given")
    connection.unregister("given")
    return made.num_rows


def _of_events(columns: Columns) -> Columns:
    said = zip(columns["actor"], columns["reason"], strict=True)
    return {
        "actor_team": [team_of(actor) for actor in columns["actor"]],
        "reason": [reason if actor == PIPELINE else None for actor, reason in said],
        # `at` alone is a word of SQL, which everybody would have to quote.
        "occurred_at": columns["at"],
    }


def _of_states(columns: Columns) -> Columns:
    found = [_of_state(*one) for one in zip(columns["state"], columns["requester"], strict=True)]
    return {name: [one[name] for one in found] for name in STATE}


def _of_state(text: str, requester: str) -> dict[str, Any]:
    state = json.loads(text)
    measured = state["measurement"] or {}
    times = ("acknowledged_at", "mitigated_at", "result_at", "delivered_at", "closed_at")
    figures = ("metric", "before", "after", "difference", "difference_lo", "difference_hi")
    return {
        "requester_team": team_of(requester),
        "stakeholders": ", ".join(state["stakeholders"]),
        **{name: state[name] for name in ("priority_reason", "exposure")},
        **{name: state[name] and dt.datetime.fromisoformat(state[name]) for name in times},
        "measured": measured.get("statement"),
        **{name: measured.get(name) for name in figures},
        "known_on": (day := measured.get("known_on")) and dt.date.fromisoformat(day),
    }
