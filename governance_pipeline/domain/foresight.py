"""What stays unprovable at a plan's budget: of each strategy-channel, and of each strategy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.intervals import Booleans, Floats, Texts
from governance_pipeline.domain.power import (
    WINDOW_DAYS,
    daily_growth,
    days_to_detect,
    expected_half_widths,
)
from governance_pipeline.domain.reference import IS_FIRED, METRICS, STRATA, Reference
from governance_pipeline.domain.sampling import REACH_SHARE

DROP = 0.10
MOST_DAYS = 90.0
DROPS = np.array([0.03, 0.04, 0.05, 0.06, 0.07, 0.08, DROP, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5])


@dataclass(frozen=True)
class Foresight:
    """What labels will show, (rows, metrics) but for the last two, (rows,).

    `half_width` is expected after 28 days; `days` to detect a drop of 10 points below the goal and
    `detectable` the least drop detected within 28 days, NaN without a goal or where there is none;
    `labels_needed` a day for what is `unprovable`, in words, both null where nothing is.
    """

    names: pd.Series
    half_width: Floats
    days: Floats
    detectable: Floats
    labels_needed: Floats
    unprovable: Texts


@dataclass(frozen=True)
class _Group:
    """Rows whose strata are looked at together, (rows, columns) and (rows, metrics)."""

    population: Floats
    labels: Floats
    effective: Floats
    rates: Floats
    is_fired: Booleans
    goal: Floats
    tolerance: Floats
    allowed: Floats
    least: Floats
    lag: Floats


def foresee(
    reference: Reference, labels: Floats, effective: Floats, by_reach: Booleans
) -> tuple[Foresight, Foresight]:
    """Return what labels a day will show of every lane, and of every strategy in order of name.

    Args:
        reference: Populations, rates, lags and goals.
        labels: Labels a day, shape (lanes, strata).
        effective: What they are worth for counts of items, shape (lanes, strata).
        by_reach: Which lanes draw partly by reach, shape (lanes,).
    """
    least = np.where(by_reach, 1 - REACH_SHARE, 1.0)
    lanes = _Group(
        reference.population, labels, effective, reference.rates, IS_FIRED, reference.goal,
        reference.tolerance, reference.half_width, least[:, None], reference.lag,
    )  # fmt: skip
    strategy, names = pd.factorize(reference.lanes["strategy_id"], sort=True)
    place = reference.lanes.groupby("strategy_id").cumcount().to_numpy()
    channels = int(place.max(initial=0)) + 1
    first = np.array([int(np.argmax(strategy == s)) for s in range(len(names))], dtype=np.int64)

    def joined(values: Floats, empty: float) -> Floats:
        found = np.full((len(names), channels, STRATA), empty)
        found[strategy, place] = values
        return found.reshape(len(names), channels * STRATA)

    count = labels.sum(axis=1)
    total = np.maximum(np.bincount(strategy, count, minlength=len(names)), 1e-300)
    whole = _Group(
        joined(reference.population, 0.0), joined(labels, 0.0), joined(effective, 0.0),
        joined(reference.rates, 0.5), np.tile(IS_FIRED, channels), reference.goal[first],
        reference.tolerance[first], reference.half_width[first],
        joined(np.repeat(least[:, None], STRATA, axis=1), 1.0),
        np.bincount(strategy, count * reference.lag, minlength=len(names)) / total,
    )  # fmt: skip
    return _look(lanes, reference.lanes["strategy_id"]), _look(whole, pd.Series(names))


def _look(group: _Group, names: pd.Series) -> Foresight:
    rows = len(group.lag)
    half_width, days, detectable = (np.full((rows, len(METRICS)), np.nan) for _ in range(3))
    for metric, name in enumerate(METRICS):
        half_width[:, metric] = expected_half_widths(
            group.population, group.effective, group.rates, group.is_fired, name
        )
        judged = np.flatnonzero(~np.isnan(group.goal[:, metric]))
        growth = daily_growth(
            group.population[judged],
            group.labels[judged],
            group.rates[judged],
            group.is_fired,
            target=(group.goal - group.tolerance)[judged, metric],
            metric=name,
            drops=DROPS - group.tolerance[judged, metric][:, None],
            least=group.least[judged],
        )
        waited = days_to_detect(growth, group.lag[judged][:, None])
        days[judged, metric] = waited[:, DROPS == DROP].ravel()
        seen = waited <= WINDOW_DAYS
        detectable[judged, metric] = np.where(
            seen.any(axis=1), DROPS[np.argmax(seen, axis=1)], np.nan
        )
    needed, words = _unprovable(group, half_width, days)
    return Foresight(
        names, half_width, np.where(np.isinf(days), np.nan, days), detectable, needed, words
    )


def _unprovable(group: _Group, half_width: Floats, days: Floats) -> tuple[Floats, Texts]:
    """Say what a budget cannot prove, and about how many labels a day would.

    A half-width falls with the square root of the labels, the wait for evidence with the labels.
    """
    now, most = group.labels.sum(axis=1), group.population.sum(axis=1)
    needed, words = np.full(len(now), np.nan), np.full(len(now), None, dtype=object)
    for row in range(len(now)):
        said, wanted = [], []
        for metric, name in enumerate(METRICS):
            if np.isnan(group.goal[row, metric]):
                continue
            why = []
            wide, allowed = half_width[row, metric], group.allowed[row, metric]
            if wide > allowed:
                why.append(f"half-width {wide:.2f} above {allowed:.2f}")
                wanted.append(now[row] * (wide / allowed) ** 2)
            wait, lag = days[row, metric], group.lag[row]
            if group.tolerance[row, metric] >= DROP:
                why.append("a 10-point drop is within its tolerance")
            elif not wait <= MOST_DAYS:
                takes = f"takes {wait:.0f} days" if np.isfinite(wait) else "is never proven"
                why.append(f"a 10-point drop {takes}")
                wanted.append(now[row] * (wait - lag) / max(MOST_DAYS - lag, 1.0))
            if why:
                said.append(f"{name}: {', '.join(why)}")
        if np.isnan(group.goal[row]).all():
            said.append("neither metric has a goal")
        if said:
            words[row], needed[row] = "; ".join(said), _at_most(wanted, most[row])
            if wanted and np.isnan(needed[row]):
                words[row] += "; not even if every unit were labelled"
    return needed, words


def _at_most(wanted: list[float], population: float) -> float:
    """Return the labels that everything wanted needs, NaN if there are not so many units."""
    most = max(wanted, default=np.nan)
    return float(most) if most <= population else np.nan
