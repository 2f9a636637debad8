"""Making a home: its folders, its calendar, its secret, its Dagster instance, its register."""

import datetime as dt
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths

COMMAND = "governance/command"
"""Tag of a run that the command line executes in its own process."""

EXAMPLE_REGISTRY = Path(__file__).resolve().parents[1] / "registry" / "example"

GOVERNANCE_YAML = """\
# The calendar of this home: the first delivery date, and the last one if there is one.
calendar:
  start: {start}
{end}
# What the gmv of every feed is counted in; leave it out if all markets have one currency.
reporting_currency: {currency}
# Where deliveries come from. Without an entry a feed is read from
# landing/<feed>/<channel>/<YYYY-MM-DD>/*; docs/bring-your-own-logs.md shows the others.
sources: []
"""

DAGSTER_YAML = """\
# No address is called and no dialog covers the page. Runs of a lane wait for each other: one writes
# to the home, and one lets time pass for the escalations beside it, however long a backfill takes.
telemetry: {enabled: false}
nux: {enabled: false}
run_monitoring: {enabled: true}
concurrency:
  runs:
    max_concurrent_runs: 10
    tag_concurrency_limits:
    - {key: governance/lane, limit: 1, value: {applyLimitPerUniqueValue: true}}
event_log_storage:
  module: governance_pipeline.adapters.event_log
  class: CachedSqliteEventLogStorage
  config:
    base_dir: {env: DAGSTER_HOME}
"""


def make_home(
    paths: Paths,
    start: dt.date,
    end: dt.date | None = None,
    *,
    sampling_key: str | None = None,
    currency: str = "USD",
    example: bool = False,
) -> None:
    """Make what a home lacks; nothing that is there is overwritten.

    Args:
        paths: The home to make.
        start: First delivery date of the calendar.
        end: Last delivery date, or none.
        currency: What gmv is counted in, an ISO 4217 code.
        sampling_key: Secret of the audit draw; a random one where none is given.
        example: Whether to start from the example market's registry.
    """
    for folder in (paths.landing, paths.lake, paths.published, paths.dagster):
        folder.mkdir(parents=True, exist_ok=True)
    ending = f"  end: {end}\n" if end else ""
    filled = GOVERNANCE_YAML.format(start=start, end=ending, currency=currency)
    _write_once(paths.governance_yaml, filled)
    _write_once(paths.dagster / "dagster.yaml", DAGSTER_YAML)
    if not paths.sampling_key.exists():
        paths.sampling_key.touch(mode=0o600)
        paths.sampling_key.write_text(sampling_key or secrets.token_hex(32))
    if not paths.registry.exists():
        if example:
            shutil.copytree(EXAMPLE_REGISTRY, paths.registry)
        else:
            (paths.registry / "strategies").mkdir(parents=True)


def remove_demo(paths: Paths) -> None:
    """Delete the home that an earlier demo made; a home of anybody else is left alone.

    Raises:
        InputError: If the home was not made by a demo.
    """
    if not paths.root.exists() or not any(paths.root.iterdir()):
        return
    if not marker(paths).exists():
        raise InputError(
            f"{paths.root} holds a pipeline that is not a demo; "
            "point GOVERNANCE_HOME or --home at another folder"
        )
    shutil.rmtree(paths.root)


def marker(paths: Paths) -> Path:
    """Return the file that says a home was made by the demo."""
    return paths.root / "made-by-demo"


@contextmanager
def dagster_instance(paths: Paths) -> Iterator[dg.DagsterInstance]:
    """Open the home's Dagster instance, the same one that the web server shows."""
    config = paths.dagster / "dagster.yaml"
    if not config.exists():
        raise InputError(f"{paths.root} is not a home yet; run `governance init` first")
    os.environ["DAGSTER_HOME"] = str(paths.dagster)
    with dg.DagsterInstance.from_config(str(paths.dagster)) as instance:
        yield instance


def end_dead_runs(log: dg.DagsterInstance) -> None:
    """Say of runs of the command line that were killed that they failed; they would queue others.

    Such a run holds the writer's lock for as long as it lives, so only who holds it may ask.
    """
    alive = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED]
    for run in log.get_runs(dg.RunsFilter(statuses=alive, tags={COMMAND: "true"})):
        log.report_run_failed(run, "its process was killed; running the days again repairs them")


def _write_once(file: Path, text: str) -> None:
    if not file.exists():
        file.write_text(text, encoding="utf-8")
