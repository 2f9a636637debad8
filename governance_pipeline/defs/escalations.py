"""The escalations' desk in the catalog: its two assets, and the schedule of its pass.

No step here takes the writer's lock: the desk has a store of its own, and who waits for a clock
does not wait for a backfill.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg

from governance_pipeline.adapters import outbox
from governance_pipeline.adapters.desk_work import run_desk, whats_due
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.defs.reporting import report_escalations
from governance_pipeline.defs.resources import DeskAt

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

READS = (
    "strategy_status", "strategy_accuracy", "strategy_harm", "strategy_conflicts",
    "data_quality_days", "data_quality_rules",
)  # fmt: skip
ARRIVE = "every_message_arrives"
SHOWN = 20


def desk_assets() -> dg.AssetsDefinition:
    """Return the escalations and their deliveries, worked on by one step."""

    @dg.multi_asset(
        name="escalations_desk",
        specs=[
            dg.AssetSpec(
                "escalations",
                group_name="escalations",
                deps=list(READS),
                description="Who has to act, by when, and whether it helped: findings taken in, "
                "clocks and reminders, results measured.",
                owners=["team:governance"],
                kinds={"sqlite"},
            ),
            dg.AssetSpec(
                "deliveries",
                group_name="escalations",
                deps=["escalations"],
                description="Messages to teams: what waits, what was taken, what never arrived.",
                owners=["team:governance"],
                kinds={"sqlite"},
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                ARRIVE,
                asset="deliveries",
                description="No message was given up after its last attempt.",
            )
        ],
    )
    def escalate(
        context: dg.AssetExecutionContext, desk: DeskAt
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Take in what is new, let time pass, send what is due."""
        worked = run_desk(desk.settings, dt.datetime.now(dt.UTC))
        if worked.waits_for:
            context.log.info(worked.waits_for)
        with OpsStore(desk.settings.store_url) as store:
            rows = store.summaries()
            counts, lost = outbox.counts(store), outbox.dead(store)
        report_escalations(context.instance, desk.settings.paths, rows)
        did = {name: value for name, value in asdict(worked).items() if isinstance(value, int)}
        yield dg.MaterializeResult(
            asset_key="escalations",
            metadata={
                "dagster/row_count": len(rows),
                **{f"open/{p}": sum(r["priority"] == p for r in rows) for p in sorted(_of(rows))},
                **{f"found/{name}": count for name, count in worked.found.items()},
                **{name: did[name] for name in ("woken", "measured", "delivered")},
            },
        )
        yield dg.MaterializeResult(
            asset_key="deliveries",
            metadata={**counts, **{name: did[name] for name in ("failed", "unaddressed")}},
            check_results=[
                dg.AssetCheckResult(
                    check_name=ARRIVE,
                    passed=not lost,
                    severity=dg.AssetCheckSeverity.ERROR,
                    metadata={"dead": len(lost), "letters": dg.MetadataValue.md(_letters(lost))},
                )
            ],
        )

    return escalate


def escalate_schedule(job: "AssetJob") -> dg.ScheduleDefinition:
    """Return the pass of every five minutes; a run starts only where something is due."""

    @dg.schedule(
        name="escalate_schedule",
        job=job,
        cron_schedule="*/5 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Clocks, reminders, results and messages, every five minutes.",
    )
    def every_five_minutes(
        context: dg.ScheduleEvaluationContext, desk: DeskAt
    ) -> dg.RunRequest | dg.SkipReason:
        due = whats_due(desk.settings, dt.datetime.now(dt.UTC))
        if not due:
            return dg.SkipReason("nothing is due")
        return dg.RunRequest(tags={"governance/due": ", ".join(due)})

    return every_five_minutes


def _of(rows: list[dict[str, object]]) -> set[str]:
    return {str(row["priority"]) for row in rows}


def _letters(lost: list[dict[str, object]]) -> str:
    lines = [
        f"- {row['escalation_id']}, {row['kind']} to {row['recipient']} by {row['route']}: "
        f"{row['last_error']}"
        for row in lost[:SHOWN]
    ]
    return "\n".join(lines) or "none"
