"""Which delivered files are Parquet of exactly the contract's shape and need no rewriting."""

from collections.abc import Sequence

import duckdb

from governance_pipeline.adapters.reading import DeliveredFile
from governance_pipeline.feeds import Feed

# A text that is empty is no text. A file says in its statistics whether it has one.
WITH_EMPTY_TEXTS = """
select distinct file_name from parquet_metadata($paths)
where list_contains($texts, path_in_schema) and stats_null_count is distinct from num_values
    and coalesce(stats_min_value, '') = ''
"""


def fitting_files(
    connection: duckdb.DuckDBPyConnection, feed: Feed, files: Sequence[DeliveredFile]
) -> list[int]:
    """Return the numbers of the files whose bytes can be accepted as they are.

    A small feed is written anew whatever its shape: many small files cost more than the rows.
    """
    if feed.name != "decisions":
        return []
    own = {
        str(file.read_from): file.number
        for file in files
        if file.form == "parquet" and file.source is None and _is_typed(connection, feed, file)
    }
    if not own:
        return []
    texts = [name for name, kind in feed.columns.items() if kind == "varchar"]
    found = connection.execute(WITH_EMPTY_TEXTS, {"paths": list(own), "texts": texts}).fetchall()
    return [number for path, number in own.items() if (path,) not in found]


def _is_typed(connection: duckdb.DuckDBPyConnection, feed: Feed, file: DeliveredFile) -> bool:
    try:
        query = "select * from read_parquet($path) limit 0"
        found = connection.execute(query, {"path": str(file.read_from)}).description or []
    except duckdb.Error:
        return False
    return {name: str(kind).lower() for name, kind, *_ in found} == dict(feed.columns)
