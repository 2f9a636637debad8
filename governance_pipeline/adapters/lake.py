"""The lake's files: written to a staging folder, made durable, renamed to where they stay."""

import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import FEEDS, THIN, accepted_columns

Made = TypeVar("Made")
QUARANTINE = {
    "feed": "varchar",
    "channel": "varchar",
    "delivery_date": "date",
    "file": "varchar",
    "row_number": "bigint",
    "rule": "varchar",
    "severity": "varchar",
    "value": "varchar",
    "row_json": "varchar",
    "run_id": "varchar",
}
ROWS_PER_FILE = 1 << 32  # the id of a row is its file's number times this and its place in it
MANY_ROWS = 100_000  # from here on a part is written by a statement of its own
# Ids and places are met once: what tries to make a dictionary of them costs a tenth of the writing.
PARQUET = "format parquet, dictionary_size_limit 4000"
FEW_FILES = 64  # up to here every file is synced by itself, above the whole file system once


@contextmanager
def scratch(lake: Path) -> Iterator[Path]:
    """Give a folder on the lake's file system, and delete it whatever happens."""
    folder = lake / ".staging" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_empty_files(lake: Path) -> None:
    """Write an empty typed file per table, so that a list of files to read is never empty."""
    tables = {name: accepted_columns(name) for name in (*FEEDS, *THIN)}
    tables["quarantine"] = QUARANTINE
    missing = {n: c for n, c in tables.items() if not (lake / "empty" / f"{n}.parquet").exists()}
    if not missing:
        return
    (lake / "empty").mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        for name, columns in missing.items():
            fresh = lake / "empty" / f".{name}.{os.getpid()}"
            nulls = ", ".join(f"null::{kind} as {quoted(c)}" for c, kind in columns.items())
            connection.execute(
                f"copy (select {nulls} where false) to {literal(fresh)} (format parquet)"
            )
            fresh.replace(lake / "empty" / f"{name}.parquet")


def write_numbers(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[int]],
) -> None:
    """Write a small temporary table of integers; `number` counts its rows from 0."""
    values = {"number": list(range(len(rows)))}
    values |= {name: [row[at] for row in rows] for at, name in enumerate(columns)}
    lists = ", ".join(f"unnest(${name}::integer[]) as {name}" for name in values)
    connection.execute(f"create or replace temp table {table} as select {lists}", values)


def write_partitions(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    columns: Mapping[str, str],
    folder: Path,
    only: int | None = None,
) -> dict[int, list[Path]]:
    """Write a query's rows by its column `part`, as exactly `columns`; return the files.

    Args:
        connection: Whose tables the query reads.
        query: Any select with a column `part`.
        columns: The columns to write, with their types.
        folder: Where to write.
        only: The part of all rows, where there is but one: then they keep their order.
    """
    typed = ", ".join(f"{quoted(name)}::{kind} as {quoted(name)}" for name, kind in columns.items())
    if only is None:
        connection.execute(
            f"copy (select part, {typed} from ({query})) to {literal(folder)}"
            f" ({PARQUET}, partition_by (part), overwrite_or_ignore)"
        )
    else:
        target = folder / f"part={only}" / "data_0.parquet"
        target.parent.mkdir(parents=True)
        (rows,) = connection.execute(
            f"copy (select {typed} from ({query})) to {literal(target)} ({PARQUET})"
        ).fetchone() or (0,)
        if not rows:
            return {}
    written: dict[int, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob("*/*.parquet" if only is None else f"part={only}/*.parquet")):
        written[int(file.parent.name.partition("=")[2])].append(file)
    return dict(written)


def side_by_side(
    connection: duckdb.DuckDBPyConnection,
    groups: Sequence[Sequence[int]],
    work: Callable[[duckdb.DuckDBPyConnection, Sequence[int]], Made],
) -> list[Made]:
    """Return what some work makes of each group of parts, as many at once as there are threads.

    Each is done on one thread, by a session of its own: two threads that share the statements of
    one part take a sixth more of the processor for them.

    Args:
        connection: To the database of the rows; what is not temporary every session sees.
        groups: Of parts.
        work: Is given a session and a group.
    """
    (threads,) = connection.execute("select current_setting('threads')").fetchone() or (1,)

    def apart(parts: Sequence[int]) -> Made:
        with connection.cursor() as session:
            session.execute("set python_enable_replacements = false")
            session.execute("set timezone = 'UTC'")
            session.execute("set enable_progress_bar = false")
            return work(session, parts)

    if len(groups) < 2 or threads == 1:
        return [apart(parts) for parts in groups]
    connection.execute("set threads = 1")
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(apart, groups))
    finally:
        connection.execute(f"set threads = {threads}")


def together(rows: Mapping[int, int]) -> Iterator[list[int]]:
    """Give large parts one by one, so that their rows are not sorted, then all others together.

    Args:
        rows: How many rows each part has.
    """
    small = [part for part, own in rows.items() if own < MANY_ROWS]
    yield from ([part] for part in rows if part not in small)
    if small:
        yield small


def place(lake: Path, folder: str, token: str, files: Sequence[Path]) -> list[str]:
    """Rename files into a folder of the lake, where nobody lists them yet; return their names."""
    if not files:
        return []
    (lake / folder).mkdir(parents=True, exist_ok=True)
    names = []
    for number, file in enumerate(files):
        name = f"{folder}/{token}{f'-{number}' if number else ''}.parquet"
        file.rename(lake / name)
        names.append(name)
    return names


def count_rows(lake: Path, names: Sequence[str]) -> int:
    """Return how many rows files of the lake have, by their footers alone."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(lake / name).num_rows for name in names)


def make_durable(files: Sequence[Path]) -> None:
    """Return once the bytes of files and their folders are on the disk."""
    if len(files) > FEW_FILES:
        os.sync()
        return
    for path in {*files, *(file.parent for file in files)}:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
