"""Dated audit plans: which rates the draws of a decision day are made by, decided beforehand.

A plan is a file of `lake/plans/dated`, named by the first decision day it holds for, and is never
changed. It may only begin after the last accepted decision day, so which plan a day is drawn by
never depends on when the day was taken in: a backfill, a restatement and daily runs draw alike.
"""

import bisect
import datetime as dt
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.lake import make_durable
from governance_pipeline.adapters.sql import literal
from governance_pipeline.errors import InputError

COLUMNS = {
    "strategy_id": "varchar",
    "version": "integer",
    "channel": "varchar",
    "is_fired": "boolean",
    "score_bin": "smallint",
    "rate": "double",
    "reach_scale": "double",
    "reach_share": "double",
}
KEY = ("strategy_id", "version", "channel", "is_fired", "score_bin")


@dataclass(frozen=True, order=True)
class DatedPlan:
    """One plan; of two that begin on the same day the one with the higher number holds."""

    effective_from: dt.date
    number: int
    plan_hash: str
    file: Path


def write_plan(lake: Path, rows: pd.DataFrame, effective_from: dt.date) -> DatedPlan:
    """Keep a plan for the decision days from `effective_from` on; the same again changes nothing.

    Args:
        lake: The lake.
        rows: `COLUMNS`, one row per strategy, version, channel, side and score bin.
        effective_from: First decision day it holds for, UTC.

    Raises:
        InputError: If decisions of that day or a later one were accepted already, if a rate,
            scale or share is out of its range, or if a stratum is planned twice.
    """
    _check(rows)
    last = last_decision_day(lake)
    if last is not None and effective_from <= last:
        raise InputError(
            f"a plan cannot begin on {effective_from}: decisions of {last} were drawn and accepted"
            f" already; begin on {last + dt.timedelta(days=1)} or later"
        )
    ordered = rows[list(COLUMNS)].sort_values(list(KEY), ignore_index=True)
    said = json.dumps([str(effective_from), ordered.to_csv(index=False)])
    plan_hash = hashlib.sha256(said.encode()).hexdigest()[:16]
    known = [plan for plan in dated_plans(lake) if plan.effective_from == effective_from]
    if known and known[-1].plan_hash == plan_hash:
        return known[-1]
    number = known[-1].number + 1 if known else 1
    file = _folder(lake) / f"{effective_from}.{number:03d}.{plan_hash}.parquet"
    _write(ordered, file)
    return DatedPlan(effective_from, number, plan_hash, file)


def dated_plans(lake: Path) -> list[DatedPlan]:
    """Return every dated plan, in the order in which they come into force."""
    found = []
    for file in _folder(lake).glob("[0-9]*.parquet"):
        day, number, plan_hash, _ = file.name.split(".")
        found.append(DatedPlan(dt.date.fromisoformat(day), int(number), plan_hash, file))
    return sorted(found)


def plan_of_day(plans: Sequence[DatedPlan], day: dt.date) -> DatedPlan | None:
    """Return the plan in force on a decision day, or None before the first."""
    at = bisect.bisect_right([plan.effective_from for plan in plans], day)
    return plans[at - 1] if at else None


def last_decision_day(lake: Path) -> dt.date | None:
    """Return the last day of which decisions were accepted, or None before the first."""
    days = [
        day
        for m in manifests.read_feed(lake, "decisions")
        if m.files.get("accepted")
        for day in m.decision_days
    ]
    return max(days, default=None)


def load_dated(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """Create `plan_days`, the plan in force on each day of `kept`, and `planned`, their rates."""
    connection.execute("create table plan_days (decision_date date, plan_hash varchar)")
    typed = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"create table planned (plan_hash varchar, {typed})")
    plans = dated_plans(lake)
    if not plans:
        return
    days = connection.execute("select distinct decided_at::date from kept").fetchall()
    in_force = {day: plan for (day,) in days if (plan := plan_of_day(plans, day)) is not None}
    for day, plan in in_force.items():
        connection.execute("insert into plan_days values (?, ?)", [day, plan.plan_hash])
    for plan in set(in_force.values()):
        connection.execute(
            f"insert into planned select ?, {', '.join(COLUMNS)} from read_parquet(?)",
            [plan.plan_hash, str(plan.file)],
        )


def _check(rows: pd.DataFrame) -> None:
    if rows.empty:
        raise InputError("the plan has no stratum: nothing that the pipeline draws was decided on")
    repeated = rows.duplicated(list(KEY))
    if repeated.any():
        said = " ".join(str(v) for v in rows.loc[repeated, list(KEY)].iloc[0])
        raise InputError(f"the plan names a stratum twice: {said}")
    rate, scale, share = rows["rate"], rows["reach_scale"], rows["reach_share"]
    wrong = ~((rate > 0) & (rate <= 1)) | ~(scale.isna() | (scale > 0))
    wrong |= ~((share >= 0) & (share < 1))
    if wrong.any():
        row = rows.loc[wrong].iloc[0]
        raise InputError(
            f"the plan of {row['strategy_id']} on {row['channel']} has rate {row['rate']:g}, reach"
            f" scale {row['reach_scale']:g} and share {row['reach_share']:g}; a rate is in (0, 1],"
            " a scale above 0 and a share in [0, 1)"
        )


def _write(rows: pd.DataFrame, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    typed = ", ".join(f"{name}::{kind} as {name}" for name, kind in COLUMNS.items())
    with duckdb.connect(config={"python_enable_replacements": False}) as connection:
        connection.register("given", rows)
        connection.execute(f"copy (select {typed} from given) to {literal(fresh)} (format parquet)")
    make_durable([fresh])
    fresh.replace(file)
    make_durable([file])


def _folder(lake: Path) -> Path:
    return lake / "plans" / "dated"
