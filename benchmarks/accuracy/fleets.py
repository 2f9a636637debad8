"""Row 8: a fleet of 400 in which a few drift, under e-BH, with labels that follow the evidence."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.monitors import first_day
from benchmarks.accuracy.results import Part, Row, Size
from benchmarks.accuracy.streams import at_drop, binormal_scores, draw, scored_world
from governance_pipeline.domain.betting import Claims, log_bets
from governance_pipeline.domain.drift import accumulate, weekly_starts
from governance_pipeline.domain.fleet import FALSE_DISCOVERY_RATE, reject_over_time, slots_for
from governance_pipeline.domain.gates import build_gates
from governance_pipeline.domain.intervals import Booleans, Floats, Integers

STRATEGIES, DAYS, LABELS = 400, 240, 50
# One delay for all, so that what arrives on a day is known to belong to one cohort.
LAG = 3
# Everybody is asked 25 labels a day; the rest of the budget goes where evidence rises.
BASE = 25.0
MOST = 200.0


def fleet_bets(day: Integers, precision: float, rng: np.random.Generator) -> Floats:
    """Return log E of both parts of everybody's labels, shape (days, 2, strategies, lams).

    The first part are the labels that all are asked, the second those that some are asked on top:
    independent draws with known probabilities, so their bets multiply. Each is bet on as a pool.

    Args:
        day: First day of each strategy's drop from .90, shape (strategies,).
        precision: What it drops to.
        rng: Of this fleet.
    """
    scores = binormal_scores(0.1, 0.9)
    after = scores.shifted_to(1 - precision)
    found = []
    for labels in (BASE, MOST - BASE):
        rates = at_drop(scores.error_rate, after, day, DAYS)
        lags = np.tile(np.arange(LAG + 1) == LAG, (2, 1)).astype(float)
        world = scored_world(DAYS, scores, rates, labels, lags, planned=True)
        stream = draw(world, len(day), rng)
        levels = np.full((DAYS, len(day), 2), np.nan)
        levels[:, :, 0] = 0.9
        claims = Claims(("precision", "recall"), levels)
        gates = build_gates(stream.cohorts, 0)
        bets, _ = log_bets(stream.design, stream.labels, stream.cohorts, gates, claims)
        found.append(bets[:, :, 0])
    return np.stack(found, axis=1)


def follow(bets: Floats, slots: int, *, is_adaptive: bool) -> tuple[Floats, Floats]:
    """Return e-values and labels a day, (days, strategies), where labels follow past evidence.

    Every day half of the budget goes to the strategies with the highest e-values of the day
    before, 200 labels each, but for those so sure to be rejected that more labels decide nothing.
    Without it, everybody is asked as much: by chance in the same two parts.
    """
    days, _, series, lams = bets.shape
    many = int(series * (LABELS - BASE) / (MOST - BASE))
    never = np.zeros((days, series), dtype=bool)
    starts = weekly_starts(np.zeros(series, dtype=np.int64), never)
    e_values = np.ones((days, series))
    asked = np.zeros((days, series), dtype=bool)
    arrived = np.zeros((days, series, lams))
    for day in range(days):
        if is_adaptive and day:
            value = e_values[day - 1]
            rank = np.where(value >= slots / FALSE_DISCOVERY_RATE, -1.0, value)
            asked[day, np.argsort(-rank, kind="stable")[:many]] = True
        else:
            asked[day] = np.arange(series) % series < many
            asked[day] = np.roll(asked[day], day * many)
        arrived[day] = bets[day, 0]
        if day >= LAG:
            arrived[day] += np.where(asked[day - LAG][:, None], bets[day, 1], 0.0)
        upto = slice(0, day + 1)
        if is_adaptive:
            e_values[day] = accumulate(arrived[upto], starts[upto], never[upto]).e_value[-1]
    if not is_adaptive:
        e_values = accumulate(arrived, starts, never).e_value
    return e_values, BASE + asked * (MOST - BASE)


def one_fleet(
    share: float, precision: float, rng: np.random.Generator, *, is_adaptive: bool
) -> tuple[float, Integers]:
    """Return the false discovery proportion at the end, and the days to find what drifted."""
    drifting = int(share * STRATEGIES)
    day = np.full(STRATEGIES, DAYS)
    day[:drifting] = rng.integers(60, DAYS - 60, drifting)
    slots = slots_for(STRATEGIES)
    e_values, _ = follow(fleet_bets(day, precision, rng), slots, is_adaptive=is_adaptive)
    rejected, _ = reject_over_time(e_values, slots)
    found = first_day(rejected)
    is_false: Booleans = found < day
    hits = (found < DAYS).sum()
    waits = np.where(is_false[:drifting], -1, found[:drifting] - day[:drifting])
    return float((is_false & (found < DAYS)).sum() / max(hits, 1)), waits[waits >= 0]


def fleet(size: Size) -> Row:
    """Row 8: 2% and 10% drifting, drops of 10 and 5 points, 50 labels a day on average."""
    parts = []
    proportions: dict[float, list[float]] = {0.02: [], 0.1: []}
    medians: dict[int, list[float]] = {10: [], 5: []}
    for points, must in ((10, 7), (5, 15)):
        for share in (0.02, 0.1):
            for is_adaptive in (True, False):
                false, waits = [], []
                for index in range(size.fleets if is_adaptive else max(1, size.fleets // 4)):
                    rng = np.random.default_rng([size.seed, 8, points, int(share * 100), index])
                    one, found = one_fleet(share, 0.9 - points / 100, rng, is_adaptive=is_adaptive)
                    false.append(one)
                    waits.append(found)
                how = "adaptive" if is_adaptive else "even"
                case = f"{points} points, {share:.0%} drift, {how} labels"
                median = float(np.median(np.concatenate(waits)))
                parts.append(
                    Part(f"{case}: false discovery proportion", float(np.mean(false)), high=0.05)
                )
                parts.append(Part(f"{case}: median", median, high=must if is_adaptive else np.inf))
                if is_adaptive:
                    proportions[share] += false
                    medians[points].append(median)
    shares = [float(np.mean(values)) for values in proportions.values()]
    return Row(
        8,
        "a fleet of 400 under e-BH",
        f"false discovery proportion {shares[0]:.3f} / {shares[1]:.3f} at 2% / 10% drifting; "
        f"medians {medians[10][0]:g} / {medians[10][1]:g} days for 10 points, "
        f"{medians[5][0]:g} / {medians[5][1]:g} for 5",
        "false discovery proportion at most .05; medians at most 7 and 15 days, adaptive labels",
        parts,
        ".011-.015; 6; 15.4",
        f"240 days, q = .1, 50 labels a day on average, score AUC .9, level and healthy precision "
        f".90, verdicts after {LAG} days; half the budget follows the e-values of the day before.",
    )
