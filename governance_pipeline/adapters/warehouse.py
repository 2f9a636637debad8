"""The warehouse: the DuckDB file that dbt and the judgement share, opened late and closed early."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.manifests import Delivered, Key, Manifest
from governance_pipeline.adapters.registry_store import applied_folder
from governance_pipeline.adapters.sql import literal
from governance_pipeline.errors import LockedError, WarehouseError
from governance_pipeline.feeds import ABOUT_DECISIONS, FEEDS, THIN

REGISTER = ("strategies", "strategy_channels", "strategy_versions", "strategy_goals", "markets")
DELIVERIES = {
    "feed": "varchar", "channel": "varchar", "delivery_date": "date", "state": "varchar",
    "rows_delivered": "bigint", "rows_accepted": "bigint", "rows_quarantined": "bigint",
    "restatements": "integer", "pending_rows": "bigint", "refusal": "varchar",
    "suite_hash": "varchar", "plan_hash": "varchar", "registry_hash": "varchar",
    "decision_days": "integer", "release_reason": "varchar",
}  # fmt: skip
RULE = {
    "rule": "varchar", "severity": "varchar", "failed_rows": "bigint", "observed": "varchar",
    "passed": "boolean",
}  # fmt: skip
DELIVERY_RULES = {
    "feed": "varchar", "channel": "varchar", "delivery_date": "date", **RULE
}  # fmt: skip
DELIVERED_FILES = {
    "sha256": "varchar", "source": "varchar", "feed": "varchar", "channel": "varchar",
    "delivery_date": "date", "bytes": "bigint", "rows": "bigint", "outcome": "varchar",
    "seen_at": "timestamp", "run_id": "varchar",
}  # fmt: skip
DELIVERY_FINDINGS = {
    "feed": "varchar", "channel": "varchar", "delivery_date": "date", "rule": "varchar",
    "severity": "varchar", "subject": "varchar", "rows_concerned": "bigint", "observed": "varchar",
}  # fmt: skip
SPOKEN_OF, COUNTED = ("feedback", "activity", "actioned_decisions"), "counted_decisions"
RECENT_LABELS = dt.timedelta(days=60)
"""How far back reviews are looked at: two windows of 28 days, and the days labels take to come."""


@contextmanager
def connect(
    path: Path, *, read_only: bool = False, memory_limit: str = "1GB"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse, and close it even if the block fails.

    Raises:
        WarehouseError: If it is to be read and is not there.
        LockedError: If another process has it open.
    """
    if read_only and not path.exists():
        raise WarehouseError(f"{path} is missing; `governance run` builds it")
    # Without this a missing table would be read from a Python variable of the same name.
    config: dict[str, Any] = {"python_enable_replacements": False, "memory_limit": memory_limit}
    try:
        opened = duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.IOException as error:
        if "lock" not in str(error):
            raise
        raise LockedError(f"{path} is being written; try again when that run has ended") from error
    with opened as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        yield connection


def prepare_sources(
    path: Path,
    lake: Path,
    found: Sequence[Delivered],
    decision_days: Sequence[dt.date],
    decided_days: Sequence[dt.date],
    *,
    secret: str,
    memory_limit: str = "1GB",
) -> None:
    """Point the schema `lake` at the files that a build of some decision days needs.

    Every feed is restricted to deliveries that touched those days or may speak of them, so the
    cost of a build does not grow with the history.

    Args:
        path: The warehouse.
        lake: The lake.
        found: All its deliveries.
        decision_days: The UTC days to build.
        decided_days: Those among them whose decisions came or changed.
        secret: Keys the hashes of items and sellers in published evidence.
        memory_limit: DuckDB's, e.g. "1GB".
    """
    wanted, decided = set(decision_days), set(decided_days)
    register = applied_folder(lake)
    with connect(path, memory_limit=memory_limit) as connection:
        connection.execute("create schema if not exists lake")
        # Units by segment are counted by month, so its other days are read again.
        around = _months_around(found, decided)
        compared = around | wanted
        shared = {m.token for m in manifests.contested(found, compared)}
        alone = [m for m in found if m.token not in shared]
        for table in (*(feed for feed in FEEDS if feed != "decisions"), *THIN):
            kept = found if table == "actioned_decisions" else alone
            if table in ABOUT_DECISIONS:
                files = manifests.files_of(lake, manifests.speaking_of(found, wanted), table)
            else:
                days = {**dict.fromkeys(SPOKEN_OF, wanted), COUNTED: around}.get(table, decided)
                files = manifests.files_of(lake, kept, table, days)
            _lake_view(connection, lake, table, files)
        recent = _recent_labels(found)
        for name, told in (("recent_audit_labels", recent), ("every_audit_label", found)):
            files = manifests.files_of(lake, told, "audit_labels")
            _lake_view(connection, lake, "audit_labels", files, name)
        contested = [m for m in found if m.token in shared and compared & {*m.decision_days}]
        files = manifests.files_of(lake, contested, "sampled_decisions")
        _lake_view(connection, lake, "sampled_decisions", files, "contested_sampled_decisions")
        _contested_view(connection, lake, contested)
        for table in REGISTER:
            _view(connection, table, [register / f"{table}.parquet"])
        _days(connection, "build_days", decision_days)
        _days(connection, "decided_days", decided_days)
        # Not the sampling key itself: who may read the warehouse may not foresee the draws.
        evidence_key = hashlib.sha256(f"evidence {secret}".encode()).hexdigest()
        connection.execute("create or replace table lake.evidence_key (evidence_key varchar)")
        connection.execute("insert into lake.evidence_key values ($key)", {"key": evidence_key})


