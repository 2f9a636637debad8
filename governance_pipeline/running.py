"""`governance run`: the same jobs that the schedule launches, in this process, in the same log."""

import contextlib
import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from governance_pipeline.adapters import completeness, landing, registry_store
from governance_pipeline.adapters.home import COMMAND, dagster_instance, end_dead_runs
from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.defs import intake
from governance_pipeline.defs.automation import JUDGED_BY_COMMAND
from governance_pipeline.defs.build import build_definitions
from governance_pipeline.errors import GovernanceError, InputError
from governance_pipeline.progress import say
from governance_pipeline.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunReport:
    """How a run ended, and what on the way did not hold."""

    intake_run: str
    judgement_run: str
    failures: Sequence[str]
    failed_checks: Sequence[str]
    missing: Sequence[str]

    @property
    def succeeded(self) -> bool:
        """Whether every step ran; a check that does not hold is not a failed step."""
        return not self.failures


def run_range(settings: Settings, first: dt.date, last: dt.date) -> RunReport:
    """Take in the deliveries from `first` to `last`, build, judge and publish.

    Raises:
        InputError: If the range is empty or outside the home's calendar.
        LockedError: If another run writes to the home.
    """
    paths = settings.paths
    config = landing.load_sources(paths.governance_yaml)
    _check_range(config.calendar, first, last)
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    with writer_lock(paths, f"governance run {first} to {last}"), dagster_instance(paths) as log:
        end_dead_runs(log)
        registry_store.apply_or_keep(paths.registry, paths.lake)
        definitions = build_definitions(
            settings, config.calendar, registry_store.last_applied(paths.lake)
        )
        say(f"taking in deliveries of {first} to {last}")
        taken_in = _execute(
            definitions,
            "intake_and_marts",
            log,
            {
                ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
                ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
                JUDGED_BY_COMMAND: "true",
            },
            intake.selection(
                definitions.resolve_job_def("intake_and_marts"), days, config, paths.landing
            ),
        )
        say("judging every strategy")
        judged = _execute(definitions, "judge_and_publish", log, {})
    return RunReport(
        intake_run=taken_in.run_id,
        judgement_run=judged.run_id,
        failures=[*_failures(taken_in), *_failures(judged)],
        failed_checks=_failed_checks(taken_in),
        missing=completeness.missing_on(paths.lake, last),
    )


def _check_range(calendar: landing.Calendar, first: dt.date, last: dt.date) -> None:
    if first > last:
        raise InputError(f"the range {first} to {last} is empty; give the earlier date first")
    end = calendar.end or dt.datetime.now(dt.UTC).date()
    if first < calendar.start or last > end:
        raise InputError(
            f"{first} to {last} is outside the calendar {calendar.start} to {end}; "
            "change `calendar` in governance.yaml if those days exist"
        )


def _execute(
    definitions: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    selection: Sequence[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    # Dagster repeats every event on the console; people are told by `say`, the page keeps the rest.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    console = Path(instance.root_directory) / "console.log"
    with console.open("a") as log, contextlib.redirect_stdout(log):
        return definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            tags={COMMAND: "true", **tags},
            run_config=QUIET,
            raise_on_error=False,
            asset_selection=selection,
        )


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    said = []
    for event in result.all_events:
        if event.is_step_failure:
            said.append(f"{event.step_key}: {_sentence(event.step_failure_data.error)}")
    return said


def _sentence(error: object) -> str:
    """Return the innermost expected failure of a step, or the innermost message there is."""
    expected = {kind.__name__ for kind in _subclasses(GovernanceError)}
    messages = []
    while error is not None:
        name = getattr(error, "cls_name", "")
        message = str(getattr(error, "message", error)).strip()
        if name in expected:
            return message.removeprefix(message.split(":")[0] + ": ")
        messages.append(message)
        error = getattr(error, "cause", None)
    return messages[-1].splitlines()[0] if messages else "unknown"


def _subclasses(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(s for sub in kind.__subclasses__() for s in _subclasses(sub))]


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        f"{e.asset_key.to_user_string()}: {e.check_name}"
        for e in result.get_asset_check_evaluations()
        if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR
    ]
