"""Jobs, schedules, and the sensors that start the judgement when intake ends, however it ends."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

JUDGED_BY_COMMAND = "governance/judged_by_command"
"""Tag of a run whose judgement the command line launches itself."""

ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def intake_job() -> "AssetJob":
    """Return the job that takes deliveries to marts; daily, and in one run over a range."""
    return dg.define_asset_job(
        "intake_and_marts",
        selection=dg.AssetSelection.groups(
            "registry", "quality", "staging", "intermediate", "marts"
        ),
        description="Take what was delivered to the marts; a range of days is one run.",
    )


def judgement_job() -> "AssetJob":
    """Return the job that judges and publishes; it selects no strategy check on purpose."""
    return dg.define_asset_job(
        "judge_and_publish",
        selection=dg.AssetSelection.groups("accuracy", "escalations", "publish"),
        description="Judge every strategy, report on its page, escalate, publish a snapshot.",
    )


def escalate_job() -> "AssetJob":
    """Return the job of clocks, reminders, results and messages."""
    return dg.define_asset_job(
        "escalate",
        selection=dg.AssetSelection.groups("escalations"),
        description="Let time pass for every escalation, and send what is due.",
    )


def schedules(
    intake: "AssetJob",
    judgement: "AssetJob",
    partitions: dg.DailyPartitionsDefinition,
) -> list[dg.ScheduleDefinition]:
    """Return yesterday's intake at 06:00 UTC and the judgement's deadline at 09:00 UTC."""

    @dg.schedule(
        name="intake_and_marts_schedule",
        job=intake,
        cron_schedule="0 6 * * *",
        execution_timezone="UTC",
        description="Take in yesterday's deliveries at 06:00 UTC.",
    )
    def daily_intake(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = _last_day(partitions, context.scheduled_execution_time)
        if day is None:
            return dg.SkipReason("yesterday is outside the calendar in governance.yaml")
        return dg.RunRequest(run_key=day, partition_key=day)

    deadline = dg.ScheduleDefinition(
        name="judge_and_publish_deadline",
        job=judgement,
        cron_schedule="0 9 * * *",
        execution_timezone="UTC",
        description="Judge at 09:00 UTC whatever has arrived, naming what is missing.",
    )
    return [daily_intake, deadline]


def _last_day(partitions: dg.DailyPartitionsDefinition, now: dt.datetime) -> str | None:
    """Return the last day that is over and within the calendar."""
    yesterday = (now.astimezone(dt.UTC) - dt.timedelta(days=1)).date().isoformat()
    return yesterday if partitions.has_partition_key(yesterday) else None


def judgement_sensors(intake: "AssetJob", judgement: "AssetJob") -> Sequence[dg.SensorDefinition]:
    """Return one sensor per way an intake run can end."""
    return [_sensor(status, intake, judgement) for status in ENDED]


def _sensor(
    status: DagsterRunStatus,
    intake: "AssetJob",
    judgement: "AssetJob",
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=f"judge_after_intake_{status.value.lower()}",
        monitored_jobs=[intake],
        request_job=judgement,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Judge and publish when intake ends as {status.value}.",
    )
    def judge_after_intake(
        context: dg.RunStatusSensorContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        if JUDGED_BY_COMMAND in run.tags:
            yield dg.SkipReason(f"`governance run` judges after {run.run_id} itself")
        else:
            yield dg.RunRequest(run_key=run.run_id, tags={"governance/after": run.run_id})

    return judge_after_intake
