"""The names of a Spark session: the lake's sources and the tables that earlier builds left.

Every table is external: Spark never deletes a file. The folders below the home are the state, so a
home that is copied or moved takes it along, and a session starts from nothing else.
"""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.sql import literal
from governance_pipeline.errors import EngineError, WarehouseError
from governance_pipeline.paths import Paths

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = "governance"
TYPES = {
    "string": "varchar", "boolean": "boolean", "smallint": "smallint", "int": "integer",
    "bigint": "bigint", "double": "double", "date": "date", "timestamp_ntz": "timestamp",
}  # fmt: skip
"""Spark's names of types, and DuckDB's of the same."""
PATTERN = set("{}[]*?,\\'")


@dataclass(frozen=True)
class Table:
    """A relation that Spark holds: its columns with Spark's types, and what splits its files."""

    name: str
    columns: Mapping[str, str]
    split_by: str | None = None
    is_view: bool = False

    @property
    def typed(self) -> str:
        """The columns as Spark declares them."""
        return ", ".join(f"`{name}` {kind}" for name, kind in self.columns.items())


def tables_folder(paths: Paths) -> Path:
    """Return the folder of the tables that Spark wrote."""
    return paths.spark / "tables"


def name_sources(spark: "SparkSession", paths: Paths) -> None:
    """Name every table of the warehouse's schema `lake` in Spark too, with the types it has there.

    What is not the rows of files as they are is written to one: it is small.

    Raises:
        EngineError: If the home's path, or a type, is nothing that Spark can read.
    """
    if PATTERN & set(str(paths.root)):
        raise EngineError(f"Spark reads {paths.root} as a pattern; move the home to another folder")
    folder = paths.spark / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    spark.sql("drop schema if exists lake cascade")
    spark.sql("create schema lake")
    with warehouse.connect(paths.warehouse) as connection:
        behind = connection.execute(
            "select view_name, comment from duckdb_views() where schema_name = 'lake' and comment"
            " is not null"
        ).fetchall()
        files = {name: [Path(file) for file in json.loads(named)] for name, named in behind}
        described = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'lake' order by table_name, ordinal_position"
        ).fetchall()
        columns = _in_sparks_types(described)
        for name in columns.keys() - files.keys():
            file = folder / f"{name}.parquet"
            connection.execute(f"copy lake.{name} to {literal(file)} (format parquet)")
            files[name] = [file]
    for name in columns:
        typed = Table(name, columns[name]).typed
        listed = ",".join(str(file.relative_to(paths.root)) for file in files[name])
        spark.sql(
            f"create table lake.{name} ({typed}) using parquet"
            f" options (path '{paths.root}/{{{listed}}}')"
        )


def _in_sparks_types(described: Sequence[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    to_spark = {duck.upper(): spark for spark, duck in TYPES.items()}
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in described:
        if kind not in to_spark:
            raise EngineError(f"lake.{table}.{column} is a {kind}, which Spark does not read")
        found.setdefault(table, {})[column] = to_spark[kind]
    return found


def name_kept_tables(spark: "SparkSession", paths: Paths, *, is_full: bool) -> list[Table]:
    """Name the tables by day that earlier builds left, and return them.

    Tables that are built whole each time are removed, as is everything before a full build.
    """
    folder = tables_folder(paths)
    kept = [] if is_full else [t for t in _read_tables(paths) if t.split_by is not None]
    names = {table.name for table in kept}
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.name not in names:
            shutil.rmtree(left)
    spark.sql(f"drop schema if exists {SCHEMA} cascade")
    spark.sql(f"create schema {SCHEMA}")
    for table in kept:
        spark.sql(
            f"create table {SCHEMA}.{table.name} ({table.typed}) using parquet"
            f" partitioned by ({table.split_by}) location '{folder / table.name}'"
        )
        spark.sql(f"alter table {SCHEMA}.{table.name} recover partitions")
    return kept


def files_by_part(paths: Paths, table: Table) -> dict[str, list[Path]]:
    """Return a table's files by the value that its parts are split by, "" if it is not split."""
    folder = tables_folder(paths) / table.name
    if table.split_by is None:
        return {"": sorted(folder.glob("*.parquet"))}
    return {
        part.name.partition("=")[2]: sorted(part.glob("*.parquet"))
        for part in sorted(folder.glob(f"{table.split_by}=*"))
    }


def remove_forgotten(spark: "SparkSession", paths: Paths, table: Table) -> None:
    """Remove the files of the parts that a build forgot and brought no row for."""
    if table.split_by is None:
        return
    known = {row[0] for row in spark.sql(f"show partitions {SCHEMA}.{table.name}").collect()}
    for part in (tables_folder(paths) / table.name).glob(f"{table.split_by}=*"):
        if part.name not in known:
            shutil.rmtree(part)


def built_tables(spark: "SparkSession", views: Collection[str]) -> list[Table]:
    """Return the tables that dbt left in the session, and of its views those that are named."""
    shown = spark.sql(f"show tables in {SCHEMA}").collect()
    # What is temporary are dbt's own steps.
    names = [row["tableName"] for row in shown if not row["isTemporary"]]
    are_views = {row["viewName"] for row in spark.sql(f"show views in {SCHEMA}").collect()}
    found = []
    for name in names:
        if name in are_views and name not in views:
            continue  # To say a view's columns Spark plans it anew.
        columns = spark.catalog.listColumns(f"{SCHEMA}.{name}")
        split_by = next((column.name for column in columns if column.isPartition), None)
        typed = {column.name: column.dataType for column in columns}
        found.append(Table(name, typed, split_by, name in are_views))
    return found


def remember_tables(paths: Paths, tables: Sequence[Table]) -> None:
    """Note the tables for the next session: an empty one has no file to tell its columns."""
    noted = paths.spark / "tables.json"
    fresh = noted.with_suffix(".new")
    fresh.write_text(json.dumps([asdict(table) for table in tables], indent=1), encoding="utf-8")
    fresh.replace(noted)


def _read_tables(paths: Paths) -> list[Table]:
    noted = paths.spark / "tables.json"
    if not noted.exists():
        raise WarehouseError(f"{noted} is missing; delete {paths.spark} to build the marts anew")
    return [Table(**table) for table in json.loads(noted.read_text(encoding="utf-8"))]
