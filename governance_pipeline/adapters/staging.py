"""Staging: the rows of a range as Parquet files below one view, never as a table.

What is text or has another shape is read once and written in the contract's types; Parquet that has
them already is copied byte by byte. The view `staged` shows both alike: each row with its delivery,
its file, an `id` that orders rows as they were delivered, and nulls where nothing was amiss.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

import duckdb

from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.fitting import fitting_files
from governance_pipeline.adapters.reading import DeliveredFile
from governance_pipeline.adapters.shaping import (
    Unit,
    rejects_sql,
    shaped_sql,
    trusting_sql,
)
from governance_pipeline.adapters.sql import literal
from governance_pipeline.adapters.staged import show_staged

# What may be one file's fault; anything else is ours or the machine's.
FILE_ERRORS = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.SerializationException,
    duckdb.OutOfRangeException,
    duckdb.SequenceException,
)
# Values that are nearly all different are written as they are, and not first looked for in a
# dictionary that is then given up; strategies, categories and all closed sets still have one.
PARQUET = "format parquet, dictionary_size_limit 4096"
BIG = 16_000_000  # bytes from which a file is read by a statement of its own


def stage(connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[int, str]:
    """Create the view `staged`; return the files that turned out unreadable, with the reason.

    The tables `wanted` and `files` name the partitions and the files that it numbers.
    """
    _name_wanted(connection, batch)
    readable = [file for file in batch.to_read() if file.columns and file.problem is None]
    fitting = set(fitting_files(connection, batch.feed, readable))
    _copy(batch, [file for file in readable if file.number in fitting])
    problems: dict[int, str] = {}
    numbers = count(1)
    (batch.folder / "staged").mkdir()
    # Two threads were seen to write the last rows of a large file out of order, and a row's place
    # is what the quarantine names it by; one thread takes no more CPU.
    (threads,) = connection.execute("select current_setting('threads')").fetchone() or (1,)
    connection.execute("set threads = 1")
    for unit in _units(batch, [file for file in readable if file.number not in fitting]):
        problems |= _stage_unit(connection, batch, unit, numbers)
    batch.whole = {part: files for part, files in batch.whole.items() if part not in batch.mixed}
    connection.execute(f"set threads = {threads}")
    show_staged(connection, batch)
    return problems


def _name_wanted(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write the partitions of this intake; a source that dates its rows may bring others too."""
    connection.execute(
        "create table wanted (part integer, delivery_channel varchar, delivery_date date,"
        " plan_hash varchar, channel varchar)"
    )
    partitions = batch.partitions.values()
    connection.execute(
        "insert into wanted select unnest($parts), unnest($channels) as channel, unnest($days),"
        " unnest($plans), unnest($channels)",
        {
            "parts": [p.part for p in partitions],
            "channels": [p.channel for p in partitions],
            "days": [p.day for p in partitions],
            "plans": [batch.plan_of(p) for p in partitions],
        },
    )
    connection.execute("create table files (number integer, name varchar, channel varchar)")
    connection.execute(
        "insert into files select unnest($numbers), unnest($names), unnest($channels)",
        {
            f"{kind}s": [getattr(file, kind) for file in batch.files.values()]
            for kind in ("number", "name", "channel")
        },
    )


def _copy(batch: Batch, files: Iterable[DeliveredFile]) -> None:
    """Copy files of the contract's own shape: upstream may write in its place at any time."""
    for file in files:
        part = batch.part_of(file)
        if part is None:
            continue
        folder = batch.folder / "fitting" / f"_part={part:06d}" / f"_file={file.number:06d}"
        folder.mkdir(parents=True)
        shutil.copyfile(file.read_from, folder / "rows.parquet")
        batch.whole.setdefault(part, []).append(folder / "rows.parquet")


def _units(batch: Batch, files: Sequence[DeliveredFile]) -> Iterable[Unit]:
    groups: dict[tuple[object, ...], list[DeliveredFile]] = defaultdict(list)
    for file in files:
        # A column of that name would hide which file a row is of.
        alone = file.number if file.bytes >= BIG or "file_index" in file.columns else None
        groups[file.group, alone].append(file)
    for group in groups.values():
        parts = [batch.part_of(file) for file in group]
        yield Unit(batch.feed, batch.suite, group, parts)


def _stage_unit(
    connection: duckdb.DuckDBPyConnection, batch: Batch, unit: Unit, numbers: "count[int]"
) -> dict[int, str]:
    """Read files by one statement; if one of them breaks it, halve until it is found."""
    kind = "split" if unit.split_by else "dated"
    target = batch.folder / "staged" / f"{kind}-{next(numbers):05d}.parquet"
    if _trust(connection, unit, target):
        batch.without_lines |= {file.number for file in unit.files}
        _note_whose(batch, unit, [target])
        return {}
    written = []
    try:
        for sql, bound in shaped_sql(connection, unit):
            written.append(batch.folder / "staged" / f"{kind}-{next(numbers):05d}.parquet")
            connection.execute(f"copy ({sql}) to {literal(written[-1])} ({PARQUET})", bound)
        if unit.files[0].form != "parquet":
            written.append(batch.folder / "staged" / f"{kind}-{next(numbers):05d}.parquet")
            _keep_rejects(connection, unit, written[-1])
    except duckdb.Error as error:
        # Of a broken Parquet file DuckDB says so by no class of its own.
        if not isinstance(error, FILE_ERRORS) and type(error) is not duckdb.Error:
            raise
        for file in written:
            file.unlink(missing_ok=True)
        _forget_rejects(connection)
        if len(unit.files) == 1:
            said = str(error).strip().splitlines()[0][:200]
            return {unit.files[0].number: f"cannot be read ({said}); deliver it again"}
        one, other = unit.halves()
        return _stage_unit(connection, batch, one, numbers) | _stage_unit(
            connection, batch, other, numbers
        )
    _note_whose(batch, unit, written)
    return {}


def _trust(connection: duckdb.DuckDBPyConnection, unit: Unit, target: Path) -> bool:
    """Read files without their lines, if every line is an object; return whether that is so."""
    trusting = trusting_sql(unit)
    if trusting is None:
        return False
    sql, bound = trusting
    try:
        connection.execute(f"copy ({sql}) to {literal(target)} ({PARQUET})", bound)
        query = "select 1 from read_parquet($file) where row_json is not null limit 1"
        if not connection.execute(query, {"file": str(target)}).fetchone():
            return True
    except FILE_ERRORS:
        pass
    target.unlink(missing_ok=True)
    return False


def _note_whose(batch: Batch, unit: Unit, written: Sequence[Path]) -> None:
    """Note whether files hold the rows of one delivery and no other's."""
    parts = {part for part in unit.parts if part is not None}
    if len(parts) == 1 and not unit.split_by:
        batch.whole.setdefault(parts.pop(), []).extend(f for f in written if f.exists())
    else:
        batch.mixed |= parts


def _keep_rejects(connection: duckdb.DuckDBPyConnection, unit: Unit, target: Path) -> None:
    """Stage the lines that the reader rejected."""
    found = connection.execute("select 1 from reject_errors limit 1").fetchone()
    if found:
        connection.execute(f"copy ({rejects_sql(unit)}) to {literal(target)} (format parquet)")
    _forget_rejects(connection)


def _forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("drop table if exists reject_errors")
    connection.execute("drop table if exists reject_scans")
