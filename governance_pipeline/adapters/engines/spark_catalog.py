"""The names of a Spark session: the lake's sources and the tables that earlier builds left.

Every table is external: Spark never deletes a file. The folders below the home are the state, so a
home that is copied or moved takes it along, and a session starts from nothing else.
"""

import datetime as dt
import json
import shutil
from collections.abc import Mapping, Sequence
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
    def recomputed_by(self) -> str | None:
        """The column whose values a build recomputes; None if it makes every row anew."""
        return "decision_date" if self.is_view else self.split_by

    @property
    def typed(self) -> str:
        """The columns as Spark declares them."""
        return ", ".join(f"`{name}` {kind}" for name, kind in self.columns.items())


def tables_folder(paths: Paths) -> Path:
    """Return the folder of the tables that Spark wrote."""
    return paths.spark / "tables"


def name_sources(
    spark: "SparkSession", paths: Paths, sources: Mapping[str, Sequence[Path]]
) -> None:
    """Name every table of the schema `lake` in Spark too, with the types it has in DuckDB.

    Raises:
        EngineError: If the home's path, or a type, is nothing that Spark can read.
    """
    if PATTERN & set(str(paths.root)):
        raise EngineError(f"Spark reads {paths.root} as a pattern; move the home to another folder")
    small = paths.spark / "sources"
    small.mkdir(parents=True, exist_ok=True)
    spark.sql("drop schema if exists lake cascade")
    spark.sql("create schema lake")
    for table, columns in _lake(paths, small, set(sources)).items():
        listed = ",".join(str(file.relative_to(paths.lake)) for file in sources.get(table, ()))
        files = f"{paths.lake}/{{{listed}}}" if listed else f"{small}/{table}.parquet"
        typed = Table(table, columns).typed
        spark.sql(f"create table lake.{table} ({typed}) using parquet options (path '{files}')")


def _lake(paths: Paths, small: Path, in_files: set[str]) -> dict[str, dict[str, str]]:
    """Return the columns of DuckDB's `lake` in Spark's types; what is no file is written to one."""
    to_spark = {duck.upper(): spark for spark, duck in TYPES.items()}
    found: dict[str, dict[str, str]] = {}
    with warehouse.connect(paths.warehouse) as connection:
        described = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'lake' order by table_name, ordinal_position"
        ).fetchall()
        for table, column, kind in described:
            if kind not in to_spark:
                raise EngineError(f"lake.{table}.{column} is a {kind}, which Spark does not read")
            found.setdefault(table, {})[column] = to_spark[kind]
        for table in found.keys() - in_files:
            file = literal(small / f"{table}.parquet")
            connection.execute(f"copy lake.{table} to {file} (format parquet)")
    return found


def name_kept_tables(
    spark: "SparkSession", paths: Paths, decision_days: Sequence[dt.date], *, is_full: bool
) -> None:
    """Name the tables that earlier builds left, without the days that this build recomputes.

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
        for part in parts(paths, table, decision_days):
            shutil.rmtree(part, ignore_errors=True)
        location = folder / table.name
        spark.sql(
            f"create table {SCHEMA}.{table.name} ({table.typed}) using parquet"
            f" partitioned by ({table.split_by}) location '{location}'"
        )
        spark.sql(f"alter table {SCHEMA}.{table.name} recover partitions")


def parts(paths: Paths, table: Table, decision_days: Sequence[dt.date]) -> list[Path]:
    """Return the folders of the days, or of their months, in a table split by them."""
    folder = tables_folder(paths) / table.name
    return [folder / f"{table.split_by}={start}" for start in starts(table, decision_days)]


def starts(table: Table, decision_days: Sequence[dt.date]) -> list[dt.date]:
    """Return the values by which a table's rows of some decision days are told."""
    by_month = str(table.recomputed_by).endswith("_month")
    return sorted({day.replace(day=1) if by_month else day for day in decision_days})


def built_tables(spark: "SparkSession") -> list[Table]:
    """Return the tables and views that dbt left in the session."""
    shown = spark.sql(f"show tables in {SCHEMA}").collect()
    # What is temporary are dbt's own steps.
    names = [row["tableName"] for row in shown if not row["isTemporary"]]
    views = {row["viewName"] for row in spark.sql(f"show views in {SCHEMA}").collect()}
    found = []
    for name in names:
        columns = spark.catalog.listColumns(f"{SCHEMA}.{name}")
        split_by = next((column.name for column in columns if column.isPartition), None)
        found.append(Table(name, {c.name: c.dataType for c in columns}, split_by, name in views))
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
