"""Staging: the rows of a range in one typed table, each with its origin and the rules it breaks."""

import re
from collections import defaultdict
from collections.abc import Sequence

import duckdb

from governance_pipeline.adapters.reading import DeliveredFile, columns_of, raw_sql
from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.errors import SourceError
from governance_pipeline.feeds import Feed

SELECT = re.compile(r"^\s*select\s+(?!distinct\b)", re.IGNORECASE)
# What may be one file's fault; anything else is ours or the machine's.
FILE_ERRORS = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.SerializationException,
    duckdb.OutOfRangeException,
    duckdb.SequenceException,
)


def create_staged(connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """Create the table `staged` of a feed, and `files`, which it names by number."""
    typed = [f"{quoted(name)} {kind}" for name, kind in feed.columns.items()]
    uncast = [
        f"{quoted(name)} varchar" for name in (*map(uncast_name, castable(feed)), *feed.computed)
    ]
    connection.execute(
        "create table staged (delivery_channel varchar, delivery_date date, file integer,"
        f" row_number bigint, unreadable varchar, {', '.join(typed + uncast)},"
        " broken ubigint, row_json varchar)"
    )
    connection.execute(
        "create table files (number integer, path varchar, name varchar, channel varchar, day date)"
    )


def castable(feed: Feed) -> list[str]:
    """Return the columns whose text may fail to be of their type."""
    return [name for name, kind in feed.columns.items() if kind != "varchar"]


def uncast_name(column: str) -> str:
    """Return the staged column that keeps the text of values not of their column's type."""
    return f"{column}__uncast"


def stage(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    suite: Suite,
    files: Sequence[DeliveredFile],
) -> dict[int, str]:
    """Read files into `staged`; return the files that turned out unreadable, with the reason."""
    groups: dict[tuple[object, ...], list[DeliveredFile]] = defaultdict(list)
    for file in files:
        if file.columns and file.problem is None:
            groups[file.group].append(file)
    problems: dict[int, str] = {}
    for group in groups.values():
        connection.executemany(
            "insert into files values (?, ?, ?, ?, ?)",
            [(f.number, str(f.read_from), f.name, f.channel, f.day) for f in group],
        )
        problems |= _stage_group(connection, feed, suite, group)
    _date_the_undated(connection)
    return problems


def _stage_group(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    suite: Suite,
    files: Sequence[DeliveredFile],
) -> dict[int, str]:
    """Read files by one statement; if one of them breaks it, halve until it is found."""
    try:
        connection.begin()
        _insert(connection, feed, suite, files)
        connection.commit()
    except FILE_ERRORS as error:
        connection.rollback()
        if len(files) == 1:
            said = str(error).strip().splitlines()[0][:200]
            return {files[0].number: f"cannot be read ({said}); deliver it again"}
        half = len(files) // 2
        return _stage_group(connection, feed, suite, files[:half]) | _stage_group(
            connection, feed, suite, files[half:]
        )
    return {}


def _insert(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    suite: Suite,
    files: Sequence[DeliveredFile],
) -> None:
    source = files[0].source
    mapping = source.mapping if source else None
    raw, is_json = raw_sql(files), files[0].form == "json"
    paths = {"paths": [str(file.read_from) for file in files]}
    bound = {**paths, "numbers": [file.number for file in files]}
    available = columns_of(files)
    mapped = f"select _origin as __origin, * exclude (_origin) from ({raw})"
    if source and mapping:
        readable = f"select * from ({raw}) where _origin.unreadable is null"
        mapped = f"with source as ({readable}) {_with_origin(source.path, mapping)}"
        available = _mapped_columns(connection, source.path, mapped, paths)
        lost = [name for name in suite.required if name not in map(str.lower, available)]
        if lost:
            raise SourceError(f"the mapping of {source.path} gives no {', '.join(lost)}; add them")
    split_by = source.split_by if source else None
    typed = _typed_sql(feed, available, mapped, split_by)
    connection.execute(_judged_sql(suite, typed, is_json), bound)
    if is_json and mapping:
        broken = f"select _origin as __origin from ({raw}) where _origin.unreadable is not null"
        typed = _typed_sql(feed, [], broken, None)
        connection.execute(_judged_sql(suite, typed, is_json), bound)
    if files[0].form != "parquet":
        _keep_rejects(connection, feed, suite, files)


def _with_origin(where: str, mapping: str) -> str:
    """Return a mapping that also carries where each row came from."""
    if not SELECT.match(mapping):
        raise SourceError(f"the mapping of {where} must be one `select ... from source`")
    return SELECT.sub("select _origin as __origin, ", mapping, count=1)


def _mapped_columns(
    connection: duckdb.DuckDBPyConnection, where: str, mapped: str, paths: dict[str, list[str]]
) -> list[str]:
    try:
        found = connection.execute(f"select * from ({mapped}) limit 0", paths).description or []
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        said = str(error).strip().splitlines()[0]
        raise SourceError(f"the mapping of {where} does not work: {said}") from error
    return [name for name, *_ in found if not name.startswith(("_origin", "__origin"))]


def _typed_sql(feed: Feed, available: Sequence[str], mapped: str, split_by: str | None) -> str:
    there = {name.lower(): f"m.{quoted(name)}" for name in available}
    given = {name: there.get(name, "null::varchar") for name in feed.columns}
    casts = [f"{_cast(given[n], kind)} as {quoted(n)}" for n, kind in feed.columns.items()]
    if "channel" in feed.columns:
        place = list(feed.columns).index("channel")
        casts[place] = f"coalesce({_cast(given['channel'], 'varchar')}, f.channel) as channel"
    uncast = [
        f"case when {_cast(given[n], feed.columns[n])} is null then"
        f" nullif({given[n]}::varchar, '') end as {quoted(uncast_name(n))}"
        for n in castable(feed)
    ]
    day = "f.day" if split_by is None else f"cast({quoted(split_by)} as date)"
    inner = (
        f"select f.channel as delivery_channel, f.day, f.number as file, __origin,"
        f" {', '.join(casts + uncast)} from ({mapped}) m"
        " join files f on f.path = m.__origin.path"
        " and list_contains($numbers, f.number)"
    )
    computed = "".join(f", {sql} as {quoted(name)}" for name, sql in feed.computed.items())
    return (
        f"select * exclude (day, __origin), {day.replace('f.day', 'day')} as delivery_date,"
        f" __origin.unreadable as unreadable, __origin.row_number as row_number,"
        f" __origin.whole as whole{computed} from ({inner})"
    )


def _cast(given: str, kind: str) -> str:
    text = f"nullif({given}::varchar, '')"
    if kind == "varchar":
        return text
    if kind == "timestamp":
        # A cast to a plain timestamp forgets the zone in the text; without one it is UTC.
        return f"try_cast({given} as timestamptz)::timestamp"
    if kind in ("integer", "bigint"):
        # A cast rounds: 3.7 would become 4 without a word.
        whole = f"try_cast({given} as {kind})"
        return f"case when try_cast({given} as double) = {whole} then {whole} end"
    return f"try_cast({given} as {kind})"


def _judged_sql(suite: Suite, typed: str, is_json: bool) -> str:
    bits = " + ".join(
        f"case when {rule.broken} then {bit}::ubigint else 0 end" for bit, rule in suite.row_rules
    )
    whole = "whole" if is_json else "to_json(whole)::varchar"
    return (
        "insert into staged by name select * exclude (whole),"
        f" case when broken <> 0 then {whole} end as row_json"
        f" from (select *, {bits or '0'} as broken from ({typed}))"
    )


def _keep_rejects(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    suite: Suite,
    files: Sequence[DeliveredFile],
) -> None:
    """Stage the lines that the reader rejected: rows that are nothing but unreadable."""
    header = 1 if files[0].form == "csv" else 0
    rejected = (
        f"select struct_pack(path := s.file_path, row_number := e.line - {header},"
        " unreadable := any_value(e.csv_line), whole := any_value(e.csv_line)) as __origin"
        " from reject_errors e join reject_scans s using (scan_id, file_id)"
        " group by s.file_path, e.line"
    )
    connection.execute(
        _judged_sql(suite, _typed_sql(feed, [], rejected, None), True),
        {"numbers": [file.number for file in files]},
    )
    connection.execute("drop table reject_errors")
    connection.execute("drop table reject_scans")


def _date_the_undated(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the rows that name no day the first day of their file, where the quarantine keeps them.

    That day is the same whatever range is taken in, so the row is there once. The table `undated`
    names them: they do not speak against the delivery of that day.
    """
    connection.execute(
        "create table undated as select rowid as id from staged where delivery_date is null"
    )
    connection.execute(
        "update staged set delivery_date = f.first_day from"
        " (select file, min(delivery_date) as first_day from staged group by file) f"
        " where staged.file = f.file and staged.delivery_date is null"
    )
