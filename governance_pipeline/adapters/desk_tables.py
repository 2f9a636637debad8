"""The escalations as tables of the warehouse, so that they are published with the verdicts.

Nobody is named: whoever acted, asked or has it is their team here, and what people wrote as a
reason stays in the store.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.ops_schema import UtcTime, clocks, escalations, events, findings
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain.desk import PIPELINE, team_of
from governance_pipeline.domain.desk_metrics import DeskTables, desk_metrics

SCHEMA = "desk"
ROWS_AT_ONCE = 50_000
TEXT, NUMBER, WHOLE, TIME = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us")
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
        from {SCHEMA}.escalation_events""",
    "clocks": f"select escalation_id, kind, outcome, due_at from {SCHEMA}.escalation_clocks",
}
PERIOD = dt.timedelta(days=90)
"""In which clocks fall due and results are accepted, for the metrics."""

PRIVATE = {"state", "at", "changes", "assignee", "requester", "actor", "wake_at", "due_calendar"}


def write_desk_tables(store: OpsStore, path: Path, now: dt.datetime) -> dict[str, int]:
    """Write every table of the desk to the warehouse anew, metrics last; return their rows.

    Args:
        store: Where the escalations are.
        path: The warehouse.
        now: By when the metrics are counted, in UTC.

    Raises:
        LockedError: If another process writes to the warehouse.
    """
    made: list[tuple[sa.Table, Mapping[str, pa.DataType], Callable[[Any], dict[str, Any]]]] = [
        (escalations, STATE, _of_state),
        (events, {"actor_team": TEXT, "occurred_at": TIME}, _of_event),
        (findings, {}, lambda _row: {}),
        (clocks, {}, lambda _row: {}),
    ]
    counts = {}
    with warehouse.connect(path) as connection:
        connection.execute(f"create schema if not exists {SCHEMA}")
        for table, added, more in made:
            schema = pa.schema({**_columns(table), **added})
            counts[table.name] = _write(connection, store, table, schema, more)
        counts["escalation_metrics"] = _write_metrics(connection, now)
    return counts


def _write_metrics(connection: duckdb.DuckDBPyConnection, now: dt.datetime) -> int:
    frames = {name: connection.execute(sql).df() for name, sql in COUNTED_FROM.items()}
    for frame in frames.values():
        for column in frame.select_dtypes("datetime").columns:
            frame[column] = frame[column].dt.tz_localize("UTC")
    counted = desk_metrics(DeskTables(**frames, now=now), now - PERIOD)
    made = pa.Table.from_pandas(counted, schema=pa.schema(METRICS), preserve_index=False)
    connection.register("given", made)
    connection.execute(f"create or replace table {SCHEMA}.escalation_metrics as from given")
    connection.unregister("given")
    return made.num_rows


def _columns(table: sa.Table) -> dict[str, pa.DataType]:
    return {
        column.name: next(made for kind, made in TYPES if isinstance(column.type, kind))
        for column in table.columns
        if column.name not in PRIVATE
    }


def _write(
    connection: duckdb.DuckDBPyConnection,
    store: OpsStore,
    table: sa.Table,
    schema: pa.Schema,
    more: Callable[[Any], dict[str, Any]],
) -> int:
    target, count = f"{SCHEMA}.{table.name}", 0
    empty = schema.empty_table()
    connection.register("given", empty)
    connection.execute(f"create or replace table {target} as select * from given")
    connection.unregister("given")
    for rows in _in_parts(store, table):
        said = [
            {
                **{name: _plain(row[name]) for name in row if name in schema.names},
                **{name: _plain(value) for name, value in more(row).items()},
            }
            for row in rows
        ]
        connection.register("given", pa.Table.from_pylist(said, schema=schema))
        connection.execute(f"insert into {target} select * from given")
        connection.unregister("given")
        count += len(said)
    return count


def _in_parts(store: OpsStore, table: sa.Table) -> Iterator[list[Mapping[str, Any]]]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    with store.engine.connect() as connection:
        answer = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)
        for part in answer.mappings().partitions():
            yield [dict(row) for row in part]


def _of_state(row: Mapping[str, Any]) -> dict[str, Any]:
    state = json.loads(row["state"])
    measured = state["measurement"] or {}
    times = ("acknowledged_at", "mitigated_at", "result_at", "delivered_at", "closed_at")
    figures = ("metric", "before", "after", "difference", "difference_lo", "difference_hi")
    return {
        "requester_team": team_of(row["requester"]),
        "stakeholders": ", ".join(state["stakeholders"]),
        **{name: state[name] for name in ("priority_reason", "exposure")},
        **{name: state[name] and dt.datetime.fromisoformat(state[name]) for name in times},
        "measured": measured.get("statement"),
        **{name: measured.get(name) for name in figures},
        "known_on": (day := measured.get("known_on")) and dt.date.fromisoformat(day),
    }


def _of_event(row: Mapping[str, Any]) -> dict[str, Any]:
    said = row["reason"] if row["actor"] == PIPELINE else None
    # `at` alone is a word of SQL, which everybody would have to quote.
    return {"actor_team": team_of(row["actor"]), "reason": said, "occurred_at": row["at"]}


def _plain(value: Any) -> Any:
    """Return a time without its zone, in UTC, as all published times are."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    return value
