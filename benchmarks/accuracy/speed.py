"""Row 9: what the statistics cost, in CPU seconds and in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.results import Part, Row, Size
from governance_pipeline.domain.accuracy import estimate
from governance_pipeline.domain.betting import Claims, Design, Labels, log_bets
from governance_pipeline.domain.cohorts import Cohorts
from governance_pipeline.domain.detecting import evidence_of
from governance_pipeline.domain.drift import accumulate, weekly_starts
from governance_pipeline.domain.fleet import reject_over_time, slots_for
from governance_pipeline.domain.gates import build_gates
from governance_pipeline.domain.tallies import Tallies, Weights

STRATEGIES, DAYS, STRATA = 1_000, 365, 12
LANES, BLOCK = 3_000 * 6, 100
ONE_CORE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def best_of(times: int, work: Callable[[], object]) -> float:
    """Return the least CPU seconds of a few runs: what a quiet core takes."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def evidence_seconds(seed: int) -> float:
    """Return the CPU seconds of evidence and e-BH: 1,000 strategies x 365 days x 2 metrics."""
    series = 2 * STRATEGIES
    bets = np.random.default_rng([seed, 9]).normal(-0.01, 0.15, (DAYS, series, 4))
    never = np.zeros((DAYS, series), dtype=bool)

    def work() -> None:
        starts = weekly_starts(np.zeros(series, dtype=np.int64), never)
        reject_over_time(accumulate(bets, starts, never).e_value, slots_for(series))

    return best_of(3, work)


def interval_seconds(seed: int) -> float:
    """Return the CPU seconds of 365 daily estimates of 1,000 strategies in 12 strata."""
    rng = np.random.default_rng([seed, 9, 1])
    shape = (STRATEGIES, STRATA)
    population = np.full(shape, 50_000.0)
    is_fired = np.broadcast_to(np.arange(STRATA) < STRATA // 2, shape)
    days = []
    for _ in range(DAYS):
        labelled = rng.integers(50, 300, shape).astype(float)
        events = rng.binomial(labelled.astype(np.int64), 0.3).astype(float)
        weights = Weights(labelled * 200, labelled * 4e4, events * 200, events * 4e4)
        days.append(Tallies(population, labelled, events, is_fired, weights))
    return best_of(2, lambda: [estimate(tallies) for tallies in days])


def run_blocks(lanes: int) -> dict[str, float]:
    """Run bets, evidence and daily intervals over blocks of lanes, then e-BH over all of them.

    Between blocks only the evidence is kept, so a block bounds the memory.
    """
    begin = time.process_time()
    # Half the digits are enough to rank by.
    e_values: Any = np.empty((DAYS, lanes * 2), dtype=np.float32)
    for block, first in enumerate(range(0, lanes, BLOCK)):
        count = min(BLOCK, lanes - first)
        rng = np.random.default_rng([9, 2, block])
        shape = (DAYS, count, STRATA)
        design, labels, cohorts, counts = _block(shape, rng)
        levels = np.broadcast_to(np.array([0.88, 0.68]), (DAYS, count, 2)).copy()
        gates = build_gates(cohorts, 0)
        claims = Claims(("precision", "recall"), levels)
        bets, is_once = log_bets(design, labels, cohorts, gates, claims)
        own, _ = evidence_of(bets, levels, gates, is_once)
        e_values[:, 2 * first : 2 * (first + count)] = own.e_value.reshape(DAYS, -1)
        _intervals(counts)
    slots = slots_for(lanes * 2)
    reject_over_time(e_values, slots)
    return {
        "peak_mb": _peak_mb(),
        "cpu_s": time.process_time() - begin,
    }


def _peak_mb() -> float:
    # The kernel's rusage would also count what the parent held when it forked.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _block(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Design, Labels, Cohorts, tuple[np.ndarray, ...]]:
    days, lanes, strata = shape
    population = np.broadcast_to(np.where(np.arange(strata) < strata // 2, 200.0, 4_000.0), shape)
    rate = np.broadcast_to(np.where(np.arange(strata) < strata // 2, 0.1, 0.01), shape)
    probability = 4.0 / population
    drawn = rng.binomial(population.astype(np.int64), probability)
    errors = rng.binomial(drawn, rate)
    cell = np.where(np.arange(strata) < strata // 2, np.arange(strata), 21 + np.arange(strata))
    at = [axis.ravel() for axis in np.indices(shape)]
    design = Design(
        at[0], at[1], cell[at[2]], population.ravel(), (population * probability).ravel(),
        probability.ravel(), drawn.ravel().astype(float),
    )  # fmt: skip
    told = np.stack([drawn - errors, errors], axis=-1)
    day, lane, stratum, event = np.nonzero(told)
    labels = Labels(
        day, day, lane, cell[stratum], probability[day, lane, stratum], event == 1,
        told[day, lane, stratum, event].astype(float),
    )  # fmt: skip
    own = np.broadcast_to(np.arange(days)[:, None], (days, lanes))
    version = np.zeros((days, lanes), dtype=np.int64)
    cohorts = Cohorts(population.sum(axis=2), drawn.sum(axis=2).astype(float), own, version)
    return design, labels, cohorts, (population, drawn, errors)


def _intervals(counts: tuple[np.ndarray, ...]) -> None:
    """Estimate every day's 28-day window of a block."""
    population, drawn, errors = counts
    is_fired = np.broadcast_to(np.arange(STRATA) < STRATA // 2, population.shape[1:])
    for day in range(DAYS):
        window = slice(max(0, day - 27), day + 1)
        units, n, k = (v[window].sum(axis=0).astype(float) for v in (population, drawn, errors))
        estimate(Tallies(units, n, np.where(is_fired, n - k, k), is_fired))


def costs(size: Size) -> Row:
    """Row 9: evidence and intervals of 1,000 strategies, memory of 18,000 lanes."""
    evidence, intervals = evidence_seconds(size.seed), interval_seconds(size.seed)
    lanes = LANES // 18 if size.is_quick else LANES
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.accuracy.speed", str(lanes)],
        check=True, capture_output=True, text=True,
        env={**os.environ, **dict.fromkeys(ONE_CORE, "1")},
    )  # fmt: skip
    used = json.loads(child.stdout)
    return Row(
        9,
        "cost of the statistics, one core",
        f"evidence and e-BH {evidence:.2f} s; daily intervals {intervals:.2f} s; peak "
        f"{used['peak_mb']:.0f} MB for {lanes:,} lanes x 365 days x 12 strata "
        f"({used['cpu_s']:.0f} CPU s)",
        "under 0.6 s and under 5 s for 1,000 strategies x 365 days; under 500 MB for 18,000 lanes",
        [
            Part("evidence and e-BH, 2 metrics, CPU s", evidence, high=0.6),
            Part("daily intervals, 5 metrics in 12 strata, CPU s", intervals, high=5.0),
            Part(f"peak MB, {lanes:,} lanes in blocks of {BLOCK}", used["peak_mb"], high=500.0),
            Part(f"bets, evidence and intervals of {lanes:,} lanes, CPU s", used["cpu_s"]),
        ],
        "0.45 s; 4.3 s",
        "CPU seconds, the best of a few runs. Lanes are 3,000 strategies on 6 channels.",
    )


if __name__ == "__main__":
    print(json.dumps(run_blocks(int(sys.argv[1]))))
