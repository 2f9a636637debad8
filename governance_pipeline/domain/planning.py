"""The audit plan: how many labels each stratum gets, and what they will and will not show."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.foresight import Foresight, foresee
from governance_pipeline.domain.intervals import Booleans, Floats, Texts
from governance_pipeline.domain.power import WINDOW_DAYS
from governance_pipeline.domain.reference import (
    IS_FIRED,
    PLAN_BINS,
    Reference,
    build_reference,
)
from governance_pipeline.domain.sampling import (
    REACH_SHARE,
    allocate_labels,
    drift_weight,
    neyman_importance,
    share_budget,
    smallest_budget,
)
from governance_pipeline.errors import InputError

# Uneven weights give no estimate under 50 effective labels of a window; with fewer than this many
# expected the draw is even, or chance alone would often leave too few.
LEAST_UNEVEN = 75.0
ALL = "all"


@dataclass(frozen=True)
class Allocation:
    """Labels a day and effective labels a day, (lanes, strata); which lanes draw by reach."""

    labels: Floats
    effective: Floats
    by_reach: Booleans


def propose_plan(
    as_of: dt.date,
    frame: pd.DataFrame,
    draws: pd.DataFrame,
    strategies: pd.DataFrame,
    goals: pd.DataFrame,
    drift: pd.DataFrame,
    status: pd.DataFrame,
    reviews: pd.DataFrame,
    budget: float | None = None,
) -> pd.DataFrame:
    """Return `audit_plan`: the labels that a daily budget of reviews buys, by stratum.

    A row of channel `all` and stratum `all` speaks of a strategy on several channels as a whole.

    Args:
        as_of: Last decision day looked at, UTC.
        frame: `int_audit_frame`.
        draws: `int_audit_draws`.
        strategies: Registry table.
        goals: Registry table `strategy_goals`.
        drift: `strategy_drift`; its newest e-values move labels to where evidence grows.
        status: `strategy_status`.
        reviews: `int_audit_reviews`.
        budget: Reviews a day; what is spent now if None, or the least that keeps every strategy
            judged where that is more.

    Raises:
        InputError: If the budget is not a positive number, or below that least.
    """
    if budget is not None and not 0 < budget < np.inf:
        raise InputError(f"the budget must be a positive number of labels a day, got {budget:g}")
    reference = build_reference(as_of, frame, draws, strategies, goals, reviews)
    weight = _weights(reference.lanes, drift, status)
    chosen = allocate(reference, weight, budget)
    tables = [_strata_rows(reference, chosen)]
    own, whole = foresee(reference, chosen.labels, chosen.effective, chosen.by_reach)
    tables[0] = tables[0].join(_shown(own), on="lane")
    tables.append(_whole_rows(reference, chosen, whole))
    table = pd.concat(tables, ignore_index=True).drop(columns="lane")
    table.insert(0, "plan_date", pd.Timestamp(as_of))
    # Said once more, so that a table without rows has types too.
    texts = dict.fromkeys(("strategy_id", "channel", "stratum", "unprovable"), "string")
    counts = {"version": "int64", "score_bin": "Int64"}
    return table.astype({**texts, **counts, "is_fired": "boolean", "is_fixed": "bool"})


def allocate(reference: Reference, weight: Floats, budget: float | None) -> Allocation:
    """Spread a budget of reviews over strategy-channels, then over their strata."""
    size = reference.population.sum(axis=1)
    now = reference.draws.sum(axis=1)
    is_fixed = reference.lanes["is_fixed"].to_numpy(dtype=bool)
    window = reference.population * WINDOW_DAYS
    least = np.where(is_fixed, now, smallest_budget(window) / WINDOW_DAYS)
    if budget is None:
        budget = float(max((reference.cost * now).sum(), (reference.cost * least).sum()))
    of_lane = share_budget(
        budget,
        reference.cost,
        np.where(is_fixed, 0.0, _even_shares(reference.lanes, size)),
        weight,
        (least, np.where(is_fixed, now, size)),
    )
    importance = neyman_importance(
        reference.population, reference.rates, IS_FIRED, ~np.isnan(reference.goal)
    )
    spent = np.where(is_fixed, size, of_lane) * WINDOW_DAYS
    labels = allocate_labels(window, importance, spent) / WINDOW_DAYS
    labels = np.where(is_fixed[:, None], reference.draws, labels)
    fired = (labels * IS_FIRED).sum(axis=1) * WINDOW_DAYS
    by_reach = ~is_fixed & (fired / reference.uneven >= LEAST_UNEVEN)
    by_reach &= reference.reach.sum(axis=1) > 0
    thinned = labels / np.where(by_reach, reference.uneven, 1.0)[:, None]
    return Allocation(labels, thinned, by_reach)


def plan_rows(plan: pd.DataFrame) -> pd.DataFrame:
    """Return what a plan file holds of `audit_plan`: the strata whose draws are the plan's."""
    own = plan.loc[~plan["is_fixed"] & (plan["channel"] != ALL)]
    rows = own.rename(columns={"inclusion_probability": "rate"})
    rows = rows.assign(reach_share=np.where(rows["reach_scale"].isna(), 0.0, REACH_SHARE))
    names = "strategy_id version channel is_fired score_bin rate reach_scale reach_share"
    return rows[names.split()].reset_index(drop=True)


