"""What a process that will be killed runs; all it needs is imported before it is forked."""

import datetime as dt
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import dagster_dbt  # noqa: F401 - imported once for all that are forked
import dbt.cli.main  # noqa: F401
import great_expectations  # noqa: F401

from governance_pipeline.adapters.home import dagster_instance
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.adapters.registry_store import last_applied
from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.defs.build import build_definitions
from governance_pipeline.paths import Paths
from governance_pipeline.running import run_range
from governance_pipeline.settings import Settings
from tests.integration.deliveries import DAY, take_in
from tests.integration.worlds import days_of

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload([__name__])


def intake(root: Path, days: int) -> None:
    """Take in decisions and labels as a run does, under the writer's lock."""
    paths = Paths(root)
    with writer_lock(paths, "a test"):
        for feed in ("decisions", "audit_labels"):
            take_in(paths, [DAY + dt.timedelta(days=n) for n in range(days)], feed, run_id="r")


def whole_run(root: Path, _: int) -> None:
    """Run the first days of a market: intake, marts, judgement, snapshot."""
    days = days_of(1)
    report = run_range(Settings(home=root), days[0], days[-1])
    if not report.succeeded:
        sys.exit(str(report.failures))


def one_day(root: Path, number: int) -> None:
    """Take one day in as Dagster's daemon launches it, by its number."""
    paths = Paths(root)
    definitions = build_definitions(
        Settings(home=root), load_sources(paths.governance_yaml).calendar, last_applied(paths.lake)
    )
    with dagster_instance(paths) as log:
        done = definitions.resolve_job_def("intake_and_marts").execute_in_process(
            instance=log, partition_key=str(days_of(1)[number]), raise_on_error=False
        )
    if not done.success:
        sys.exit("the run failed")


def hold(root: Path, _: int) -> None:
    """Hold the writer's lock until killed."""
    with writer_lock(Paths(root), "another run"):
        time.sleep(600)


def start(what: Callable[[Path, int], None], root: Path, number: int) -> ForkServerProcess:
    """Start something in a process of its own."""
    process = FORKED.Process(target=_quietly, args=(what, root, number))
    process.start()
    return process


def run(what: Callable[[Path, int], None], root: Path, number: int = 0) -> float:
    """Run something to its end in a process of its own; return how long it took, in seconds."""
    began = time.monotonic()
    process = FORKED.Process(target=_quietly, args=(what, root, number))
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


def kill(what: Callable[[Path, int], None], root: Path, after: float, number: int = 0) -> bool:
    """Start something, kill it after so many seconds; return whether it was still running."""
    process = FORKED.Process(target=_quietly, args=(what, root, number))
    process.start()
    process.join(after)
    was_running = process.is_alive()
    assert process.pid is not None
    if was_running:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert was_running or process.exitcode == 0
    return was_running


def killed_at(what: Callable[[Path, int], None], root: Path, place: int, number: int = 0) -> bool:
    """Run something that is killed at a rename, every second time after it; return whether it was.

    Args:
        what: What to run.
        root: The home.
        place: Before which rename from 0 it dies if it is even, after which if it is odd.
        number: Handed on.
    """
    process = FORKED.Process(target=_dying, args=(what, root, place, number))
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


def _dying(what: Callable[[Path, int], None], root: Path, place: int, number: int) -> None:
    count = 0

    def dying(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(self: Path, target: Path) -> Path:
            nonlocal count
            if count == place // 2 and place % 2 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            done = move(self, target)
            if count == place // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return done

        return moved

    Path.replace = dying(Path.replace)  # type: ignore[method-assign, assignment]
    Path.rename = dying(Path.rename)  # type: ignore[method-assign, assignment]
    _quietly(what, root, number)


def _quietly(what: Callable[[Path, int], None], root: Path, number: int) -> None:
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    what(root, number)
    sys.stdout.flush()
    os._exit(0)
