"""What is paid without any row: an empty day, and a register of a thousand strategies."""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale import work
from benchmarks.scale.pairs import Worker
from governance_pipeline.paths import Paths
from governance_pipeline.running import run_range
from governance_pipeline.settings import Settings
from governance_pipeline.simulation.bulk import Bulk

STRATEGIES, FEW = 1_000, 50
FLEET = Bulk(120_000, dt.date(2026, 1, 1), 30, STRATEGIES)
SIZE = "1,000 strategies on 6 channels"
Add = Callable[[dict[str, Any], str], None]


def measure_days(add: Add, say: Callable[[str], None], home: Path) -> None:
    """Measure an empty day of a small home, cold and warm."""
    say("an empty day, cold and warm")
    last = max(path.name for path in Paths(home).landing.glob("decisions/*/*"))
    empty = dt.date.fromisoformat(last) + dt.timedelta(days=1)
    worker = Worker()
    worker.run(run_in_process, home, empty)
    command = [sys.executable, "-m", "governance_pipeline.cli", "--home", str(home), "run"]
    cold = children_cpu([*command, "--date", str(empty)], {})
    add({"row": "an empty day, cold, CPU s", "figure": round(cold, 1), "must": "<= 12",
         "holds": cold <= 12}, "nothing delivered")  # fmt: skip
    warm = worker.run(run_in_process, home, empty).cpu
    worker.close()
    add({"row": "an empty day, warm, CPU s", "figure": round(warm, 1), "must": "<= 5",
         "holds": warm <= 5}, "nothing delivered")  # fmt: skip


def measure_fleet(add: Add, say: Callable[[str], None], root: Path, *, is_reported: bool) -> None:
    """Measure how long many definitions take to load, and what a day's report of them takes."""
    say(f"a register of {STRATEGIES:,} strategies on six channels")
    worker = Worker()
    bulk = FLEET if is_reported else Bulk(1, FLEET.start, 1, STRATEGIES)
    worker.run(work.make_market, root, bulk)
    load = [sys.executable, "-c", "import governance_pipeline.definitions"]
    loaded = children_cpu(load, {"GOVERNANCE_HOME": str(root)})
    add({"row": "definitions of 1,000 strategies load, CPU s", "figure": round(loaded, 1),
         "must": "<= 6", "holds": loaded <= 6}, SIZE)  # fmt: skip
    if is_reported:
        worker.run(work.take_in, root, [FLEET.start + dt.timedelta(n) for n in range(FLEET.days)])
        worker.run(work.build, root)
        say("judging them")
        judged = worker.run(judge, root)
        say(f"{judged.cpu:.0f} CPU s; reporting a day of them")
        for changed, must in ((FEW, 15), (STRATEGIES, None)):
            worker.run(pretend_told, root, changed)
            told = worker.run(report, root)
            assert told.said == changed
            add({"row": f"a day's report of numbers and {changed:,} changed verdicts, s",
                 "figure": round(told.wall, 1), "must": f"< {must}" if must else "for scale",
                 "holds": must is None or told.wall < must,
                 "cpu_s": round(told.cpu, 1)}, SIZE)  # fmt: skip
    worker.close()


def run_in_process(home: Path, day: dt.date) -> None:
    """Run a day as the command line does."""
    run_range(Settings(home=home), day, day)


def judge(root: Path) -> None:
    """Judge every strategy."""
    from governance_pipeline.adapters.judging import judge_warehouse

    judge_warehouse(Paths(root))


def pretend_told(root: Path, changed: int) -> None:
    """Note that all was told but the newest day, and that some strategies' verdicts were others."""
    from governance_pipeline.adapters.judging import read_verdicts
    from governance_pipeline.defs.pages import verdict_pages

    told = {}
    for number, (name, page) in enumerate(verdict_pages(read_verdicts(Paths(root))).items()):
        said = {metric: verdict.said for metric, verdict in page.verdicts.items()}
        before = sorted(page.days["date"])[:-1]
        told[name] = {
            "through": f"{before[-1]:%Y-%m-%d}" if before else "2000-01-01",
            "said": {} if number < changed else said,
        }
    (Paths(root).dagster / "told.json").write_text(json.dumps(told))


def report(root: Path) -> int:
    """Report the newest judgement; return how many strategies' verdicts changed."""
    from governance_pipeline.adapters.home import dagster_instance
    from governance_pipeline.adapters.judging import read_verdicts
    from governance_pipeline.defs.reporting import report_strategies

    paths = Paths(root)
    with dagster_instance(paths) as log:
        return report_strategies(log, paths, read_verdicts(paths))


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
