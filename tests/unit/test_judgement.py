"""The whole judgement on a small simulated market with known truth."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain.judgement import Inputs, Judgement, judge
from governance_pipeline.errors import InputError

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

    def judge(self, days: int = DAYS, start: dt.date | None = None, **more: Any) -> Judgement:
        inputs = Inputs(
            self.frame, self.draws, self.strategies, self.channels, self.goals, **more
        )  # fmt: skip
        return judge(inputs, FIRST + dt.timedelta(days=days - 1), start)


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
    dropped = day >= DROP_DAY
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


def of_strategies(found: Judgement) -> pd.DataFrame:
    days = found.status_days
    return days[days["channel"] == "all"]


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture(scope="module")
def tables(market: Market) -> Tables:
    return simulate(1, market)


@pytest.fixture(scope="module")
def found(tables: Tables) -> Judgement:
    return tables.judge()


def test_every_drop_needs_an_audit_within_21_days_and_nothing_else_does(
    market: Market, found: Judgement
) -> None:
    days = of_strategies(found)
    alarms = days[days["status"] == "needs_audit"].groupby("strategy_id").first()
    assert alarms["metric"].to_dict() == {f"s{n:02d}": m for n, m in market.drops.items()}
    late = alarms["date"] - pd.Timestamp(FIRST + dt.timedelta(days=DROP_DAY))
    assert late.dt.days.between(0, 21).all()


def test_the_start_of_a_drop_is_found_within_two_weeks(market: Market, found: Judgement) -> None:
    newest = found.status[found.status["status"] == "needs_audit"]
    began = pd.Timestamp(FIRST + dt.timedelta(days=DROP_DAY))
    assert ((newest["since"] - began).abs() <= pd.Timedelta(days=14)).all()


def test_steady_strategies_are_healthy(market: Market, found: Judgement) -> None:
    days = of_strategies(found)
    steady = days[~days["strategy_id"].isin([f"s{n:02d}" for n in market.drops])]
    settled = steady[steady["date"] >= pd.Timestamp(FIRST + dt.timedelta(days=40))]
    assert (settled["status"] == "healthy").mean() > 0.9
    assert (steady["status"].iloc[0]) == "immature"


def test_every_status_row_says_why_and_what_next(found: Judgement) -> None:
    days = found.status_days
    for column in ("reason", "next_action", "labels_needed", "since", "owner_team"):
        assert days[column].notna().all(), column
    is_open = days["status"].isin(["immature", "healthy"])
    assert days.loc[is_open, "decidable_on"].notna().all()


def test_no_column_depends_on_its_values_for_its_type(found: Judgement) -> None:
    for table in (found.accuracy, found.drift, found.status_days, found.status):
        for name, column in table.items():
            assert column.dtype != object or column.notna().all(), name


def test_an_earlier_day_is_judged_the_same_without_the_later_ones(
    tables: Tables, found: Judgement
) -> None:
    earlier = tables.judge(days=60)
    for name in ("status_days", "drift"):
        later = getattr(found, name)
        later = later[later["date"] < pd.Timestamp(FIRST + dt.timedelta(days=60))]
        keys = [k for k in ("strategy_id", "channel", "metric", "date") if k in later]
        keys = keys if name == "drift" else ["strategy_id", "channel", "date"]
        pd.testing.assert_frame_equal(
            getattr(earlier, name).sort_values(keys).reset_index(drop=True),
            later.sort_values(keys).reset_index(drop=True),
            check_dtype=False,
        )


def test_estimates_hold_the_truth(market: Market, tables: Tables, found: Judgement) -> None:
    accuracy = found.accuracy[found.accuracy["window_kind"] == "to_date"]
    accuracy = accuracy.merge(
        tables.goals.pivot_table(index="strategy_id", columns="metric", values="goal"),
        on="strategy_id", suffixes=("", "_goal"),
    )  # fmt: skip
    steady = accuracy[~accuracy["strategy_id"].isin([f"s{n:02d}" for n in market.drops])]
    truth = {
        "precision": steady["precision_goal"] - market.tolerance + market.precision_margin,
        "recall": steady["recall_goal"] - market.tolerance + market.recall_margin,
    }
    for metric, value in truth.items():
        covers = (steady[f"{metric}_lo"] <= value) & (value <= steady[f"{metric}_hi"])
        assert covers.mean() >= 0.8, metric
        assert (steady[f"reach_{metric}"] - value).abs().mean() < 0.06
    assert (steady["matured_share"] > 0.6).all()


def changed(tables: Tables, **columns: Any) -> Tables:
    return Tables(**{**tables.__dict__, **columns})


def test_a_strategy_on_several_channels_is_judged_on_each_and_as_one() -> None:
    market = Market(
        strategies=3, channels=("affiliate", "video"), labels=40, drops={1: "precision"}
    )
    found = simulate(4, market).judge()
    newest = found.status.set_index(["strategy_id", "channel"])["status"]
    assert newest["s01"].to_dict() == dict.fromkeys(["all", "affiliate", "video"], "needs_audit")
    assert set(found.drift["channel"]) == {"all", "affiliate", "video"}
    assert set(found.accuracy["channel"]) == {"all", "affiliate", "video"}


def test_an_alarm_on_one_channel_is_the_strategys_alarm() -> None:
    market = Market(strategies=2, labels=60, drops={0: "precision"})
    one = simulate(3, market)
    other = simulate(
        3, Market(strategies=2, labels=300, units=60000, drops={}, channels=("video",))
    )
    both = {
        name: pd.concat([getattr(one, name), getattr(other, name)], ignore_index=True)
        for name in ("frame", "draws", "channels")
    }
    found = changed(one, **both).judge()
    newest = found.status.set_index(["strategy_id", "channel"])
    assert newest["status"]["s00", "all"] == "needs_audit"
    assert newest["metric"]["s00", "all"] == "precision"


def test_small_channels_are_bet_on_together() -> None:
    market = Market(
        strategies=2, labels=6, channels=("affiliate", "lives", "video"), drops={}, days=30
    )
    tables = simulate(5, market)
    assert set(tables.judge(30).drift["channel"]) == {"all"}
    large = simulate(5, Market(strategies=2, labels=40, channels=("shopads",), drops={}, days=30))
    both = {
        name: pd.concat([getattr(tables, name), getattr(large, name)], ignore_index=True)
        for name in ("frame", "draws", "channels")
    }
    assert set(changed(tables, **both).judge(30).drift["channel"]) == {"all", "rest", "shopads"}


def test_too_few_labels_are_insufficient_and_not_immature() -> None:
    found = simulate(6, Market(strategies=2, labels=1.5, drops={})).judge()
    newest = found.status[found.status["channel"] == "all"]
    assert (newest["status"] == "insufficient_evidence").all()
    assert (newest["labels_needed"] > 0).all()


def test_a_new_version_starts_again() -> None:
    tables = simulate(7, Market(strategies=1, drops={0: "precision"}))
    fresh = pd.Timestamp(FIRST + dt.timedelta(days=75))
    version = {
        name: getattr(tables, name).assign(
            version=lambda rows: 1 + (pd.to_datetime(rows["decision_date"]) >= fresh)
        )
        for name in ("frame", "draws")
    }
    found = changed(tables, **version).judge()
    is_goal = (found.drift["metric"] == "precision") & (found.drift["mode"] == "goal")
    drift = found.drift[is_goal].set_index("date")
    assert drift["e_value"][fresh - pd.Timedelta(days=1)] > 1e3
    assert drift["e_value"][fresh] < 1.01
    assert set(drift["version"]) == {1, 2}
    # Only closing the audit clears an alarm.
    assert found.status["status"].iloc[0] == "needs_audit"
    newest = found.accuracy[found.accuracy["window_kind"] == "to_date"]
    assert newest["version"].tolist() == [1, 2]
    assert newest["labelled"].iloc[-1] < 15 * 60 < newest["labelled"].iloc[0]


def test_what_does_not_decide_is_not_monitored() -> None:
    tables = simulate(8, Market(strategies=3, drops={}, days=30))
    strategies = tables.strategies.assign(lifecycle=["live", "paused", "shadow"])
    found = changed(tables, strategies=strategies).judge(30)
    newest = found.status[found.status["channel"] == "all"].set_index("strategy_id")
    assert newest.loc["s01", "status"] == "not_monitored"
    assert newest.loc["s01", "reason"] == "the strategy is paused"
    # Its decisions came from the live environment, in shadow it decided nothing.
    assert newest.loc["s02", "status"] == "not_monitored"
    assert newest.loc["s00", "status"] != "not_monitored"


def test_a_metric_without_a_goal_is_not_monitored_and_says_why() -> None:
    tables = simulate(9, Market(strategies=1, drops={}, days=40))
    goals = tables.goals.copy()
    is_recall = goals["metric"] == "recall"
    goals.loc[is_recall, "goal"] = np.nan
    goals["goal_null_reason"] = goals["goal_null_reason"].astype(object)
    goals.loc[is_recall, "goal_null_reason"] = "no reviewer can tell what was missed"
    found = changed(tables, goals=goals).judge(40)
    row = found.status.iloc[0]
    assert (row["recall_status"], row["status"]) == ("not_monitored", row["precision_status"])
    assert set(found.drift["metric"]) == {"precision"}


def test_a_sample_drawn_upstream_is_judged_from_its_drawn_rows() -> None:
    """Upstream's probabilities are known on drawn rows only, and its mix changes on day 50."""
    tables = simulate(10, Market(strategies=1, drops={}))
    frame, draws = tables.frame.copy(), tables.draws.copy()
    late = pd.to_datetime(draws["decision_date"]) >= pd.Timestamp(FIRST + dt.timedelta(days=50))
    keep = ~(late & ~draws["is_fired"]) | (np.arange(len(draws)) % 3 == 0)
    draws.loc[late & ~draws["is_fired"], "inclusion_probability"] /= 3
    draws = draws[keep]
    keys = ["decision_date", "is_fired", "fine_bin"]
    seen = draws.groupby(keys)["inclusion_probability"].agg(["min", "mean", "size"]).reset_index()
    frame = frame.merge(seen, on=keys, how="left")
    frame["min_probability"] = frame["min"]
    frame["expected_draws"] = frame["mean"] * frame["population"]
    frame["drawn"] = frame["size"].fillna(0)
    found = changed(tables, frame=frame[FRAME], draws=draws).judge()
    assert not (found.status_days["status"] == "needs_audit").any()
    assert found.drift["e_value"].max() < 20
    assert found.accuracy["recall"].iloc[-1] > 0.7


