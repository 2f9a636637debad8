"""The suites: one declaration per feed that Great Expectations evaluates and the quarantine uses.

Great Expectations says whether a rule holds over a whole range; only for a rule that does not are
its predicate and this module's SQL used to find the rows. So the two cannot disagree unseen: the
counts are compared, and a difference is an error.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from governance_pipeline.errors import ExpectationFileError
from governance_pipeline.settings import EXPECTATIONS

ROWS_QUERY = "unexpected_rows_expectation"
UNIQUE = "expect_column_values_to_be_unique"


@dataclass(frozen=True)
class Rule:
    """One expectation on rows: what it is called, how much it weighs, which rows break it."""

    name: str
    severity: Literal["critical", "warning"]
    column: str | None
    broken: str
    is_unique: bool = False


@dataclass(frozen=True)
class Suite:
    """The rules of a feed, with the hash of the file that says them."""

    name: str
    rules: Sequence[Rule]
    declared: Sequence[Mapping[str, Any]]
    max_bad_share: float
    suite_hash: str


@cache
def load_suite(feed: str) -> Suite:
    """Return the suite of a feed.

    Raises:
        ExpectationFileError: If the file is malformed, naming the expectation and the remedy.
    """
    file = EXPECTATIONS / f"{feed}.yaml"
    text = file.read_text(encoding="utf-8")
    said = yaml.safe_load(text)
    return Suite(
        name=said["name"],
        rules=[_rule(file, declared) for declared in said["expectations"]],
        declared=said["expectations"],
        max_bad_share=float(said.get("meta", {}).get("max_bad_share", 0.2)),
        suite_hash=hashlib.sha256(text.encode()).hexdigest(),
    )


def evaluate(database: Path, table: str, suite: Suite) -> dict[str, int]:
    """Let Great Expectations judge a staged table, and return how many rows break each rule.

    Args:
        database: A DuckDB file that nobody else has open.
        table: The table to judge, whole.
        suite: What it must satisfy.

    Raises:
        ExpectationFileError: If an expectation cannot be evaluated.
    """
    import great_expectations as gx

    _let_it_read_duckdb()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("staged", connection_string=f"duckdb:///{database}")
    asset = source.add_table_asset(table, table_name=table)
    batch = asset.add_batch_definition_whole_table("range").get_batch()
    declared = [
        {k: v for k, v in one.items() if k not in ("notes",)} | {"notes": one.get("notes")}
        for one in suite.declared
    ]
    try:
        results = batch.validate(
            gx.ExpectationSuite(name=suite.name, expectations=declared), result_format="BASIC"
        )
    finally:
        # Without this the file stays open in this process, and nobody else can open it.
        batch.data.execution_engine.close()
        batch.data.execution_engine.engine.dispose()
        source.get_engine().dispose()
    return {r.expectation_config.meta["check"]: _broken_rows(r) for r in results.results}


def _broken_rows(result: Any) -> int:
    if result.success:
        return 0
    raised = str(result.exception_info)
    if "'raised_exception': True" in raised:
        check = result.expectation_config.meta["check"]
        raise ExpectationFileError(f"{check} could not be evaluated: {raised[-300:]}")
    found = result.result.get("unexpected_count", result.result.get("observed_value"))
    return int(found) if found is not None else -1


def _let_it_read_duckdb() -> None:
    """Keep Great Expectations' connection open between writing a query and reading its rows.

    As shipped it reads after its connection has rolled back and finds nothing. The list of
    dialects that get one lasting connection is a private name, which is why the version is pinned.
    """
    import great_expectations.execution_engine.sqlalchemy_execution_engine as engine

    class _Dialect(str):
        value = property(str)

    if "duckdb" not in engine._PERSISTED_CONNECTION_DIALECTS:
        engine._PERSISTED_CONNECTION_DIALECTS += (_Dialect("duckdb"),)


def _rule(file: Path, declared: Mapping[str, Any]) -> Rule:
    kind, kwargs = declared["type"], declared.get("kwargs", {})
    name = declared.get("meta", {}).get("check")
    if not name:
        raise ExpectationFileError(
            f"{file.name}: {kind} has no meta.check; give it one, in snake_case"
        )
    severity = declared.get("severity", "critical")
    if severity not in ("critical", "warning"):
        raise ExpectationFileError(
            f"{file.name}: {name} has severity {severity}; use critical or warning"
        )
    column = kwargs.get("column")
    return Rule(name, severity, column, _broken(file, name, kind, kwargs), kind == UNIQUE)


def _broken(file: Path, name: str, kind: str, kwargs: Mapping[str, Any]) -> str:
    """Return the predicate of a row that breaks an expectation; nulls break only not-null."""
    column = kwargs.get("column")
    if kind == "expect_column_values_to_not_be_null":
        return f"{column} is null"
    if kind == "expect_column_values_to_be_null":
        return f"{column} is not null"
    if kind == "expect_column_values_to_be_in_set":
        allowed = ", ".join(_literal(value) for value in kwargs["value_set"])
        return f"{column} is not null and {column} not in ({allowed})"
    if kind == "expect_column_values_to_be_between":
        bounds = [
            f"{column} {sign} {_literal(kwargs[bound])}"
            for bound, sign in (("min_value", "<"), ("max_value", ">"))
            if bound in kwargs
        ]
        return f"{column} is not null and ({' or '.join(bounds)})"
    if kind == UNIQUE:
        return "false"
    if kind == ROWS_QUERY:
        # Great Expectations fills {batch} in, so a brace of the query itself is doubled.
        query = str(kwargs["unexpected_rows_query"]).replace("{{", "{").replace("}}", "}")
        return query.partition(" where ")[2]
    raise ExpectationFileError(
        f"{file.name}: {name} is a {kind}, which the quarantine cannot express; "
        f"write it as {ROWS_QUERY}"
    )


def _literal(value: Any) -> str:
    return (
        str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"
    )
