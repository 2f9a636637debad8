"""e-BH over slots, with frozen e-values."""

from __future__ import annotations

import numpy as np
import pytest

from governance_pipeline.domain.fleet import e_bh, reject_over_time, slots_for
from governance_pipeline.errors import InputError


@pytest.mark.parametrize(
    ("e_values", "rejected"),
    [
        ([100, 45, 30, 22, 9, 8, 1, 1, 0.5, 0.2], [0]),
        ([100, 60, 40, 22, 9, 8, 1, 1, 0.5, 0.2], [0, 1, 2]),
        ([np.nan, 100, 1], [1]),
        ([1, 1, 1], []),
    ],
)
def test_e_bh_rejects_the_largest(e_values: list[float], rejected: list[int]) -> None:
    assert np.flatnonzero(e_bh(np.array(e_values), 10)).tolist() == rejected


def test_slots_without_a_strategy_count() -> None:
    assert e_bh(np.array([30.0]), 3).any()
    assert not e_bh(np.array([30.0]), 4).any()


def test_the_rejected_set_only_grows() -> None:
    rng = np.random.default_rng(5)
    e_values = np.exp(np.cumsum(rng.normal(0, 1.5, (200, 30)), axis=0))
    rejected, frozen = reject_over_time(e_values, 40)
    assert (rejected[1:] >= rejected[:-1]).all()
    first = rejected.argmax(axis=0)
    for series in np.flatnonzero(rejected[-1]):
        assert (frozen[first[series] :, series] == e_values[first[series], series]).all()
    assert np.isnan(frozen[~rejected]).all()


def test_a_frozen_value_goes_on_counting_for_others() -> None:
    rejected, _ = reject_over_time(np.array([[40.0, 1.0], [1.0, 10.0]]), 2)
    assert rejected.tolist() == [[True, False], [True, True]]


def test_a_single_series_needs_twenty() -> None:
    rejected, _ = reject_over_time(np.array([[19.0], [20.0]]), 1)
    assert rejected[:, 0].tolist() == [False, True]


def test_false_discoveries_stay_below_their_rate() -> None:
    """Independent bets that are fair for 54 series and won by 6."""
    rng = np.random.default_rng(11)
    shares = []
    for _ in range(200):
        wins = rng.random((60, 60)) < np.where(np.arange(60) < 6, 0.8, 0.5)
        e_values = np.exp(np.cumsum(np.where(wins, np.log(1.5), np.log(0.5)), axis=0))
        rejected, _ = reject_over_time(e_values, 60)
        shares.append(rejected[-1, 6:].sum() / max(rejected[-1].sum(), 1))
    assert np.mean(shares) <= 0.1


def test_fewer_slots_than_series_are_refused() -> None:
    with pytest.raises(InputError, match="slots must be at least the 2 e-values, got 1"):
        e_bh(np.ones(2), 1)


def test_slots_come_in_tens() -> None:
    assert [slots_for(n) for n in (0, 2, 20, 21, 66)] == [1, 2, 20, 30, 70]
