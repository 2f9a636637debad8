"""The view `staged` over what was staged: rows of files of every origin, alike and in order."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.lake import ROWS_PER_FILE
from governance_pipeline.adapters.shaping import castable, uncast_name
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import Feed


def show_staged(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Create the views `staged`, rows in the order of delivery, and `places`.

    `places` has the file, the id and the number of every row that was read, wanted or not.
    """
    feed, staged = batch.feed, batch.folder / "staged"
    # Rows that name no day go to the first day of their file, which is the same whatever range is
    # taken in, so the quarantine has them once; they do not speak against that day's delivery.
    dated = _rows_sql(feed, sorted(staged.glob("dated-*.parquet")), 0)
    splits = sorted(staged.glob("split-*.parquet"))
    fitting = _fitting_sql(feed, sorted((batch.folder / "fitting").glob("*/*/*.parquet")))
    read = [sql for sql in (dated, _rows_sql(feed, splits, 1), fitting) if sql]
    if not read:
        return
    places = " union all ".join(f"select file, id, row_number from ({sql})" for sql in read)
    connection.execute(f"create view places as {places}")
    shown = [sql for sql in (dated, _split_sql(connection, batch, splits), fitting) if sql]
    connection.execute(
        "create view staged as select w.delivery_channel, w.delivery_date, s.*"
        f" from ({' union all by name '.join(shown)}) s join wanted w on w.part = s.part"
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
