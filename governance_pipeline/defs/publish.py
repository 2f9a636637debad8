"""The published snapshot: what analysts query and what everybody else may quote."""

import datetime as dt

import dagster as dg

from governance_pipeline.adapters import catalogue
from governance_pipeline.adapters.data_docs import write_data_docs
from governance_pipeline.adapters.desk_tables import write_desk_tables
from governance_pipeline.adapters.desk_work import has_new_verdicts, note_verdicts
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.publish import publish
from governance_pipeline.adapters.studies import STUDIES, as_of
from governance_pipeline.defs.resources import DeskAt, Home


def published_snapshot_asset() -> dg.AssetsDefinition:
    """Return the asset that publishes the marts and the verdicts."""

    @dg.asset(
        name="published_snapshot",
        group_name="publish",
        deps=[
            "strategy_status",
            "escalations",
            *(s.table for s in STUDIES),
            *catalogue.PUBLISHED_MARTS,
        ],
        owners=["team:governance"],
        kinds={"duckdb", "parquet"},
    )
    def published_snapshot(
        context: dg.AssetExecutionContext, home: Home, desk: DeskAt
    ) -> dg.MaterializeResult[None]:
        """One immutable folder of Parquet that `published/serve.duckdb` shows as views."""
        now = dt.datetime.now(dt.UTC)
        is_taken_in = not has_new_verdicts(home.paths)
        with OpsStore(desk.settings.store_url) as store:
            write_desk_tables(store, home.paths.warehouse, now)
        if is_taken_in:  # what was written now is no news to the desk
            note_verdicts(home.paths)
        made = publish(
            home.paths.warehouse,
            home.paths.published,
            catalogue.published_relations(),
            catalogue.table_docs(),
            snapshot_id=f"{now:%Y%m%dT%H%M%S}-{context.run_id[:8]}",
            data_as_of=as_of(home.paths),
            now=now,
        )
        docs = write_data_docs(home.paths)
        return dg.MaterializeResult(
            metadata={
                "snapshot_id": made.snapshot_id,
                "folder": dg.MetadataValue.path(str(made.folder)),
                "data_docs": dg.MetadataValue.path(str(docs)) if docs else "nothing delivered yet",
                "tables": len(made.rows),
                "rows": sum(made.rows.values()),
            }
        )

    return published_snapshot
