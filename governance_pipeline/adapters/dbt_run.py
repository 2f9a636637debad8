"""dbt, in this process: a second Python that imports it all again would cost more than the models.

What it keeps of a parse lies in the home, so the next run of the same home does not parse again.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from governance_pipeline.errors import WarehouseError
from governance_pipeline.paths import Paths
from governance_pipeline.settings import DBT_PROJECT

# What dbt tells whom: nothing to the console, and to its log file not every thought it has, whose
# thousands of lines cost more than some models.
SAID = ("--quiet", "--log-level-file", "info")


@dataclass(frozen=True)
class Node:
    """How one model or test came out."""

    unique_id: str
    name: str
    kind: Literal["model", "test"]
    passed: bool
    seconds: float
    message: str


def build(
    paths: Paths,
    memory_limit: str,
    threads: int,
    *,
    is_full: bool,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
) -> list[Node]:
    """Run the models and tests on a home's warehouse, and leave no connection open.

    Args:
        paths: The home.
        memory_limit: DuckDB's, e.g. "1GB"; what needs more is spilled beside the warehouse.
        threads: How many models run at once.
        is_full: Whether to build every table anew, whatever it holds.
        only: Names of models to build; all if empty.
        without: Names of models to leave out.

    Raises:
        WarehouseError: If a model fails, with what the engine said of the first.
    """
    variables = {
        "GOVERNANCE_WAREHOUSE": str(paths.warehouse),
        "GOVERNANCE_MEMORY_LIMIT": memory_limit,
        "GOVERNANCE_THREADS": str(threads),
    }
    # Staging is views, which stay as they are until a model changes, and then the build is full.
    left_out = [*without] if is_full else ["path:models/staging", *without]
    options = ["--full-refresh"] if is_full else []
    options += ["--select", *only] if only else []
    options += ["--exclude", *left_out] if left_out else []
    return run(options, variables, paths.root / "dbt")


def run(options: Sequence[str], variables: Mapping[str, str], target: Path) -> list[Node]:
    """Run dbt's models and tests with some options, `variables` in their environment.

    Raises:
        WarehouseError: If a model fails, with what the engine said of the first.
    """
    os.environ.update(variables)
    # Unit tests are for who changes a model, not for every run.
    arguments = ["build", "--no-write-json", "--exclude-resource-type", "unit_test", *options]
    nodes = [_node(result) for result in _invoke(arguments, target)]
    failed = [node for node in nodes if node.kind == "model" and not node.passed]
    if failed:
        # Spark adds its whole stack to what it says.
        lines = [x for x in failed[0].message.splitlines() if not x.lstrip().startswith("at ")]
        said = shorten(" ".join(lines), 600, placeholder=" ...")
        raise WarehouseError(f"{len(failed)} models failed, first {failed[0].name}: {said}")
    return nodes


def parse(target: Path) -> None:
    """Write the project's manifest below `target`.

    Raises:
        WarehouseError: If dbt cannot parse the project.
    """
    os.environ.setdefault("GOVERNANCE_WAREHOUSE", str(target / "parse.duckdb"))
    _invoke(["parse"], target)


def _invoke(arguments: Sequence[str], target: Path) -> list[Any]:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    places = {
        "project-dir": DBT_PROJECT,
        "profiles-dir": DBT_PROJECT,
        "target-path": target,
        "log-path": target,
    }
    options = [part for name, path in places.items() for part in (f"--{name}", str(path))]
    try:
        # A thread of its own, because dbt looks through the whole call stack for each of its flags.
        with ThreadPoolExecutor(1) as alone:
            done = alone.submit(dbtRunner().invoke, [*SAID, *arguments, *options]).result()
    finally:
        # dbt keeps the file open for the life of its process, which here is ours.
        DuckDBConnectionManager.close_all_connections()
        reset_adapters()
    if done.exception is not None:
        raise WarehouseError(f"dbt {arguments[0]} failed: {done.exception}") from done.exception
    return list(getattr(done.result, "results", []))


def _node(result: Any) -> Node:
    return Node(
        unique_id=result.node.unique_id,
        name=result.node.name,
        kind="test" if result.node.resource_type == "test" else "model",
        passed=str(result.status) in ("success", "pass"),
        seconds=float(result.execution_time),
        message=str(result.message or ""),
    )
