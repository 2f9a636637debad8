"""A small simulated market with known truth, as the tables that judgement takes in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from governance_pipeline.domain.judgement import Inputs, Judgement, judge

FIRST = dt.date(2026, 3, 1)
DROP_DAY = 45
DAYS = 90
FRAME = [
    "strategy_id", "version", "channel", "environment", "decision_date", "is_fired", "stratum",
    "fine_bin", "population", "reach", "expected_draws", "min_probability", "drawn",
]  # fmt: skip
DRAWS = [
    "strategy_id", "version", "channel", "environment", "decision_date", "decision_id",
    "is_fired", "stratum", "fine_bin", "inclusion_probability", "reach", "gmv", "verdict",
    "known_on", "verdict_first", "is_disputed",
]  # fmt: skip


@dataclass
class Market:
    """What is simulated; shares in [0, 1], `drops` maps a strategy's number to its metric."""

    strategies: int = 24
    days: int = DAYS
    labels: float = 60.0
    fired_share: float = 0.4
    units: int = 6000
    prevalence: float = 0.11
    tolerance: float = 0.03
    precision_margin: float = 0.05
    recall_margin: float = 0.10
    precision_drop: float = 0.22
    recall_drop: float = 0.40
    drops: dict[int, str] = field(
        default_factory=lambda: (
            dict.fromkeys([2, 7], "precision") | dict.fromkeys([11, 17], "recall")
        )
    )
    channels: tuple[str, ...] = ("shoptab",)
    shares: tuple[float, float, float] = (0.34, 0.33, 0.33)
    lags: tuple[int, int] = (1, 7)
    drop_day: int = DROP_DAY
    drop_ends: int = 10_000
    missing: float = 0.03
    unsure: float = 0.02
    reach_sigma: float = 0.6


@dataclass
class Tables:
    frame: pd.DataFrame
    draws: pd.DataFrame
    strategies: pd.DataFrame
    channels: pd.DataFrame
    goals: pd.DataFrame

    def judge(
        self,
        days: int = DAYS,
        start: dt.date | None = None,
        currency: str | None = None,
        **more: pd.DataFrame,
    ) -> Judgement:
        inputs = Inputs(
            self.frame, self.draws, self.strategies, self.channels, self.goals, **more
        )  # fmt: skip
        return judge(inputs, FIRST + dt.timedelta(days=days - 1), start, currency)


def simulate(seed: int, market: Market) -> Tables:
    """Ten fine bins on each side; misses grow towards the cut, wrong fires shrink away from it."""
    rng = np.random.default_rng(seed)
    names = [f"s{number:02d}" for number in range(market.strategies)]
    goals, cells = [], []
    for number, name in enumerate(names):
        level = {"precision": rng.uniform(0.85, 0.90), "recall": rng.uniform(0.70, 0.75)}
        for metric, goal in level.items():
            goals.append((name, metric, FIRST, goal, None, market.tolerance, 0.10))
        for channel in market.channels:
            cells.append(_cells(rng, market, market.drops.get(number), level).assign(
                strategy_id=name, channel=channel
            ))  # fmt: skip
    frame = pd.concat(cells, ignore_index=True).assign(version=1, environment="live")
    frame["drawn"] = rng.binomial(frame["population"], frame["min_probability"])
    frame["expected_draws"] = frame["population"] * frame["min_probability"]
    frame["reach"] = frame["population"] * 30
    strategies = pd.DataFrame(
        {
            "strategy_id": names,
            "lifecycle": "live",
            "owner_team": "moderation",
            "polarity": "restrictive",
            "action": "block",
        }
    )
    channels = pd.DataFrame(
        [(name, channel) for name in names for channel in market.channels],
        columns=["strategy_id", "channel"],
    )
    goal_columns = [
        "strategy_id", "metric", "effective_from", "goal", "goal_null_reason", "tolerance",
        "evidence_half_width",
    ]  # fmt: skip
    return Tables(
        frame[FRAME],
        _draws(rng, market, frame),
        strategies,
        channels,
        pd.DataFrame(goals, columns=goal_columns),
    )


