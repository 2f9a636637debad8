"""What an audit plan is made from: the last weeks of every strategy-channel, as arrays."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.bets import event_rates
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import ENVIRONMENT
from governance_pipeline.domain.sampling import REACH_SHARE

POPULATION_DAYS = 28
LABEL_DAYS = 60
# A lag is known from labels only; a home without any waits about as long as the usual reviewer.
USUAL_LAG = 3.0
# Strata of a plan: fired and not, each with a bin for "no score" and five score bins.
PLAN_BINS = 6
STRATA = 2 * PLAN_BINS
IS_FIRED: Booleans = np.arange(STRATA) < PLAN_BINS
METRICS = ("precision", "recall")


@dataclass(frozen=True)
class Reference:
    """Every strategy-channel that decided in the last 28 days, in the version in force.

    `lanes` has strategy_id, channel, version, policy and `is_fixed`: a lane whose draws are not
    the plan's to set. `population`, `reach` and `draws` are means of a day, `rates` the smoothed
    shares of `should_fire`, all (lanes, strata); `lag` the mean days to a label, `uneven` the
    design effect of drawing partly by reach, `cost` reviews per label, each (lanes,); `goal`,
    `tolerance` and `half_width` are (lanes, metrics), NaN where there is no goal.
    """

    lanes: pd.DataFrame
    population: Floats
    reach: Floats
    draws: Floats
    rates: Floats
    lag: Floats
    uneven: Floats
    cost: Floats
    goal: Floats
    tolerance: Floats
    half_width: Floats


def build_reference(
    as_of: dt.date,
    frame: pd.DataFrame,
    draws: pd.DataFrame,
    strategies: pd.DataFrame,
    goals: pd.DataFrame,
    reviews: pd.DataFrame,
) -> Reference:
    """Lay out the last 28 days of decisions and the last 60 of labels.

    Args:
        as_of: Last day looked at, UTC.
        frame: `int_audit_frame`.
        draws: `int_audit_draws`.
        strategies: Registry table.
        goals: Registry table `strategy_goals`.
        reviews: `int_audit_reviews`: draws and distinct items by policy, channel and day.
    """
    wanted = strategies.loc[strategies["lifecycle"].isin(list(ENVIRONMENT))]
    recent = _of_version(_recent(frame, wanted, as_of, POPULATION_DAYS))
    lanes = recent[["strategy_id", "channel", "version"]].drop_duplicates()
    lanes = lanes.sort_values(["strategy_id", "channel"], ignore_index=True)
    about = wanted.set_index("strategy_id").reindex(lanes["strategy_id"])
    lanes["policy"] = about["policy"].to_numpy()
    goal, tolerance, half_width = _goals(goals, lanes["strategy_id"], as_of)
    is_upstream = (about["audit_sample"] != "pipeline").to_numpy(dtype=bool)
    lanes["is_fixed"] = is_upstream | np.isnan(goal).all(axis=1)
    lane = _positions(recent, lanes)
    first = recent.groupby(lane)["decision_date"].min().reindex(lanes.index)
    days = (pd.Timestamp(as_of) - first).dt.days.to_numpy(dtype=float) + 1
    at = lane * STRATA + _stratum(recent)
    shape = (len(lanes), STRATA)
    population, reach, expected = (
        _summed(at, recent[name], shape) / days[:, None]
        for name in ("population", "reach", "expected_draws")
    )
    labels = _recent(draws, wanted, as_of, LABEL_DAYS)
    labels = labels.loc[pd.to_datetime(labels["known_on"]) <= pd.Timestamp(as_of)]
    labels = labels.assign(lane=_positions(labels, lanes), place=_stratum(labels))
    labels = labels.loc[labels["lane"] >= 0]
    return Reference(
        lanes,
        population,
        reach,
        expected,
        _rates(labels, lanes),
        _lags(labels, lanes),
        _design_effects(labels, lanes, reach / np.maximum(population, 1e-300)),
        _costs(reviews, lanes, as_of),
        goal,
        tolerance,
        half_width,
    )


def _recent(
    table: pd.DataFrame, strategies: pd.DataFrame, as_of: dt.date, days: int
) -> pd.DataFrame:
    day = pd.to_datetime(table["decision_date"])
    last = pd.Timestamp(as_of)
    environment = strategies.set_index("strategy_id")["lifecycle"].map(ENVIRONMENT)
    is_judged = table["environment"] == table["strategy_id"].map(environment)
    kept = is_judged & (day <= last) & (day > last - pd.Timedelta(days=days))
    found = table.loc[kept].assign(decision_date=day[kept])
    # A sum of fractions depends on the order of its terms, and a table has none. Ids by themselves
    # first: pandas sorts one column of texts far faster than among others.
    keys = ["strategy_id", "channel", "version", "decision_date", "is_fired", "stratum", "fine_bin"]
    if "decision_id" in found:
        found = found.sort_values("decision_id", kind="stable")
    return found.sort_values(keys, kind="stable", ignore_index=True)


def _of_version(recent: pd.DataFrame) -> pd.DataFrame:
    """Keep each strategy's version of its last day, of two the one that decided more."""
    keys = ["strategy_id", "decision_date", "version"]
    size = recent.groupby(keys)["population"].sum().reset_index()
    size = size.sort_values(by=["decision_date", "population", "version"])
    version = size.drop_duplicates("strategy_id", keep="last").set_index("strategy_id")["version"]
    return recent.loc[recent["version"] == recent["strategy_id"].map(version)]


