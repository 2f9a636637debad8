"""Row 10: how steady the status of a steady strategy is, from its labels to the word shown."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.monitors import watch
from benchmarks.accuracy.results import Part, Row, Size, chunks
from benchmarks.accuracy.streams import Stream, draw, precision_world, same_lags
from governance_pipeline.domain.accuracy import Estimate, estimate
from governance_pipeline.domain.cohorts import WINDOW
from governance_pipeline.domain.fleet import reject_over_time
from governance_pipeline.domain.intervals import Floats, Integers
from governance_pipeline.domain.status import HEALTHY, Codes, History, replay
from governance_pipeline.domain.tallies import Tallies

FIRST, YEAR = 60, 365
DAYS = FIRST + YEAR


def known_counts(stream: Stream) -> tuple[Floats, Floats]:
    """Return labels and errors by cohort day, lag and pool, both (days, lags, pools)."""
    labels = stream.labels
    days, pools = stream.cohorts.population.shape
    lags = stream.world.lags.shape[1]
    at = (labels.day * lags + labels.known - labels.day) * pools + labels.pool
    counted, wrong = (
        np.bincount(at, count, minlength=days * lags * pools).reshape(days, lags, pools)
        for count in (labels.count, labels.count * labels.is_event)
    )
    return np.cumsum(counted, axis=1), np.cumsum(wrong, axis=1)


def window_estimates(stream: Stream) -> tuple[list[Estimate], Integers]:
    """Return each day's precision over the last 28 mature cohorts, and how many those are."""
    labelled, wrong = known_counts(stream)
    days, lags, pools = labelled.shape
    found, cohorts = [], np.zeros((days, pools), dtype=np.int64)
    for day in range(days):
        recent = np.arange(max(0, day + 1 - 2 * WINDOW), day + 1)
        mask = stream.cohorts.mature_on[recent] <= day
        mask &= np.cumsum(mask[::-1], axis=0)[::-1] <= WINDOW
        age = np.minimum(day - recent, lags - 1)
        n, k = ((counts[recent, age] * mask).sum(axis=0) for counts in (labelled, wrong))
        population = (stream.cohorts.population[recent] * mask).sum(axis=0)
        is_fired = np.ones((pools, 1), dtype=bool)
        tallies = Tallies(population[:, None], n[:, None], (n - k)[:, None], is_fired)
        found.append(estimate(tallies)["precision"])
        cohorts[day] = mask.sum(axis=0)
    return found, cohorts


def statuses(stream: Stream, target: float) -> Codes:
    """Return the status codes of every day and pool, as the pipeline replays them."""
    e_value = watch(stream, "precision", target, ("goal",)).e_values["goal"]
    found, cohorts = window_estimates(stream)
    shape = e_value.shape
    rejected = np.stack(
        [reject_over_time(e_value[:, [pool]], 1)[0][:, 0] for pool in range(shape[1])], axis=1
    )
    estimates, low, high = (
        np.stack([getattr(one, name) for one in found]) for name in ("value", "low", "high")
    )
    nowhere = np.zeros(shape, dtype=bool)
    history = History(
        has_population=~nowhere,
        target=np.full(shape, target),
        estimate=estimates,
        low=low,
        high=high,
        e_value=e_value,
        is_rejected=rejected,
        cohorts=cohorts,
        has_thin_stratum=nowhere,
        evidence_half_width=np.full(shape, 0.10),
    )
    return replay(history).status


def steadiness(size: Size) -> Row:
    """Row 10: a strategy that stays at .90 for a year after its first 60 days."""
    parts = []
    for labels, tolerance, most in ((50, 0.02, 1.0), (20, 0.03, 1.2)):
        healthy, changes = [], []
        for pools, rng in chunks(size, (10, labels), size.null, labels):
            stream = draw(precision_world(DAYS, 0.9, labels, same_lags()), pools, rng)
            status = statuses(stream, 0.9 - tolerance)[FIRST:]
            healthy.append((status == HEALTHY).mean(axis=0))
            changes.append((status[1:] != status[:-1]).sum(axis=0))
        case = f"{labels} labels a day, tolerance {tolerance:.0%}"
        share, count = (float(np.concatenate(v).mean()) for v in (healthy, changes))
        parts.append(Part(f"{case}: share of days healthy", share, low=0.95))
        parts.append(Part(f"{case}: changes a year", count, high=most))
    values = [part.value for part in parts]
    return Row(
        10,
        "status end to end of a steady strategy",
        f"healthy on {values[0]:.1%} of days, {values[1]:.2f} changes a year at 50 labels a day; "
        f"{values[2]:.1%}, {values[3]:.2f} at 20",
        "at least 95% and at most 1 change (50 labels, 2 points); 95%, 1.2 (20 labels, 3 points)",
        parts,
        ".971, .8; .950, 1.2",
        "Goal and true precision .90, a strategy alone in its family, days 60 to 425.",
    )
