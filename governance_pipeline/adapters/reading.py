"""Looking at delivered files: their bytes, their form, their columns, and the SQL that reads them.

Every form becomes rows of text or of Parquet's types plus one column `_origin`: the place of its
file among those read, the text of a line that is no row, and the row whole. Nothing here decides
whether a row is good.
"""

import csv
import datetime as dt
import gzip
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import duckdb

from governance_pipeline.adapters.landing import Delivery, Source, form_of
from governance_pipeline.adapters.sql import quoted

SEPARATOR = "\x01"  # never inside JSON, where control characters are escaped
LINES_LOOKED_AT = 100
LONGEST_LINE = 8_000_000
NOT_ROWS = ("unreadable",)  # the columns of a file in which no line is a row


@dataclass(frozen=True)
class DeliveredFile:
    """One file of a delivery; `problem` says why it cannot be read, `columns` is empty if empty."""

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

    @property
    def group(self) -> tuple[object, ...]:
        """What files must share to be read by one statement; JSON names its columns by row."""
        shape = () if self.form == "json" else (self.columns, self.delimiter)
        return (self.form, self.source, *shape)

    def lacks(self, required: Sequence[str]) -> str | None:
        """Say which required columns the file has not; a mapping answers for its own."""
        names = {name.lower() for name in self.columns}
        missing = [name for name in required if name not in names]
        has_mapping = self.source is not None and self.source.mapping is not None
        if not missing or not self.columns or has_mapping or self.columns == NOT_ROWS:
            return None
        return (
            f"lacks {', '.join(missing)}; it has {', '.join(self.columns)}; deliver the column,"
            " or map it in governance.yaml"
        )


def fingerprint(number: int, file: Path, delivery: Delivery, home: Path) -> DeliveredFile:
    """Return a file with its bytes known and a name relative to the home, and nothing else yet."""
    name = str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    form = form_of(file) or ""
    return DeliveredFile(
        number, name, file, file, delivery.channel, delivery.day, delivery.source, digest,
        file.stat().st_size, form,
    )  # fmt: skip


def look_at(file: DeliveredFile, scratch: Path) -> DeliveredFile:
    """Return a file with its columns, or with the reason why it cannot be read."""
    try:
        if not file.form:
            return replace(file, problem="is no CSV, JSON lines or Parquet by its name; rename it")
        if file.form == "parquet":
            return _look_at_parquet(file, scratch)
        lines = _head(file.path, LINES_LOOKED_AT)
        if not any(line.strip() for line in lines):
            return file
        return _look_at_csv(file, lines[0]) if file.form == "csv" else _look_at_json(file, lines)
    except UnicodeDecodeError as error:
        said = f"is not UTF-8 (byte {error.start} of its head); deliver it in UTF-8"
        return replace(file, problem=said)
    except (OSError, EOFError, ValueError, csv.Error, duckdb.Error) as error:
        said = str(error).strip().splitlines()[0][:200] or type(error).__name__
        return replace(file, problem=f"cannot be read ({said}); deliver it again")


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
            f"read_csv($paths, columns = {_text_columns(first.columns)}, header = true,"
            f" delim = '{first.delimiter}', quote = '\"', escape = '\"', auto_detect = false,"
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
    """Return the SQL of all rows of JSON files in which every line is a good row.

    It costs a third of `raw_sql` and keeps neither lines nor their numbers: the reader stops at a
    broken line, and who finds a row that is turned away must read again.
    """
    names = columns_of(files)
    return (
        "select struct_pack(file := file_index, row_number := null::bigint,"
        " unreadable := null::varchar, whole := ''::varchar) as _origin,"
        f" {', '.join(map(quoted, names))} from read_json($paths, columns = {_text_columns(names)},"
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
                    store_rejects = true, max_line_size = {LONGEST_LINE})
                where trim(line) <> ''
            )
        )
    )"""


def _text_columns(names: Sequence[str]) -> str:
    fields = ("'" + name.replace("'", "''") + "': 'varchar'" for name in names)
    return "{" + ", ".join(fields) + "}"


def _look_at_parquet(file: DeliveredFile, scratch: Path) -> DeliveredFile:
    import pyarrow.parquet as pq

    if file.path.suffix == ".zst":
        return replace(file, problem="is Parquet inside zstd; Parquet compresses by itself")
    if file.path.suffix == ".gz":
        plain = scratch / f"{file.number}.parquet"
        with gzip.open(file.path) as packed, plain.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        file = replace(file, read_from=plain)
    if file.bytes == 0:
        return file
    footer = pq.read_metadata(file.read_from)
    names = tuple(footer.schema.to_arrow_schema().names) if footer.num_rows else ()
    return replace(file, columns=names)


def _look_at_csv(file: DeliveredFile, header: str) -> DeliveredFile:
    delimiter = max(",;\t|", key=header.count)
    names = tuple(name.strip() for name in next(csv.reader([header], delimiter=delimiter)))
    lowered = [name.lower() for name in names]
    twice = sorted({name for name in lowered if lowered.count(name) > 1})
    if twice or "" in names:
        said = (
            f"names the column {twice[0]!r} twice" if twice and twice[0] else "has unnamed columns"
        )
        return replace(file, problem=f"{said} in its header; name each column once")
    return replace(file, columns=names, delimiter=delimiter)


def _look_at_json(file: DeliveredFile, lines: Sequence[str]) -> DeliveredFile:
    names: dict[str, None] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    # A file of broken lines only has rows nonetheless; they go to the quarantine one by one.
    return replace(file, columns=tuple(names) or NOT_ROWS)


def _head(file: Path, lines: int) -> list[str]:
    if file.suffix == ".zst":
        with duckdb.connect() as connection:
            found = connection.execute(
                "select line from read_csv($path, columns = {'line': 'varchar'}, header = false,"
                f" delim = '{SEPARATOR}', quote = '', escape = '', auto_detect = false)"
                " limit $lines",
                {"path": str(file), "lines": lines},
            ).fetchall()
        return [line or "" for (line,) in found]
    if file.suffix == ".gz":
        with gzip.open(file, "rt", encoding="utf-8-sig") as packed:
            return list(islice(packed, lines))
    with file.open(encoding="utf-8-sig") as stream:
        return list(islice(stream, lines))
