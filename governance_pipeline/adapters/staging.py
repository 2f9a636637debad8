"""Reading deliveries of any form into one typed table, losing no row and naming every trouble."""

import csv
import datetime as dt
import gzip
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from governance_pipeline.adapters.landing import Delivery, Source, form_of
from governance_pipeline.adapters.manifests import SourceFile
from governance_pipeline.errors import SourceError
from governance_pipeline.feeds import Feed

Key = tuple[str, dt.date]
UNIT_SEPARATOR = "\x1f"


@dataclass
class Staged:
    """What was read, beside the table `staged` itself.

    `files` are the delivered files per delivery, `refused` the deliveries that cannot be read at
    all with the reason, `extra` the columns nobody asked for.
    """

    files: dict[Key, list[SourceFile]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[Key, str] = field(default_factory=dict)
    extra: dict[Key, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Group:
    """Files that can be read by one statement: one form, one header, one source."""

    form: str
    header: tuple[str, ...]
    source: Source | None


def stage(
    connection: duckdb.DuckDBPyConnection, feed: Feed, deliveries: Sequence[Delivery]
) -> Staged:
    """Read deliveries into the table `staged`, typed, with where every row came from.

    Beside the feed's columns a row has `delivery_channel`, `delivery_day` (null where a source
    that dates its rows has none), `file`, `row_number` from 1, `unreadable` (the columns whose
    text is not of their type), `delivered_key` (a hash of the key within its delivery) and
    `raw_json` where the typed row does not say all that was delivered.
    """
    typed = ", ".join(f"{name} {kind}" for name, kind in feed.columns.items())
    connection.execute(
        f"create table staged ({typed}, delivery_channel varchar, delivery_day date, file varchar,"
        " row_number bigint, unreadable varchar, raw_json varchar, delivered_key ubigint)"
    )
    connection.execute(
        "create table rejected (file varchar, row_number bigint, line varchar,"
        " reason varchar, delivery_channel varchar, delivery_day date)"
    )
    report = Staged()
    groups: dict[_Group, list[tuple[Path, str, dt.date | None]]] = defaultdict(list)
    for delivery in deliveries:
        for file in delivery.files:
            group = _look_at(feed, delivery, file, report)
            if group is not None:
                groups[group].append((file, delivery.channel, delivery.day))
    for group, files in groups.items():
        _read_group(connection, feed, group, files)
    return report


def fingerprint(file: Path) -> SourceFile:
    """Return a delivered file's path, size and SHA-256."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(path=str(file), sha256=digest, bytes=file.stat().st_size)


def _look_at(feed: Feed, delivery: Delivery, file: Path, report: Staged) -> _Group | None:
    """Return how a file is read; note its delivery as refused if it cannot be."""
    key = (delivery.channel, delivery.day or dt.date.min)
    form = form_of(file)
    if form is None:
        report.refused[key] = f"{file.name} is no CSV, JSON lines or Parquet by its name; rename it"
        return None
    try:
        header = _header(file, form)
    except (OSError, EOFError, pa.ArrowInvalid, UnicodeDecodeError, zstandard.ZstdError) as error:
        said = str(error).splitlines()[0][:160]
        report.refused[key] = f"{file.name} cannot be read ({said}); deliver it again"
        return None
    if header is None:  # an empty file delivers no rows
        return None
    if delivery.source is None or delivery.source.mapping is None:
        missing = [name for name in feed.required if name not in header]
        if missing:
            report.refused[key] = (
                f"{file.name} lacks {', '.join(missing)}; it has {', '.join(header)}; "
                "deliver the column, or map it in governance.yaml"
            )
            return None
        report.extra[key] = [name for name in header if name not in feed.columns]
    return _Group(form, header, delivery.source)


def _header(file: Path, form: str) -> tuple[str, ...] | None:
    """Return a file's columns, or None if it is empty."""
    if form == "parquet":
        return tuple(pq.read_schema(file).names)
    with _text(file) as stream:
        line = stream.readline()
    if not line.strip():
        return None
    if form == "csv":
        return tuple(name.strip() for name in next(csv.reader([line])))
    import json

    try:
        first = json.loads(line)
    except json.JSONDecodeError:
        return ()
    return tuple(first) if isinstance(first, dict) else ()


def _text(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig")
    if file.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(file.open("rb"), closefd=True)
        return io.TextIOWrapper(reader, encoding="utf-8-sig")
    return file.open(encoding="utf-8-sig")


def _read_group(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    group: _Group,
    files: Sequence[tuple[Path, str, dt.date | None]],
) -> None:
    connection.execute(
        "create or replace temp table files (file varchar, channel varchar, day date)"
    )
    connection.executemany(
        "insert into files values (?, ?, ?)", [(str(f), channel, day) for f, channel, day in files]
    )
    paths = [str(file) for file, _, _ in files]
    available = list(_READ[group.form](connection, feed, group, paths))
    if group.source is not None and group.source.mapping is not None:
        available = _map(connection, group.source)
    _type_rows(connection, feed, group, available)
    connection.execute("drop table raw")


def _read_parquet(
    connection: duckdb.DuckDBPyConnection, _feed: Feed, group: _Group, paths: list[str]
) -> Iterable[str]:
    connection.execute(
        "create table raw as select * exclude (filename), filename as __file from"
        " read_parquet($paths, filename = true)",
        {"paths": paths},
    )
    return group.header


def _read_csv(
    connection: duckdb.DuckDBPyConnection, _feed: Feed, group: _Group, paths: list[str]
) -> Iterable[str]:
    columns = dict.fromkeys(group.header, "varchar")
    connection.execute(
        "create table raw as select * exclude (filename), filename as __file from read_csv($paths,"
        " columns = $columns, header = true, delim = ',', quote = '\"', escape = '\"',"
        " auto_detect = false, filename = true, store_rejects = true, max_line_size = 10000000)",
        {"paths": paths, "columns": columns},
    )
    connection.execute(
        "insert into rejected select s.file_path, e.line - 1, any_value(e.csv_line),"
        " any_value(e.error_message), any_value(f.channel), any_value(f.day)"
        " from reject_errors e join reject_scans s using (scan_id, file_id)"
        " join files f on f.file = s.file_path group by all"
    )
    connection.execute("drop table reject_errors; drop table reject_scans")
    return group.header


def _read_json(
    connection: duckdb.DuckDBPyConnection, feed: Feed, group: _Group, paths: list[str]
) -> Iterable[str]:
    names = list(dict.fromkeys([*feed.columns, *group.header]))
    shape = "{" + ", ".join(f'"{name}": "VARCHAR"' for name in names) + "}"
    # Line by line, because the JSON reader either stops at a broken line or forgets it.
    connection.execute(
        "create table lines as select line, filename as __file, json_valid(line) and"
        " json_type(case when json_valid(line) then line end) = 'OBJECT' as is_read"
        " from read_csv($paths, columns = {'line': 'varchar'}, header = false,"
        " delim = $separator, quote = '', escape = '', auto_detect = false, filename = true,"
        " max_line_size = 10000000)",
        {"paths": paths, "separator": UNIT_SEPARATOR},
    )
    connection.execute(
        "insert into rejected select __file, lines.rowid - first + 1, line, 'not a JSON object',"
        " channel, day from lines join (select __file, min(rowid) as first from lines group by 1)"
        " using (__file) join files on files.file = __file where not is_read"
    )
    connection.execute(
        "create table raw as select unnest(json_transform(line, $shape)), __file"
        " from lines where is_read",
        {"shape": shape},
    )
    connection.execute("drop table lines")
    return names


_READ = {"parquet": _read_parquet, "csv": _read_csv, "json": _read_json}


def _map(connection: duckdb.DuckDBPyConnection, source: Source) -> list[str]:
    """Replace `raw` by what the source's mapping makes of it; it sees `source` and nothing else."""
    connection.execute("create or replace temp view source as select * exclude (__file) from raw")
    try:
        connection.execute(f"create table mapped as select * from ({source.mapping}) as m")
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise SourceError(f"the mapping of feed {source.feed} ({source.path}): {said}") from error
    connection.execute("drop view source")
    connection.execute("drop table raw")
    connection.execute("alter table mapped rename to raw")
    connection.execute("alter table raw add column __file varchar")
    connection.execute("update raw set __file = (select min(file) from files)")
    names = [row[0] for row in connection.execute("describe raw").fetchall()]
    return [name for name in names if name != "__file"]


def _type_rows(
    connection: duckdb.DuckDBPyConnection, feed: Feed, group: _Group, available: Iterable[str]
) -> None:
    there = {name.lower(): name for name in available}
    lost = [n for n in feed.required if n not in there]
    if lost:
        where = group.source.path if group.source else "the delivery"
        raise SourceError(f"the mapping of {where} gives no {', '.join(lost)}; add them to it")
    types = {r[0]: r[1] for r in connection.execute("describe raw").fetchall()}
    casts = {n: _cast(there.get(n), types, kind) for n, kind in feed.columns.items()}
    doubtful = [
        n for n, kind in feed.columns.items() if n in there and _may_fail(types, there[n], kind)
    ]
    unreadable = (
        "null"
        if not doubtful
        else "nullif(concat_ws(', ', "
        + ", ".join(
            f"case when {_given(there[n], types)} is not null and {casts[n]} is null then '{n}' end"
            for n in doubtful
        )
        + "), '')"
    )
    extra = [name for name in there.values() if name not in feed.columns]
    whole = (
        "to_json(raw_row)"
        if extra
        else f"case when {unreadable} is not null then to_json(raw_row) end"
    )
    day = "files.day"
    if group.source is not None and group.source.split_by:
        day = f"cast(try_cast(raw_row.{_name(group.source.split_by)} as timestamp) as date)"
    key = f"hash({casts[feed.key]}, files.channel, {day})" if feed.key else "null"
    connection.execute(
        f"insert into staged select {', '.join(casts.values())}, files.channel, {day}, files.file,"
        f" raw_row.rowid - first + 1, {unreadable}, {whole}, {key} from raw as raw_row"
        " join (select __file, min(rowid) as first from raw group by 1) using (__file)"
        " join files on files.file = __file"
    )


def _cast(name: str | None, types: Mapping[str, str], kind: str) -> str:
    if name is None:
        return f"cast(null as {kind})"
    given = _given(name, types)
    if types[name].lower() == kind:
        return given
    if kind == "timestamp" and types[name] == "VARCHAR":
        # A zone in the text is honoured; without one the time is UTC, as the contract says.
        # The session's zone is UTC.
        return f"cast(try_cast({given} as timestamptz) as timestamp)"
    return f"try_cast({given} as {kind})"


def _given(name: str, types: Mapping[str, str]) -> str:
    column = f"raw_row.{_name(name)}"
    return f"nullif(trim({column}), '')" if types[name] == "VARCHAR" else column


def _may_fail(types: Mapping[str, str], name: str, kind: str) -> bool:
    return types[name].lower() != kind and kind != "varchar"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a query."""
    yield from connection.execute(sql).fetchall()
