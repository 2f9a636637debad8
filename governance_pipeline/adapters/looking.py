"""Looking at delivered files: their form, their columns, and why one cannot be read."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import duckdb

from governance_pipeline.adapters.fingerprints import fetched
from governance_pipeline.adapters.reading import LONGEST_LINE, NOT_ROWS, SEPARATOR, DeliveredFile
from governance_pipeline.feeds import Feed

LINES_LOOKED_AT = 100
PLACES_LOOKED_AT = 32  # and so many more lines, spread over a large file of JSON lines


def look_at(file: DeliveredFile, scratch: Path, feed: Feed) -> DeliveredFile:
    """Return a file with its columns, or with the reason why it cannot be read."""
    file = fetched(file)
    if not file.form:
        return replace(file, problem="is no CSV, JSON lines or Parquet by its name; rename it")
    try:
        return _look_at_parquet(file, scratch) if file.form == "parquet" else _look(file, feed)
    except UnicodeDecodeError as error:
        said = f"is not UTF-8 (byte {error.start} of its head); deliver it in UTF-8"
        return replace(file, problem=said)
    except Exception as error:  # whatever its bytes make a reader raise, it stops no other file
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return replace(file, problem=f"cannot be read ({said}); deliver it again")


def _look(file: DeliveredFile, feed: Feed) -> DeliveredFile:
    lines = _head(file.path, LINES_LOOKED_AT)
    if not any(line.strip() for line in lines):
        return file
    return _look_at_csv(file, lines[0]) if file.form == "csv" else _look_at_json(file, lines, feed)


def _look_at_parquet(file: DeliveredFile, scratch: Path) -> DeliveredFile:
    import pyarrow.parquet as pq

    if file.path.suffix in (".gz", ".zst"):  # DuckDB reads Parquet only as it is
        plain = scratch / f"{file.number}.parquet"
        with unpacked(file.path) as stream, plain.open("wb") as written:
            shutil.copyfileobj(stream, written, 1 << 20)
        file = replace(file, read_from=plain)
    if file.bytes == 0:
        return file
    footer = pq.read_metadata(file.read_from)
    schema = footer.schema.to_arrow_schema() if footer.num_rows else []
    return replace(
        file,
        columns=tuple(field.name for field in schema),
        types=tuple(str(field.type) for field in schema),
    )


def unpacked(file: Path) -> BinaryIO:
    """Open a file that may be packed; it gives what is in it."""
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.suffix == ".zst":
        import zstandard

        return io.BufferedReader(zstandard.open(file, "rb"))
    return file.open("rb")


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


def _look_at_json(file: DeliveredFile, lines: Sequence[str], feed: Feed) -> DeliveredFile:
    names = _names_in(lines)
    if file.source is not None and file.source.mapping is not None:
        names |= dict.fromkeys(_names_in_all(file.path))  # a mapping may name any of them
    elif not file.path.suffix.endswith(("gz", "zst")):
        names |= _names_in(_spread(file.path))
    # A file of broken lines only has rows nonetheless; they go to the quarantine one by one.
    if not names:
        return replace(file, columns=NOT_ROWS)
    if file.source is None or file.source.mapping is None:
        # Rows may leave out what is null: any row may have a column that may be missing.
        known = {name.lower() for name in names}
        optional = (n for n in feed.columns if n not in feed.required and n not in known)
        names |= dict.fromkeys(optional)
    return replace(file, columns=tuple(names))


def _names_in(lines: Iterable[str | bytes]) -> dict[str, None]:
    names: dict[str, None] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    return names


def _names_in_all(file: Path) -> list[str]:
    with duckdb.connect() as connection:
        found = connection.execute(
            "select distinct unnest(json_keys(line)) as name from read_csv($path,"
            " columns = {'line': 'varchar'}, header = false,"
            f" delim = '{SEPARATOR}', quote = '', escape = '', auto_detect = false,"
            f" ignore_errors = true, max_line_size = {LONGEST_LINE})"
            " where json_valid(line) and json_type(line) = 'OBJECT' order by name",
            {"path": str(file)},
        ).fetchall()
    return [name for (name,) in found]


def _spread(file: Path) -> Iterator[bytes]:
    """Return some lines of a file, from all over it; a large one costs no more than a small one."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        for place in range(PLACES_LOOKED_AT):
            stream.seek(size * place // PLACES_LOOKED_AT)
            stream.readline(LONGEST_LINE)
            yield stream.readline(LONGEST_LINE)


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
