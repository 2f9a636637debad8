"""Putting the stages together; pure, so that a test can build any market."""

import dagster as dg

from governance_pipeline.adapters.landing import Calendar
from governance_pipeline.defs import (
    accuracy,
    acting,
    automation,
    escalations,
    failed_checks,
    intake,
    publish,
    strategies,
    tickets,
    transform,
)
from governance_pipeline.defs.partitions import daily
from governance_pipeline.defs.resources import ENGINE_SETTINGS, DeskAt, Home
from governance_pipeline.registry.models import Registry
from governance_pipeline.settings import Settings


def build_definitions(
    settings: Settings, calendar: Calendar, registry: Registry | None
) -> dg.Definitions:
    """Return the whole pipeline for one home; without a registry it has no strategies yet."""
    partitions = daily(calendar.start, calendar.end)
    taking_in = automation.intake_job()
    judging = automation.judgement_job()
    escalating = automation.escalate_job()
    paths = settings.paths
    register = [] if registry is None else strategies.strategy_specs(registry)
    return dg.Definitions(
        assets=[
            *intake.delivered_specs(),
            intake.registry_asset(),
            *intake.intake_assets(partitions),
            transform.dbt_marts(),
            accuracy.judgement_asset(),
            *accuracy.study_assets(),
            escalations.desk_assets(),
            *register,
            publish.published_snapshot_asset(),
        ],
        asset_checks=[] if registry is None else [strategies.strategy_checks(registry)],
        jobs=[taking_in, judging, escalating, acting.opening_job(), acting.acting_job()],
        schedules=[
            *automation.schedules(taking_in, judging, partitions, paths),
            escalations.escalate_schedule(escalating),
        ],
        sensors=[
            automation.arrival_sensor(taking_in, partitions, paths),
            *automation.judgement_sensors(taking_in, judging),
            failed_checks.failed_checks_sensor(),
            tickets.ticket_tool_sensor(),
        ],
        executor=dg.in_process_executor,
        resources={
            "home": Home(root=str(paths.root), **settings.model_dump(include=ENGINE_SETTINGS)),
            "desk": DeskAt(
                root=str(paths.root), ops_url=settings.ops_url or "", ui_url=settings.ui_url
            ),
        },
    )
