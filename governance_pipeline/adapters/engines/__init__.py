"""What builds the marts. Intake before it and judgement after it do not know which one it is."""

from typing import Protocol

from governance_pipeline.adapters.dbt_run import Node
from governance_pipeline.adapters.refresh import RefreshPlan
from governance_pipeline.paths import Paths
from governance_pipeline.settings import Settings


class Engine(Protocol):
    """Runs the dbt project over the lake and leaves what it built in the home's warehouse."""

    def built_by(self, paths: Paths) -> str:
        """Return whose state this build goes on from; a name never seen means a full build."""

    def build(self, paths: Paths, plan: RefreshPlan) -> list[Node]:
        """Build what a plan names.

        Raises:
            WarehouseError: If a model fails, with what the engine said of the first.
        """


def engine_of(settings: Settings) -> Engine:
    """Return the engine that the settings name."""
    if settings.engine == "spark":
        from governance_pipeline.adapters.engines.spark import Spark

        return Spark(settings.threads, settings.spark_master, settings.spark_memory)
    from governance_pipeline.adapters.engines.duckdb import DuckDB

    return DuckDB(settings.memory_limit, settings.threads)
