"""Every day's 28-day estimates of every strategy and channel, from the cohorts known by then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from governance_pipeline.domain.accuracy import METRICS, Estimate, estimate
from governance_pipeline.domain.appeals import Overturns, count_overturns
from governance_pipeline.domain.bets import event_rates
from governance_pipeline.domain.cohorts import (
    NEVER,
    WINDOW,
    Cohorts,
    Layout,
    as_tallies,
    build_cohorts,
    stratum_layout,
    sums_of,
    window_blocks,
    window_sums,
)
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools
from governance_pipeline.domain.status import MIN_STRATUM_LABELS, STRATUM_SHARE
from governance_pipeline.domain.tallies import kish_labels

TWINS = ("", "reach_")


@dataclass
class Window:
    """Estimates of some windows, every array with the same shape (days, pools) or (pools,).

    `values` has `<metric>`, `<metric>_lo` and `<metric>_hi`, `reasons` `<metric>_null_reason`, each
    also with the prefix `reach_`.
    """

    values: dict[str, Floats] = field(default_factory=dict)
    reasons: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    labelled: Floats = field(default_factory=lambda: np.zeros(0))
    labelled_fired: Floats = field(default_factory=lambda: np.zeros(0))
    effective_n: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass
class Measured:
    """28-day windows of every day, (days, pools), and a window to date per version, (pools,).

    `to_date` pairs the last day of every pool's n-th version (-1 for none) with the window, and
    `overturns` counts appeals of the last 28 days and of the version, by day. `cohorts` counts the
    mature cohorts of the window, `matured_share` is their share among the last 28 days with
    decisions, `matured_through` the index of the latest, -1 without one; `has_thin_stratum` is
    (days, pools, metrics). `layouts` numbers the strata of every pool.
    """

    pools: Pools
    layouts: list[Layout]
    sizes: Cohorts
    recent: Window
    to_date: list[tuple[Integers, Window]]
    overturns: tuple[Overturns, Overturns]
    cohorts: Integers
    matured_share: Floats
    matured_through: Integers
    has_thin_stratum: Booleans


def measure(panel: Panel, pools: Pools, targets: Floats, appeals: pd.DataFrame) -> Measured:
    """Estimate every pool on every day.

    Args:
        panel: Frame and labels.
        pools: The lanes and the strategies on several channels.
        targets: m, shape (days, pools, 2); it weighs the strata for `has_thin_stratum`.
        appeals: See `appeals.count_overturns`.
    """
    sizes = build_cohorts(panel, pools)
    shape = (panel.days, len(pools))
    found = Measured(
        pools,
        [stratum_layout(panel, of) for of in (pools.own, pools.whole) if (of >= 0).any()],
        sizes,
        _empty_window(shape),
        [(ends, _empty_window(shape[1:])) for ends in _version_ends(panel, pools)],
        count_overturns(panel, pools, appeals),
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape),
        np.full(shape, -1, dtype=np.int64),
        np.zeros((*shape, 2), dtype=bool),
    )
    uneven_from = _uneven_from(panel, pools)
    for layout in found.layouts:
        at = layout.pools
        for days, sums in window_blocks(_counted(found, window_sums(panel, sizes, layout), at)):
            day, pool = np.repeat(days, len(at)), np.tile(at, len(days))
            is_fired = np.tile(layout.is_fired, (len(days), 1))
            _store(found.recent, (day, pool), sums, is_fired, uneven_from[pool] <= day)
            found.has_thin_stratum[day, pool] = _thin(sums, is_fired, targets[day, pool])
        for ends, window in found.to_date:
            mask = sizes.is_mature_by(ends)[:, at]
            sums = sums_of(panel, layout, mask, ends[at])
            _store(window, (at,), sums, layout.is_fired, uneven_from[at] <= ends[at])
    for today in range(panel.days):
        recent = slice(max(0, today + 1 - WINDOW), today + 1)
        cohorts = (sizes.population[recent] > 0).sum(axis=0)
        mature = sizes.is_mature(today)[recent].sum(axis=0)
        found.matured_share[today] = mature / np.maximum(cohorts, 1)
    return found


def _counted(
    found: Measured, windows: Iterator[tuple[int, Floats, Booleans]], at: Integers
) -> Iterator[tuple[int, Floats, Booleans]]:
    """Note of every day's window how many cohorts are in and which is the latest; pass it on."""
    for day, sums, mask in windows:
        found.cohorts[day, at] = mask.sum(axis=0)
        latest = np.where(mask.any(axis=0), day - mask[::-1].argmax(axis=0), -1)
        found.matured_through[day, at] = latest
        yield day, sums, mask


def _version_ends(panel: Panel, pools: Pools) -> list[Integers]:
    """Return the last day of each pool's first, second ... version, -1 where it has no such."""
    version = panel.version[:, pools.table["strategy"].to_numpy(dtype=np.int64)]
    is_last = np.ones(version.shape, dtype=bool)
    is_last[:-1] = version[1:] != version[:-1]
    is_last &= version >= 0
    number = np.cumsum(is_last, axis=0) * is_last
    most = int(number.max(initial=0))
    return [
        np.where((number == n).any(axis=0), (number == n).argmax(axis=0), -1)
        for n in range(1, most + 1)
    ]


