"""The people of the simulated market: reviewers, sellers who appeal, shoppers who answer."""

import datetime as dt

import numpy as np
import pandas as pd

from governance_pipeline.registry.models import Registry
from governance_pipeline.simulation.decisions import CATEGORIES
from governance_pipeline.simulation.market import planted

REVIEWERS = 12
LAG = {1: 0.3, 2: 0.28, 3: 0.18, 4: 0.12, 5: 0.08, 6: 0.04}
LOST, UNSURE, SECOND, BY_ITEM = 0.02, 0.02, 0.08, 0.03
DAY_SECONDS = 86_400


def simulate_labels(
    drawn: pd.DataFrame, registry: Registry, rng: np.random.Generator, start: dt.date
) -> pd.DataFrame:
    """Return reviewers' verdicts on drawn decisions, days after them, and some golden questions.

    Args:
        drawn: The drawn units with their `truth` and `day`, in a fixed order.
        registry: Says which policy a strategy judges by, and its polarity.
        rng: Source of chance.
        start: Day 0.
    """
    first = drawn[rng.random(len(drawn)) >= LOST]
    second = first[rng.random(len(first)) < SECOND]
    asked = pd.concat([first, second], ignore_index=True)
    n = len(asked)
    lag = rng.choice(list(LAG), n, p=list(LAG.values()))
    reviewer = rng.integers(0, REVIEWERS, n)
    # Most reviewers err on 3 items of 1,000, two of them on 15. At 12% prevalence every mistake on
    # what did not fire looks like a miss, so a percent of mistakes would cost recall six points.
    mistakes = rng.random(n) < np.where(reviewer < 2, 0.015, 0.003)
    says = asked["truth"].to_numpy() ^ mistakes
    verdict = np.where(says, "should_fire", "should_not_fire")
    labels = pd.DataFrame(
        {
            "label_id": "l" + pd.Series(np.arange(n)).astype(str),
            "decision_id": asked["decision_id"],
            "item_id": None,
            "policy": None,
            "channel": asked["channel"],
            "reviewer_id": "reviewer" + pd.Series(reviewer).astype(str),
            "day": asked["day"] + lag,
            "verdict": np.where(rng.random(n) < UNSURE, "unsure", verdict),
            "source": "random_audit",
            "policy_version": "2026-01",
            "golden_verdict": None,
        }
    )
    labels = _name_by_item(labels, asked, registry, rng)
    labels = pd.concat([labels, _golden(asked, rng)], ignore_index=True)
    labels["labelled_at"] = _moments(start, labels["day"], rng)
    return labels


def _name_by_item(
    labels: pd.DataFrame, asked: pd.DataFrame, registry: Registry, rng: np.random.Generator
) -> pd.DataFrame:
    """Let some reviewers answer about an item and a policy, not about a decision."""
    chosen = (rng.random(len(labels)) < BY_ITEM) & (labels["verdict"] != "unsure").to_numpy()
    boosts = {s for s, strategy in registry.strategies.items() if strategy.polarity == "boost"}
    is_boost = asked["strategy_id"].isin(boosts).to_numpy()
    violates = (labels["verdict"] == "should_fire").to_numpy() ^ is_boost
    policy = asked["strategy_id"].map({k: s.policy for k, s in registry.strategies.items()})
    labels.loc[chosen, "item_id"] = asked.loc[chosen, "item_id"]
    labels.loc[chosen, "policy"] = policy[chosen]
    labels.loc[chosen, "decision_id"] = None
    labels.loc[chosen, "verdict"] = np.where(violates, "violating", "not_violating")[chosen]
    return labels


