"""A delivered file, and the SQL that reads files that are alike.

Every form becomes rows of text or of Parquet's types plus one column `_origin`: the place of its
file among those read, the text of a line that is no row, and the row whole. Nothing here decides
whether a row is good.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from governance_pipeline.adapters.landing import Delivered, Source
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import Feed

SEPARATOR = "\x01"  # never inside JSON, where control characters are escaped
LONGEST_LINE = 8_000_000
BLANK = " \t\n\v\f\r"  # what the JSON reader passes over between two rows
NOT_ROWS = ("unreadable",)  # the columns of a file in which no line is a row

Stamp = tuple[int, int, int]
"""A file's inode, its bytes and when it was written, in ns."""


@dataclass(frozen=True)
class DeliveredFile:
    """One file of a delivery; `problem` says why it cannot be read, `columns` is empty if empty.

    `stamp` changes when a file of this machine is written to. What lies elsewhere is copied to
    `path`; `version` is what its store promises to change with the
    bytes, and `types` are DuckDB's where the place it came from has types of its own.
    """

    number: int
    name: str
    path: Path
    read_from: Path
    channel: str
    day: dt.date | None
    source: Source | None
    sha256: str
    bytes: int
    form: str
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    problem: str | None = None
    origin: Delivered | None = None
    version: str | None = None
    types: tuple[str, ...] = ()
    stamp: Stamp | None = None

    @property
    def group(self) -> tuple[object, ...]:
        """What files must share to be read by one statement; JSON names its columns by row."""
        shape = () if self.form == "json" else (self.columns, self.delimiter, self.types)
        return (self.form, self.source, *shape)

    @property
    def kinds(self) -> dict[str, str]:
        """The columns in lower case, each with the type it was found with; text has no other."""
        types = self.types or ["text"] * len(self.columns)
        return {n.lower(): kind for n, kind in zip(self.columns, types, strict=True)}

    def extra(self, feed: Feed) -> list[str]:
        """Return the columns that the feed does not know."""
        return [name for name in self.columns if name.lower() not in feed.columns]


def raw_sql(files: Sequence[DeliveredFile]) -> str:
    """Return the SQL of all rows of files of one group; it binds `$paths`, what is read."""
    first = files[0]
    if first.form == "json":
        return _json_sql(columns_of(files))
    whole = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in first.columns)
    names = ", ".join(quoted(name) for name in first.columns)
    if first.form == "parquet":
        rows = "read_parquet($paths)"
    else:
        rows = (
            f"read_csv($paths, columns = {_read_as(first.columns, first.types)}, header = true,"
            f" delim = '{first.delimiter}', quote = '\"', escape = '\"', auto_detect = false,"
            f"{' allow_quoted_nulls = false,' if first.types else ''}"
            f" store_rejects = true, max_line_size = {LONGEST_LINE})"
        )
    return (
        "select struct_pack(file := file_index, row_number := null::bigint,"
        f" unreadable := null::varchar, whole := struct_pack({whole})) as _origin, {names}"
        f" from {rows}"
    )


def columns_of(files: Sequence[DeliveredFile]) -> list[str]:
    """Return the columns that files of one group have, in the order they are first met."""
    return list(dict.fromkeys(name for file in files for name in file.columns))


def trusting_json_sql(files: Sequence[DeliveredFile]) -> str:
    """Return the SQL of all rows of JSON files in which every line is an object.

    It costs half of `raw_sql` and keeps no lines: the reader stops at a broken one. Where nothing
    is in a row its line may be no object, so it is marked by an empty `whole`.
    """
    names = columns_of(files)
    listed = ", ".join(map(quoted, names))
    return (
        "select struct_pack(file := file_index, row_number := null::bigint,"
        " unreadable := null::varchar,"
        f" whole := case when coalesce({listed}) is null then '' end) as _origin,"
        f" {listed} from read_json($paths, columns = {_read_as(names)},"
        " format = 'newline_delimited', auto_detect = false,"
        f" maximum_object_size = {LONGEST_LINE})"
    )


def _json_sql(columns: Sequence[str]) -> str:
    shape = json.dumps(dict.fromkeys(columns, "VARCHAR")).replace("'", "''")
    names = ", ".join(f"row.{quoted(name)} as {quoted(name)}" for name in columns)
    # Line by line, because the JSON reader either stops at a broken line or forgets it.
    return f"""
    select struct_pack(file := file_index, row_number := null::bigint,
        unreadable := case when not is_object then line end, whole := line) as _origin, {names}
    from (
        select file_index, line, case when is_object then row end as row, is_object
        from (
            select *, row is not null and starts_with(ltrim(line, E' \\t\\r\\n'), '{{')
                as is_object
            from (
                select file_index, line, try(json_transform(line, '{shape}')) as row
                from read_csv($paths, columns = {{'line': 'varchar'}}, header = false,
                    delim = '{SEPARATOR}', quote = '', escape = '', auto_detect = false,
                    strict_mode = false, store_rejects = true, max_line_size = {LONGEST_LINE})
                where trim(line, {literal(BLANK)}) <> ''
            )
        )
    )"""


def _read_as(names: Sequence[str], types: Sequence[str] = ()) -> str:
    """Return DuckDB's struct of columns and their types, text where none are known."""
    kinds = types or ["varchar"] * len(names)
    return "{" + ", ".join(f"{literal(n)}: '{k}'" for n, k in zip(names, kinds, strict=True)) + "}"
