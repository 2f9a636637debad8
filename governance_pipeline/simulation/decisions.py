"""The decisions of the simulated market: truth, firing and score of every item on every day."""

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from governance_pipeline.registry.models import Registry, Strategy
from governance_pipeline.simulation.market import (
    DAILY_DECISIONS,
    PREVALENCE,
    SILENT,
    WEEKDAYS,
    WOBBLE,
    planted,
    true_rate,
)

ITEM_TYPES = {
    "shoptab": "listing", "campaigns": "campaign", "shopads": "ad", "affiliate": "creator",
    "video": "video", "lives": "live",
}  # fmt: skip
CATEGORIES = ("aa", "bt", "el", "fb", "hb", "hg", "sg", "tg")
ITEMS_PER_DECISION = 4
REPEATED = 0.01


def simulate_decisions(
    registry: Registry, rng: np.random.Generator, start: dt.date, days: int, scale: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return every decision with its truth, and the true rates per strategy, channel and day."""
    parts, truths = [], []
    places: dict[tuple[str, str], int] = {}
    for _, strategy in sorted(registry.strategies.items()):
        if strategy.lifecycle in SILENT:
            continue
        for channel in strategy.channels:
            place = places.get((channel, strategy.policy), 0)
            places[channel, strategy.policy] = place + 1
            rows, truth = _strategy_channel(strategy, channel, place, rng, start, days, scale)
            parts.append(rows)
            truths.append(truth)
    decisions = pd.concat(parts, ignore_index=True)
    decisions["market"] = rng.choice(sorted(registry.markets), len(decisions))
    return decisions, pd.concat(truths, ignore_index=True)


def _strategy_channel(
    strategy: Strategy,
    channel: str,
    place: int,
    rng: np.random.Generator,
    start: dt.date,
    days: int,
    scale: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    weekday = np.array([(start + dt.timedelta(days=d)).weekday() for d in range(days)])
    mean = DAILY_DECISIONS * scale * np.array(WEEKDAYS)[weekday]
    counts = rng.poisson(mean)
    precision, recall = (
        np.clip(rates + rng.normal(0, WOBBLE, days), 0.05, 0.98)
        for rates in (
            [true_rate(strategy, "precision", d) for d in range(days)],
            [true_rate(strategy, "recall", d) for d in range(days)],
        )
    )
    day = np.repeat(np.arange(days), counts)
    truth = rng.random(len(day)) < PREVALENCE
    fire_rate = PREVALENCE * recall / precision
    false_rate = fire_rate * (1 - precision) / (1 - PREVALENCE)
    fired = rng.random(len(day)) < np.where(truth, recall[day], false_rate[day])
    rows = _rows(strategy, channel, place, rng, start, day, counts, truth, fired)
    rates = pd.DataFrame(
        {
            "strategy_id": strategy.strategy_id,
            "channel": channel,
            "date": [start + dt.timedelta(days=d) for d in range(days)],
            "precision": precision,
            "recall": recall,
            "prevalence": PREVALENCE,
        }
    )
    return rows, rates


def _rows(
    strategy: Strategy,
    channel: str,
    place: int,
    rng: np.random.Generator,
    start: dt.date,
    day: NDArray[np.int64],
    counts: NDArray[np.int64],
    truth: NDArray[np.bool_],
    fired: NDArray[np.bool_],
) -> pd.DataFrame:
    n = len(day)
    score = _scores(strategy, rng, truth, fired)
    pool = ITEMS_PER_DECISION * int(counts.max(initial=1))
    items = np.concatenate([rng.permutation(pool)[:c] for c in counts])
    number = place * pool + items
    item = channel[:2] + pd.Series(day).astype(str) + "x" + pd.Series(number).astype(str)
    acts = strategy.lifecycle != "shadow"
    midnight = np.datetime64(start, "s") + day.astype("timedelta64[D]")
    reach = np.maximum(1, rng.lognormal(5.0, 0.7, n)).astype(np.int64)
    rows = pd.DataFrame(
        {
            "decision_id": strategy.strategy_id
            + "-"
            + channel[:2]
            + "-"
            + pd.Series(np.arange(n)).astype(str),
            "decided_at": midnight + rng.integers(0, 86_400, n).astype("timedelta64[s]"),
            "channel": channel,
            "strategy_id": strategy.strategy_id,
            "strategy_version": _versions(strategy, start, day),
            "environment": "live" if acts else "shadow",
            "item_id": item,
            "item_type": ITEM_TYPES[channel],
            "seller_id": "seller" + pd.Series(rng.integers(0, 5_000, n)).astype(str),
            "category": rng.choice(CATEGORIES, n),
            "score": score.round(4),
            "is_fired": fired,
            "action": np.where(fired, strategy.action if acts else "none", "none"),
            "automated_detection": rng.random(n) < 0.95,
            "automated_decision": rng.choice(
                ["fully", "partially", "not_automated"], n, p=[0.9, 0.08, 0.02]
            ),
            "reach": reach,
            "gmv": (reach * rng.gamma(2.0, 0.02, n)).round(2),
            "day": day,
            "truth": truth,
        }
    )
    rows["sample_stratum"], rows["inclusion_probability"] = _upstream_draw(strategy, rng, rows)
    return _repeat_some(rows, rng)


def _scores(
    strategy: Strategy,
    rng: np.random.Generator,
    truth: NDArray[np.bool_],
    fired: NDArray[np.bool_],
) -> pd.Series:
    """Return scores of AUC about .9; half of the rules have none."""
    n = len(truth)
    if strategy.kind == "rule" and len(strategy.strategy_id) % 2:
        return pd.Series(np.full(n, np.nan))
    score = np.where(
        fired,
        np.where(truth, rng.beta(9, 2, n), rng.beta(6, 3, n)),
        np.where(truth, rng.beta(4, 4, n), rng.beta(1.5, 7, n)),
    )
    # A strategy fires above its cut: the scores of the two sides touch and do not cross.
    return pd.Series(np.where(fired, 0.6 + 0.4 * score, 0.8 * score))


def _versions(strategy: Strategy, start: dt.date, day: NDArray[np.int64]) -> NDArray[np.int64]:
    version = np.full(len(day), strategy.versions[0].number, dtype=np.int64)
    for later in strategy.versions[1:]:
        version[day >= (later.effective_from - start).days] = later.number
    return version


def _upstream_draw(
    strategy: Strategy, rng: np.random.Generator, rows: pd.DataFrame
) -> tuple[pd.Series, pd.Series]:
    """Return upstream's stratum and probability; the probability stands on drawn rows alone."""
    n = len(rows)
    if strategy.audit_sample != "upstream":
        return pd.Series([None] * n, dtype="str"), pd.Series(np.full(n, np.nan))
    is_low = rows["score"] < np.where(rows["is_fired"], 0.88, 0.4)
    change = planted("audit_mix", strategy.strategy_id)
    turned = rows["day"] >= change[0].day if change else pd.Series(np.zeros(n, dtype=bool))
    fired = np.where(is_low == turned, 0.75, 0.15)
    rate = np.where(rows["is_fired"], fired, np.where(is_low, 0.04, 0.35))
    drawn = rng.random(n) < rate
    stratum = pd.Series(np.where(is_low, "low", "high"), dtype="str")
    return stratum, pd.Series(np.where(drawn, rate, np.nan))


def _repeat_some(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Decide again on a few items of the same day, as real logs do."""
    rows["is_again"] = False
    again = rows[rng.random(len(rows)) < REPEATED].assign(is_again=True)
    again["decision_id"] = again["decision_id"] + "-again"
    again["decided_at"] = again["decided_at"] + pd.Timedelta(seconds=1)
    again["inclusion_probability"] = np.nan
    late = again["decided_at"].dt.date != (again["decided_at"] - pd.Timedelta(seconds=1)).dt.date
    return pd.concat([rows, again[~late]], ignore_index=True)