def _golden(asked: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    chosen = asked[rng.random(len(asked)) < 0.01]
    n = len(chosen)
    answer = np.where(chosen["truth"], "should_fire", "should_not_fire")
    wrong = np.where(chosen["truth"], "should_not_fire", "should_fire")
    return pd.DataFrame(
        {
            "label_id": "g" + pd.Series(np.arange(n)).astype(str),
            "decision_id": chosen["decision_id"].to_numpy(),
            "channel": chosen["channel"].to_numpy(),
            "reviewer_id": "reviewer" + pd.Series(rng.integers(0, REVIEWERS, n)).astype(str),
            "day": chosen["day"].to_numpy() + 1,
            "verdict": np.where(rng.random(n) < 0.03, wrong, answer),
            "source": "golden",
            "policy_version": "2026-01",
            "golden_verdict": answer,
        }
    )


def simulate_appeals(
    decisions: pd.DataFrame, registry: Registry, rng: np.random.Generator, start: dt.date
) -> pd.DataFrame:
    """Return appeals against restrictions, pending on their day and again when decided."""
    restricting = {s for s, x in registry.strategies.items() if x.polarity == "restrictive"}
    hit = decisions[
        decisions["is_fired"]
        & (decisions["environment"] == "live")
        & decisions["strategy_id"].isin(restricting)
    ]
    appealed = hit[rng.random(len(hit)) < np.where(hit["truth"], 0.03, 0.12)].reset_index(drop=True)
    n = len(appealed)
    appeals = pd.DataFrame(
        {
            "appeal_id": "a" + pd.Series(np.arange(n)).astype(str),
            "decision_id": appealed["decision_id"],
            "decision_made_at": appealed["decided_at"],
            "channel": appealed["channel"],
            "day": appealed["day"] + rng.integers(0, 3, n),
            "ground": rng.choice(["not_violating", "wrong_item", "mitigating"], n),
        }
    )
    appeals["submitted_at"] = np.maximum(
        _moments(start, appeals["day"], rng), appealed["decided_at"] + pd.Timedelta(seconds=60)
    )
    later = appeals.assign(day=appeals["day"] + rng.integers(1, 6, n))
    later["decided_at"] = _moments(start, later["day"], rng)
    won = rng.random(n) < np.where(appealed["truth"], 0.06, 0.8)
    part = rng.random(n) < 0.1
    later["outcome"] = np.where(won, np.where(part, "partially_reversed", "reversed"), "upheld")
    return pd.concat(
        [appeals.assign(decided_at=np.datetime64("NaT", "s"), outcome="pending"), later],
        ignore_index=True,
    )


def simulate_shoppers(
    registry: Registry, rng: np.random.Generator, start: dt.date, days: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return feedback and activity by channel, category, market and day, incident included."""
    cells = pd.MultiIndex.from_product(
        [sorted(registry.channels), CATEGORIES, sorted(registry.markets), range(days)],
        names=["channel", "category", "market", "day"],
    ).to_frame(index=False)
    orders = rng.poisson(60, len(cells))
    incident = planted("trust")[0]
    place = cells["channel"] + "/" + cells["category"]
    is_hit = (place == incident.subject) & cells["day"].between(incident.day, incident.day + 9)
    activity = cells.assign(
        date=[start + dt.timedelta(days=int(d)) for d in cells["day"]],
        impressions=orders * 45 + rng.poisson(200, len(cells)),
        orders=orders,
        refunds=rng.binomial(orders, 0.04),
        gmv=(orders * rng.gamma(20, 1.2, len(cells))).round(2),
    )
    answers = [
        _answers(cells, is_hit.to_numpy(), kind, mean, rng)
        for kind, mean in (("nps", 0.5), ("review", 0.6), ("csat", 0.2), ("complaint", 0.06))
    ]
    feedback = pd.concat(answers, ignore_index=True)
    feedback["feedback_id"] = "f" + pd.Series(np.arange(len(feedback))).astype(str)
    feedback["submitted_at"] = _moments(start, feedback["day"], rng)
    return feedback, activity


def _answers(
    cells: pd.DataFrame, is_hit: np.ndarray, kind: str, mean: float, rng: np.random.Generator
) -> pd.DataFrame:
    rate = mean * np.where(is_hit, 3.0 if kind == "complaint" else 1.5, 1.0)
    rows = cells.loc[np.repeat(np.arange(len(cells)), rng.poisson(rate))]
    hit = np.isin(rows.index, np.flatnonzero(is_hit))
    n = len(rows)
    if kind == "nps":
        usual = rng.choice(
            11, n, p=[0.02, 0.01, 0.01, 0.02, 0.02, 0.04, 0.06, 0.12, 0.2, 0.25, 0.25]
        )
        score = np.where(hit & (rng.random(n) < 0.6), rng.integers(0, 7, n), usual).astype(float)
    elif kind == "complaint":
        score = np.full(n, np.nan)
    else:
        usual = rng.choice(5, n, p=[0.06, 0.05, 0.11, 0.28, 0.5]) + 1
        score = np.where(hit & (rng.random(n) < 0.5), 1, usual).astype(float)
    theme = rng.choice(["delivery", "quality", "not_as_shown", "price", "service"], n)
    return rows.assign(kind=kind, score=score, theme=theme)


def _moments(start: dt.date, day: pd.Series, rng: np.random.Generator) -> pd.Series:
    seconds = rng.integers(0, DAY_SECONDS, len(day)).astype("timedelta64[s]")
    midnight = np.datetime64(start, "s") + day.to_numpy().astype("timedelta64[D]")
    return pd.Series(midnight + seconds, index=day.index)
