"""Bets on samples that upstream draws with a fixed number per stratum, at equal probability.

Such draws are not independent of each other, so the product over units would not be a bet; the
stratified form is one, by the weighted inequality of arithmetic and geometric means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.bets import (
    DROPS,
    best_bound_shares,
    error_factors,
    event_rates,
    scale_to_null,
    stratified_log_bet,
    unit_weights,
)
from governance_pipeline.domain.betting import REFERENCE_DAYS, REFIT_DAYS, Claims
from governance_pipeline.domain.cohorts import NEVER, Cohorts, stratum_layout
from governance_pipeline.domain.gates import Gates
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools

FIXED = "upstream_fixed"


@dataclass(frozen=True)
class _Strata:
    """One pool's strata by cohort day, (days, strata), and its labels, (labels,)."""

    is_fired: Booleans
    population: Floats
    drawn: Floats
    day: Integers
    known: Integers
    stratum: Integers
    is_event: Booleans


def fixed_pools(panel: Panel, pools: Pools) -> Integers:
    """Return the pools whose upstream sample has a fixed number per stratum."""
    if "audit_sample" not in panel.strategies:
        return np.zeros(0, dtype=np.int64)
    is_fixed = (panel.strategies["audit_sample"] == FIXED).to_numpy(dtype=bool)
    return np.flatnonzero(is_fixed[pools.table["strategy"].to_numpy(dtype=np.int64)])


def fixed_log_bets(
    panel: Panel, pools: Pools, cohorts: Cohorts, gates: Gates, claims: Claims, pool: int
) -> Floats:
    """Return log E of one pool by day, shape (days, claims, lams).

    A cohort bets once, on the day it is 90% in; what is still out, or unsure, counts as no error.
    lam and eps are fixed at its close, eps by stratum from the first 60 days since the pool began.

    Source:
        ACCURACY section 5.
    """
    strata = _strata(panel, pools, pool)
    days = panel.days
    total = np.zeros((days, len(claims.metrics), len(DROPS)))
    born = gates.born(cohorts.population)[:, pool]
    rates = np.full(len(strata.is_fired), 0.1)
    shares = np.full((len(claims.metrics), len(DROPS)), 0.1)
    is_fitted = False
    for day in range(days):
        age = day - born[day]
        is_refit = 0 <= age <= REFERENCE_DAYS + REFIT_DAYS and age % REFIT_DAYS == 0
        if is_refit or not is_fitted:
            rates, is_fitted = _rates(strata, day, born[day]), True
        settled = cohorts.mature_on[day, pool]
        holds = settled != NEVER and settled >= gates.start and settled < days
        if not holds or gates.epoch[day, pool] != gates.epoch[settled, pool]:
            continue
        in_cohort = (strata.day == day) & (strata.known <= settled) & strata.is_event
        events = np.bincount(strata.stratum[in_cohort], minlength=len(rates)).astype(float)
        for claim, metric in enumerate(claims.metrics):
            level = claims.levels[day, pool, claim]
            if not np.isnan(level):
                total[settled, claim] += _bet(
                    strata, day, events, rates, (metric, level), shares[claim], is_refit
                )
    return total


def _strata(panel: Panel, pools: Pools, pool: int) -> _Strata:
    of_lane = pools.own if (pools.own == pool).any() else pools.whole
    layout = stratum_layout(panel, np.where(of_lane == pool, of_lane, -1))
    count = layout.is_fired.shape[1]
    frame = panel.frame.iloc[layout.frame_rows]
    at = frame["day"].to_numpy() * count + layout.frame_at
    population, drawn = (
        np.bincount(at, frame[name], minlength=panel.days * count).astype(float)
        for name in ("population", "drawn")
    )
    draws = panel.draws.iloc[layout.label_rows]
    keep = (draws["verdict_first"] != "unsure").to_numpy()
    draws, stratum = draws[keep], layout.label_at[keep]
    says_fire = (draws["verdict_first"] == "should_fire").to_numpy()
    return _Strata(
        layout.is_fired[0],
        population.reshape(-1, count),
        drawn.reshape(-1, count),
        draws["day"].to_numpy(),
        draws["known"].to_numpy(),
        stratum,
        says_fire != draws["is_fired"].to_numpy(dtype=bool),
    )


def _rates(strata: _Strata, day: int, born: int) -> Floats:
    age = strata.day - born
    use = (strata.known <= day) & (age >= 0) & (age < REFERENCE_DAYS)
    count = len(strata.is_fired)
    labels = np.bincount(strata.stratum[use], minlength=count)
    events = np.bincount(strata.stratum[use & strata.is_event], minlength=count)
    return event_rates(events, labels)


def _bet(
    strata: _Strata,
    day: int,
    events: Floats,
    rates: Floats,
    claim: tuple[str, float],
    shares: Floats,
    is_refit: bool,
) -> Floats:
    """Return log E of one cohort under one claim, shape (lams,); refits `shares` in place."""
    metric, level = claim
    population, drawn = strata.population[day], strata.drawn[day]
    on_fired, on_unfired = unit_weights(population[strata.is_fired].sum(), level, metric)
    weights = population * np.where(strata.is_fired, on_fired, on_unfired)
    is_open = (weights > 0) & (drawn > 0)
    if not is_open.any():
        return np.zeros(len(DROPS))
    eps = scale_to_null(rates[None], (weights * is_open)[None], np.array([1 - level]))[0]
    eps = np.where(is_open, eps, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        stakes = np.where(is_open, weights * drawn[is_open].sum() / drawn, 0.0)
    bound = 1 / (stakes * eps).max()
    if is_refit:
        raised = strata.is_fired if metric == "precision" else ~strata.is_fired
        factors = np.where(raised[:, None], error_factors(level, metric), 1.0)
        shares[:] = best_bound_shares(
            drawn[None], eps[None], stakes[None], np.array([bound]), factors[None]
        )[0]
    return np.array(
        [
            stratified_log_bet(
                drawn * is_open, np.minimum(events, drawn) * is_open, weights, eps, share * bound
            )
            for share in shares
        ]
    )
