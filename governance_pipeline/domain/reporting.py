"""The status tables: one row per strategy, channel and day, in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from governance_pipeline.domain.detecting import Detected
from governance_pipeline.domain.goals import METRICS, Levels
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.measuring import Measured
from governance_pipeline.domain.panel import ENVIRONMENT, Panel
from governance_pipeline.domain.recovery import recovered
from governance_pipeline.domain.status import STATUSES, WHYS, worse
from governance_pipeline.domain.suspecting import suspicions
from governance_pipeline.domain.verdicts import Judged, alarms, judge_pools
from governance_pipeline.domain.wording import Facts, Words, describe

ALL = "all"
ON_EVIDENCE = ("rejected", "own_alarm", "evidence", "baseline")


def status_table(
    panel: Panel,
    measured: Measured,
    detected: Detected,
    levels: Levels,
    registry: tuple[pd.DataFrame, pd.DataFrame],
    golden: pd.DataFrame,
    start: int,
) -> pd.DataFrame:
    """Return `strategy_status_days`: every registered strategy and channel on every day."""
    strategies, channels = registry
    book = _open_book(panel, measured, detected, levels, golden)
    names = measured.pools.table
    is_primary = panel.strategies["is_primary"].to_numpy(dtype=bool)[names["strategy"]]
    known = {
        (row["strategy_id"], row["channel"]): pool
        for pool, row in enumerate(names.to_dict("records"))
        if is_primary[pool]
    }
    rows: list[Record] = []
    for strategy in strategies.sort_values("strategy_id").to_dict("records"):
        name = strategy["strategy_id"]
        seen = [channel for owner, channel in known if owner == name and channel != ALL]
        its = sorted({*seen, *channels.loc[channels["strategy_id"] == name, "channel"]})
        written: dict[int, list[Record]] = {}
        for channel in [ALL, *its]:
            pool = known.get((name, channel))
            if channel == ALL and pool is None and len(seen) == 1:
                pool = known[name, seen[0]]
            if pool is None:
                rows += _silent_rows(book, strategy, channel, start)
                continue
            if pool not in written:
                written[pool] = _pool_rows(book, strategy, pool, start)
            rows += [row | {"channel": channel} for row in written[pool]]
    # A column without a value would otherwise lose its type on the way to a file.
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


Record = dict[Hashable, Any]
DAY, TEXT, RATE = "datetime64[us]", "string", "float64"
COLUMNS = {
    "strategy_id": TEXT, "channel": TEXT, "date": DAY, "precision_status": TEXT,
    "recall_status": TEXT, "status": TEXT, "metric": TEXT, "since": DAY, "reason": TEXT,
    "suspected_cause": TEXT, "cause_evidence": TEXT, "estimate": RATE, "estimate_lo": RATE,
    "estimate_hi": RATE, "goal": RATE, "e_value": RATE, "is_recovered": "bool",
    "matured_through": DAY, "labels_needed": "int64", "decidable_on": DAY, "next_action": TEXT,
    "owner_team": TEXT,
}  # fmt: skip


@dataclass(frozen=True)
class _Book:
    """What every row is written from; `dates` and `owner` spare a lookup in a table per row."""

    panel: Panel
    measured: Measured
    detected: Detected
    levels: Levels
    judged: Judged
    is_recovered: Booleans
    causes: dict[tuple[int, int], list[tuple[int, str, str]]]
    lag: Floats
    dates: list[dt.date]
    owner: Integers
    bet_channels: list[str]


def _open_book(
    panel: Panel, measured: Measured, detected: Detected, levels: Levels, golden: pd.DataFrame
) -> _Book:
    judged = judge_pools(measured, detected, levels)
    found = alarms(judged)
    causes: dict[tuple[int, int], list[tuple[int, str, str]]] = {}
    for said in suspicions(panel, measured, detected, levels, golden, found):
        at = (said.alarm.pool, said.alarm.metric)
        causes.setdefault(at, []).append((said.day, said.cause, said.evidence))
    return _Book(
        panel,
        measured,
        detected,
        levels,
        judged,
        recovered(panel, measured, detected, levels, found),
        causes,
        _mean_lag(panel),
        [date.date() for date in panel.dates()],
        measured.pools.table["strategy"].to_numpy(dtype=np.int64),
        detected.pools.table["channel"].tolist(),
    )


def _cause(book: _Book, pool: int, day: int, metric: int) -> tuple[str | None, str | None]:
    """Return what was suspected by a day of an alarm, and the figures for it."""
    if WHYS[book.judged.why[day, pool, metric]] != "rejected":
        return None, None
    known = [said for said in book.causes.get((pool, metric), []) if said[0] <= day]
    return known[-1][1:] if known else (None, None)


def _mean_lag(panel: Panel) -> Floats:
    """Return the mean days from decision to verdict of the labels known by each day."""
    known = panel.draws["known"].to_numpy(dtype=np.int64)
    lag = known - panel.draws["day"].to_numpy(dtype=np.int64)
    count = np.cumsum(np.bincount(known, minlength=panel.days))
    return np.cumsum(np.bincount(known, lag, minlength=panel.days)) / np.maximum(count, 1)


def _silent_rows(book: _Book, strategy: Record, channel: str, start: int) -> list[Record]:
    is_judged = strategy["lifecycle"] in ENVIRONMENT
    reason = "it has decided nothing" if is_judged else f"the strategy is {strategy['lifecycle']}"
    action = (
        "check that its decisions are delivered, or retire it"
        if is_judged
        else "nothing while it does not decide"
    )
    row: Record = dict.fromkeys(COLUMNS) | {
        "strategy_id": strategy["strategy_id"],
        "channel": channel,
        "precision_status": "not_monitored",
        "recall_status": "not_monitored",
        "status": "not_monitored",
        "metric": "precision",
        "since": book.dates[start],
        "reason": reason,
        "is_recovered": False,
        "labels_needed": 0,
        "next_action": action,
        "owner_team": strategy["owner_team"],
    }
    return [row | {"date": date} for date in book.dates[start:]]


def _pool_rows(book: _Book, strategy: Record, pool: int, start: int) -> list[Record]:
    judged, dates = book.judged, book.dates
    status = judged.status[:, pool]
    metric = worse(status[:, 0], status[:, 1], judged.e_value[:, pool])
    overall = np.take_along_axis(status, metric[:, None].astype(np.int64), axis=1)[:, 0]
    changed = np.flatnonzero(np.r_[True, overall[1:] != overall[:-1]])
    since = changed[np.searchsorted(changed, np.arange(len(overall)), side="right") - 1]
    rows: list[Record] = []
    for day in range(start, book.panel.days):
        which = int(metric[day])
        facts = _facts(book, strategy, pool, day, which)
        words: Words = describe(facts)
        through = book.measured.matured_through[day, pool]
        cause, evidence = _cause(book, pool, day, which)
        rows.append(
            {
                "strategy_id": strategy["strategy_id"],
                "date": dates[day],
                "precision_status": STATUSES[status[day, 0]],
                "recall_status": STATUSES[status[day, 1]],
                "status": STATUSES[overall[day]],
                "metric": METRICS[which],
                "since": facts.since or dates[since[day]],
                "reason": words.reason,
                "suspected_cause": cause,
                "cause_evidence": evidence,
                "estimate": facts.estimate,
                "estimate_lo": facts.low,
                "estimate_hi": facts.high,
                "goal": facts.goal,
                "e_value": facts.e_value,
                "is_recovered": bool(book.is_recovered[day, pool, which]),
                "matured_through": dates[through] if through >= 0 else None,
                "labels_needed": words.labels_needed,
                "decidable_on": words.decidable_on,
                "next_action": words.next_action,
                "owner_team": strategy["owner_team"],
            }
        )
    return rows


def _facts(book: _Book, strategy: Record, pool: int, day: int, metric: int) -> Facts:
    measured, detected, judged = book.measured, book.detected, book.judged
    name = METRICS[metric]
    why = WHYS[judged.why[day, pool, metric]]
    values = measured.recent.values
    alarm = int(judged.alarm[day, pool, metric])
    unit = judged.alarm_unit(pool, day, metric)
    owner = book.owner[pool]
    evidence, starts = detected.e_value, detected.most_likely_start
    if why == "rejected":
        evidence, starts = detected.alarm_e_value, detected.alarm_start
    began = int(starts[day, unit, metric])
    if why == "baseline":
        began = int(detected.modes["baseline"].most_likely_start[day, unit, metric])
    labelled = (measured.recent.labelled_fired if metric == 0 else measured.recent.labelled)[
        day, pool
    ]
    cohorts = int(measured.cohorts[day, pool])
    return Facts(
        metric=name,
        why=why,
        date=book.dates[day],
        estimate=float(values[name][day, pool]),
        low=float(values[f"{name}_lo"][day, pool]),
        high=float(values[f"{name}_hi"][day, pool]),
        goal=float(book.levels.goal[day, owner, metric]),
        target=float(book.levels.target[day, owner, metric]),
        half_width=float(book.levels.half_width[day, owner, metric]),
        e_value=float(evidence[day, unit, metric]),
        labelled=float(labelled),
        daily=float(labelled) / max(cohorts, 1),
        cohorts=cohorts,
        lag_days=float(book.lag[day]),
        since=book.dates[began] if why in ON_EVIDENCE and began >= 0 else None,
        null_reason=measured.recent.reasons[f"{name}_null_reason"][day, pool],
        goal_reason=book.levels.reasons.get((str(strategy["strategy_id"]), name)),
        alarm=book.bet_channels[alarm] if alarm >= 0 else None,
    )
