"""What people do about audits: put a plan in force, and close the audit of a strategy."""

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from governance_pipeline.adapters.dated_plans import DatedPlan, last_decision_day, write_plan
from governance_pipeline.adapters.interventions import FINDINGS, Finding, Intervention, close_audit
from governance_pipeline.adapters.serving import ask, serving_connection, unknown_strategy
from governance_pipeline.adapters.studies import AUDIT_PLAN, compute_study
from governance_pipeline.domain.planning import plan_rows
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Planned:
    """A plan computed for a budget, from which decision day, and its file if it was written."""

    table: pd.DataFrame
    effective_from: dt.date
    written: DatedPlan | None


def plan_audits(
    paths: Paths, budget: float | None, effective_from: dt.date | None, *, is_dry: bool
) -> Planned:
    """Compute the plan that a daily budget of reviews buys, and put it in force unless dry.

    Args:
        paths: The home.
        budget: Reviews a day; what is spent now if None.
        effective_from: First decision day drawn by it; the day after the last accepted if None.
        is_dry: Whether to compute only.

    Raises:
        InputError: If the budget is too small, or decisions of that day were accepted already.
        WarehouseError: If nothing was judged yet.
    """
    table = compute_study(paths, AUDIT_PLAN, budget=budget)
    last = last_decision_day(paths.lake)
    begin = effective_from or (last + ONE_DAY if last else table["plan_date"].max().date())
    written = None if is_dry else write_plan(paths.lake, plan_rows(table), begin)
    return Planned(table, begin, written)


def close(
    paths: Paths,
    strategy: str,
    *,
    finding: str,
    actor: str,
    reason: str,
    effective_on: dt.date | None,
    is_forced: bool,
    now: dt.datetime,
) -> Intervention:
    """Write that the audit of a strategy ended; its monitor begins anew on `effective_on`.

    Args:
        paths: The home.
        strategy: Its id.
        finding: keep, retune, pause or retire.
        actor: Who closed it.
        reason: What was found.
        effective_on: First decision day that counts anew; the day after the last judged if None.
        is_forced: Whether a strategy that needs no audit may be closed too.
        now: The present, UTC.

    Raises:
        InputError: If the strategy is unknown or needs no audit, a word is missing, or the day is
            one that was judged already.
        PublishError: If nothing was published yet.
    """
    if finding not in FINDINGS:
        raise InputError(f"finding {finding!r} is none of {', '.join(FINDINGS)}")
    if len(actor.strip()) < 2 or len(reason.strip()) < 5:
        raise InputError("say who closes the audit, and what was found in at least five letters")
    last = _judged_through(paths, strategy, is_forced)
    begin = effective_on or last + ONE_DAY
    if begin <= last:
        raise InputError(
            f"the monitor cannot begin anew on {begin}: {last} is judged and published already;"
            f" give {last + ONE_DAY} or later"
        )
    kind: Finding = finding  # type: ignore[assignment]
    return close_audit(
        paths.lake, strategy, finding=kind, actor=actor.strip(), reason=reason.strip(),
        effective_on=begin, now=now,
    )  # fmt: skip


def _judged_through(paths: Paths, strategy: str, is_forced: bool) -> dt.date:
    """Return the last judged day of a strategy that needs an audit.

    Raises:
        InputError: If it is unknown, or needs none and is not forced.
    """
    with serving_connection(paths.published) as connection:
        found = ask(
            connection,
            "select channel, status, date from strategy_status where strategy_id = $id"
            " order by channel <> 'all', channel",
            strategy,
        )
        known = ask(connection, "select 1 from dim_strategies where strategy_id = $id", strategy)
        if known.empty:
            raise InputError(unknown_strategy(connection, strategy))
        last = ask(connection, "select max(date) as last from strategy_status")["last"].iloc[0]
    if not is_forced and not (found["status"] == "needs_audit").any():
        status = found["status"].iloc[0] if len(found) else "not judged"
        raise InputError(
            f"{strategy} is {status}, so no audit of it is open; --anyway closes one all the same"
        )
    return pd.Timestamp(last).date()
