"""Columns that a feed does not know: kept beside its accepted rows, row by row, as JSON."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters.batch import Batch, Partition
from governance_pipeline.adapters.reading import DeliveredFile, columns_of, raw_sql
from governance_pipeline.adapters.sql import literal, quoted


def write_extras(connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[int, list[Path]]:
    """Write the unknown columns of each delivery that has some; return its files by partition.

    One row per delivered row that has a value in one of them: its key, as `row_key`, and the
    values, as `extra`. Only files with unknown columns are read for it.
    """
    read = {file.number for file in batch.to_read()}
    written: dict[int, list[Path]] = {}
    for partition in batch.partitions.values():
        if partition.extra(batch.feed):
            files = [batch.files[f.number] for f in partition.files if f.number in read]
            written[partition.part] = _write(connection, batch, partition, files)
    return written


def _write(
    connection: duckdb.DuckDBPyConnection,
    batch: Batch,
    partition: Partition,
    files: Sequence[DeliveredFile],
) -> list[Path]:
    groups: dict[tuple[object, ...], list[DeliveredFile]] = defaultdict(list)
    for file in files:
        if file.extra(batch.feed) and file.problem is None:
            groups[file.group].append(file)
    folder = batch.folder / "extra" / f"{partition.part}"
    folder.mkdir(parents=True)
    written = []
    for number, group in enumerate(groups.values()):
        target = folder / f"{number}.parquet"
        try:
            connection.execute(
                f"copy ({_extra_sql(batch, group)}) to {literal(target)} (format parquet)",
                {"paths": [str(file.read_from) for file in group]},
            )
            written.append(target)
        except duckdb.Error:  # a file that cannot be read refuses its delivery elsewhere
            target.unlink(missing_ok=True)
        for table in ("reject_errors", "reject_scans"):
            connection.execute(f"drop table if exists {table}")
    return written


def _extra_sql(batch: Batch, files: Sequence[DeliveredFile]) -> str:
    names = columns_of(files)
    extra = [name for name in names if name.lower() not in batch.feed.columns]
    keys = [quoted(name) for name in names if name.lower() == batch.feed.key]
    # A feed without a key has all of its columns for one.
    kept = extra if keys else names
    packed = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in kept)
    some = " or ".join(f"{quoted(name)} is not null" for name in extra)
    return (
        f"select {keys[0] if keys else 'null'}::varchar as row_key,"
        f" to_json(struct_pack({packed}))::varchar as extra"
        f" from ({raw_sql(files)}) where {some}"
    )
