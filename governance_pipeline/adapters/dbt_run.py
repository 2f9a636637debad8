"""A run of dbt: which models and tests, and how each came out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from governance_pipeline.adapters import dbt_call, dbt_manifest
from governance_pipeline.errors import WarehouseError
from governance_pipeline.paths import Paths


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
        threads: How many DuckDB may use.
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
    return run(options, variables, paths.root / "dbt", dbt_manifest.loaded())


def run(
    options: Sequence[str], variables: Mapping[str, str], target: Path, manifest: Any = None
) -> list[Node]:
    """Run dbt's models and tests with some options, `variables` in their environment.

    Args:
        options: Which to run, and how.
        variables: What the project's files ask the environment for.
        target: Where dbt writes what it compiles.
        manifest: The parsed project; None parses it for those variables.

    Raises:
        WarehouseError: If a model fails, with what the engine said of the first.
    """
    os.environ.update(variables)
    # Unit tests are for who changes a model, not for every run.
    arguments = ["build", "--no-write-json", "--exclude-resource-type", "unit_test", *options]
    nodes = [_node(result) for result in dbt_call.call(arguments, target, manifest).results]
    failed = [node for node in nodes if node.kind == "model" and not node.passed]
    if failed:
        # Spark adds its whole stack to what it says.
        lines = [x for x in failed[0].message.splitlines() if not x.lstrip().startswith("at ")]
        said = shorten(" ".join(lines), 600, placeholder=" ...")
        raise WarehouseError(f"{len(failed)} models failed, first {failed[0].name}: {said}")
    return nodes


def _node(result: Any) -> Node:
    return Node(
        unique_id=result.node.unique_id,
        name=result.node.name,
        kind="test" if result.node.resource_type == "test" else "model",
        passed=str(result.status) in ("success", "pass"),
        seconds=float(result.execution_time),
        message=str(result.message or ""),
    )
