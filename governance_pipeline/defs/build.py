"""Putting the stages together; pure, so that a test can build any market."""

import dagster as dg

from governance_pipeline.adapters.landing import Calendar
from governance_pipeline.defs import accuracy, automation, intake, publish, strategies, transform
from governance_pipeline.defs.partitions import daily
from governance_pipeline.defs.resources import Home
from governance_pipeline.registry.models import Registry
from governance_pipeline.settings import Settings


def build_definitions(
    settings: Settings, calendar: Calendar, registry: Registry | None
) -> dg.Definitions:
    """Return the whole pipeline for one home; without a registry it has no strategies yet."""
    partitions = daily(calendar.start, calendar.end)
    taking_in = automation.intake_job()
    judging = automation.judgement_job()
    register = [] if registry is None else strategies.strategy_specs(registry)
    return dg.Definitions(
        assets=[
            *intake.delivered_specs(),
            intake.registry_asset(),
            *intake.intake_assets(partitions),
            transform.dbt_marts(),
            accuracy.judgement_asset(),
            *accuracy.study_assets(),
            *register,
            publish.published_snapshot_asset(),
        ],
        asset_checks=[] if registry is None else [strategies.strategy_checks(registry)],
        jobs=[taking_in, judging],
        schedules=automation.schedules(taking_in, judging, partitions),
        sensors=[
            automation.arrival_sensor(taking_in, partitions, settings.paths),
            *automation.judgement_sensors(taking_in, judging),
        ],
        executor=dg.in_process_executor,
        resources={
            "home": Home(root=str(settings.paths.root), **settings.model_dump(exclude={"home"})),
        },
    )
