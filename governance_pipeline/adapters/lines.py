"""The delivered lines of rows that were turned away, where rows were read without them."""

from collections.abc import Iterator
from itertools import islice

import duckdb
import numpy as np
import numpy.typing as npt
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
select s.file, s.id - t.start as place, s.id
from staged s join starts t using (file) semi join turned_away a on a.id = s.id
order by s.id
"""
Numbers = npt.NDArray[np.int64]


def find_lines(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write the table `lines`: the text of each row turned away that was read without it."""
    connection.execute("create temp table lines (id bigint, line varchar)")
    if not batch.without_lines:
        return
    away = connection.execute(AWAY, {"files": sorted(batch.without_lines)}).fetchnumpy()
    for number in np.unique(away["file"]).tolist():
        own = away["file"] == number
        lines = _lines(batch.files[number], away["place"][own], away["id"][own])
        while some := list(islice(lines, AT_ONCE)):
            columns = [list(column) for column in zip(*some, strict=True)]
            connection.register("found", pa.table(columns, names=["id", "line"]))
            connection.execute("insert into lines from found")
            connection.unregister("found")


def _lines(file: DeliveredFile, places: Numbers, ids: Numbers) -> Iterator[tuple[int, str]]:
    """Give the lines of a file at some places, in order, among those that are not blank."""
    wanted = zip(places.tolist(), ids.tolist(), strict=True)
    place, row_id = next(wanted)
    with unpacked(file.read_from) as stream:
        for at, line in enumerate(line for line in stream if not line.isspace()):
            if at == place:
                yield row_id, line.rstrip(b"\r\n").decode()
                place, row_id = next(wanted, (-1, -1))
                if place < 0:
                    return
