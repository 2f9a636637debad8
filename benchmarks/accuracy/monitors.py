"""Who watches the streams: the product, the usual rules, and one who never says a word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.streams import Stream
from governance_pipeline.domain.accuracy import estimate
from governance_pipeline.domain.baseline import FAST_LABELS, FAST_MARGIN, frozen_on
from governance_pipeline.domain.betting import REFERENCE_DAYS, Claims, log_bets
from governance_pipeline.domain.detecting import evidence_of
from governance_pipeline.domain.gates import build_gates
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import BINS
from governance_pipeline.domain.tallies import Tallies, Weights

MODES = ("goal", "baseline", "baseline_fast")
ALARM = {"goal": 20.0, "baseline": 40.0, "baseline_fast": 20.0}
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Watched:
    """e-values by mode, each (days, pools), and whether a cohort was bet on once."""

    e_values: dict[str, Floats]
    is_once: Booleans

    def alarms(self, mode: str) -> Integers:
        """Return the first day with an alarm of each pool, the number of days for never."""
        return first_day(self.e_values[mode] >= ALARM[mode])


def first_day(is_alarm: Booleans) -> Integers:
    """Return the index of the first true of each column, the number of rows for none."""
    return np.where(is_alarm.any(axis=0), is_alarm.argmax(axis=0), len(is_alarm))


def watch(stream: Stream, metric: str, goal: float, modes: tuple[str, ...] = MODES) -> Watched:
    """Bet against one metric's goal level and baselines as `detect` does, from the first day.

    Args:
        stream: Pools to watch.
        metric: `precision` or `recall`.
        goal: m, the goal less its tolerance.
        modes: Which of `MODES` to bet on; `goal` is always the first.
    """
    gates = build_gates(stream.cohorts, 0)
    shape = stream.cohorts.population.shape
    nothing = np.full(shape, np.nan)
    of_goal = np.full(shape, goal)
    pair = (of_goal, nothing) if metric == "precision" else (nothing, of_goal)
    names, levels = ["precision", "recall"], list(pair)
    if len(modes) > 1:
        slow, fast = baselines(stream, metric)
        for mode in modes[1:]:
            names.append(metric)
            levels.append(slow if mode == "baseline" else fast)
    claims = Claims(tuple(names), np.stack(levels, axis=2))
    bets, is_once = log_bets(stream.design, stream.labels, stream.cohorts, gates, claims)
    own, _ = evidence_of(bets, claims.levels, gates, is_once)
    found = {"goal": own.e_value[:, :, 0 if metric == "precision" else 1]}
    for at, mode in enumerate(modes[1:], start=2):
        found[mode] = np.nan_to_num(own.e_value[:, :, at], nan=1.0)
    return Watched(found, is_once)


def baselines(stream: Stream, metric: str) -> tuple[Floats, Floats]:
    """Return the levels of `baseline` and `baseline_fast`, (days, pools), as `baseline_levels`."""
    days, pools = stream.cohorts.population.shape
    every, begins = np.arange(pools), np.zeros(pools, dtype=np.int64)
    frozen = frozen_on(stream.cohorts, begins, every, days)
    labels = stream.labels
    keep = (labels.day < REFERENCE_DAYS) & (labels.known <= frozen[labels.pool])
    tallies = tally(stream, keep, slice(0, REFERENCE_DAYS))
    found = estimate(tallies)[metric]
    counted = tallies.labelled
    if metric == "precision":
        counted = np.where(tallies.is_fired, counted, 0.0)
    holds = np.arange(days)[:, None] > frozen
    low = np.where(found.low > 0, found.low, np.nan)
    is_enough = (counted.sum(axis=1) >= FAST_LABELS) & (found.value > FAST_MARGIN)
    fast = np.where(is_enough, found.value - FAST_MARGIN, np.nan)
    return np.where(holds, low, np.nan), np.where(holds, fast, np.nan)


def tally(stream: Stream, keep: Booleans, days: slice) -> Tallies:
    """Return tallies of some labels and days, a row per pool and a stratum per cell."""
    labels, cells = stream.labels, stream.world.cells
    shape = (stream.drawn.shape[1], len(cells))
    place = np.full(2 * BINS, -1)
    place[cells] = np.arange(len(cells))
    at = (labels.pool * len(cells) + place[labels.cell])[keep]
    is_fired = np.broadcast_to(cells < BINS, shape)
    w, count = 1 / labels.probability[keep], labels.count[keep]
    should_fire = count * (labels.is_event[keep] != (labels.cell[keep] < BINS))

    def summed(values: Floats) -> Floats:
        return np.bincount(at, values, minlength=shape[0] * shape[1]).astype(float).reshape(shape)

    weights = Weights(
        summed(w * count), summed(w**2 * count), summed(w * should_fire), summed(w**2 * should_fire)
    )
    population = np.broadcast_to(stream.world.population, stream.drawn.shape)[days].sum(axis=0)
    return Tallies(population, summed(count), summed(should_fire), is_fired, weights)


def weekly(counts: Integers) -> Floats:
    """Return sums over whole weeks, shape (weeks, pools), of daily counts (days, pools)."""
    weeks = len(counts) // 7
    return counts[: weeks * 7].reshape(weeks, 7, -1).sum(axis=1).astype(float)


def weekly_z_test(labels: Integers, errors: Integers, goal: float) -> Booleans:
    """Return where a week's precision is below the goal, z-test at two-sided 5%, (days, pools)."""
    n, k = weekly(labels), weekly(errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (1 - k / n - goal) / np.sqrt(goal * (1 - goal) / n)
    return _on_days(z < -Z_95, len(labels))


def three_sigma(labels: Integers, errors: Integers, goal: float) -> Booleans:
    """Return the days under the mean less 3 standard deviations of a day's precision."""
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = goal - 3 * np.sqrt(goal * (1 - goal) / labels)
        return np.asarray(1 - errors / labels < limit)


def week_over_week(labels: Integers, errors: Integers, _goal: float) -> Booleans:
    """Return the weeks whose precision is 5 points below the week before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = 1 - weekly(errors) / weekly(labels)
    fell = np.zeros(precision.shape, dtype=bool)
    fell[1:] = precision[1:] <= precision[:-1] - 0.05
    return _on_days(fell, len(labels))


def _on_days(is_alarm: Booleans, days: int) -> Booleans:
    """Return a week's alarm on its last day."""
    found = np.zeros((days, is_alarm.shape[1]), dtype=bool)
    found[6 : len(is_alarm) * 7 : 7] = is_alarm
    return found


def never(labels: Integers, _errors: Integers, _goal: float) -> Booleans:
    """Return no alarm at all: what keeps false alarms at 0 and finds nothing."""
    return np.zeros(labels.shape, dtype=bool)


USUAL = {
    "weekly z-test": weekly_z_test,
    "mean - 3 sd, daily": three_sigma,
    "fell 5 points in a week": week_over_week,
    "never alarms": never,
}
