"""Publishing: immutable snapshots of Parquet behind a small database of views.

A snapshot is built in a hidden folder, made durable, renamed, and only then does the `current`
link point at it. The views go through that link, so an open read-only connection follows without
ever meeting a half-written table.
"""

import datetime as dt
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from governance_pipeline.adapters import warehouse
from governance_pipeline.errors import PublishError

KEEP_AFTER = dt.timedelta(hours=24)
"""How long a snapshot outlives being current, so that a long query can finish."""


@dataclass(frozen=True)
class TableDoc:
    """What a published table and its columns mean, for the comments and the dictionary."""

    description: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Snapshot:
    """One published state: where it lies and how many rows each table has."""

    snapshot_id: str
    folder: Path
    rows: Mapping[str, int]


def publish(
    database: Path,
    published: Path,
    tables: Mapping[str, str],
    docs: Mapping[str, TableDoc],
    *,
    snapshot_id: str,
    data_as_of: dt.date,
    now: dt.datetime,
) -> Snapshot:
    """Write every table of `tables` (published name -> relation) as one new current snapshot.

    Raises:
        PublishError: If a snapshot of that id exists.
        WarehouseError: If the warehouse lacks one of the relations.
    """
    folder = published / snapshot_id
    if folder.exists():
        raise PublishError(f"snapshot {snapshot_id} exists already in {published}")
    staging = published / f".staging-{snapshot_id}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with warehouse.connect(database, read_only=True) as connection:
            rows = _write_tables(connection, staging, tables, snapshot_id, data_as_of)
        _make_durable(staging)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _point_current_at(published, snapshot_id)
    write_serving_database(published, docs)
    _retire_old_snapshots(published, now)
    return Snapshot(snapshot_id, folder, rows)


def current_snapshot(published: Path) -> Path:
    """Return the folder of the snapshot that is served now.

    Raises:
        PublishError: If nothing was published yet.
    """
    link = published / "current"
    if not link.exists():
        raise PublishError(
            f"nothing is published in {published}; run `governance demo` or `governance run` first"
        )
    return link.resolve()


def write_serving_database(published: Path, docs: Mapping[str, TableDoc]) -> Path:
    """Write `serve.duckdb` anew if the tables, their columns or their comments changed."""
    serve = published / "serve.duckdb"
    shape = published / ".serve-shape"
    statements = _view_statements(published, docs)
    digest = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    if serve.exists() and shape.exists() and shape.read_text() == digest:
        return serve
    building = published / ".serve-building.duckdb"
    building.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        # Clients older than the writer open a file of the first stable format.
        connection.execute(f"attach {_quoted(building)} as serve (storage_version 'v1.0.0')")
        connection.execute("use serve")
        for statement in statements:
            connection.execute(statement)
        connection.execute("use memory")
        connection.execute("detach serve")
    building.replace(serve)
    shape.write_text(digest)
    return serve


def _write_tables(
    connection: duckdb.DuckDBPyConnection,
    staging: Path,
    tables: Mapping[str, str],
    snapshot_id: str,
    data_as_of: dt.date,
) -> dict[str, int]:
    connection.execute("set variable snapshot_id = $id", {"id": snapshot_id})
    connection.execute("set variable data_as_of = $day::date", {"day": data_as_of})
    rows = {}
    for name, relation in tables.items():
        target = _quoted(staging / f"{name}.parquet")
        # Ordered, so that the same rows make the same bytes.
        written = connection.execute(
            f"copy (select *, getvariable('snapshot_id') as snapshot_id,"
            f" getvariable('data_as_of') as data_as_of from {relation} order by all)"
            f" to {target} (format parquet, compression zstd)"
        ).fetchone()
        rows[name] = int(written[0]) if written else 0
    return rows


def _view_statements(published: Path, docs: Mapping[str, TableDoc]) -> list[str]:
    files = sorted((published / "current").resolve().glob("*.parquet"))
    statements = []
    with duckdb.connect() as connection:
        for file in files:
            name = file.stem
            through_link = _quoted(published.resolve() / "current" / file.name)
            statements.append(f"create view {name} as select * from read_parquet({through_link})")
            found = connection.execute(f"describe select * from read_parquet({_quoted(file)})")
            columns = [row[0] for row in found.fetchall()]
            statements += _comments(name, columns, docs.get(name))
            statements.append(f"-- {name}: {', '.join(columns)}")
    return statements


def _comments(name: str, columns: Iterable[str], doc: TableDoc | None) -> list[str]:
    if doc is None:
        return []
    said = {**doc.columns, **STAMPS}
    return [f"comment on view {name} is {_quoted(doc.description)}"] + [
        f'comment on column {name}."{column}" is {_quoted(said[column])}'
        for column in columns
        if column in said
    ]


STAMPS = {
    "snapshot_id": "The published snapshot this row belongs to.",
    "data_as_of": "The last day whose data the snapshot knows.",
}


def _make_durable(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _point_current_at(published: Path, snapshot_id: str) -> None:
    fresh = published / ".current-next"
    with suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(snapshot_id)
    fresh.replace(published / "current")


def _retire_old_snapshots(published: Path, now: dt.datetime) -> None:
    current = (published / "current").resolve()
    snapshots = sorted(p for p in published.iterdir() if p.is_dir() and not p.is_symlink())
    kept = [p for p in snapshots if not p.name.startswith(".")]
    for older, successor in itertools.pairwise(kept):
        # A snapshot stopped being current when the next one was made.
        superseded = dt.datetime.fromtimestamp(successor.stat().st_mtime, tz=dt.UTC)
        if older != current and now - superseded > KEEP_AFTER:
            shutil.rmtree(older)


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
