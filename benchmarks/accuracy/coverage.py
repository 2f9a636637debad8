"""Rows 5 and 12: how often a 95% interval holds the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.results import Part, Row, Size
from benchmarks.accuracy.streams import binormal_scores
from governance_pipeline.domain.accuracy import Estimate, estimate
from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.domain.tallies import Tallies, Weights

PREVALENCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
LABELS = (50, 200, 500, 1000)
UNITS = 400_000.0
REPEATS = 150
DESIGNS = ("neyman", "half", "equal")
METRICS = ("precision", "recall")


@dataclass(frozen=True)
class Strata:
    """A closed frame: units, share of `should_fire`, whether fired, labels; shape (strata,)."""

    population: Floats
    should_fire: Floats
    is_fired: Booleans
    labels: Floats

    @property
    def truth(self) -> dict[str, float]:
        """Return the metrics of the frame."""
        total = self.population * self.should_fire
        caught = total[self.is_fired].sum()
        fired = self.population[self.is_fired].sum()
        return {"precision": caught / fired, "recall": caught / total.sum()}


def random_strata(prevalence: float, labels: int, design: str, rng: np.random.Generator) -> Strata:
    """Return a strategy with precision .6-.95, recall .5-.95 and 1 to 5 score bins a side."""
    while True:
        precision, recall = rng.uniform(0.6, 0.95), rng.uniform(0.5, 0.95)
        fired = prevalence * recall / precision
        missed = prevalence * (1 - recall) / max(1 - fired, 1e-9)
        if fired < 0.97 and missed < 0.9:
            break
    bins = int(rng.integers(1, 6))
    sides = [_side(fired, 1 - precision, bins), _side(1 - fired, missed, bins)]
    population = np.round(np.concatenate([side[0] for side in sides]) * UNITS)
    error = np.concatenate([side[1] for side in sides])
    is_fired = np.arange(2 * bins) < bins
    even = np.full(2 * bins, 1 / (2 * bins))
    if design == "neyman":
        spread = population * np.where(is_fired, 1 - recall, recall) * np.sqrt(error * (1 - error))
        share = 0.85 * spread / spread.sum() + 0.15 * even
    elif design == "half":
        share = np.where(is_fired, population / fired, population / (1 - fired)) / (2 * UNITS)
    else:
        share = even
    should_fire = np.where(is_fired, 1 - error, error)
    return Strata(population, should_fire, is_fired, np.minimum(share * labels, population))


def _side(share: float, error: float, bins: int) -> tuple[Floats, Floats]:
    if bins == 1:
        return np.array([share]), np.array([error])
    scores = binormal_scores(error, 0.9)
    groups = np.array_split(np.arange(len(scores.share)), bins)
    return (
        np.array([share * scores.share[group].sum() for group in groups]),
        np.array([scores.error_rate[group].mean() for group in groups]),
    )


def covered(found: Estimate, truth: float) -> tuple[int, int]:
    """Return how many intervals hold the truth, and of how many that were given."""
    given = ~np.isnan(found.value)
    holds = (found.low <= truth) & (truth <= found.high) & given
    return int(holds.sum()), int(given.sum())


def coverage(size: Size) -> Row:
    """Row 5: precision and recall over prevalences and numbers of labels."""
    cells: dict[tuple[str, int, float], list[int]] = {}
    for labels in LABELS:
        for prevalence in PREVALENCES:
            rng = np.random.default_rng([size.seed, 5, labels, int(prevalence * 100)])
            for index in range(size.intervals):
                strata = random_strata(prevalence, labels, DESIGNS[index % 3], rng)
                found = estimate(_sample(strata, rng))
                for metric in METRICS:
                    hits, given = covered(found[metric], strata.truth[metric])
                    cell = cells.setdefault((metric, labels, prevalence), [0, 0])
                    cell[0], cell[1] = cell[0] + hits, cell[1] + given
    parts = [_part(key, hits / given) for key, (hits, given) in cells.items()]
    spans = {
        "recall, n >= 200": _span(cells, "recall", LABELS[1:]),
        "precision, n = 50": _span(cells, "precision", LABELS[:1]),
        "precision, n >= 200": _span(cells, "precision", LABELS[1:]),
    }
    return Row(
        5,
        "coverage of 95% intervals, worst cells",
        "; ".join(f"{name}: {low:.1%} to {high:.1%}" for name, (low, high) in spans.items()),
        "recall in [93.5, 97]% for n >= 200; precision in [92.5, 97]% at n = 50 and "
        "[91.5, 97]% for n >= 200; prevalences 1 to 90%",
        parts,
        "94.3-95.8; 92.6-94.8; 91.7-95.5",
        f"A cell is a prevalence and a number of labels: {size.intervals} random strategies "
        f"(precision .6-.95, recall .5-.95, 1-5 score bins, three designs) x {REPEATS} samples.",
    )


def _sample(strata: Strata, rng: np.random.Generator) -> Tallies:
    shape = (REPEATS, len(strata.population))
    population = np.broadcast_to(strata.population, shape)
    labelled = rng.binomial(population.astype(np.int64), strata.labels / strata.population)
    events = rng.binomial(labelled, strata.should_fire)
    is_fired = np.broadcast_to(strata.is_fired, shape)
    return Tallies(population, labelled.astype(float), events.astype(float), is_fired)


def _part(key: tuple[str, int, float], value: float) -> Part:
    metric, labels, prevalence = key
    case = f"{metric}, n = {labels}, prevalence {prevalence:.0%}"
    if metric == "recall":
        return Part(case, value, 0.935, 0.97) if labels >= 200 else Part(case, value)
    return Part(case, value, 0.915 if labels >= 200 else 0.925, 0.97)


def _span(
    cells: dict[tuple[str, int, float], list[int]], metric: str, labels: tuple[int, ...]
) -> tuple[float, float]:
    values = [
        hits / given
        for (m, n, _), (hits, given) in cells.items()
        if (m, n in labels) == (metric, True)
    ]
    return min(values), max(values)


WINDOW_UNITS = 50_000
WORLDS = ((0.9, 0.8, 0.1), (0.6, 0.6, 0.3), (0.95, 0.9, 0.05))
DRAWS = 50


def reach_coverage(size: Size) -> Row:
    """Row 12: reach-weighted twins under heavy-tailed reach and planned draws."""
    parts = []
    for kind in ("lognormal 1.5", "Pareto 1.3"):
        for labels in (200, 500, 1400):
            for precision, recall, prevalence in WORLDS:
                key = [size.seed, 12, len(kind), labels, int(precision * 100)]
                rng = np.random.default_rng(key)
                counts = {metric: [0, 0] for metric in METRICS}
                worlds = max(2, size.intervals // 12)
                for _ in range(worlds):
                    frame = _reached(kind, labels, (precision, recall, prevalence), rng)
                    for metric, (hits, given) in frame.items():
                        counts[metric][0] += hits
                        counts[metric][1] += given
                for metric, (hits, given) in counts.items():
                    case = f"{kind}, {metric} near {precision if metric == 'precision' else recall}"
                    case += f", n = {labels}"
                    parts.append(Part(f"{case}: given", given / (worlds * DRAWS)))
                    # A few intervals say nothing about their coverage.
                    if given >= 0.1 * worlds * DRAWS:
                        parts.append(Part(f"{case}: coverage", hits / given, low=0.92))
    values = [part.value for part in parts if part.case.endswith("coverage")]
    shares = [part.value for part in parts if part.case.endswith("given")]
    return Row(
        12,
        "coverage of reach-weighted intervals",
        f"{min(values):.1%} to {max(values):.1%} where given ({np.mean(shares):.0%} of samples)",
        "at least 92%, lognormal 1.5 and Pareto 1.3, planned draws",
        parts,
        "92-100%",
        "30% of the draws by reach, the largest taken all; null where weights are too uneven.",
    )


def _reached(
    kind: str, labels: int, goals: tuple[float, float, float], rng: np.random.Generator
) -> dict[str, tuple[int, int]]:
    """Return hits and intervals given of the twins, over samples of one frame."""
    precision, recall, prevalence = goals
    fired = int(prevalence * recall / precision * WINDOW_UNITS)
    missed = prevalence * (1 - recall) * WINDOW_UNITS / (WINDOW_UNITS - fired)
    sums, total, right = [], [], []
    for units, share in ((fired, precision), (WINDOW_UNITS - fired, missed)):
        heavy = rng.lognormal(0, 1.5, units) if kind[0] == "l" else rng.pareto(1.3, units) + 1
        reach, y = np.round(100 * heavy), rng.random(units) < share
        chance = by_reach(reach, 0.3 * labels / 2)
        chance = 1 - (1 - chance) * (1 - 0.7 * labels / 2 / units)
        drawn, weight = rng.random((DRAWS, units)) < chance, reach / chance
        columns = (np.ones(units), y, weight, weight**2, weight * y, weight**2 * y)
        sums.append(np.stack([drawn @ column.astype(float) for column in columns]))
        total.append(reach.sum())
        right.append((reach * y).sum())
    n, k, *weights = np.stack(sums, axis=-1)
    is_fired = np.broadcast_to(np.array([True, False]), n.shape)
    population = np.broadcast_to(np.array(total), n.shape)
    tallies = Tallies(population, n, k, is_fired, Weights(*weights), is_reach=True)
    found = estimate(tallies, needs_even_weights=True)
    truth = {"precision": right[0] / total[0], "recall": right[0] / sum(right)}
    return {metric: covered(found[metric], truth[metric]) for metric in METRICS}


def by_reach(reach: Floats, budget: float) -> Floats:
    """Return inclusion probabilities in proportion to reach that sum to the budget, at most 1."""
    is_sure = np.zeros(len(reach), dtype=bool)
    while True:
        left = max(budget - is_sure.sum(), 0.0)
        chance = np.where(is_sure, 1.0, left * reach / reach[~is_sure].sum())
        more = ~is_sure & (chance >= 1)
        if not more.any():
            return chance
        is_sure |= more
