"""Every day's 28-day estimates of every strategy and channel, from the cohorts known by then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from governance_pipeline.domain.accuracy import METRICS, Estimate, estimate
from governance_pipeline.domain.bets import event_rates
from governance_pipeline.domain.cohorts import (
    NEVER,
    WINDOW,
    Cohorts,
    Layout,
    as_tallies,
    build_cohorts,
    stratum_layout,
    sums_to_date,
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
    """28-day windows of every day, (days, pools), and the window to date, (pools,).

    `cohorts` counts the mature cohorts of the window, `matured_share` is their share among the last
    28 days with decisions, `matured_through` the index of the latest, -1 without one;
    `has_thin_stratum` is (days, pools, metrics).
    """

    pools: Pools
    sizes: Cohorts
    recent: Window
    to_date: Window
    cohorts: Integers
    matured_share: Floats
    matured_through: Integers
    has_thin_stratum: Booleans


def measure(panel: Panel, pools: Pools, targets: Floats) -> Measured:
    """Estimate every pool on every day.

    Args:
        panel: Frame and labels.
        pools: The lanes and the strategies on several channels.
        targets: m, shape (days, pools, 2); it weighs the strata for `has_thin_stratum`.
    """
    sizes = build_cohorts(panel, pools)
    shape = (panel.days, len(pools))
    found = Measured(
        pools,
        sizes,
        _empty_window(shape),
        _empty_window(shape[1:]),
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape),
        np.full(shape, -1, dtype=np.int64),
        np.zeros((*shape, 2), dtype=bool),
    )
    uneven_from = _uneven_from(panel, pools)
    for of_lane in (pools.own, pools.whole):
        if not (of_lane >= 0).any():
            continue
        layout = stratum_layout(panel, of_lane)
        at = layout.pools
        for day, sums, mask in window_sums(panel, sizes, layout):
            _store(found.recent, (day, at), sums, layout, uneven_from[at] <= day)
            found.cohorts[day, at] = mask.sum(axis=0)
            latest = np.where(mask.any(axis=0), day - mask[::-1].argmax(axis=0), -1)
            found.matured_through[day, at] = latest
            found.has_thin_stratum[day, at] = _thin(sums, layout, targets[day, at])
        uneven = uneven_from[at] < panel.days
        _store(found.to_date, (at,), sums_to_date(panel, sizes, layout), layout, uneven)
    for day in range(panel.days):
        recent = slice(max(0, day + 1 - WINDOW), day + 1)
        cohorts = (sizes.population[recent] > 0).sum(axis=0)
        mature = sizes.is_mature(day)[recent].sum(axis=0)
        found.matured_share[day] = mature / np.maximum(cohorts, 1)
    return found


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
    window: Window, at: tuple[int | Integers, ...], sums: Floats, layout: Layout, uneven: Booleans
) -> None:
    items = as_tallies(sums, layout.is_fired)
    by_reach = as_tallies(sums, layout.is_fired, by_reach=True)
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
    window.labelled_fired[at] = np.where(layout.is_fired, items.labelled, 0.0).sum(axis=1)
    window.effective_n[at] = kish_labels(items).sum(axis=1)


def _thin(sums: Floats, layout: Layout, targets: Floats) -> Booleans:
    """Return where a stratum with over 5% of sum a eps has under 5 labels, (pools, metrics)."""
    population, labelled, should_fire = sums[0], sums[2], sums[3]
    wrong = np.where(layout.is_fired, labelled - should_fire, should_fire)
    mass = population * event_rates(np.maximum(wrong, 0.0), labelled)
    m = np.nan_to_num(targets[:, 1], nan=0.5)[:, None]
    found = []
    for weights in (layout.is_fired * 1.0, np.where(layout.is_fired, 1 - m, m)):
        share = weights * mass
        total = np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
        is_heavy = share / total > STRATUM_SHARE
        found.append((is_heavy & (labelled < MIN_STRATUM_LABELS)).any(axis=1))
    return np.stack(found, axis=-1)


def accuracy_table(panel: Panel, measured: Measured, start: int) -> pd.DataFrame:
    """Return `strategy_accuracy`: 28d for every day from `start`, to_date for the last day."""
    days = np.arange(start, panel.days)
    recent, to_date = measured.recent, measured.to_date
    parts = [
        _table(
            panel,
            measured,
            "28d",
            days,
            _columns(recent, slice(start, None)),
            (recent, slice(start, None)),
        ),
        _table(
            panel,
            measured,
            "to_date",
            days[-1:],
            _columns(to_date, None),
            (to_date, None),
        ),
    ]
    return pd.concat(parts, ignore_index=True)


def _columns(window: Window, part: slice | None) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    columns.update({name: column[part] for name, column in window.values.items()})
    columns.update({name: column[part] for name, column in window.reasons.items()})
    return columns


def _table(
    panel: Panel,
    measured: Measured,
    kind: str,
    days: Integers,
    columns: dict[str, NDArray[Any]],
    counted: tuple[Window, slice | None],
) -> pd.DataFrame:
    pools = measured.pools.table
    repeat = len(pools)
    day = np.repeat(days, repeat)
    strategy = pools["strategy"].to_numpy()
    window, part = counted
    environment = panel.strategies["environment"].to_numpy()[strategy]
    table = pd.DataFrame(
        {
            "strategy_id": np.tile(pools["strategy_id"].to_numpy(), len(days)),
            "version": panel.version[days][:, strategy].ravel(),
            "channel": np.tile(pools["channel"].to_numpy(), len(days)),
            "environment": np.tile(environment, len(days)),
            "window_kind": kind,
            "window_end": panel.dates()[day],
            **{name: np.asarray(column).ravel() for name, column in columns.items()},
            "labelled": window.labelled[part].ravel(),
            "effective_n": window.effective_n[part].ravel(),
            "matured_share": measured.matured_share[days].ravel(),
        }
    )
    # Before its first decision a strategy has no version, and no row.
    # A reason that never occurs keeps its type on the way to a file.
    types = {name: "string" for name in table if str(name).endswith("_null_reason")}
    return table[table["version"] >= 0].astype({**types, "labelled": "int64"})
