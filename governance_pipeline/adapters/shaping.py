"""From a file's own columns to its feed's contract: mapped, typed, each row with its origin.

A value that is not of its column's type is null there, and its text is kept beside it for the
rules. Nothing here decides whether a row is good.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from governance_pipeline.adapters.reading import (
    NOT_ROWS,
    DeliveredFile,
    columns_of,
    raw_sql,
    trusting_json_sql,
)
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.adapters.suites import UNCAST, Suite
from governance_pipeline.errors import SourceError
from governance_pipeline.feeds import Feed

SELECT = re.compile(r"^\s*select\s+(?!distinct\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Unit:
    """Files that one statement reads, and their partitions, None where rows date themselves."""

    feed: Feed
    suite: Suite
    files: Sequence[DeliveredFile]
    parts: Sequence[int | None]

    @property
    def split_by(self) -> str | None:
        """The column that dates the rows, if their delivery does not."""
        source = self.files[0].source
        return source.split_by if source else None

    @property
    def text_form(self) -> str | None:
        """Return csv or json if the columns are texts just as they were delivered."""
        first = self.files[0]
        is_mapped = first.source is not None and first.source.mapping is not None
        return None if is_mapped or first.types or first.form == "parquet" else first.form

    def halves(self) -> list["Unit"]:
        """Return two units of half the files each."""
        half = len(self.files) // 2
        return [
            Unit(self.feed, self.suite, self.files[at], self.parts[at])
            for at in (slice(None, half), slice(half, None))
        ]

    def of_file(self, values: Sequence[Any], kind: str) -> str:
        """Return the SQL of what differs by file; a join would lose the order of the rows."""
        said = [
            literal(v) if isinstance(v, str) else "null" if v is None else str(v) for v in values
        ]
        if len(set(said)) == 1:
            return f"{said[0]}::{kind}"
        return f"([{', '.join(said)}]::{kind}[])[__origin.file::bigint + 1]"


def castable(feed: Feed) -> list[str]:
    """Return the columns whose text may fail to be of their type."""
    return [name for name, kind in feed.columns.items() if kind != "varchar"]


def uncast_name(column: str) -> str:
    """Return the staged column that keeps the text of values not of their column's type."""
    return f"{column}{UNCAST}"


def shaped_sql(
    connection: duckdb.DuckDBPyConnection, unit: Unit
) -> list[tuple[str, dict[str, list[str]]]]:
    """Return the statements that give a unit's rows in staged shape, with what they bind.

    Raises:
        SourceError: If the mapping of its source does not work.
    """
    source, is_json = unit.files[0].source, unit.files[0].form == "json"
    bad = _if_bad(unit.suite, "whole" if is_json else "to_json(whole)::varchar")
    raw = raw_sql(unit.files)
    bound = {"paths": [str(file.read_from) for file in unit.files]}
    if not source or not source.mapping:
        mapped = f"select _origin as __origin, * exclude (_origin) from ({raw})"
        return [(_staged_sql(unit, columns_of(unit.files), mapped, bad), bound)]
    readable = f"select * from ({raw}) where _origin.unreadable is null"
    mapped = f"with source as ({readable}) {_with_origin(source.said, source.mapping)}"
    available = _mapped_columns(connection, source.said, mapped, bound)
    lost = [name for name in unit.suite.required if name not in map(str.lower, available)]
    if lost:
        raise SourceError(f"the mapping of {source.said} gives no {', '.join(lost)}; add them")
    statements = [(_staged_sql(unit, available, mapped, bad), bound)]
    if is_json:
        broken = f"select _origin as __origin from ({raw}) where _origin.unreadable is not null"
        statements.append((_staged_sql(unit, [], broken, bad), bound))
    return statements


def trusting_sql(unit: Unit) -> tuple[str, dict[str, list[str]]] | None:
    """Return the statement of a unit's rows without their lines, where that is cheaper.

    A row with an empty `row_json` may be none: then all must be read again, line by line.
    """
    columns = columns_of(unit.files)
    if unit.text_form != "json" or tuple(columns) == NOT_ROWS:
        return None
    mapped = (
        f"select _origin as __origin, * exclude (_origin) from ({trusting_json_sql(unit.files)})"
    )
    bound = {"paths": [str(file.read_from) for file in unit.files]}
    return _staged_sql(unit, columns, mapped, "__origin.whole"), bound


def rejects_sql(unit: Unit) -> str:
    """Return the statement of the lines that the reader rejected: rows that are only unreadable."""
    header = 1 if unit.files[0].form == "csv" else 0
    at = " ".join(f"when {literal(file.read_from)} then {n}" for n, file in enumerate(unit.files))
    rejected = (
        f"select struct_pack(file := case s.file_path {at} end, row_number := e.line - {header},"
        " unreadable := any_value(e.csv_line), whole := any_value(e.csv_line)) as __origin"
        " from reject_errors e join reject_scans s using (scan_id, file_id)"
        " group by s.file_path, e.line"
    )
    return _staged_sql(unit, [], rejected, "whole")