def test_no_data_at_all_gives_empty_tables_and_says_so() -> None:
    tables = simulate(11, Market(strategies=2, drops={}, days=10))
    found = changed(tables, frame=tables.frame[:0], draws=tables.draws[:0]).judge(10)
    assert found.accuracy.empty
    assert found.drift.empty
    assert (found.status["status"] == "not_monitored").all()


def test_the_year_of_tests_begins_where_it_is_told() -> None:
    tables = simulate(12, Market(strategies=2, drops={}, days=40))
    start = FIRST + dt.timedelta(days=20)
    found = tables.judge(40, start)
    assert found.drift["date"].min() == pd.Timestamp(start)
    assert found.status_days["date"].min() == pd.Timestamp(start)
    # Cohorts before the start count for the estimates.
    assert found.status_days["status"].iloc[0] != "immature"


def test_a_label_outside_the_frame_is_refused_by_name() -> None:
    tables = simulate(13, Market(strategies=1, drops={}, days=10))
    draws = tables.draws.assign(stratum="fired/9")
    with pytest.raises(InputError, match=r"decision d\d+ of s00 on shoptab is labelled"):
        changed(tables, draws=draws).judge(10)


def test_a_goal_without_room_is_refused() -> None:
    tables = simulate(14, Market(strategies=1, drops={}, days=10))
    with pytest.raises(InputError, match="goal - tolerance"):
        changed(tables, goals=tables.goals.assign(tolerance=0.95)).judge(10)


def test_an_unknown_verdict_is_refused() -> None:
    tables = simulate(15, Market(strategies=1, drops={}, days=10))
    with pytest.raises(InputError, match="verdict must be one of"):
        changed(tables, draws=tables.draws.assign(verdict="maybe")).judge(10)
