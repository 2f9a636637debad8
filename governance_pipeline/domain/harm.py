"""Who is hurt: what a strategy did wrongly in the last 28 cohorts, in items, reach and money."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.accuracy import Estimate, wrong_totals
from governance_pipeline.domain.cohorts import (
    Layout,
    as_tallies,
    sums_of,
)
from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.domain.measuring import Measured
from governance_pipeline.domain.panel import Panel, Pools
from governance_pipeline.domain.tallies import Tallies, Weights

GMV_UNKNOWN = "gmv is not recorded for every decision"
# What a filter or a block takes was never shown: its reach is what was expected.
FORECAST = ("filter", "block")
RESTRICTIVE = {
    "wrongly_restricted": ("items", "fired"),
    "reach_lost": ("reach", "fired"),
    "gmv_lost": ("gmv", "fired"),
    "missed_reach": ("reach", "unfired"),
}
BOOST = {
    "wrongly_boosted": ("items", "fired"),
    "wrongly_boosted_reach": ("reach", "fired"),
    "not_boosted_reach": ("reach", "unfired"),
}
MEASURES = (*RESTRICTIVE, *BOOST)


@dataclass(frozen=True)
class Harm:
    """The wrong totals of every pool: `totals[unit][side]`, and the window behind them."""

    totals: dict[str, dict[str, Estimate]]
    cohorts: Floats
    labelled: Floats


def measure_harm(panel: Panel, measured: Measured) -> Harm:
    """Return the wrongly fired and wrongly not fired of the last 28 cohorts at least 90% labelled.

    Items are sum N (1 - p) over fired strata and sum N p over the others; reach and gmv are the
    same with R known and p weighted by it, null where the weights are too uneven.

    Source:
        ACCURACY section 6; see `accuracy` for the limits.
    """
    last = panel.days - 1
    count = len(measured.pools)
    found = Harm({}, np.zeros(count), np.zeros(count))
    for layout in measured.layouts:
        mask = measured.sizes.window(last)[:, layout.pools]
        sums = sums_of(panel, layout, mask, np.array(last))
        found.cohorts[layout.pools] = mask.sum(axis=0)
        found.labelled[layout.pools] = sums[2].sum(axis=1)
        tallies = {
            "items": as_tallies(sums, layout.is_fired),
            "reach": as_tallies(sums, layout.is_fired, by_reach=True),
            "gmv": _by_gmv(panel, layout, mask, sums),
        }
        for unit, tally in tallies.items():
            for side, result in wrong_totals(tally, needs_even_weights=unit != "items").items():
                into = found.totals.setdefault(unit, {}).setdefault(side, _unknown(count))
                for whole, part in zip(_fields(into), _fields(result), strict=True):
                    whole[layout.pools] = part
    return found


def _fields(result: Estimate) -> tuple[Floats, Floats, Floats, np.ndarray]:
    return result.value, result.low, result.high, result.null_reason


def _unknown(pools: int) -> Estimate:
    nothing = np.full(pools, np.nan)
    return Estimate(nothing, nothing.copy(), nothing.copy(), np.full(pools, None, dtype=object))


def _by_gmv(panel: Panel, layout: Layout, mask: Booleans, sums: Floats) -> Tallies:
    """Return the tallies weighted by gmv; a pool with a decision of unknown gmv has none."""
    pools, strata = layout.is_fired.shape
    size = pools * strata
    frame = panel.frame.iloc[layout.frame_rows]
    counts = mask[frame["day"], layout.frame_at // strata]
    gmv = frame["gmv"].to_numpy(dtype=float)
    total = np.bincount(layout.frame_at, np.nan_to_num(gmv) * counts, minlength=size)
    draws = panel.draws.iloc[layout.label_rows]
    is_answered = (draws["verdict"] != "unsure").to_numpy()
    used = is_answered & mask[draws["day"], layout.label_at // strata]
    value = draws["gmv"].to_numpy(dtype=float)[used]
    at = layout.label_at[used]
    unknown = np.bincount(at // strata, np.isnan(value), minlength=pools) > 0
    w = np.nan_to_num(value) / draws["inclusion_probability"].to_numpy(dtype=float)[used]
    y = (draws["verdict"] == "should_fire").to_numpy()[used]
    weights = Weights(*(
        np.bincount(at, part, minlength=size).astype(float).reshape(pools, strata)
        for part in (w, w**2, w * y, w**2 * y)
    ))  # fmt: skip
    population = np.where(unknown[:, None], 0.0, total.reshape(pools, strata))
    return Tallies(population, sums[2], sums[3], layout.is_fired, weights, is_reach=True)


def harm_table(
    panel: Panel, pools: Pools, harm: Harm, strategies: pd.DataFrame, currency: str | None
) -> pd.DataFrame:
    """Return `strategy_harm`: a row per strategy and channel, and `all` for every strategy.

    Args:
        panel: Frame and labels.
        pools: The accuracy pools.
        harm: From `measure_harm`.
        strategies: Registry table, for action and polarity.
        currency: What gmv is counted in; None if it is not one currency, and gmv is null then.
    """
    known = strategies.set_index("strategy_id")
    is_primary = panel.strategies["is_primary"].to_numpy()
    window_end = panel.dates()[-1]
    alone = pools.table["strategy"].value_counts()
    rows = []
    for pool, row in enumerate(pools.table.to_dict("records")):
        if not is_primary[row["strategy"]]:
            continue
        about = known.loc[row["strategy_id"]]
        said = {
            "strategy_id": row["strategy_id"],
            "channel": row["channel"],
            "window_end": window_end,
            "cohorts": int(harm.cohorts[pool]),
            "labelled": int(harm.labelled[pool]),
            "polarity": about["polarity"],
            **_measures(harm, pool, about["polarity"], currency),
            "currency": currency,
            "reach_basis": "forecast" if about["action"] in FORECAST else "observed",
        }
        rows.append(said)
        if alone[row["strategy"]] == 1:
            rows.append(said | {"channel": "all"})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _measures(harm: Harm, pool: int, polarity: str, currency: str | None) -> dict[str, object]:
    own = BOOST if polarity == "boost" else RESTRICTIVE
    said: dict[str, object] = {}
    reasons = {}
    for name, (unit, side) in own.items():
        result = harm.totals[unit][side]
        reason = result.null_reason[pool]
        if unit == "gmv" and (currency is None or not result.value[pool] > 0):
            reason = reason or (GMV_UNKNOWN if currency else "gmv is in several currencies")
        is_null = reason is not None
        ends = zip(("est", "lo", "hi"), _fields(result)[:3], strict=True)
        said |= {f"{name}_{end}": np.nan if is_null else value[pool] for end, value in ends}
        if is_null:
            reasons[name] = reason
    said["null_reason"] = "; ".join(f"{n}: {r}" for n, r in reasons.items()) or None
    return said


COLUMNS = {
    "strategy_id": "string", "channel": "string", "window_end": "datetime64[us]",
    "cohorts": "int64", "labelled": "int64", "polarity": "string",
    **{f"{name}_{end}": "float64" for name in MEASURES for end in ("est", "lo", "hi")},
    "currency": "string", "reach_basis": "string", "null_reason": "string",
}  # fmt: skip