def _with_origin(where: str, mapping: str) -> str:
    """Return a mapping that also carries where each row came from."""
    if not SELECT.match(mapping):
        raise SourceError(f"the mapping of {where} must be one `select ... from source`")
    return SELECT.sub("select _origin as __origin, ", mapping, count=1)


def _mapped_columns(
    connection: duckdb.DuckDBPyConnection, where: str, mapped: str, bound: dict[str, list[str]]
) -> list[str]:
    try:
        found = connection.execute(f"select * from ({mapped}) limit 0", bound).description or []
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        said = str(error).strip().splitlines()[0]
        raise SourceError(f"the mapping of {where} does not work: {said}") from error
    return [name for name, *_ in found if not name.startswith(("_origin", "__origin"))]


def _staged_sql(unit: Unit, available: Sequence[str], mapped: str, row_json: str) -> str:
    feed = unit.feed
    there = {name.lower(): f"m.{quoted(name)}" for name in available}
    given = {name: there.get(name, "null::varchar") for name in feed.columns}
    # The CSV reader reads an empty text as none; what a mapping makes of it may be one.
    text = "{0}" if unit.text_form == "csv" else "nullif({0}::varchar, '')"
    casts = {
        name: text.format(given[name]) if kind == "varchar" else _cast(given[name], kind)
        for name, kind in feed.columns.items()
    }
    if unit.text_form:
        times = [name for name, kind in feed.columns.items() if kind == "timestamp"]
        casts |= {name: _time_sql(given[name]) for name in times}
    if "channel" in casts:
        own = unit.of_file([file.channel for file in unit.files], "varchar")
        casts["channel"] = f"coalesce({casts['channel']}, {own})"
    typed = [f"{sql} as {quoted(name)}" for name, sql in casts.items()]
    typed += [
        f"case when {casts[name]} is null then"
        f" {text.format(given[name])} end as {quoted(uncast_name(name))}"
        for name in castable(feed)
    ]
    files = unit.files
    number = unit.of_file([file.number for file in files], "integer")
    channel = unit.of_file([file.channel for file in files], "varchar")
    days = [file.day.isoformat() if file.day else None for file in files]
    day = f"{quoted(unit.split_by)}::date" if unit.split_by else unit.of_file(days, "date")
    computed = {name: f"{sql} as {quoted(name)}" for name, sql in feed.computed.items()}
    kept = [quoted(n) for n in (*feed.columns, *map(uncast_name, castable(feed)), *computed)]
    return f"""
    select part, file, {"delivery_date" if unit.split_by else "null::date"} as split_date,
        row_number, unreadable, {", ".join(kept)},
        {row_json} as row_json
    from (
        select *, {", ".join([f"{day} as delivery_date", *computed.values()])}
        from (
            select {unit.of_file(unit.parts, "integer")} as part, {number} as file,
                {channel} as delivery_channel, __origin.row_number as row_number,
                __origin.unreadable as unreadable, __origin.whole as whole, __origin,
                {", ".join(typed)}
            from ({mapped}) m
        )
    )"""


def _if_bad(suite: Suite, whole: str) -> str:
    """Return the SQL that keeps the text of a row that breaks a critical rule, and of no other."""
    broken = [f"({rule.broken})" for _, rule in suite.row_rules if rule.severity == "critical"]
    return f"case when {' or '.join(broken) or 'false'} then {whole} end"


def _cast(given: str, kind: str) -> str:
    if kind == "timestamp":
        # A cast to a plain timestamp forgets the zone in the text; without one it is UTC.
        return f"try_cast({given} as timestamptz)::timestamp"
    if kind in ("integer", "bigint"):
        # A cast rounds: 3.7 would become 4 without a word.
        whole = f"try_cast({given} as {kind})"
        return f"case when try_cast({given} as double) = {whole} then {whole} end"
    return f"try_cast({given} as {kind})"


def _time_sql(text: str) -> str:
    """Return a cast of texts to times; where no zone can be it costs a third of the one that asks.

    A text that ends with its seconds, or with Z after them, has no room for a zone.
    """
    has_seconds = f"substring({text}, 17, 1) = ':'"
    has_no_zone = f"strlen({text}) = 19 or strlen({text}) = 20 and suffix({text}, 'Z')"
    return (
        f"case when {has_seconds} and ({has_no_zone}) then try_cast({text} as timestamp)"
        f" else {_cast(text, 'timestamp')} end"
    )