def _empty_window(shape: tuple[int, ...]) -> Window:
    names = [twin + metric for twin in TWINS for metric in METRICS]
    values = {name + end: np.full(shape, np.nan) for name in names for end in ("", "_lo", "_hi")}
    reasons = {f"{name}_null_reason": np.full(shape, None, dtype=object) for name in names}
    return Window(values, reasons, np.zeros(shape), np.zeros(shape), np.zeros(shape))


def _uneven_from(panel: Panel, pools: Pools) -> Integers:
    """Return from which day a pool is known to draw unequally within a stratum and day."""
    labels = panel.draws.sort_values("known", kind="stable")
    group = labels.groupby(["lane", "day", "is_fired", "stratum"])["inclusion_probability"]
    is_uneven = (group.cummax() > group.cummin() * (1 + 1e-9)).to_numpy()
    first = labels.loc[is_uneven].groupby("lane")["known"].min()
    found = np.full(len(pools), NEVER, dtype=np.int64)
    for of_lane in (pools.own, pools.whole):
        hit = of_lane[first.index.to_numpy(dtype=np.int64)]
        keep = hit >= 0
        np.minimum.at(found, hit[keep], first.to_numpy(dtype=np.int64)[keep])
    return found


def _store(
    window: Window, at: tuple[Integers, ...], sums: Floats, is_fired: Booleans, uneven: Booleans
) -> None:
    items = as_tallies(sums, is_fired)
    by_reach = as_tallies(sums, is_fired, by_reach=True)
    found: list[tuple[str, dict[str, Estimate]]] = [
        ("", estimate(items, needs_even_weights=uneven)),
        ("reach_", estimate(by_reach, needs_even_weights=True)),
    ]
    for twin, metrics in found:
        for metric, result in metrics.items():
            window.values[twin + metric][at] = result.value
            window.values[f"{twin}{metric}_lo"][at] = result.low
            window.values[f"{twin}{metric}_hi"][at] = result.high
            window.reasons[f"{twin}{metric}_null_reason"][at] = result.null_reason
    window.labelled[at] = items.labelled.sum(axis=1)
    window.labelled_fired[at] = np.where(is_fired, items.labelled, 0.0).sum(axis=1)
    window.effective_n[at] = kish_labels(items).sum(axis=1)


def _thin(sums: Floats, is_fired: Booleans, targets: Floats) -> Booleans:
    """Return where a stratum with over 5% of sum a eps has under 5 labels, (pools, metrics)."""
    population, labelled, should_fire = sums[0], sums[2], sums[3]
    wrong = np.where(is_fired, labelled - should_fire, should_fire)
    mass = population * event_rates(np.maximum(wrong, 0.0), labelled)
    m = np.nan_to_num(targets[:, 1], nan=0.5)[:, None]
    found = []
    for weights in (is_fired * 1.0, np.where(is_fired, 1 - m, m)):
        share = weights * mass
        total = np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
        is_heavy = share / total > STRATUM_SHARE
        found.append((is_heavy & (labelled < MIN_STRATUM_LABELS)).any(axis=1))
    return np.stack(found, axis=-1)


def accuracy_table(panel: Panel, measured: Measured, start: int) -> pd.DataFrame:
    """Return `strategy_accuracy`: 28d for every day from `start`, to_date for a version's last."""
    days = np.arange(start, panel.days)
    repeat = len(measured.pools)
    every = np.tile(np.arange(repeat), len(days))
    part = slice(start, None)
    recent, overturns = measured.overturns
    parts = [
        _table(panel, measured, "28d", np.repeat(days, repeat), every, (
            measured.recent, part, recent
        ))
    ]  # fmt: skip
    for ends, window in measured.to_date:
        own = np.flatnonzero(ends >= start)
        parts.append(_table(panel, measured, "to_date", ends[own], own, (window, own, overturns)))
    return pd.concat(parts, ignore_index=True)


def _table(
    panel: Panel,
    measured: Measured,
    kind: str,
    day: Integers,
    pool: Integers,
    counted: tuple[Window, slice | Integers, Overturns],
) -> pd.DataFrame:
    pools = measured.pools.table
    strategy = pools["strategy"].to_numpy()[pool]
    window, part, overturns = counted
    columns = {**window.values, **window.reasons}
    table = pd.DataFrame(
        {
            "strategy_id": pools["strategy_id"].to_numpy()[pool],
            "version": panel.version[day, strategy],
            "channel": pools["channel"].to_numpy()[pool],
            "environment": panel.strategies["environment"].to_numpy()[strategy],
            "window_kind": kind,
            "window_end": panel.dates()[day],
            **{name: np.asarray(column[part]).ravel() for name, column in columns.items()},
            "labelled": window.labelled[part].ravel(),
            "effective_n": window.effective_n[part].ravel(),
            "matured_share": measured.matured_share[day, pool],
            "appeal_proxy_precision": overturns.proxy_precision[day, pool],
            "overturn_rate": overturns.overturn_rate[day, pool],
        }
    )
    # Before its first decision a strategy has no version, and no row.
    # A reason that never occurs keeps its type on the way to a file.
    types = {name: "string" for name in table if str(name).endswith("_null_reason")}
    return table[table["version"] >= 0].astype({**types, "labelled": "int64"})