def _positions(table: pd.DataFrame, lanes: pd.DataFrame) -> Integers:
    """Return the lane of each row, -1 for none."""
    keys = ["strategy_id", "channel", "version"]
    known = pd.MultiIndex.from_frame(lanes[keys])
    return np.asarray(known.get_indexer(pd.MultiIndex.from_frame(table[keys])), dtype=np.int64)


def _stratum(table: pd.DataFrame) -> Integers:
    """Return the column of each row's stratum; upstream's own sub-strata are one."""
    code, names = pd.factorize(table["stratum"])
    parts = pd.Series(names, dtype="str").str.split("/").str[1]
    score_bin = pd.to_numeric(parts, errors="coerce").fillna(-1).to_numpy(dtype=np.int64)
    place = np.clip(score_bin[code] + 1, 0, PLAN_BINS - 1)
    return np.where(table["is_fired"].to_numpy(dtype=bool), place, place + PLAN_BINS)


def _summed(at: Integers, values: pd.Series, shape: tuple[int, int]) -> Floats:
    weights = values.fillna(0).to_numpy(dtype=float)
    flat = np.bincount(at, weights, minlength=shape[0] * shape[1])
    return flat.astype(float).reshape(shape)


def _rates(labels: pd.DataFrame, lanes: pd.DataFrame) -> Floats:
    """Return (events + .3) / (labels + .6) of each stratum, events by the design's weights."""
    known = labels.loc[labels["verdict"] != "unsure"]
    shape = (len(lanes), STRATA)
    at = known["lane"].to_numpy() * STRATA + known["place"].to_numpy()
    weight = 1 / known["inclusion_probability"].astype(float)
    says_fire = (known["verdict"] == "should_fire").astype(float)
    count = _summed(at, pd.Series(1.0, index=known.index), shape)
    total, fires = _summed(at, weight, shape), _summed(at, weight * says_fire, shape)
    share = np.divide(fires, total, out=np.zeros(shape), where=total > 0)
    return event_rates(np.clip(share, 0.0, 1.0) * count, count)


def _lags(labels: pd.DataFrame, lanes: pd.DataFrame) -> Floats:
    everywhere = float(labels["lag_days"].mean()) if len(labels) else USUAL_LAG
    own = labels.groupby("lane")["lag_days"].mean().reindex(lanes.index)
    return np.maximum(own.fillna(everywhere).to_numpy(dtype=float), 0.0)


def _design_effects(labels: pd.DataFrame, lanes: pd.DataFrame, mean_reach: Floats) -> Floats:
    """Return by how much drawing partly by reach thins the labels' worth for counts of items.

    Kish's E[q] E[1 / q] with q = 1 - s + s reach / mean reach; at most 1 / (1 - s), which is taken
    where no reach is known.
    """
    lane = labels["lane"].to_numpy()
    scale = mean_reach[lane, labels["place"].to_numpy()]
    reach = np.maximum(labels["reach"].fillna(0).to_numpy(dtype=float), 0.0)
    size = np.divide(reach, scale, out=np.ones(len(labels)), where=scale > 0)
    q = 1 - REACH_SHARE + REACH_SHARE * size
    weight = 1 / labels["inclusion_probability"].to_numpy(dtype=float)
    count = len(lanes)
    total, by_q, by_inverse = (
        np.bincount(lane, w, minlength=count) for w in (weight, weight * q, weight / q)
    )
    worst = 1 / (1 - REACH_SHARE)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(total > 0, by_q * by_inverse / total**2, worst)
    return np.clip(effect, 1.0, worst)


def _costs(reviews: pd.DataFrame, lanes: pd.DataFrame, as_of: dt.date) -> Floats:
    """Return distinct items per draw of the lane's policy and channel, 1 where none was drawn."""
    day = pd.to_datetime(reviews["decision_date"])
    last = pd.Timestamp(as_of)
    kept = reviews.loc[(day <= last) & (day > last - pd.Timedelta(days=LABEL_DAYS))]
    summed = kept.groupby(["policy", "channel"])[["draws", "reviews"]].sum()
    ratio = summed["reviews"] / summed["draws"]
    found = ratio.reindex(pd.MultiIndex.from_frame(lanes[["policy", "channel"]]))
    return found.fillna(1.0).to_numpy(dtype=float)


def _goals(
    goals: pd.DataFrame, strategies: pd.Series, as_of: dt.date
) -> tuple[Floats, Floats, Floats]:
    """Return goal, tolerance and evidence half-width in force, each (lanes, metrics)."""
    started = goals.loc[pd.to_datetime(goals["effective_from"]) <= pd.Timestamp(as_of)]
    newest = started.sort_values("effective_from").drop_duplicates(
        ["strategy_id", "metric"], keep="last"
    )
    known = newest.set_index(["strategy_id", "metric"])
    wanted = pd.MultiIndex.from_product([strategies, METRICS])
    goal, tolerance, half_width = (
        known[name].reindex(wanted).to_numpy(dtype=float).reshape(-1, len(METRICS))
        for name in ("goal", "tolerance", "evidence_half_width")
    )
    return goal, np.nan_to_num(tolerance), np.where(np.isnan(half_width), 0.10, half_width)
