"""DuckDB, the embedded default: dbt builds in the warehouse itself."""

from dataclasses import dataclass

from governance_pipeline.adapters import dbt_run, refresh
from governance_pipeline.adapters.dbt_run import Node
from governance_pipeline.adapters.refresh import RefreshPlan
from governance_pipeline.paths import Paths

FROM_THE_REGISTER = (
    "dim_strategies",
    "dim_strategy_channels",
    "dim_strategy_versions",
    "dim_markets",
)
"""Models that only another register changes."""


@dataclass(frozen=True)
class DuckDB:
    """In this process, on this machine; its state is the warehouse."""

    memory_limit: str
    threads: int

    def built_by(self, paths: Paths) -> str:
        """Return its name, the same for every home: a warehouse that is gone has no note either."""
        return "duckdb"

    def build(self, paths: Paths, plan: RefreshPlan) -> list[Node]:
        """Build what a plan names; raises as `dbt_run.build`."""
        refresh.prepare(paths, plan, self.memory_limit)
        kept = () if plan.is_full or plan.is_registered_anew else FROM_THE_REGISTER
        return dbt_run.build(
            paths, self.memory_limit, self.threads, is_full=plan.is_full, without=kept
        )
