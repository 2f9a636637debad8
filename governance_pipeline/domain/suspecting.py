"""The suspected cause of every alarm, as it could be known on the day and every fortnight after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.betting import REFERENCE_DAYS, Claims, log_bets
from governance_pipeline.domain.causes import (
    DEPLOYED_BEFORE,
    Facts,
    change_of_share,
    kitagawa,
    shift_by_reviewers,
    suspect,
)
from governance_pipeline.domain.detecting import Detected
from governance_pipeline.domain.drift import start_products, weekly_starts
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats
from governance_pipeline.domain.measuring import Measured
from governance_pipeline.domain.panel import Panel
from governance_pipeline.domain.pooling import pool_design, pool_labels
from governance_pipeline.domain.verdicts import Alarm

REVISED_EVERY = 14
PLAUSIBLE_FACTOR = 8.0
# Not the score: a strategy makes it, so its mix is no news about the traffic.
DIMENSIONS = ("category", "market", "channel")


@dataclass(frozen=True)
class Suspicion:
    """From `day` on an alarm's cause is taken to be this one, for these figures."""

    alarm: Alarm
    day: int
    cause: str
    evidence: str


def suspicions(
    panel: Panel,
    measured: Measured,
    detected: Detected,
    levels: Levels,
    golden: pd.DataFrame,
    found: Sequence[Alarm],
) -> list[Suspicion]:
    """Return the suspected causes of alarms, first on their first day, then every 14 days.

    Args:
        panel: Frame and labels.
        measured: Says which cohorts are in.
        detected: The evidence.
        levels: The goals.
        golden: Golden questions by day: date, asked, correct.
        found: The alarms.
    """
    said = []
    for alarm in found:
        pools = detected.pools
        rows = panel.rows_of((pools.own == alarm.unit) | (pools.whole == alarm.unit))
        bets, is_start, restarts = _replayed(rows, detected, levels, alarm)
        units = _outcomes(rows.draws)
        for day in range(alarm.first, alarm.last + 1, REVISED_EVERY):
            upto = slice(0, day + 1)
            products = start_products(bets[upto], is_start[upto], restarts[upto])[:, 0]
            if not np.isfinite(products).any():
                continue
            near = np.flatnonzero(products >= products.max() - np.log(PLAUSIBLE_FACTOR))
            when = (int(near[0]), int(products.argmax()), int(near[-1]))
            seen = (units, golden)
            facts = _facts(panel, measured, detected, seen, alarm, day, when)
            if facts is not None:
                said.append(Suspicion(alarm, day, *suspect(facts)))
    return said


def _replayed(
    panel: Panel, detected: Detected, levels: Levels, alarm: Alarm
) -> tuple[Floats, Booleans, Booleans]:
    """Return the bets behind an alarm, (days, 1, lams), and its starts and restarts, (days, 1)."""
    unit = np.array([alarm.unit])
    pools = detected.pools.only(unit)
    cohorts, gates = detected.cohorts.of(unit), detected.gates.of(unit)
    claims = Claims(METRICS, levels.target[:, pools.table["strategy"].to_numpy()])
    bets, _ = log_bets(pool_design(panel, pools), pool_labels(panel, pools), cohorts, gates, claims)
    restarts = gates.restarts
    return bets[:, :, alarm.metric], weekly_starts(gates.first_day, restarts, panel.days), restarts


def _facts(
    panel: Panel,
    measured: Measured,
    detected: Detected,
    seen: tuple[pd.DataFrame, pd.DataFrame],
    alarm: Alarm,
    day: int,
    when: tuple[int, int, int],
) -> Facts | None:
    """Compare the cohorts since the likeliest start with the 60 days before the earliest one."""
    earliest, likeliest, latest = when
    units, golden = seen
    units = units[units["known"] <= day]
    before = units[(units["day"] >= earliest - REFERENCE_DAYS) & (units["day"] < earliest)]
    since = units[units["day"] >= likeliest]
    wanted = "is_fired" if METRICS[alarm.metric] == "precision" else "should_fire"
    first, then = before[before[wanted]], since[since[wanted]]
    if first.empty or then.empty:
        return None
    drop = _share(first) - _share(then)
    was = _asked(panel, golden, earliest - REFERENCE_DAYS, earliest - 1)
    change = change_of_share(was, _asked(panel, golden, likeliest, day))
    accuracy = was[0] / was[1] if was[1] else np.nan
    totals = before.groupby("outcome")["weight"].sum()
    totals = totals.reindex(["TP", "FP", "FN", "TN"]).fillna(0.0)
    return Facts(
        drop=drop,
        deployed=_deployed(panel, alarm, measured, earliest, latest),
        parts=tuple(
            kitagawa(first, then, name)
            for name in DIMENSIONS
            if name in units and units[name].nunique() > 1
        )
        or (kitagawa(first.assign(all="all"), then.assign(all="all"), "all"),),
        accuracy_change=(change[0], change[1], change[2]),
        reviewer_shift=shift_by_reviewers(
            METRICS[alarm.metric],
            {str(k): v for k, v in totals.items()},
            accuracy,
            accuracy + change[0],
        ),
        immature=_immature(detected, alarm, day, earliest, latest),
    )


def _outcomes(draws: pd.DataFrame) -> pd.DataFrame:
    """Return the answered draws with weight, outcome and whether the strategy was right."""
    draws = draws[draws["verdict"] != "unsure"]
    should = (draws["verdict"] == "should_fire").to_numpy()
    fired = draws["is_fired"].to_numpy(dtype=bool)
    outcome = np.select([fired & should, fired, should], ["TP", "FP", "FN"], "TN")
    # Only what is asked of them: they are cut anew for every day of every alarm.
    return draws[["day", "known"]].assign(
        weight=1 / draws["inclusion_probability"].to_numpy(dtype=float),
        is_fired=fired,
        should_fire=should,
        outcome=outcome,
        hit=fired & should,
        **{name: draws[name].astype("category") for name in DIMENSIONS if name in draws},
    )


def _share(units: pd.DataFrame) -> float:
    return float(np.average(units["hit"], weights=units["weight"]))


def _asked(panel: Panel, golden: pd.DataFrame, first: int, last: int) -> tuple[float, float]:
    """Return how many golden questions were answered rightly, and asked, between two days."""
    day = (pd.to_datetime(golden["date"]) - pd.Timestamp(panel.first)).dt.days
    part = golden[(day >= first) & (day <= last)]
    return float(part["correct"].sum()), float(part["asked"].sum())


def _deployed(
    panel: Panel, alarm: Alarm, measured: Measured, earliest: int, latest: int
) -> str | None:
    version = panel.version[:, measured.pools.table["strategy"].iloc[alarm.pool]]
    for day in range(max(earliest - DEPLOYED_BEFORE, 1), latest + 1):
        if version[day] != version[day - 1] and version[day - 1] >= 0:
            return f"version {version[day]} decides since {panel.dates()[day]:%Y-%m-%d}"
    return None


def _immature(detected: Detected, alarm: Alarm, day: int, earliest: int, latest: int) -> str | None:
    # A pool that bets once waits for whole cohorts: no delay explains what it found.
    if detected.is_once[day, alarm.unit]:
        return None
    sizes = detected.cohorts
    days = np.arange(earliest, min(latest, day) + 1)
    is_out = (sizes.mature_on[days, alarm.unit] > day) & (sizes.population[days, alarm.unit] > 0)
    return f"{int(is_out.sum())} of its cohorts are under 90% labelled" if is_out.any() else None
