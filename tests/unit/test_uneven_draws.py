"""Draws partly by reach: what the plan sets, through the frame, to the bet."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain.betting import Claims, log_bets
from governance_pipeline.domain.cohorts import build_cohorts
from governance_pipeline.domain.gates import Gates
from governance_pipeline.domain.panel import build_panel, drift_pools
from governance_pipeline.domain.pooling import pool_design, pool_labels
from governance_pipeline.domain.sampling import inclusion_probability

DAY = dt.date(2026, 3, 1)
REPLICATES, UNITS, TARGET = 4000, 60, 0.8


@pytest.mark.parametrize("wrong_are", ["large", "small", "any"])
def test_the_bet_never_wins_under_the_null_whatever_is_drawn_by_reach(wrong_are: str) -> None:
    rng = np.random.default_rng(3)
    reach = np.sort(rng.lognormal(3, 1.5, UNITS))
    pi = inclusion_probability(0.3, reach, reach.mean())
    assert pi.max() / pi.min() > 3
    wrong = np.zeros(UNITS, dtype=bool)
    order = {
        "large": np.arange(UNITS)[::-1],
        "small": np.arange(UNITS),
        "any": rng.permutation(UNITS),
    }
    wrong[order[wrong_are][: round(UNITS * (1 - TARGET))]] = True
    names = [f"s{n:04d}" for n in range(REPLICATES)]
    one_cell: dict[str, Any] = {
        "version": 1, "channel": "lives", "environment": "live", "decision_date": DAY,
        "is_fired": True, "stratum": "fired/4", "fine_bin": 17,
    }  # fmt: skip
    frame = pd.DataFrame({"strategy_id": names}).assign(
        **one_cell, population=UNITS, reach=reach.sum(), expected_draws=pi.sum(),
        min_probability=pi.min(), drawn=1,
    )  # fmt: skip
    replicate, unit = np.nonzero(rng.random((REPLICATES, UNITS)) < pi)
    draws = pd.DataFrame({"strategy_id": np.array(names)[replicate]}).assign(
        **one_cell, decision_id=[f"{r}-{u}" for r, u in zip(replicate, unit, strict=True)],
        inclusion_probability=pi[unit], reach=reach[unit], gmv=0.0,
        verdict=np.where(wrong[unit], "should_not_fire", "should_fire"), known_on=DAY, lag_days=0,
    )  # fmt: skip
    draws["verdict_first"] = draws["verdict"]
    strategies = pd.DataFrame({"strategy_id": names, "lifecycle": "live"})
    panel = build_panel(frame, draws, strategies, DAY, DAY)
    pools = drift_pools(panel)
    never = np.zeros((1, len(pools)), dtype=bool)
    zero = np.zeros(len(pools), dtype=np.int64)
    gates = Gates(never, never.astype(np.int64), never, zero, 0)
    claims = Claims(("precision", "recall"), np.full((1, len(pools), 2), TARGET))
    design, labels = pool_design(panel, pools), pool_labels(panel, pools)
    bets, _ = log_bets(design, labels, build_cohorts(panel, pools), gates, claims)
    e_values = np.exp(bets[0, :, 0])
    assert e_values.std(axis=0).min() > 0.01, "something is staked"
    error = e_values.std(axis=0) / REPLICATES**0.5
    assert (e_values.mean(axis=0) <= 1 + 3 * error).all()
    assert e_values.mean(axis=0)[0] >= 0.98, "at the boundary a small bet is nearly fair"
