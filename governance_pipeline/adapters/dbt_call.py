"""dbt, in this process: a second Python that imports it all would cost more than the models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from governance_pipeline.errors import WarehouseError
from governance_pipeline.settings import DBT_PROJECT

# What became of each node is returned; to write dbt's thoughts down besides costs more than models.
SILENT = ("--log-level", "none", "--log-level-file", "none")


def call(arguments: Sequence[str], target: Path, manifest: Any = None) -> Any:
    """Return what a dbt command gives back, and leave no connection open.

    Args:
        arguments: The command and its options.
        target: Where it writes what it compiles.
        manifest: The parsed project; None lets dbt parse it.

    Raises:
        WarehouseError: If dbt cannot begin, or cannot read the project.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner
    from dbt_common.behavior_flags import BehaviorFlagRendered

    # Else it reads the source of every caller up the stack, to name who warns of what will change.
    setattr(BehaviorFlagRendered, "_default_source", lambda _: "dbt.adapters")  # noqa: B010
    places = {
        "project-dir": DBT_PROJECT,
        "profiles-dir": DBT_PROJECT,
        "target-path": target,
        "log-path": target,
    }
    options = [part for name, path in places.items() for part in (f"--{name}", str(path))]
    try:
        done = dbtRunner(manifest=manifest).invoke([*SILENT, *arguments, *options])
    finally:
        # dbt keeps the file open for the life of its process, which here is ours.
        DuckDBConnectionManager.close_all_connections()
        reset_adapters()
    if done.exception is not None:
        raise WarehouseError(f"dbt {arguments[0]} failed: {done.exception}") from done.exception
    return done.result
