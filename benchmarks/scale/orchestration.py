"""What is paid without any row: an empty day, and a register of a thousand strategies."""

from __future__ import annotations

import datetime as dt
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale.pairs import Worker
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.paths import Paths
from governance_pipeline.running import run_range
from governance_pipeline.settings import Settings
from governance_pipeline.simulation.bulk import Bulk, write_bulk_registry

STRATEGIES = 1_000


def measure(
    add: Callable[[dict[str, Any], str], None],
    say: Callable[[str], None],
    home: Path,
    place: Path,
) -> None:
    """Measure an empty day of a small home, and how long many definitions take to load."""
    say("an empty day, cold and warm")
    last = max(path.name for path in Paths(home).landing.glob("decisions/*/*"))
    empty = dt.date.fromisoformat(last) + dt.timedelta(days=1)
    run_in_process(home, empty)
    command = [sys.executable, "-m", "governance_pipeline.cli", "--home", str(home), "run"]
    cold = children_cpu([*command, "--date", str(empty)], {})
    add({"row": "an empty day, cold, CPU s", "figure": round(cold, 1), "must": "<= 12",
         "holds": cold <= 12}, "nothing delivered")  # fmt: skip
    worker = Worker()
    worker.run(run_in_process, home, empty)
    warm = worker.run(run_in_process, home, empty).cpu
    worker.close()
    add({"row": "an empty day, warm, CPU s", "figure": round(warm, 1), "must": "<= 5",
         "holds": warm <= 5}, "nothing delivered")  # fmt: skip
    say(f"a register of {STRATEGIES:,} strategies on six channels")
    many = Paths(place / "many")
    write_bulk_registry(many.registry, Bulk(1, empty, 1, STRATEGIES))
    make_home(many, empty)
    apply_registry(many.registry, many.lake, empty)
    load = [sys.executable, "-c", "import governance_pipeline.definitions"]
    loaded = children_cpu(load, {"GOVERNANCE_HOME": str(many.root)})
    add({"row": "definitions of 1,000 strategies load, CPU s", "figure": round(loaded, 1),
         "must": "<= 6", "holds": loaded <= 6}, "1,000 strategies on 6 channels")  # fmt: skip


def run_in_process(home: Path, day: dt.date) -> None:
    """Run a day as the command line does."""
    run_range(Settings(home=home), day, day)


def children_cpu(command: list[str], variables: dict[str, str]) -> float:
    """Return the CPU seconds of a command, imports and all."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
