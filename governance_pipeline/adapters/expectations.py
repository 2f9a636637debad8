"""Great Expectations over a staged table, by its SQL engine: the only module that knows it.

Two things are private names of the pinned version, and a test fails if they move: the list of
dialects that get one lasting connection, and the function that writes a regular expression in a
dialect. As shipped, rows of DuckDB are read after their connection has rolled back, and regular
expressions are not known for DuckDB at all.
"""

import atexit
import enum
import gc
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import Rule, Suite
from governance_pipeline.errors import ExpectationFileError


def evaluate(database: Path, table: str, suite: Suite, config: Mapping[str, str]) -> dict[str, int]:
    """Return how many rows of a table break each rule of a suite, in one call for all of them.

    Args:
        database: A DuckDB file that nobody else has open.
        table: The table or view to judge, whole.
        suite: What it must satisfy.
        config: DuckDB settings of the connection.

    Raises:
        ExpectationFileError: If an expectation cannot be evaluated.
    """
    gx = import_once()
    with _closing_every_connection():
        source = _context(gx).data_sources.add_or_update_sql(
            "staged",
            connection_string=f"duckdb:///{database}",
            create_temp_table=False,
            kwargs={"connect_args": {"config": dict(config)}},
        )
        asset = source.add_table_asset(table, table_name=table)
        declared = gx.ExpectationSuite(name=suite.name, expectations=_declared(suite))
        results = (
            asset.add_batch_definition_whole_table("range")
            .get_batch()
            .validate(declared, result_format={"result_format": "BASIC"})
        )
    return {r.expectation_config.meta["check"]: _broken_rows(r) for r in results.results}


def import_once() -> Any:
    """Return Great Expectations, which takes seconds to be imported and can write DuckDB's SQL."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _without("altair", "scipy.stats"):
        import great_expectations as gx

    _teach_duckdb()
    return gx


@cache
def _context(gx: Any) -> Any:
    """Return the one context of this process: its first source costs it four times any other."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


def _declared(suite: Suite) -> list[Any]:
    """Return the expectations of a suite, each in the form in which it is counted once."""
    declared = []
    for rule, expectation in zip(suite.rules, suite.expectations, strict=True):
        query = expectation.get("kwargs", {}).get("unexpected_rows_query")
        query = _repeated_sql(rule) if rule.unique_by else query
        said = {k: expectation[k] for k in ("meta", "notes", "severity") if k in expectation}
        counted = _counted_rows()
        declared.append(counted(unexpected_rows_query=query, **said) if query else expectation)
    return declared


@cache
def _counted_rows() -> Any:
    """Return the expectation that a query finds no row; it asks for their number alone.

    As shipped, a query is asked twice, for its rows and for their number.
    """
    from great_expectations.expectations.core import UnexpectedRowsExpectation

    class CountedRows(UnexpectedRowsExpectation):  # type: ignore[misc]
        """No row is found by a query."""

        metric_dependencies = ("unexpected_rows_query.row_count",)

        def _validate(self, metrics: Any, *_: Any, **__: Any) -> Any:
            rows = metrics["unexpected_rows_query.row_count"]
            return {"success": not rows, "result": {"observed_value": rows}}

    return CountedRows


def _repeated_sql(rule: Rule) -> str:
    """Return the query for all rows that share their key with another.

    As shipped, the table is joined to itself, which costs more than all other rules together.
    A hash met twice is rare where keys are unique, so the keys themselves are compared only there.
    """
    keys = ", ".join(map(quoted, rule.unique_by))
    given = " and ".join(f"{quoted(name)} is not null" for name in rule.unique_by)
    given = given if rule.skips_nulls else "true"
    rows = f"select {keys} from {{batch}} where {given}"
    return (
        f"with met as (select hash({keys}) as key from ({rows}) as r group by key"
        f" having count(*) > 1), alike as (select {keys}, count(*) as n from ({rows}) as r"
        f" where hash({keys}) in (select key from met) group by all having n > 1)"
        " select unnest(range(n)) as row_of_key from alike"
    )


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Keep out imports that Great Expectations makes for rules no suite has: 40% of its start."""
    kept_out = [name for name in names if name not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in kept_out})
    yield
    for name in kept_out:
        del sys.modules[name]


@contextmanager
def _closing_every_connection() -> Iterator[None]:
    """Close what Great Expectations opens: it keeps two pools, and closes neither."""
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    opened: list[Any] = []

    def remember(connection: Any, record: Any) -> None:
        if type(connection).__module__.startswith("duckdb_engine"):
            opened.append(record)

    event.listen(Pool, "connect", remember)
    try:
        yield
    finally:
        event.remove(Pool, "connect", remember)
        for record in opened:
            record.invalidate()


def _broken_rows(result: Any) -> int:
    found = result.result or {}
    count = found.get("unexpected_count", found.get("observed_value"))
    if count is None:
        check = result.expectation_config.meta["check"]
        raise ExpectationFileError(
            f"{check} could not be evaluated: {str(result.exception_info)[-400:]}"
        )
    return int(count)


class _Dialect(enum.StrEnum):
    DUCKDB = "duckdb"


def _teach_duckdb() -> None:
    """Let Great Expectations keep its DuckDB connection, and write DuckDB's regular expressions.

    For each rule it asks which columns are a table's primary key; staged tables have none.
    """
    import great_expectations.execution_engine.sqlalchemy_execution_engine as engine
    import sqlalchemy as sa
    from duckdb_engine import Dialect
    from great_expectations.expectations.metrics.column_map_metrics import (
        column_values_match_regex as regex,
    )

    if _Dialect.DUCKDB in engine._PERSISTED_CONNECTION_DIALECTS:
        return
    engine._PERSISTED_CONNECTION_DIALECTS = (
        *engine._PERSISTED_CONNECTION_DIALECTS,
        _Dialect.DUCKDB,
    )
    Dialect.get_pk_constraint = lambda *_, **__: {"constrained_columns": [], "name": None}
    shipped = regex.get_dialect_regex_expression

    def for_any_dialect(column: Any, pattern: str, dialect: Any, positive: bool = True) -> Any:
        name = getattr(getattr(dialect, "dialect", dialect), "name", "")
        if name != "duckdb":
            return shipped(column, pattern, dialect, positive)
        matches = sa.func.regexp_matches(column, sa.literal(pattern))
        return matches if positive else sa.not_(matches)

    regex.get_dialect_regex_expression = for_any_dialect
    atexit.register(forget_duckdb)


def forget_duckdb() -> None:
    """Drop what keeps DuckDB's classes alive at exit, where DuckDB would report them as leaks."""
    for name in [name for name in sys.modules if name.startswith("duckdb_engine")]:
        vars(sys.modules.pop(name)).clear()
    gc.collect()