def _even_shares(lanes: pd.DataFrame, size: Floats) -> Floats:
    """Return the share of each lane when strategies count alike, their channels by sqrt of size.

    Source:
        Bankier, "Power Allocations" (1988): between equal precision and the best for the whole.
    """
    root = pd.Series(np.sqrt(size), index=lanes.index)
    return (root / root.groupby(lanes["strategy_id"]).transform("sum")).to_numpy(dtype=float)


def _weights(lanes: pd.DataFrame, drift: pd.DataFrame, status: pd.DataFrame) -> Floats:
    """Return what the newest evidence makes of each lane: its own pool's, or the whole's."""
    newest = drift.loc[(drift["date"] == drift["date"].max()) & (drift["mode"] == "goal")]
    e_value = newest.groupby(["strategy_id", "channel"])["e_value"].max()

    def of(channel: pd.Series | str) -> pd.Series:
        keys = pd.MultiIndex.from_frame(lanes[["strategy_id"]].assign(channel=channel))
        return pd.Series(e_value.reindex(keys).to_numpy(dtype=float), index=lanes.index)

    own = of(lanes["channel"]).fillna(of("rest"))
    strongest = np.fmax(own.to_numpy(), of(ALL).to_numpy())
    proven = status.loc[
        (status["status"] == "needs_audit") & (status["channel"] == ALL), "strategy_id"
    ]
    return drift_weight(strongest, lanes["strategy_id"].isin(proven).to_numpy())


def _strata_rows(reference: Reference, chosen: Allocation) -> pd.DataFrame:
    lane, column = np.nonzero(reference.population > 0)
    at = (lane, column)
    population, labels = reference.population[at], chosen.labels[at]
    score_bin = column % PLAN_BINS - 1
    scale = np.where(chosen.by_reach[lane], reference.reach[at] / population, np.nan)
    rows = reference.lanes.loc[lane, ["strategy_id", "version", "channel", "is_fixed"]]
    return rows.reset_index(drop=True).assign(
        stratum=[_stratum_name(int(c)) for c in column],
        is_fired=IS_FIRED[column],
        score_bin=score_bin,
        population=population,
        labels=labels,
        labels_now=reference.draws[at],
        inclusion_probability=np.minimum(labels / population, 1.0),
        reach_scale=np.where(scale > 0, scale, np.nan),
        lane=lane,
    )


def _stratum_name(column: int) -> str:
    return f"{'fired' if IS_FIRED[column] else 'unfired'}/{column % PLAN_BINS - 1}"


def _whole_rows(reference: Reference, chosen: Allocation, whole: Foresight) -> pd.DataFrame:
    sums = reference.lanes[["strategy_id", "version", "is_fixed"]].assign(
        population=reference.population.sum(axis=1),
        labels=chosen.labels.sum(axis=1),
        labels_now=reference.draws.sum(axis=1),
    )
    rows = sums.groupby("strategy_id", as_index=False).agg(
        version=("version", "max"),
        is_fixed=("is_fixed", "all"),
        population=("population", "sum"),
        labels=("labels", "sum"),
        labels_now=("labels_now", "sum"),
        channels=("version", "size"),
    )
    rows = rows.assign(channel=ALL, stratum=ALL, lane=rows.index)
    return rows.join(_shown(whole)).loc[rows["channels"] > 1].drop(columns="channels")


def _shown(found: Foresight) -> pd.DataFrame:
    columns: dict[str, Floats | Texts] = {}
    for metric, name in enumerate(("precision", "recall")):
        columns[f"{name}_half_width"] = found.half_width[:, metric]
        columns[f"{name}_detectable_drop"] = found.detectable[:, metric]
        columns[f"{name}_days_to_detect"] = found.days[:, metric]
    columns["labels_needed"] = found.labels_needed
    columns["unprovable"] = found.unprovable
    return pd.DataFrame(columns)
