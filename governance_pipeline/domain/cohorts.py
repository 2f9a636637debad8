"""Cohorts: when their labels are in, and the tallies of the last 28 that are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools
from governance_pipeline.domain.tallies import Tallies, Weights

MATURE_SHARE = 0.9
WINDOW = 28
# A cohort that is not 90% labelled after so many days never enters a 28-day window.
LOOKBACK = 90
NEVER = np.iinfo(np.int64).max
BLOCK = 50_000

FIELDS = (
    "population", "reach", "labelled", "events",
    "w", "w_squares", "w_events", "w_event_squares",
    "r", "r_squares", "r_events", "r_event_squares",
)  # fmt: skip


@dataclass(frozen=True)
class Cohorts:
    """Per cohort day and pool, shape (days, pools): size, draws, and when it was mature.

    `mature_on` is the first day on which 90% of the drawn units have a verdict, `unsure` included;
    the cohort's own day where nothing was drawn, `NEVER` where it has not happened yet.
    """

    population: Floats
    drawn: Floats
    mature_on: Integers
    version: Integers

    def of(self, pools: Integers) -> Cohorts:
        """Return the cohorts of some pools, in the order given."""
        return Cohorts(
            self.population[:, pools],
            self.drawn[:, pools],
            self.mature_on[:, pools],
            self.version[:, pools],
        )

    def is_mature(self, day: int) -> Booleans:
        """Return which cohorts of the version in force were mature by `day`, (day + 1, pools)."""
        upto = slice(0, day + 1)
        return (
            (self.mature_on[upto] <= day)
            & (self.population[upto] > 0)
            & (self.version[upto] == self.version[day])
        )

    def is_mature_by(self, ends: Integers) -> Booleans:
        """Return which cohorts of each pool's version on its day of `ends` were mature by then.

        Args:
            ends: A day per pool, -1 for none, shape (pools,).

        Returns:
            Shape (days, pools).
        """
        day = np.arange(len(self.version))[:, None]
        own = self.version[np.maximum(ends, 0), np.arange(len(ends))]
        is_in = (self.mature_on <= ends) & (day <= ends)
        return is_in & (self.population > 0) & (self.version == own)

    def window(self, day: int) -> Booleans:
        """Return the last 28 cohorts that were mature by `day`, shape (day + 1, pools)."""
        mask = self.is_mature(day)
        mask &= np.cumsum(mask[::-1], axis=0)[::-1] <= WINDOW
        mask[: max(0, day + 1 - LOOKBACK)] = False
        return mask


def build_cohorts(panel: Panel, pools: Pools) -> Cohorts:
    """Count each pool's cohorts and find the day each became 90% labelled."""
    rows, pool = pools.expand(panel.frame["lane"].to_numpy())
    shape = (panel.days, len(pools))
    day = panel.frame["day"].to_numpy()[rows]
    population, drawn = (
        _sum_into(shape, day, pool, panel.frame[name].to_numpy()[rows])
        for name in ("population", "drawn")
    )
    at, label_pool = pools.expand(panel.draws["lane"].to_numpy())
    labels = pd.DataFrame(
        {
            "day": panel.draws["day"].to_numpy()[at],
            "pool": label_pool,
            "known": panel.draws["known"].to_numpy()[at],
        }
    ).sort_values(["day", "pool", "known"])
    rank = labels.groupby(["day", "pool"]).cumcount().to_numpy() + 1
    need = np.maximum(np.ceil(MATURE_SHARE * drawn - 1e-9), 1)
    reaches = rank == need[labels["day"], labels["pool"]]
    mature_on = np.full(shape, NEVER, dtype=np.int64)
    mature_on[labels["day"][reaches], labels["pool"][reaches]] = labels["known"][reaches]
    own_day = np.broadcast_to(np.arange(panel.days)[:, None], shape)
    mature_on = np.where(drawn <= 0, own_day, mature_on)
    version = panel.version[:, pools.table["strategy"].to_numpy()]
    return Cohorts(population, drawn, mature_on, version)


def _sum_into(shape: tuple[int, int], day: Integers, pool: Integers, values: Floats) -> Floats:
    flat = np.bincount(day * shape[1] + pool, weights=values, minlength=shape[0] * shape[1])
    return flat.astype(float).reshape(shape)


@dataclass(frozen=True)
class LabelSums:
    """What each label adds: `values` is (fields - 2, labels), the codes are (labels,)."""

    known: Integers
    day: Integers
    pool: Integers
    stratum: Integers
    values: Floats


