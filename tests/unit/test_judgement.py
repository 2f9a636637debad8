"""The whole judgement on a small simulated market with known truth."""

from __future__ import annotations

import datetime as dt
from functools import partial

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain.judgement import Inputs, Judgement, Terms, judge_blocks
from governance_pipeline.errors import InputError
from tests.unit.markets import (
    DAYS,
    DROP_DAY,
    FIRST,
    FRAME,
    Market,
    Tables,
    changed,
    of_strategies,
    simulate,
)


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


def test_a_fleet_judged_in_blocks_is_judged_the_same(tables: Tables, found: Judgement) -> None:
    names = list(tables.strategies["strategy_id"])
    last = FIRST + dt.timedelta(days=DAYS - 1)

    def block(own: list[str]) -> Inputs:
        parts = {
            name: table[table["strategy_id"].isin(own)]
            for name, table in vars(tables).items()
            if isinstance(table, pd.DataFrame)
        }
        return Inputs(
            parts["frame"], parts["draws"], parts["strategies"], parts["channels"], parts["goals"]
        )

    sizes = (names[:3], names[3:20], names[20:])
    parts = list(judge_blocks([partial(block, own) for own in sizes], Terms(last, FIRST, FIRST)))
    for table in ("accuracy", "drift", "status_days", "harm"):
        keys = ["strategy_id", "channel"]
        whole, joined = (
            frame.sort_values(keys, kind="stable", ignore_index=True)
            for frame in (getattr(found, table), pd.concat([getattr(p, table) for p in parts]))
        )
        pd.testing.assert_frame_equal(joined, whole, check_dtype=False, rtol=1e-9)
