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
    "int_decision_days",
    "int_labels_adjudicated",
    "int_labels_matched",
    "int_reviews",
    "int_sampled_units",
)
"""Intermediate models that judgement, studies and work lists read; none grows with traffic."""
TAKEN_OVER = {*PUBLISHED_MARTS, *READ_BEYOND_DBT}


@dataclass(frozen=True)
class Change:
    """What a build changed of a table: the values of `by` to forget, and the files with new rows.

    A table that has no such column is replaced as a whole.
    """

    table: Table
    by: str | None
    forgotten: Sequence[str]
    files: Sequence[Path]


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
        refresh.prepare(paths, plan, "1GB")
        with session(paths, self.threads, self.master, self.memory) as spark:
            spark_catalog.name_sources(spark, paths)
            kept = spark_catalog.name_kept_tables(spark, paths, is_full=plan.is_full)
            before = {table.name: spark_catalog.files_by_part(paths, table) for table in kept}
            nodes = self._run_dbt(paths, plan)
            built = spark_catalog.built_tables(spark, TAKEN_OVER)
            for table in built:
                spark_catalog.remove_forgotten(spark, paths, table)
            changes = [
                _view_change(spark, paths, table, plan)
                if table.is_view
                else _change(paths, table, before.get(table.name, {}))
                for table in built
                if table.name in TAKEN_OVER
            ]
        spark_catalog.remember_tables(paths, built)
        with warehouse.connect(paths.warehouse) as connection:
            connection.begin()
            if plan.is_full:
                _forget_all(connection)
            for change in changes:
                _take_over(connection, change, is_full=plan.is_full)
            connection.commit()
        return nodes

    def _run_dbt(self, paths: Paths, plan: RefreshPlan) -> list[Node]:
        variables = {
            "GOVERNANCE_SPARK_TABLES": str(spark_catalog.tables_folder(paths)),
            "GOVERNANCE_DECISION_DAYS": " ".join(map(str, plan.decision_days)),
            "GOVERNANCE_DECIDED_DAYS": " ".join(map(str, plan.decided_days)),
            "GOVERNANCE_THREADS": str(self.threads),
        }
        options = ["--target", "spark", *(["--full-refresh"] if plan.is_full else [])]
        return dbt_run.run(options, variables, paths.spark / "dbt")


def _change(paths: Paths, table: Table, before: Mapping[str, Sequence[Path]]) -> Change:
    """Return what changed of a table by its files: Spark never writes a name twice."""
    now = spark_catalog.files_by_part(paths, table)
    changed = sorted(part for part in {*before, *now} if before.get(part) != now.get(part))
    files = [file for part in changed for file in now.get(part, ())]
    return Change(table, table.split_by, changed, files)


def _view_change(spark: "SparkSession", paths: Paths, table: Table, plan: RefreshPlan) -> Change:
    """Write a view's rows of the recomputed days or months, and return them as a change."""
    folder = paths.spark / "views" / table.name
    days = plan.decision_days
    by = "decision_date" if "decision_date" in table.columns else "decision_month"
    recomputed = days if by == "decision_date" else sorted({day.replace(day=1) for day in days})
    rows = spark.table(f"{SCHEMA}.{table.name}")
    rows.where(rows[by].isin(recomputed)).write.mode("overwrite").parquet(str(folder))
    return Change(table, by, [str(day) for day in recomputed], sorted(folder.glob("*.parquet")))


def _forget_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what another engine, or an earlier form of the models, left."""
    left = connection.execute(
        "select table_name, table_type from information_schema.tables where table_schema = 'main'"
    ).fetchall()
    for name, kind in left:
        connection.execute(f"drop {'view' if kind == 'VIEW' else 'table'} {name}")


def _take_over(connection: duckdb.DuckDBPyConnection, change: Change, *, is_full: bool) -> None:
    table, by = change.table, change.by
    if is_full or by is None:
        order = list(table_docs()[table.name].columns) if table.name in PUBLISHED_MARTS else []
        names = sorted(table.columns, key=lambda n: order.index(n) if n in order else len(order))
        typed = ", ".join(f"{name} {TYPES[table.columns[name]]}" for name in names)
        connection.execute(f"create or replace table {table.name} ({typed})")
    else:
        connection.execute(
            f"delete from {table.name} where cast({by} as varchar) in (select unnest($parts))",
            {"parts": [*change.forgotten]},
        )
    if not change.files:
        return
    listed = ", ".join(literal(file) for file in change.files)
    hive = ""
    if table.split_by is not None:
        kind = TYPES[table.columns[table.split_by]]
        hive = f", hive_partitioning = true, hive_types = {{'{table.split_by}': {kind}}}"
    connection.execute(
        f"insert into {table.name} by name select * from read_parquet([{listed}]{hive})"
    )
