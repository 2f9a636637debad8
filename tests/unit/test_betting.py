"""Replayed bets on arrays: what arrives when, who waits, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.domain.betting import Claims, Design, Labels, log_bets
from governance_pipeline.domain.cohorts import Cohorts
from governance_pipeline.domain.delays import lag_differs
from governance_pipeline.domain.gates import build_gates
from governance_pipeline.errors import InputError

DAYS = 100
FIRED, UNFIRED = 0, 21


def market(seed: int, error_lag: int) -> tuple[Design, Labels, Cohorts, Claims]:
    """One pool at its goals, 60 draws a day from two cells; errors come back `error_lag` later."""
    rng = np.random.default_rng(seed)
    population, probability = np.array([200.0, 2000.0]), np.array([0.2, 0.01])
    drawn = rng.binomial(population.astype(int), probability, (DAYS, 2))
    errors = rng.binomial(drawn, np.array([0.12, 0.02]))
    day = np.repeat(np.arange(DAYS), 2)
    cell = np.tile([FIRED, UNFIRED], DAYS)
    design = Design(
        day, np.zeros(len(day), dtype=int), cell, np.tile(population, DAYS),
        np.tile(population * probability, DAYS), np.tile(probability, DAYS),
        drawn.ravel().astype(float),
    )  # fmt: skip
    rows = []
    for is_event, counts in ((True, errors), (False, drawn - errors)):
        for lag in (1, 2, 3):
            part = np.where(np.arange(DAYS)[:, None] % 3 == lag - 1, counts, 0).ravel()
            rows.append((day, day + lag + error_lag * is_event, cell, part, is_event))
    columns = [np.concatenate([row[n] for row in rows]) for n in range(4)]
    event = np.concatenate([np.full(len(row[0]), row[4]) for row in rows])
    keep = (columns[3] > 0) & (columns[1] < DAYS)
    order = np.argsort(columns[0][keep], kind="stable")
    at, known, where, count = (column[keep][order] for column in columns)
    labels = Labels(
        at, known, np.zeros(len(at), dtype=int), where, probability[(where > 0).astype(int)],
        event[keep][order], count.astype(float),
    )  # fmt: skip
    total = drawn.sum(axis=1)
    mature = np.full((DAYS, 1), DAYS + 5, dtype=np.int64)
    for cohort in range(DAYS):
        own = at == cohort
        arrived = sorted(zip(known[own], count[own], strict=True))
        seen = np.cumsum([n for _, n in arrived])
        enough = np.flatnonzero(seen >= 0.9 * total[cohort])
        if len(enough):
            mature[cohort, 0] = arrived[enough[0]][0]
    size = np.full((DAYS, 1), population.sum())
    cohorts = Cohorts(size, total[:, None].astype(float), mature, np.ones((DAYS, 1), dtype=int))
    levels = np.tile(np.array([0.88, 0.79]), (DAYS, 1, 1))
    return design, labels, cohorts, Claims(("precision", "recall"), levels)


def bets(seed: int, error_lag: int) -> tuple[np.ndarray, np.ndarray]:
    design, labels, cohorts, claims = market(seed, error_lag)
    return log_bets(design, labels, cohorts, build_gates(cohorts, 0), claims)


def test_a_pool_waits_for_whole_cohorts_only_where_errors_come_at_another_speed() -> None:
    assert not bets(1, 0)[1].any()
    is_once = bets(1, 4)[1][:, 0]
    # Nothing is known before the first cohort is in, on day 5 or 6.
    assert not is_once[:5].any()
    assert is_once[60:].all()


def test_a_cohort_that_waits_wins_no_more_than_with_every_answer() -> None:
    design, labels, cohorts, claims = market(2, 4)
    gates = build_gates(cohorts, 0)
    whole, _ = log_bets(design, labels, cohorts, gates, claims)
    lost = (labels.day == 80) & labels.is_event
    fewer = Labels(
        **{f.name: getattr(labels, f.name)[~lost] for f in dataclasses.fields(labels)}
    )  # fmt: skip
    part, is_once = log_bets(design, fewer, cohorts, gates, claims)
    assert is_once[80, 0]
    assert (part.sum(axis=0) < whole.sum(axis=0)).all()


def test_labels_that_are_alike_count_as_often_as_they_are() -> None:
    design, labels, cohorts, claims = market(3, 0)
    times = labels.count.astype(int)
    apart = Labels(
        **{
            f.name: np.repeat(getattr(labels, f.name), times)
            for f in dataclasses.fields(labels)
            if f.name != "count"
        },
        count=np.ones(times.sum()),
    )
    gates = build_gates(cohorts, 0)
    together, _ = log_bets(design, labels, cohorts, gates, claims)
    one_by_one, _ = log_bets(design, apart, cohorts, gates, claims)
    np.testing.assert_allclose(together, one_by_one, atol=1e-9)


def test_a_level_that_is_not_claimed_makes_no_bet() -> None:
    design, labels, cohorts, claims = market(4, 0)
    silent = claims.levels.copy()
    silent[:50, :, 0] = np.nan
    found, _ = log_bets(
        design, labels, cohorts, build_gates(cohorts, 0), Claims(claims.metrics, silent)
    )
    assert not found[:50, :, 0].any()
    assert found[:50, :, 1].any()
    assert found[60:, :, 0].any()


@pytest.mark.parametrize(
    ("where", "name", "value", "message"),
    [
        ("design", "population", np.nan, "population must be finite"),
        ("design", "drawn", -1.0, "drawn must be finite and not negative, got -1"),
        ("design", "drawn", 1e6, "drawn must not exceed population"),
        ("design", "least", 0.0, r"inclusion_probability must be in \(0, 1\], got 0"),
        ("labels", "probability", 1.5, r"inclusion_probability must be in \(0, 1\], got 1.5"),
        ("labels", "count", 0.0, "count must be finite and positive"),
    ],
)
def test_what_no_sample_can_have_is_refused_by_name(
    where: str, name: str, value: float, message: str
) -> None:
    design, labels, cohorts, claims = market(5, 0)
    values = getattr(design if where == "design" else labels, name).copy()
    values[7] = value
    if where == "design":
        design = dataclasses.replace(design, **{name: values})
    else:
        labels = dataclasses.replace(labels, **{name: values})
    with pytest.raises(InputError, match=message):
        log_bets(design, labels, cohorts, build_gates(cohorts, 0), claims)


@given(st.lists(st.integers(0, 30), min_size=6, max_size=6), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_lags_that_are_proportional_never_differ(counts: list[int], times: int) -> None:
    one = np.array(counts, dtype=float)
    both = np.stack([one, one * times], axis=-1)[None, None]
    assert not lag_differs(both)[0]


def test_the_log_rank_test_rarely_errs() -> None:
    rng = np.random.default_rng(6)
    lags = rng.multinomial(60, [0.3, 0.3, 0.2, 0.1, 0.1], size=(4000, 1, 2))
    assert lag_differs(np.moveaxis(lags, 2, 3).astype(float)).mean() < 0.015