@dataclass(frozen=True)
class Layout:
    """The strata of some pools: codes of frame and label rows, their sides, (pools, strata), and
    what each label adds to the sums."""

    pools: Integers
    frame_rows: Integers
    frame_at: Integers
    label_rows: Integers
    label_at: Integers
    is_fired: Booleans
    sums: LabelSums


def stratum_layout(panel: Panel, of_lane: Integers) -> Layout:
    """Number the strata of each pool: fired first, by channel, then in the order of score bins.

    Args:
        panel: The panel.
        of_lane: The pool of each lane, -1 for none.
    """
    pools = np.unique(of_lane[of_lane >= 0])
    position = pd.Series(np.arange(len(pools)), index=pools)
    keys = ["lane", "is_fired", "stratum"]
    known = panel.frame[keys].drop_duplicates()
    known = known[of_lane[known["lane"]] >= 0].copy()
    known["pool"] = position.reindex(of_lane[known["lane"]]).to_numpy(dtype=np.int64)
    known["bin"] = pd.to_numeric(known["stratum"].str.split("/").str[1], errors="coerce").fillna(-1)
    known["side"] = ~known["is_fired"].astype(bool)
    known = known.sort_values(["pool", "side", "lane", "bin", "stratum"])
    known["code"] = known.groupby("pool").cumcount()
    strata = int(known["code"].max()) + 1 if len(known) else 1
    is_fired = np.zeros((len(pools), strata), dtype=bool)
    is_fired[known["pool"], known["code"]] = ~known["side"]
    at = pd.Series(
        known["pool"].to_numpy() * strata + known["code"].to_numpy(),
        index=pd.MultiIndex.from_frame(known[keys]),
    )
    rows, codes = [], []
    for table in (panel.frame, panel.draws):
        code = at.reindex(pd.MultiIndex.from_frame(table[keys])).to_numpy(dtype=float)
        rows.append(np.flatnonzero(~np.isnan(code)))
        codes.append(code[rows[-1]].astype(np.int64))
    sums = _label_sums(panel.draws.iloc[rows[1]], codes[1], strata)
    return Layout(pools, rows[0], codes[0], rows[1], codes[1], is_fired, sums)


def window_sums(
    panel: Panel, cohorts: Cohorts, layout: Layout
) -> Iterator[tuple[int, Floats, Booleans]]:
    """Yield every day's sums over the last 28 mature cohorts, and which cohorts those are.

    A day uses only the labels known by then. Sums have shape (fields, pools, strata) and belong
    to the generator until it is resumed; the cohorts have shape (day + 1, pools).

    Source:
        ACCURACY section 3; days are pooled by their design weights 1 / pi, which N / n estimates.
    """
    pools, strata = layout.is_fired.shape
    sums = np.zeros((len(FIELDS), pools, strata))
    labels = layout.sums
    arrives = np.argsort(labels.known, kind="stable")
    bounds = np.searchsorted(labels.known[arrives], np.arange(panel.days + 1))
    tallies: dict[int, Floats] = {}
    included = np.zeros((panel.days, pools), dtype=bool)
    populations = _populations(panel, layout)
    for day in range(panel.days):
        tallies[day] = next(populations)
        _add_labels(tallies, sums, included, labels, arrives[bounds[day] : bounds[day + 1]])
        mask = cohorts.window(day)[:, layout.pools]
        changed = included[: day + 1] != mask
        for cohort in np.flatnonzero(changed.any(axis=1)).tolist():
            which = np.flatnonzero(changed[cohort])
            sign = np.where(mask[cohort, which], 1.0, -1.0)[:, None]
            sums[:, which] += sign * tallies[cohort][:, which]
        included[: day + 1] = mask
        tallies.pop(day - LOOKBACK, None)
        yield day, sums, mask


def window_blocks(
    days: Iterable[tuple[int, Floats, Booleans]],
) -> Iterator[tuple[Integers, Floats]]:
    """Yield the days of `window_sums` and their sums, some days together.

    Each call of numpy costs more than a small fleet's day, so days are put together until they
    have `BLOCK` numbers a field. Sums have shape (fields, days * pools, strata), day by day.

    >>> days = [(day, np.full((12, 2, 3), float(day)), np.ones((1, 2), bool)) for day in range(4)]
    >>> [(day.tolist(), sums.shape, sums[0, :, 0].tolist()) for day, sums in window_blocks(days)]
    [([0, 1, 2, 3], (12, 8, 3), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0])]
    """
    block: list[tuple[int, Floats]] = []
    for day, sums, _ in days:
        block.append((day, sums.copy()))
        if len(block) * sums[0].size >= BLOCK:
            yield _together(block)
            block = []
    if block:
        yield _together(block)


