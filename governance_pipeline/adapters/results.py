"""What came of acting: measured from the marts when a result is handed in, and again until known.

A result is delivered when a message with it was taken by a route of each stakeholder.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.escalating import act_on
from governance_pipeline.adapters.ops_codec import state_from_json
from governance_pipeline.adapters.ops_schema import escalations
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain.announcing import RESULT
from governance_pipeline.domain.commands import Deliver, Measure
from governance_pipeline.domain.desk import PIPELINE, Desk
from governance_pipeline.domain.escalation import Escalation, Measurement
from governance_pipeline.errors import ConflictError, RefusedError, WarehouseError
from governance_pipeline.paths import Paths

WITH_RESULT = ("RESULT_READY", "DELIVERED", "CLOSED")
LOOKED_AT = dt.timedelta(days=90)
"""How long after its last event a result that was too early is looked at again."""

FRAMES = {
    # Of a category or a market populations are not kept by day: its drawn units stand for them.
    "population": """
        with framed as (
            select decision_date, channel, is_fired, stratum, sum(population) as population
            from int_audit_frame
            where strategy_id = $strategy_id and environment = $environment
                and ($channel is null or channel = $channel) and decision_date >= $first
            group by all
        ), drawn as (
            select decision_date, channel, is_fired, stratum, count(*) as drawn,
                sum(1 / inclusion_probability) as estimated
            from int_sampled_units
            where strategy_id = $strategy_id and environment = $environment
                and ($channel is null or channel = $channel)
                and ($category is null or category = $category)
                and ($market is null or market = $market) and decision_date >= $first
            group by all
        ), counted as (
            select framed.* exclude (population), coalesce(drawn.drawn, 0) as drawn,
                case when $category is null and $market is null then framed.population
                    else coalesce(drawn.estimated, 0) end as population
            from framed left join drawn using (decision_date, channel, is_fired, stratum)
        )
        select * from counted where population > 0 order by all
    """,
    "draws": """
        select decision_date, channel, is_fired, stratum, inclusion_probability, verdict, known_on
        from int_audit_draws
        where strategy_id = $strategy_id and environment = $environment
            and ($channel is null or channel = $channel)
            and ($category is null or category = $category)
            and ($market is null or market = $market) and decision_date >= $first
        order by all
    """,
}


def measure_results(
    store: OpsStore, desk: Desk, paths: Paths, now: dt.datetime, *, is_judged: bool
) -> int:
    """Measure the results that were not measured yet, and those for which it was too early.

    Args:
        store: Where the escalations are.
        desk: The policy.
        paths: The home.
        now: In UTC.
        is_judged: Whether there is newer data than at the last call; else what was too early is.

    Returns:
        How many became known, or known better.

    Raises:
        LockedError: If another process writes to the warehouse.
    """
    known = 0
    day: dt.date | None = None
    for state in list(_with_result(store, now)):
        was = state.measurement
        if was is not None and (was.verdict != "too_early" or not is_judged):
            continue
        day = day or _as_of(paths)
        found = measured(state, desk, paths, day)
        is_due = was is None or was.known_on is None or was.known_on <= day
        if found.verdict == "too_early" and not is_due:
            continue
        command = Measure(actor=PIPELINE, reason=f"by the data of {day}", measurement=found)
        known += _done(store, desk, state, command, now)
    return known


def measured(state: Escalation, desk: Desk, paths: Paths, as_of: dt.date) -> Measurement:
    """Return what came of an escalation's result by the data of a day."""
    from governance_pipeline.adapters import warehouse
    from governance_pipeline.domain import before_after

    finding = state.finding
    metric = before_after.metric_of(finding)
    strategy = desk.strategies.get(finding.strategy_id or "")
    if metric is None or strategy is None:
        return _by_its_absence(state, as_of)
    changed = before_after.changed_on(state, desk)
    slice_: dict[str, Any] = {
        "strategy_id": finding.strategy_id,
        "environment": "shadow" if strategy.lifecycle == "shadow" else "live",
        "channel": finding.channel,
        "category": finding.category,
        "market": finding.market,
        "first": before_after.begins_on(changed),
    }
    try:
        frames = warehouse.read_frames(paths.warehouse, FRAMES, slice_)
    except WarehouseError:
        return Measurement("not_measurable", "there are no marts to measure it by", metric)
    target = before_after.target_of(finding, metric, desk, as_of)
    change = before_after.Change(metric, changed, finding.since, target)
    return before_after.compare(frames["population"], frames["draws"], change, as_of)


def deliver_results(store: OpsStore, desk: Desk, now: dt.datetime) -> int:
    """Record the receipt of every result that a stakeholder's route took; return how many.

    Asked of the outbox anew each time, so that a crash after sending loses no receipt.
    """
    count = 0
    for state in list(store.with_status("RESULT_READY")):
        handed_in = state.result_at or state.opened_at
        taken = {
            row["recipient"]: row["receipt"]
            for row in store.messages(state.escalation_id)
            if row["kind"] == RESULT and row["created_at"] >= handed_in and row["sent_at"]
        }
        for team in sorted(set(taken) - set(state.receipts)):
            reason = "the message was taken"
            told = Deliver(actor=PIPELINE, reason=reason, recipient=team, receipt=taken[team])
            count += _done(store, desk, state, told, now)
    return count


def _by_its_absence(state: Escalation, as_of: dt.date) -> Measurement:
    """Return what is known of something that no label speaks of: whether it is still found."""
    sources = {seen.finding.source for seen in state.findings.values()}
    if sources <= {"person", "failed_check"}:
        return Measurement("not_measurable", "no label and no rule speaks of it; see the evidence")
    if state.cleared_at is None:
        said = f"it is still found by the data of {as_of}"
        return Measurement("too_early", said, known_on=as_of + dt.timedelta(days=1))
    return Measurement("improved", f"it is no longer found since {state.cleared_at:%F}")


def _done(
    store: OpsStore, desk: Desk, state: Escalation, command: Measure | Deliver, now: dt.datetime
) -> bool:
    try:
        _, events = act_on(store, desk, state.escalation_id, command, now, announce)
    except (ConflictError, RefusedError):
        return False  # somebody acted meanwhile: the next pass looks again
    return bool(events)


def _with_result(store: OpsStore, now: dt.datetime) -> Iterator[Escalation]:
    query = (
        sa.select(escalations.c.state)
        .where(escalations.c.status.in_(WITH_RESULT), escalations.c.updated_at >= now - LOOKED_AT)
        .order_by(escalations.c.escalation_id)
    )
    with store.engine.connect() as connection:
        yield from map(state_from_json, list(connection.scalars(query)))


def _as_of(paths: Paths) -> dt.date:
    from governance_pipeline.adapters.studies import as_of

    return as_of(paths)
