"""Two processes that take turns: ours and its reference, each measured while it works."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from governance_pipeline.cli import collect_rarely


@dataclass(frozen=True)
class Cost:
    """What a piece of work cost: seconds, megabytes, and what it answered."""

    cpu: float
    wall: float
    peak_mb: float
    said: Any = None


class Worker:
    """A process of its own, so that imports are paid once and its memory is only its own."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_as_the_command
        )

    def run(self, work: Callable[..., Any], *arguments: Any) -> Cost:
        """Do a piece of work there and return what it cost."""
        return self._pool.submit(_measured, work, *arguments).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _as_the_command() -> None:
    logging.disable(logging.WARNING)
    collect_rarely()


def _measured(work: Callable[..., Any], *arguments: Any) -> Cost:
    # 5 resets what the kernel remembers as the most memory held.
    Path("/proc/self/clear_refs").write_text("5")
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    said = work(*arguments)
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    return Cost(cpu, wall, peak, said)


@dataclass(frozen=True)
class Ratio:
    """How often as much one thing cost as another, over pairs taken in turns."""

    ours: list[Cost]
    theirs: list[Cost]
    fixed: float = 0.0
    """CPU s that ours costs whatever there is to count, taken off first."""

    @property
    def cpu(self) -> list[float]:
        """The CPU ratio of each pair, ascending."""
        return sorted(
            (o.cpu - self.fixed) / t.cpu for o, t in zip(self.ours, self.theirs, strict=True)
        )

    @property
    def wall(self) -> list[float]:
        """The wall-clock ratio of each pair, ascending."""
        return sorted(o.wall / t.wall for o, t in zip(self.ours, self.theirs, strict=True))

    @property
    def peak_mb(self) -> float:
        """The most memory that ours held."""
        return max(cost.peak_mb for cost in self.ours)

    def record(self, row: str, most: float) -> dict[str, Any]:
        """Return the row as it is written to the results."""
        return {
            "row": row,
            "figure": round(median(self.cpu), 3),
            "must": f"<= {most}",
            "holds": median(self.cpu) <= most,
            "cpu_ratio": _summary(self.cpu),
            "wall_ratio": _summary(self.wall),
            "cpu_s": round(median(c.cpu for c in self.ours), 2),
            "fixed_cpu_s": round(self.fixed, 2),
            "reference_cpu_s": round(median(c.cpu for c in self.theirs), 2),
            "peak_mb": round(self.peak_mb),
            "reference_peak_mb": round(max(c.peak_mb for c in self.theirs)),
            "pairs": len(self.ours),
        }


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(median(values), 3),
        "least": round(values[0], 3),
        "most": round(values[-1], 3),
    }


def take_turns(
    ours: Callable[[], Cost], theirs: Callable[[], Cost], pairs: int, fixed: float = 0.0
) -> Ratio:
    """Measure both in turns, so that what the machine does meanwhile hits both."""
    left, right = [], []
    for _ in range(pairs):
        left.append(ours())
        right.append(theirs())
    return Ratio(left, right, fixed)
