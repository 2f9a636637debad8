"""`threshold_recommendations`: a cut for every strategy and channel, from its last 28 cohorts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from governance_pipeline.domain.accuracy import Estimate
from governance_pipeline.domain.cohorts import WINDOW, build_cohorts
from governance_pipeline.domain.goals import build_levels
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools, accuracy_pools, build_panel, first_day
from governance_pipeline.domain.tallies import Weights
from governance_pipeline.domain.thresholds import (
    IMMATURE,
    NO_CUT,
    NO_GOAL,
    SCORE_BINS,
    Recommendation,
    ScoreBins,
    at_cut,
    harm_avoided,
    recommend,
)


def threshold_table(
    as_of: dt.date,
    frame: pd.DataFrame,
    draws: pd.DataFrame,
    strategies: pd.DataFrame,
    goals: pd.DataFrame,
) -> pd.DataFrame:
    """Return `threshold_recommendations`: a row per strategy and channel, and `all` for the whole.

    Args:
        as_of: Last day; only what was known by then counts.
        frame: `int_audit_frame`.
        draws: `int_audit_draws`.
        strategies: Registry table.
        goals: Registry table `strategy_goals`.

    Raises:
        InputError: If counts, probabilities or verdicts contradict each other.
    """
    panel = build_panel(frame, draws, strategies, as_of, first_day(frame, as_of))
    pools = accuracy_pools(panel)
    window = build_cohorts(panel, pools).window(panel.days - 1)
    days = window.sum(axis=0)
    bins, scored_share = score_bins(panel, pools, window)
    strategy = pools.table["strategy"].to_numpy()
    goal = build_levels(goals, panel).goal[-1, strategy, 0]
    found = recommend(bins, goal)
    found.null_reason[(days == 0) & (found.null_reason != NO_GOAL)] = IMMATURE
    table = pd.DataFrame(
        {
            "strategy_id": pools.table["strategy_id"],
            "version": panel.version[-1, strategy],
            "channel": pools.table["channel"],
            "as_of": pd.Timestamp(as_of),
            "window_days": days,
            "labelled": bins.labelled.sum(axis=1).astype(np.int64),
            "scored_share": scored_share,
            "goal": goal,
            **_columns(bins, found, WINDOW / np.maximum(days, 1)),
        }
    )
    table = pd.concat([table, _only_channels(table)], ignore_index=True)
    return table.sort_values(["strategy_id", "channel"], ignore_index=True)


def score_bins(panel: Panel, pools: Pools, window: Booleans) -> tuple[ScoreBins, Floats]:
    """Return the counts by score bin of the cohorts of `window`, and the share of scored units.

    Args:
        panel: Frame and labels.
        pools: Who is counted together.
        window: The cohorts that count, shape (days, pools).
    """
    size = len(pools) * SCORE_BINS

    def summed(table: pd.DataFrame, *values: Floats) -> list[Floats]:
        rows, pool = pools.expand(table["lane"].to_numpy())
        bin_of = table["fine_bin"].fillna(-1).to_numpy(dtype=np.int64)[rows]
        counts = window[table["day"].to_numpy()[rows], pool] & (bin_of >= 0)
        at = pool[counts] * SCORE_BINS + bin_of[counts]
        found = (np.bincount(at, weights=v[rows][counts], minlength=size) for v in values)
        return [v.astype(float).reshape(len(pools), SCORE_BINS) for v in found]

    population = panel.frame["population"].to_numpy(dtype=float)
    reach = panel.frame["reach"].to_numpy(dtype=float)
    fired = population * panel.frame["is_fired"].to_numpy(dtype=float)
    labels = panel.draws[panel.draws["verdict"] != "unsure"]
    event = np.asarray(labels["verdict"] == "should_fire", dtype=np.float64)
    w = 1 / labels["inclusion_probability"].to_numpy(dtype=float)
    r = w * labels["reach"].to_numpy(dtype=float)
    units, unit_reach, unit_fired = summed(panel.frame, population, reach, fired)
    n, k = summed(labels, np.ones(len(w)), event)
    items, by_reach = (Weights(*summed(labels, v, v**2, v * event, v**2 * event)) for v in (w, r))
    bins = ScoreBins(units, unit_reach, unit_fired, n, k, items, by_reach)
    rows, pool = pools.expand(panel.frame["lane"].to_numpy())
    counts = window[panel.frame["day"].to_numpy()[rows], pool]
    everything = np.bincount(pool[counts], population[rows][counts], minlength=len(pools))
    with np.errstate(divide="ignore", invalid="ignore"):
        return bins, bins.population.sum(axis=1) / everything


def _columns(bins: ScoreBins, found: Recommendation, to_window: Floats) -> dict[str, Any]:
    now, then = found.current, found.recommended
    columns: dict[str, Any] = {
        "current_cut": _as_score(now),
        "recommended_cut": _as_score(then),
        "guaranteed_precision": found.guaranteed,
    }
    for name, cut in (("current", now), ("recommended", then)):
        for metric, result in at_cut(bins, cut).items():
            columns |= _interval(f"{name}_{metric}", result, cut != NO_CUT)
    columns["recall_gained"] = columns["recommended_recall"] - columns["current_recall"]
    harm = harm_avoided(bins, now, then)
    scaled = Estimate(
        harm.value * to_window, harm.low * to_window, harm.high * to_window, harm.null_reason
    )
    has_both = (now != NO_CUT) & (then != NO_CUT)
    columns |= _interval("harm_avoided_reach", scaled, has_both)
    reason = harm.null_reason.copy()
    reason[~has_both] = None
    # A reason that never occurs keeps its type on the way to a file.
    columns["harm_null_reason"] = pd.array(reason, dtype="string")
    columns["null_reason"] = pd.array(found.null_reason, dtype="string")
    return columns


def _as_score(cut: Integers) -> Floats:
    return np.where(cut == NO_CUT, np.nan, cut / SCORE_BINS)


def _interval(name: str, result: Estimate, is_shown: Booleans) -> dict[str, Floats]:
    ends = {name: result.value, f"{name}_lo": result.low, f"{name}_hi": result.high}
    is_shown = is_shown & ~np.isnan(result.value)
    return {column: np.where(is_shown, value, np.nan) for column, value in ends.items()}


def _only_channels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the only channel of a strategy as the whole strategy."""
    is_only = ~table["strategy_id"].duplicated(keep=False)
    return table[is_only].assign(channel="all")
