"""`python -m benchmarks.intake.work NAME HOME`: do one piece of work and print what it cost."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.intake import references
from benchmarks.intake.files import delivered, partitions
from benchmarks.intake.references import cpu
from governance_pipeline.adapters import committing, intake
from governance_pipeline.adapters.suites import load_suite
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.paths import Paths
from governance_pipeline.settings import EXPECTATIONS

PHASES = {
    "fingerprint": (intake, "_plan"),
    "read": (intake, "stage"),
    "validate": (intake.expectations, "evaluate"),
    "judge": (intake.verdicts, "judge"),
    "confirm": (intake.verdicts, "confirm"),
    "observe": (intake.set_rules, "observe"),
    "judge_sets": (intake.set_rules, "judge"),
    "lines": (committing, "find_lines"),
    "write": (intake, "commit_partitions"),
}


def peak_mb() -> float:
    """Return the most memory this process ever held; the kernel's rusage counts its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def whole_intake(paths: Paths, days: int) -> dict[str, float]:
    """Take everything in; return the CPU seconds of each phase."""
    spent = dict.fromkeys(PHASES, 0.0)

    def timed(phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began, before = cpu(), sum(spent.values())
            try:
                return work(*args, **kwargs)
            finally:  # less what phases within it took
                spent[phase] += cpu() - began - (sum(spent.values()) - before)

        return run

    for phase, (module, name) in PHASES.items():
        setattr(module, name, timed(phase, getattr(module, name)))
    every_day = sorted({day for _, day in partitions(days)})
    # What Great Expectations takes to be imported is the process's, whatever it judges.
    intake.expectations.import_once()
    made = intake.intake_range(
        "decisions", CHANNELS, every_day, paths=paths, sources=[], run_id="bench",
    )  # fmt: skip
    refused = [m.refusal for m in made if m.state != "accepted"]
    if refused:
        raise SystemExit(f"a delivery was refused: {refused[0]}")
    return {**spent, "rows": sum(m.rows_accepted for m in made)}


def main(name: str, home: str, days: int) -> None:
    """Do one piece of work on a home."""
    paths = Paths(Path(home))
    files = delivered(paths)
    suite = load_suite(EXPECTATIONS / "decisions.yaml")
    said: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=home) as out:
        began = cpu()
        if name == "intake":
            said = whole_intake(paths, days)
        elif name == "bare":
            references.read_and_write(files, Path(files[0]).suffix[1:], Path(out))
        elif name == "validate":
            said = {"broken": sum(references.validate_by_hand(files, suite).values())}
        elif name == "draw":
            references.draw_by_hand(files, Path(out))
        elif name == "pandas":
            said = references.validate_on_pandas(files, suite)
        print(json.dumps({"cpu": cpu() - began, "peak_mb": peak_mb(), **said}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
