"""DuckDB, the embedded default: dbt builds in the warehouse itself."""

from dataclasses import dataclass

from governance_pipeline.adapters import dbt_run, refresh
from governance_pipeline.adapters.dbt_run import Node
from governance_pipeline.adapters.refresh import RefreshPlan
from governance_pipeline.adapters.warehouse import REGISTER
from governance_pipeline.paths import Paths

ALWAYS = ("deliveries", "delivery_rules", "delivery_findings", "delivered_files")
"""The sources that every delivery writes to, of whatever feed."""
FILLED_BY = {
    "decisions": (
        "decided_days", "counted_decisions", "sampled_decisions", "actioned_decisions",
        "contested_decisions", "contested_sampled_decisions",
    ),
    "audit_labels": ("audit_labels", "recent_audit_labels"),
}  # fmt: skip
"""The sources that a feed fills; any other feed fills the one of its name."""


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
        return dbt_run.build(
            paths, self.memory_limit, self.threads, is_full=plan.is_full, only=_below(plan)
        )


def _below(plan: RefreshPlan) -> list[str]:
    """Return dbt's selection of what hangs on the sources that changed; empty for everything.

    Days are recomputed where they lie, so a model that none of its sources gave a reason to run
    has nothing to do: labels recount no decisions, and nothing but a register its dimensions.
    """
    if plan.is_full:
        return []
    sources = [*ALWAYS, *(REGISTER if plan.is_registered_anew else ())]
    for feed in sorted(plan.feeds):
        sources += FILLED_BY.get(feed, (feed,))
    return [f"source:lake.{source}+" for source in sources]
