"""The audit draw: repeatable, at its rate, unpredictable without the key."""

import datetime as dt
import hashlib

import duckdb
import pytest

from governance_pipeline.adapters.draws import draw_sql

DRAW = draw_sql("$key", "item_id", "policy", "day")


def draws(key: str, policy: str = "spam", items: int = 20_000) -> list[float]:
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select {DRAW} from (select 'i' || i as item_id, $policy as policy, $day as day"
            " from range($items) t(i))",
            {"key": key, "policy": policy, "items": items, "day": dt.date(2026, 3, 1)},
        ).fetchall()
    return [u for (u,) in found]


def test_a_draw_is_the_second_half_of_the_md5_of_key_item_policy_and_day() -> None:
    digests = [hashlib.md5(f"key|i{n}|spam|2026-03-01".encode()).digest() for n in range(500)]
    expected = [int.from_bytes(digest[8:], "little") / 2**64 for digest in digests]
    assert draws("key", items=500) == expected


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.7])
def test_a_rate_draws_its_share(rate: float) -> None:
    found = draws("key")
    share = sum(u < rate for u in found) / len(found)
    assert abs(share - rate) < 5 * (rate * (1 - rate) / len(found)) ** 0.5
    assert min(found) >= 0
    assert max(found) < 1


def test_a_higher_rate_draws_what_a_lower_one_does() -> None:
    found = draws("key")
    assert {n for n, u in enumerate(found) if u < 0.1} < {n for n, u in enumerate(found) if u < 0.2}


def test_another_key_or_policy_draws_independently() -> None:
    one = draws("key")
    for other in (draws("another"), draws("key", "fraud")):
        both = sum(a < 0.3 and b < 0.3 for a, b in zip(one, other, strict=True)) / len(one)
        assert abs(both - 0.09) < 0.01