def _months_around(found: Sequence[Delivered], days: set[dt.date]) -> set[dt.date]:
    """Return the days of decisions that lie in the same month as one of some days."""
    months = {(day.year, day.month) for day in days}
    return {
        day
        for delivery in found
        if delivery.feed == "decisions"
        for day in delivery.decision_days
        if (day.year, day.month) in months
    }


def _contested_view(
    connection: duckdb.DuckDBPyConnection, lake: Path, contested: Sequence[Delivered]
) -> None:
    """Show what contested deliveries count by together with whom and when each row is about."""
    accepted = [
        (m.channel, m.delivery_date, at, lake / name)
        for m in contested
        for at, name in enumerate(m.files.get("accepted", []))
    ]
    places = pd.DataFrame(
        [(n, *place[:-1]) for n, place in enumerate(accepted, 1)],
        columns=["number", "channel", "delivery_date", "accepted_file"],
    )
    connection.register("given", places)
    connection.execute(
        "create or replace table lake.contested_files as select number::bigint as number,"
        " channel::varchar as channel, delivery_date::date as delivery_date,"
        " accepted_file::integer as accepted_file from given"
    )
    connection.unregister("given")
    listed = _listed([lake / "empty" / "decisions.parquet", *(place[-1] for place in accepted)])
    counted = manifests.files_of(lake, contested, "counted_decisions")
    counted_sql = _listed([lake / "empty" / "counted_decisions.parquet", *counted])
    connection.execute(
        "create or replace view lake.contested_decisions as"
        " select c.*, d.decision_id, d.decided_at, d.item_id"
        f" from (select *, file_index, file_row_number from read_parquet({listed})) d"
        " join lake.contested_files f on f.number = d.file_index"
        f" join read_parquet({counted_sql}) c on c.channel = f.channel"
        " and c.delivery_date = f.delivery_date and c.accepted_file = f.accepted_file"
        " and c.place = d.file_row_number"
    )


def _recent_labels(found: Sequence[Delivered]) -> list[Delivered]:
    labels = [m for m in found if m.feed == "audit_labels"]
    newest = max((m.delivery_date for m in labels), default=dt.date.min)
    return [m for m in labels if newest - m.delivery_date < RECENT_LABELS]


def write_frames(path: Path, frames: Mapping[str, pd.DataFrame], *, append: bool = False) -> None:
    """Replace tables, `schema.name`, by frames, or append to the tables that are there.

    A frame's times are days here: pandas has no type for them, the tables have.
    """
    with connect(path) as connection:
        for table, frame in frames.items():
            days = frame.select_dtypes("datetime").columns
            as_dates = ", ".join(f"{name}::date as {name}" for name in days)
            kept = f"* replace ({as_dates})" if len(days) else "*"
            connection.execute(f"create schema if not exists {table.partition('.')[0]}")
            connection.register("given", frame)
            into = (
                f"insert into {table} by name" if append else f"create or replace table {table} as"
            )
            connection.execute(f"{into} select {kept} from given")
            connection.unregister("given")


def read_frames(
    path: Path, queries: Mapping[str, str], values: Mapping[str, Any] | None = None
) -> dict[str, pd.DataFrame]:
    """Return the answers to some queries, from one state of the warehouse.

    Raises:
        WarehouseError: If the warehouse, or a table of a query, is missing.
    """
    with connect(path, read_only=True) as connection:
        try:
            return {name: _frame(connection, sql, values) for name, sql in queries.items()}
        except duckdb.CatalogException as error:
            said = str(error).splitlines()[0]
            raise WarehouseError(f"{said}; `governance run` builds what is missing") from error


