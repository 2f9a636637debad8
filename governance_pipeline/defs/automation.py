"""Jobs, schedules, and the sensors: of what arrives, and of intake that ended, however it ended."""

import datetime as dt
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus

from governance_pipeline.adapters import arrivals
from governance_pipeline.adapters.arrivals import Looked
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.defs.intake import selection
from governance_pipeline.paths import Paths

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

JUDGED_BY_COMMAND = "governance/judged_by_command"
"""Tag of a run whose judgement the command line launches itself."""

LANE = "governance/lane"
"""Tag by which the queue of dagster.yaml lets one run at a time write, and one escalate."""

WRITES, ESCALATES = {LANE: "writer"}, {LANE: "desk"}

LOOK_SECONDS = 20
"""Between two looks at the landing folders: two of them and a start fit in a minute."""

ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def intake_job() -> "AssetJob":
    """Return the job that takes deliveries to marts; daily, and in one run over a range."""
    return dg.define_asset_job(
        "intake_and_marts",
        selection=dg.AssetSelection.groups(
            "registry", "quality", "staging", "intermediate", "marts"
        ),
        description="Take what was delivered to the marts; a range of days is one run.",
        tags=WRITES,
    )


def judgement_job() -> "AssetJob":
    """Return the job that judges and publishes; it selects no strategy check on purpose."""
    return dg.define_asset_job(
        "judge_and_publish",
        selection=dg.AssetSelection.groups("accuracy", "escalations", "publish"),
        description="Judge every strategy, report on its page, escalate, publish a snapshot.",
        tags=WRITES,
    )


def escalate_job() -> "AssetJob":
    """Return the job of clocks, reminders, results and messages."""
    return dg.define_asset_job(
        "escalate",
        selection=dg.AssetSelection.groups("escalations"),
        description="Let time pass for every escalation, and send what is due.",
        tags=ESCALATES,
    )


def schedules(
    intake: "AssetJob",
    judgement: "AssetJob",
    partitions: dg.DailyPartitionsDefinition,
    paths: Paths,
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
        assert context.repository_def is not None
        came = selection(
            context.repository_def.get_job(intake.name),
            [dt.date.fromisoformat(day)],
            load_sources(paths.governance_yaml),
            paths.landing,
        )
        return dg.RunRequest(run_key=day, partition_key=day, asset_selection=came)

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


def arrival_sensor(
    intake: "AssetJob", partitions: dg.DailyPartitionsDefinition, paths: Paths
) -> dg.SensorDefinition:
    """Return the sensor that takes in what arrives in the landing folders, each state once."""

    @dg.sensor(
        name="take_in_what_arrived",
        job=intake,
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Take in a delivery once two looks found its files alike, at most a minute"
        " after they came; a file written anew starts its day again.",
    )
    def take_in_what_arrived(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = Looked.model_validate_json(context.cursor) if context.cursor else Looked()
        now, complete = arrivals.look(
            paths.lake, paths.landing, before, time.time_ns(), set(partitions.get_partition_keys())
        )
        requests = []
        if complete and context.repository_def is not None:
            layer = context.repository_def.get_job(intake.name).asset_layer
            assert layer is not None
            requests = [
                _requested(date, found, layer.executable_asset_keys)
                for date, found in complete.items()
            ]
        return dg.SensorResult(run_requests=requests, cursor=now.model_dump_json())

    return take_in_what_arrived


def _requested(
    date: str, found: Mapping[str, str], executable: Iterable[dg.AssetKey]
) -> dg.RunRequest:
    """Return the run that takes in what came for a date, and leaves alone what did not."""
    own = {dg.AssetKey(["accepted", *asset.split("/")]) for asset in found}
    return dg.RunRequest(
        run_key=f"{date} {hashlib.sha256(repr(found).encode()).hexdigest()[:16]}",
        partition_key=date,
        asset_selection=[k for k in executable if k.path[0] != "accepted" or k in own],
        tags={"governance/arrived": ", ".join(found)},
    )


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
