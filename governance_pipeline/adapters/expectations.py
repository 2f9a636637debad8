"""Great Expectations over a staged table, by its SQL engine: the only module that knows it.

Some things are private names of the pinned version, and a test fails if they move: the list of
dialects that get one lasting connection, the function that writes a regular expression in a
dialect, and what an expectation asks to be measured. As shipped, rows of DuckDB are read after
their connection has rolled back, and regular expressions are not known for DuckDB at all.
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
from types import ModuleType, new_class
from typing import Any, cast

from governance_pipeline.adapters.repeated import alike_sql
from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.errors import ExpectationFileError


def evaluate(database: Path, table: str, suite: Suite, config: Mapping[str, str]) -> dict[str, int]:
    """Return how many rows break each rule of a suite, in one validation for all of them.

    Args:
        database: A DuckDB file that nobody else has open.
        table: The table or view that rules on rows judge, whole; the table `facts` is what rules
            on whole deliveries judge, and `repeated` has the keys that several rows have.
        suite: What they must satisfy.
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
        declared = gx.ExpectationSuite(name=suite.name, expectations=list(_declared(suite)))
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
    context.variables.save = lambda: None  # thrice for each source, of a context kept in memory
    return context


def _declared(suite: Suite) -> Iterator[Any]:
    """Yield the expectations of a suite, each in the form in which it is counted and no more."""
    for rule, expectation in (
        *zip(suite.rules, suite.expectations, strict=True),
        *zip(suite.set_rules, suite.set_expectations, strict=True),
    ):
        kind, kwargs = expectation["type"], expectation.get("kwargs", {})
        if rule.unique_by:
            kind, kwargs = "unexpected_rows_expectation", {"unexpected_rows_query": alike_sql(rule)}
        said = {k: expectation[k] for k in ("meta", "notes", "severity") if k in expectation}
        yield _counting(kind)(**kwargs, **said)


@cache
def _counting(kind: str) -> Any:
    """Return the expectation of a type, of which only the broken rows are counted."""
    from great_expectations.expectations.registry import get_expectation_impl

    shipped = get_expectation_impl(kind)
    return new_class(f"Counted{shipped.__name__}", (_Counted, shipped))


class _Counted:
    """An expectation that asks for the number of broken rows and for nothing else.

    As shipped, each asks for some of these rows too and for counts that nobody reads, by a query
    of its own: most of what it costs to judge a small day. One on whole deliveries is asked of the
    table that its `meta.batch` names.
    """

    configuration: Any
    meta: Mapping[str, Any] | None

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: Any = None
    ) -> Any:
        """Return the one metric that is needed, and the form of the result."""
        from great_expectations.expectations.expectation import Expectation
        from great_expectations.expectations.registry import get_metric_kwargs
        from great_expectations.validator.metric_configuration import MetricConfiguration

        needed = Expectation.get_validation_dependencies(
            cast("Any", self), execution_engine, runtime_configuration
        )
        asked = get_metric_kwargs(self._metric, self.configuration, runtime_configuration)
        domain, table = asked["metric_domain_kwargs"], (self.meta or {}).get("batch")
        domain = {**domain, "table": table} if table else domain
        metric = MetricConfiguration(self._metric, domain, asked["metric_value_kwargs"])
        needed.set_metric_configuration(self._metric, metric)
        return needed

    def _validate(self, metrics: Mapping[str, int], *_: Any, **__: Any) -> dict[str, Any]:
        broken = metrics[self._metric]
        return {"success": not broken, "result": {"unexpected_count": broken}}

    @property
    def _metric(self) -> str:
        by_column = getattr(self, "map_metric", None)
        return f"{by_column}.unexpected_count" if by_column else "unexpected_rows_query.row_count"


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
    count = (result.result or {}).get("unexpected_count")
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
    Dialect.get_columns = _columns
    shipped = regex.get_dialect_regex_expression

    def for_any_dialect(column: Any, pattern: str, dialect: Any, positive: bool = True) -> Any:
        name = getattr(getattr(dialect, "dialect", dialect), "name", "")
        if name != "duckdb":
            return shipped(column, pattern, dialect, positive)
        matches = sa.func.regexp_matches(column, sa.literal(pattern))
        return matches if positive else sa.not_(matches)

    regex.get_dialect_regex_expression = for_any_dialect
    atexit.register(forget_duckdb)


def _columns(_: Any, connection: Any, table_name: str, *__: Any, **___: Any) -> list[Any]:
    """Return the names of a table's columns; as shipped PostgreSQL's catalog is asked, for long."""
    from sqlalchemy.types import NullType

    described = connection.exec_driver_sql(f"describe {quoted(table_name)}").fetchall()
    return [
        {"name": name, "type": NullType(), "nullable": True, "default": None}
        for name, *_ in described
    ]


def forget_duckdb() -> None:
    """Drop what keeps DuckDB's classes alive at exit, where DuckDB would report them as leaks."""
    for name in [name for name in sys.modules if name.startswith("duckdb_engine")]:
        vars(sys.modules.pop(name)).clear()
    gc.collect()