def read_frame(path: Path, sql: str, values: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return the answer to one query; raises as `read_frames`."""
    return read_frames(path, {"answer": sql}, values)["answer"]


def _frame(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any] | None
) -> pd.DataFrame:
    """Return an answer with its dates as times, since pandas has no type for days."""
    # By way of Arrow, whose texts pandas takes over as they are: a quarter of the time.
    answer = connection.sql(sql, params=values).to_arrow_table()
    for at, column in enumerate(answer.schema):
        if pa.types.is_date(column.type):
            times = answer.column(at).cast(pa.timestamp("us"))
            answer = answer.set_column(at, column.name, times)
    return answer.to_pandas()


def has_table(path: Path, table: str) -> bool:
    """Return whether the warehouse has a table, `schema.name`."""
    schema, _, name = table.partition(".")
    with connect(path, read_only=True) as connection:
        found = connection.execute(
            "select 1 from information_schema.tables where table_schema = $schema"
            " and table_name = $name",
            {"schema": schema, "name": name},
        ).fetchone()
    return found is not None


def _lake_view(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    table: str,
    files: Sequence[Path],
    name: str = "",
) -> None:
    """Show some files of a table of the lake, which may be none, under its name or another."""
    # The planner takes every file for as large as the first: were that the empty one, it would
    # take the decisions for none, and hash them all to look a few appeals up in them.
    _view(connection, name or table, [*files, lake / "empty" / f"{table}.parquet"])


def _view(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path]) -> None:
    connection.execute(
        f"create or replace view lake.{table} as select * from read_parquet({_listed(files)})"
    )
    # For an engine that reads the same files by its own means.
    named = json.dumps([str(file) for file in files])
    connection.execute(f"comment on view lake.{table} is {literal(named)}")


def _days(connection: duckdb.DuckDBPyConnection, table: str, days: Sequence[dt.date]) -> None:
    """Write which days this build recomputes."""
    connection.execute(f"create or replace table lake.{table} (day date)")
    connection.execute(f"insert into lake.{table} select unnest($days::date[])", {"days": [*days]})


def _listed(files: Sequence[Path]) -> str:
    return f"[{', '.join(map(literal, files))}]"


def write_deliveries(
    path: Path, fresh: Sequence[Manifest], gone: Sequence[Key], *, anew: bool
) -> None:
    """Write what became of deliveries, of their files and rules, and what rules found, as tables.

    Args:
        path: The warehouse.
        fresh: The deliveries that came or changed; the others keep their rows.
        gone: The keys of deliveries that are no more.
        anew: Whether to forget what the tables say.
    """
    keys = [m.key for m in fresh] + [*gone]
    with connect(path) as connection:
        connection.register(
            "said", pd.DataFrame(keys, columns=["feed", "channel", "delivery_date"], dtype=str)
        )
        for table, (typed, rows) in _delivery_rows(fresh).items():
            columns = ", ".join(f"{name} {kind}" for name, kind in typed.items())
            create = "create or replace table" if anew else "create table if not exists"
            connection.execute(f"{create} lake.{table} ({columns})")
            connection.execute(
                f"delete from lake.{table} t using said where t.feed = said.feed"
                " and t.channel = said.channel and t.delivery_date = said.delivery_date::date"
            )
            connection.register("given", pd.DataFrame(rows, columns=list(typed)))
            # Typed here, or a column without a value would have no type at all.
            casts = ", ".join(f"cast({name} as {kind})" for name, kind in typed.items())
            connection.execute(f"insert into lake.{table} select {casts} from given")
            connection.unregister("given")


def _delivery_rows(
    fresh: Sequence[Manifest],
) -> dict[str, tuple[dict[str, str], list[Sequence[object]]]]:
    """Return the columns and rows of each table about deliveries."""
    computed = ("decision_days", "release_reason")
    deliveries: list[Sequence[object]] = [
        [*(getattr(m, name) for name in DELIVERIES if name not in computed),
         len(m.decision_days), m.released.reason if m.released else None]
        for m in fresh
    ]  # fmt: skip
    rules: list[Sequence[object]] = [
        (m.feed, m.channel, m.delivery_date, *(getattr(rule, name) for name in RULE))
        for m in fresh
        for rule in m.rules
    ]
    files: list[Sequence[object]] = [
        (e.sha256, e.path, m.feed, m.channel, m.delivery_date, e.bytes, e.rows, e.outcome,
         e.seen_at.astimezone(dt.UTC).replace(tzinfo=None), e.run_id)
        for m in fresh
        for e in m.ledger
    ]  # fmt: skip
    findings: list[Sequence[object]] = [
        (m.feed, m.channel, m.delivery_date, f.rule, f.severity, f.subject, f.rows, f.observed)
        for m in fresh
        for f in m.findings
    ]
    return {
        "deliveries": (DELIVERIES, deliveries),
        "delivery_rules": (DELIVERY_RULES, rules),
        "delivery_findings": (DELIVERY_FINDINGS, findings),
        "delivered_files": (DELIVERED_FILES, files),
    }
