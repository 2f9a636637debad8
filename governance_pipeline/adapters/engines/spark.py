"""Apache Spark: dbt builds Parquet tables there, and the warehouse takes over what is read of them.

Judgement and publishing read the warehouse as ever. It takes the changed days over in one
transaction after the build, so a build that fails leaves it as it was.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from governance_pipeline.adapters import dbt_run, refresh, warehouse
from governance_pipeline.adapters.catalogue import PUBLISHED_MARTS, table_docs
from governance_pipeline.adapters.dbt_run import Node
from governance_pipeline.adapters.engines import spark_catalog
from governance_pipeline.adapters.engines.spark_catalog import SCHEMA, TYPES, Table
from governance_pipeline.adapters.engines.spark_session import session
from governance_pipeline.adapters.refresh import RefreshPlan
from governance_pipeline.adapters.sql import literal
from governance_pipeline.paths import Paths

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

READ_BEYOND_DBT = (
    "int_appeals_matched",
    "int_audit_draws",
    "int_audit_frame",
    "int_audit_reviews",
    "int_labels_adjudicated",
    "int_labels_matched",
    "int_reviews",
    "int_sampled_units",
)
"""Intermediate models that judgement, studies and work lists read; none grows with traffic."""


@dataclass(frozen=True)
class Spark:
    """In a session of this process, whose executors are this machine or a cluster."""

    threads: int
    master: str
    memory: str

    def built_by(self, paths: Paths) -> str:
        """Return the name of the home's Spark tables: when they are gone, the next is another."""
        noted = paths.spark / "id"
        if not noted.exists():
            paths.spark.mkdir(parents=True, exist_ok=True)
            noted.write_text(f"spark {uuid.uuid4()}", encoding="utf-8")
        return noted.read_text(encoding="utf-8")

    def build(self, paths: Paths, plan: RefreshPlan) -> list[Node]:
        """Build what a plan names in Spark, and take it over into the warehouse.

        Raises:
            EngineError: If Spark cannot start here.
            WarehouseError: If a model fails, with what Spark said of the first.
        """
        sources = refresh.prepare(paths, plan, "1GB")
        days = plan.decision_days
        with session(paths, self.threads, self.master, self.memory) as spark:
            spark_catalog.name_sources(spark, paths, sources)
            spark_catalog.name_kept_tables(spark, paths, days, is_full=plan.is_full)
            nodes = dbt_run.run(
                ["--target", "spark", *(["--full-refresh"] if plan.is_full else [])],
                {
                    "GOVERNANCE_SPARK_TABLES": str(spark_catalog.tables_folder(paths)),
                    "GOVERNANCE_DECISION_DAYS": " ".join(map(str, days)),
                    "GOVERNANCE_THREADS": str(self.threads),
                },
                paths.spark / "dbt",
            )
            built = spark_catalog.built_tables(spark)
            wanted = [t for t in built if t.name in {*PUBLISHED_MARTS, *READ_BEYOND_DBT}]
            files = {table.name: _files(spark, paths, table, plan) for table in wanted}
        spark_catalog.remember_tables(paths, built)
        _take_over(paths, wanted, files, plan)
        return nodes


def _files(spark: "SparkSession", paths: Paths, table: Table, plan: RefreshPlan) -> list[Path]:
    """Return the files with the rows of a table that a build made; a view's are written first."""
    if table.is_view:
        folder = paths.spark / "views" / table.name
        rows = spark.table(f"{SCHEMA}.{table.name}")
        changed = rows.where(rows[str(table.recomputed_by)].isin(plan.decision_days))
        changed.write.mode("overwrite").parquet(str(folder))
        folders = [folder]
    elif table.split_by is None:
        folders = [spark_catalog.tables_folder(paths) / table.name]
    else:
        folders = spark_catalog.parts(paths, table, plan.decision_days)
    return sorted(file for folder in folders for file in folder.glob("*.parquet"))


def _take_over(
    paths: Paths, tables: Sequence[Table], files: Mapping[str, Sequence[Path]], plan: RefreshPlan
) -> None:
    with warehouse.connect(paths.warehouse) as connection:
        connection.begin()
        if plan.is_full:
            _forget_all(connection)
        for table in tables:
            _replace_rows(connection, table, files[table.name], plan)
        connection.commit()


def _forget_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what another engine, or an earlier form of the models, left."""
    left = connection.execute(
        "select table_name, table_type from information_schema.tables where table_schema = 'main'"
    ).fetchall()
    for name, kind in left:
        connection.execute(f"drop {'view' if kind == 'VIEW' else 'table'} {name}")


def _replace_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path], plan: RefreshPlan
) -> None:
    by = table.recomputed_by
    if plan.is_full or by is None:
        order = list(table_docs()[table.name].columns) if table.name in PUBLISHED_MARTS else []
        names = sorted(table.columns, key=lambda n: order.index(n) if n in order else len(order))
        typed = ", ".join(f"{name} {TYPES[table.columns[name]]}" for name in names)
        connection.execute(f"create or replace table {table.name} ({typed})")
    else:
        starts = spark_catalog.starts(table, plan.decision_days)
        connection.execute(
            f"delete from {table.name} where {by} in (select unnest($starts::date[]))",
            {"starts": starts},
        )
    if files:
        listed = ", ".join(literal(file) for file in files)
        hive = (
            f", hive_partitioning = true, hive_types = {{'{by}': date}}" if table.split_by else ""
        )
        connection.execute(
            f"insert into {table.name} by name select * from read_parquet([{listed}]{hive})"
        )
