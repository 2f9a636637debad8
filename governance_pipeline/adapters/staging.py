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
from governance_pipeline.adapters.lake import ROWS_PER_FILE
from governance_pipeline.adapters.reading import DeliveredFile
from governance_pipeline.adapters.shaping import (
    Unit,
    castable,
    rejects_sql,
    shaped_sql,
    trusting_sql,
    uncast_name,
)
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import Feed

# What may be one file's fault; anything else is ours or the machine's.
FILE_ERRORS = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.SerializationException,
    duckdb.OutOfRangeException,
    duckdb.SequenceException,
)
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
    _show(connection, batch)
    return problems


def _name_wanted(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write the partitions of this intake; a source that dates its rows may bring others too."""
    connection.execute(
        "create table wanted (part integer, delivery_channel varchar, delivery_date date,"
        " plan_hash varchar, channel varchar)"
    )
    connection.executemany(
        "insert into wanted values (?, ?, ?, ?, ?)",
        [
            (p.part, p.channel, p.day, batch.plan_of(p), p.channel)
            for p in batch.partitions.values()
        ],
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
        _note_whose(batch, unit, [target])
        return {}
    written = []
    try:
        for sql, bound in shaped_sql(connection, unit):
            written.append(batch.folder / "staged" / f"{kind}-{next(numbers):05d}.parquet")
            connection.execute(f"copy ({sql}) to {literal(written[-1])} (format parquet)", bound)
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
    """Read files as if none of their rows were bad; return whether none is."""
    trusting = trusting_sql(unit)
    if trusting is None:
        return False
    sql, bound = trusting
    try:
        connection.execute(f"copy ({sql}) to {literal(target)} (format parquet)", bound)
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


def _show(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Create the view `staged` over what was written and copied, in the order of delivery."""
    feed, staged = batch.feed, batch.folder / "staged"
    # Rows that name no day go to the first day of their file, which is the same whatever range is
    # taken in, so the quarantine has them once; they do not speak against that day's delivery.
    shown = [
        _rows_sql(feed, sorted(staged.glob("dated-*.parquet")), 0),
        _split_sql(connection, batch, sorted(staged.glob("split-*.parquet"))),
        _fitting_sql(feed, sorted((batch.folder / "fitting").glob("*/*/*.parquet"))),
    ]
    union = " union all by name ".join(sql for sql in shown if sql)
    if union:
        connection.execute(
            "create view staged as select w.delivery_channel, w.delivery_date, s.*"
            f" from ({union}) s join wanted w on w.part = s.part"
        )
        batch.has_rows = connection.execute("select 1 from staged limit 1").fetchone() is not None


def _rows_sql(feed: Feed, files: Sequence[Path], offset: int) -> str:
    """Return the rows of files in staged shape."""
    if not files:
        return ""
    names = (*feed.columns, *map(uncast_name, castable(feed)), *feed.computed)
    return (
        "select part, file, true as is_dated, row_number, unreadable, row_json,"
        f" {', '.join(map(quoted, names))}, {_id_sql(offset)} as id"
        f" from read_parquet({_listed(files)})"
    )


def _split_sql(connection: duckdb.DuckDBPyConnection, batch: Batch, files: Sequence[Path]) -> str:
    """Return the rows that date themselves, of the wanted days."""
    if not files:
        return ""
    connection.execute(
        "create table first_days as select file, min(split_date) as day"
        f" from read_parquet({_listed(files)}) group by file"
    )
    batch.last_days = dict(
        connection.execute(
            "select f.channel, max(split_date) from files f"
            f" join read_parquet({_listed(files)}) s on s.file = f.number group by all"
        ).fetchall()
    )
    rows = _rows_sql(batch.feed, files, 1).replace("true as is_dated", "split_date")
    return (
        "select s.* exclude (split_date) replace (w.part as part),"
        " split_date is not null as is_dated"
        f" from ({rows}) s join files f on f.number = s.file"
        " join first_days d on d.file = s.file"
        " join wanted w on w.delivery_channel = f.channel"
        " and w.delivery_date = coalesce(s.split_date, d.day)"
    )


def _fitting_sql(feed: Feed, files: Sequence[Path]) -> str:
    if not files:
        return ""
    uncast = [f"null::varchar as {quoted(uncast_name(name))}" for name in castable(feed)]
    computed = [f"{sql} as {quoted(name)}" for name, sql in feed.computed.items()]
    columns = ", ".join([*map(quoted, feed.columns), *uncast, *computed])
    return (
        "select _part as part, _file as file, true as is_dated, null::bigint as row_number,"
        f" null::varchar as unreadable, null::varchar as row_json, {columns}, {_id_sql(2)} as id"
        f" from read_parquet({_listed(files)}, hive_partitioning = true,"
        " hive_types = {'_part': 'integer', '_file': 'integer'})"
    )


def _id_sql(offset: int) -> str:
    return f"({offset << 24} + file_index::bigint) * {ROWS_PER_FILE} + file_row_number"


def _listed(files: Sequence[Path]) -> str:
    return f"[{', '.join(map(literal, files))}]"