def _cells(
    rng: np.random.Generator, market: Market, drop: str | None, level: dict[str, float]
) -> pd.DataFrame:
    day = np.arange(market.days)
    dropped = (day >= market.drop_day) & (day < market.drop_ends)
    precision = level["precision"] - market.tolerance + market.precision_margin
    recall = level["recall"] - market.tolerance + market.recall_margin
    p = precision - market.precision_drop * (dropped & (drop == "precision"))
    r = recall - market.recall_drop * (dropped & (drop == "recall"))
    size = market.units * rng.uniform(0.9, 1.1, market.days)
    positives = market.prevalence * size
    hits = r * positives
    fired, missed = hits / p, positives - hits
    mid = (np.arange(20) + 0.5) / 20
    mass = np.r_[np.exp(-6 * mid[:10]), np.exp(3 * (mid[10:] - 0.5))]
    tilt = np.r_[np.exp(9 * mid[:10]), np.exp(-6 * (mid[10:] - 0.5))]
    parts = []
    for is_fired, bins, total, wrong in (
        (True, slice(10, 20), fired, fired - hits),
        (False, slice(0, 10), size - fired, missed),
    ):
        share = mass[bins] / mass[bins].sum()
        population = rng.poisson(total[:, None] * share)
        rate = tilt[bins] / (tilt[bins] * share).sum() * (wrong / total)[:, None]
        stratum = np.arange(20)[bins] // 4
        if is_fired:
            rates = np.full(10, market.labels * market.fired_share / total[0])
        else:
            wanted = market.labels * (1 - market.fired_share) * np.array(market.shares)
            sizes = np.bincount(stratum, share * total[0])
            rates = wanted[stratum] / sizes[stratum]
        parts.append(
            pd.DataFrame(
                {
                    "decision_date": np.repeat(
                        [FIRST + dt.timedelta(days=int(d)) for d in day], 10
                    ),
                    "is_fired": is_fired,
                    "fine_bin": np.tile(np.arange(20)[bins], market.days),
                    "stratum": np.tile(
                        [f"{'fired' if is_fired else 'unfired'}/{s}" for s in stratum], market.days
                    ),
                    "population": population.ravel(),
                    "min_probability": np.tile(np.minimum(rates, 1.0), market.days),
                    "wrong_rate": np.clip(rate, 0, 0.95).ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _draws(rng: np.random.Generator, market: Market, frame: pd.DataFrame) -> pd.DataFrame:
    at = np.repeat(frame.index.to_numpy(), frame["drawn"])
    draws = frame.loc[at].reset_index(drop=True)
    wrong = rng.random(len(draws)) < draws["wrong_rate"]
    fire = np.where(draws["is_fired"] != wrong, "should_fire", "should_not_fire")
    verdict = np.where(rng.random(len(draws)) < market.unsure, "unsure", fire)
    lag = rng.integers(market.lags[0], market.lags[1] + 1, len(draws))
    known = pd.to_datetime(draws["decision_date"]) + pd.to_timedelta(lag, unit="D")
    draws = draws.assign(
        decision_id=[f"d{number}" for number in range(len(draws))],
        inclusion_probability=draws["min_probability"],
        reach=1 + rng.lognormal(3, market.reach_sigma, len(draws)).astype(int),
        gmv=1.0,
        verdict=verdict,
        verdict_first=verdict,
        known_on=known.dt.date,
        is_disputed=False,
    )
    return draws.loc[rng.random(len(draws)) >= market.missing, DRAWS].reset_index(drop=True)


def changed(tables: Tables, **columns: Any) -> Tables:
    return Tables(**{**tables.__dict__, **columns})


def of_strategies(found: Judgement) -> pd.DataFrame:
    days = found.status_days
    return days[days["channel"] == "all"]
