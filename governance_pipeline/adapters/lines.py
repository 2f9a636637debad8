"""The delivered lines of rows that were turned away, where rows were read without them."""

from collections.abc import Iterator, Mapping
from itertools import islice

import duckdb
import pyarrow as pa

from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.looking import unpacked
from governance_pipeline.adapters.reading import DeliveredFile

AT_ONCE = 10_000  # lines held in memory
# A row read without its line is a line that is not blank, and the other way round.
AWAY = """
with starts as (
    select file, min(id) as start from places where list_contains($files, file) group by file
)
select s.file, s.id - t.start, s.id
from staged s join starts t using (file) semi join turned_away a on a.id = s.id
"""


def find_lines(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write the table `lines`: the text of each row turned away that was read without it."""
    connection.execute("create temp table lines (id bigint, line varchar)")
    if not batch.without_lines:
        return
    wanted: dict[int, dict[int, int]] = {}
    found = connection.execute(AWAY, {"files": sorted(batch.without_lines)}).fetchall()
    for file, place, row_id in found:
        wanted.setdefault(file, {})[place] = row_id
    for number, ids in wanted.items():
        lines = _lines(batch.files[number], ids)
        while some := list(islice(lines, AT_ONCE)):
            columns = [list(column) for column in zip(*some, strict=True)]
            connection.register("found", pa.table(columns, names=["id", "line"]))
            connection.execute("insert into lines from found")
            connection.unregister("found")


def _lines(file: DeliveredFile, ids: Mapping[int, int]) -> Iterator[tuple[int, str]]:
    """Give the lines of a file at some places among those that are not blank, each with its id."""
    with unpacked(file.read_from) as stream:
        rows = (line for line in stream if not line.isspace())
        for place, line in enumerate(rows):
            if place in ids:
                yield ids[place], line.rstrip(b"\r\n").decode()
