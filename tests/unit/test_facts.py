"""What is usual for a delivery: robust against weekdays, small counts and single bad days."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pytest

from governance_pipeline.adapters import facts
from governance_pipeline.adapters.suites import Suite, load_suite
from governance_pipeline.settings import EXPECTATIONS

START = dt.date(2026, 1, 1)
WEEK = np.array([1, 1, 1, 1.05, 1.2, 1.5, 1.4])
SUITE = load_suite(EXPECTATIONS / "decisions.yaml")
Counted = Sequence[tuple[int, int]]


def broken(series: dict[str, tuple[str, Counted]], suite: Suite = SUITE) -> dict[str, list[Any]]:
    """Return what breaks each rule; all but the last day of a series are its history."""
    rows = [
        (name, START + dt.timedelta(days=n), fact, "x", part, of, n >= 28, False)
        for name, (fact, days) in series.items()
        for n, (part, of) in enumerate(days)
    ]
    with duckdb.connect() as connection:
        connection.execute(facts.CREATE)
        facts.compare(connection, rows)
        return {
            rule.name: connection.execute(
                f"select channel, delivery_date, value, usual from facts where {rule.broken}"
            ).fetchall()
            for rule in suite.set_rules
        }


def counts(level: float, days: int, seed: int, noise: float = 0.1) -> list[int]:
    """Draw days of a market with a weekly pattern, whose days differ by `noise` beside."""
    rng = np.random.default_rng(seed)
    expected = level * WEEK[np.arange(days) % 7] * np.exp(rng.normal(0, noise, days))
    return [int(n) for n in rng.poisson(expected)]


@pytest.mark.parametrize("level", [3, 100, 5_000, 1_000_000])
def test_a_market_with_weekends_and_restless_days_raises_no_alarm(level: int) -> None:
    rng = np.random.default_rng(level)
    series: dict[str, tuple[str, Counted]] = {}
    for n in range(10):
        days = counts(level, 118, n)
        shares = np.clip(0.2 * np.exp(rng.normal(0, 0.1, len(days))), 0, 1)
        nulls = [int(k) for k in rng.binomial(days, shares)]
        series[f"rows {n}"] = ("row_count", [(k, k) for k in days])
        series[f"nulls {n}"] = ("null_share", list(zip(nulls, days, strict=True)))
        series[f"value {n}"] = ("value_share", list(zip(nulls, days, strict=True)))
    assert not any(broken(series).values())


@pytest.mark.parametrize(("level", "factor"), [(150, 0.1), (150, 10), (100_000, 0.1), (30, 10)])
def test_a_tenth_of_a_day_and_ten_of_it_are_seen(level: int, factor: float) -> None:
    series: dict[str, tuple[str, Counted]] = {}
    for n in range(20):
        days = [*counts(level, 28, n), int(level * factor)]
        series[str(n)] = ("row_count", [(k, k) for k in days])
    found = broken(series)
    assert len(found["row_count_is_plausible"]) == 20
    assert len(found["row_count_is_usual"]) == 20


def test_a_few_rows_less_of_a_few_are_no_alarm() -> None:
    days = [8, 11, 9, 12, 10, 7, 13] * 4
    assert not any(broken({"small": ("row_count", [(k, k) for k in [*days, 1]])}).values())


def test_single_bad_days_do_not_become_usual() -> None:
    days = counts(1_000, 28, 1)
    days[3], days[10], days[17] = 10, 0, 90_000
    series: dict[str, tuple[str, Counted]] = {
        "good": ("row_count", [(k, k) for k in [*days, 1_000]]),
        "bad": ("row_count", [(k, k) for k in [*days, 10]]),
    }
    assert [channel for channel, *_ in broken(series)["row_count_is_plausible"]] == ["bad"]


def test_a_weekend_is_compared_with_weekends() -> None:
    week = [1_000] * 5 + [100, 100]
    series: dict[str, tuple[str, Counted]] = {
        "weekend": ("row_count", [(k, k) for k in (week * 5)[5:34]]),
        "weekday": ("row_count", [(k, k) for k in [*(week * 5)[5:33], 1_000]]),
    }
    assert (week * 5)[33] == 100
    found = broken(series)["row_count_is_plausible"]
    assert [(channel, usual) for channel, _, _, usual in found] == [("weekday", 100.0)]