def _together(block: list[tuple[int, Floats]]) -> tuple[Integers, Floats]:
    days = np.array([day for day, _ in block], dtype=np.int64)
    return days, np.concatenate([sums for _, sums in block], axis=1)


def sums_of(panel: Panel, layout: Layout, mask: Booleans, until: Integers) -> Floats:
    """Return the sums over some cohorts of each pool, from the labels known by a day.

    Args:
        panel: Frame and labels.
        layout: The strata of the pools.
        mask: Which cohorts, shape (days, pools of the layout).
        until: The last day on which a label counts, shape () or (pools of the layout,).

    Returns:
        Shape (fields, pools, strata), the fields as in `FIELDS`.
    """
    pools, strata = layout.is_fired.shape
    sums = np.zeros((len(FIELDS), pools * strata))
    frame = panel.frame.iloc[layout.frame_rows]
    counts = mask[frame["day"], layout.frame_at // strata]
    for field, name in enumerate(("population", "reach")):
        sums[field] = np.bincount(
            layout.frame_at, weights=frame[name].to_numpy() * counts, minlength=pools * strata
        )
    labels = layout.sums
    counts = mask[labels.day, labels.pool]
    counts &= labels.known <= np.broadcast_to(until, pools)[labels.pool]
    at = labels.pool * strata + labels.stratum
    for field, value in enumerate(labels.values):
        sums[field + 2] = np.bincount(at, weights=value * counts, minlength=pools * strata)
    return sums.reshape(len(FIELDS), pools, strata)


def _populations(panel: Panel, layout: Layout) -> Iterator[Floats]:
    """Yield each day's fields with population and reach filled in and no label yet."""
    pools, strata = layout.is_fired.shape
    frame_day = panel.frame["day"].to_numpy()[layout.frame_rows]
    values = [panel.frame[name].to_numpy()[layout.frame_rows] for name in ("population", "reach")]
    bounds = np.searchsorted(frame_day, np.arange(panel.days + 1))
    for day in range(panel.days):
        found = np.zeros((len(FIELDS), pools, strata))
        part = slice(bounds[day], bounds[day + 1])
        for field, column in enumerate(values):
            counted = np.bincount(layout.frame_at[part], column[part], minlength=pools * strata)
            found[field] = counted.reshape(pools, strata)
        yield found


def _label_sums(table: pd.DataFrame, at: Integers, strata: int) -> LabelSums:
    keep = (table["verdict"] != "unsure").to_numpy()
    table, at = table[keep], at[keep]
    event = (table["verdict"] == "should_fire").to_numpy(dtype=float)
    w = 1 / table["inclusion_probability"].to_numpy(dtype=float)
    r = w * table["reach"].to_numpy(dtype=float)
    sums = [np.ones_like(w), event]
    for weight in (w, r):
        sums += [weight, weight**2, weight * event, weight**2 * event]
    known, day = table["known"].to_numpy(), table["day"].to_numpy()
    return LabelSums(known, day, at // strata, at % strata, np.stack(sums))


def _add_labels(
    tallies: dict[int, Floats],
    sums: Floats,
    included: Booleans,
    labels: LabelSums,
    now: Integers,
) -> None:
    """Add the labels that arrived today to their cohorts, and to the sums where those count."""
    for cohort in np.unique(labels.day[now]).tolist():
        part = now[labels.day[now] == cohort]
        pool, stratum = labels.pool[part], labels.stratum[part]
        counts = included[cohort][pool]
        for field, values in enumerate(labels.values, start=2):
            if cohort in tallies:
                np.add.at(tallies[cohort][field], (pool, stratum), values[part])
            np.add.at(sums[field], (pool[counts], stratum[counts]), values[part][counts])


def as_tallies(sums: Floats, is_fired: Booleans, *, by_reach: bool = False) -> Tallies:
    """Return the sums of `window_sums` as tallies, of items or weighted by reach."""
    population, labelled, events = sums[1 if by_reach else 0], sums[2], sums[3]
    w, squares, w_events, event_squares = sums[8:12] if by_reach else sums[4:8]
    # Sums kept up by adding and subtracting leave a rounding residue where no label is.
    is_none, is_all = events <= 0, events >= labelled
    w_events = np.where(is_none, 0.0, np.where(is_all, w, w_events))
    event_squares = np.where(is_none, 0.0, np.where(is_all, squares, event_squares))
    empty = labelled <= 0
    w, squares, w_events, event_squares = (
        np.where(empty, 0.0, v) for v in (w, squares, w_events, event_squares)
    )
    weights = Weights(w, squares, w_events, event_squares)
    return Tallies(population, labelled, events, is_fired, weights, by_reach)
