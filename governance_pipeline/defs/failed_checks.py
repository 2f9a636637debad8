"""Failed checks as findings: polled, because a failed check rarely fails its run.

Every evaluation is looked at once, in the order in which it was written; a check that fails again
is an occurrence, and one that holds again has gone.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import dagster as dg
from dagster import AssetCheckEvaluation, DagsterEventType
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.desk_work import take_in_findings
from governance_pipeline.adapters.escalating import act_on, open_desk
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.defs.resources import DeskAt
from governance_pipeline.domain.commands import Clear
from governance_pipeline.domain.desk import PIPELINE, Desk
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import fingerprint
from governance_pipeline.errors import RefusedError, RegistryError

AT_ONCE = 500
SOURCE = "failed_check"
TEAM = "team:"


def failed_checks_sensor() -> dg.SensorDefinition:
    """Return the sensor that lets every failed check reach its owner once."""

    @dg.sensor(
        name="failed_checks",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Escalate every check that fails, once, and say so when it holds again.",
    )
    def failed_checks(context: dg.SensorEvaluationContext, desk: DeskAt) -> dg.SkipReason:
        after = int(context.cursor or -1)
        graph = context.repository_def.asset_graph if context.repository_def else None
        through, said = take_in_checks(
            context.instance, desk, after, dt.datetime.now(dt.UTC), graph
        )
        context.update_cursor(str(through))
        return dg.SkipReason(said)

    return failed_checks


def take_in_checks(
    instance: dg.DagsterInstance,
    desk: DeskAt,
    after: int,
    now: dt.datetime,
    graph: BaseAssetGraph[Any] | None = None,
) -> tuple[int, str]:
    """Take in the evaluations after a place in the event log.

    Args:
        instance: Whose log.
        desk: Where escalations go.
        after: The place; -1 is before the first.
        now: In UTC.
        graph: Names the owners of assets.

    Returns:
        The place of the last one, and what became of them in one sentence.
    """
    # The log's index has every evaluation of every run, runless ones too, in one order.
    logged = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=after,
        dagster_event_type=DagsterEventType.ASSET_CHECK_EVALUATION,
        limit=AT_ONCE,
    )
    evaluations = [
        entry.dagster_event.asset_check_evaluation_data
        for entry in logged.values()
        if entry.dagster_event is not None
    ]
    through = max(logged, default=after)
    newest = {(e.asset_key, e.check_name): e for e in evaluations if not _is_found_elsewhere(e)}
    if not newest:
        return through, "no check was evaluated that nobody else looks at"
    try:
        known = open_desk(desk.settings.paths)
    except RegistryError as error:
        return after, str(error)
    found = [(e, _finding(e, known, now, _owner(graph, e.asset_key))) for e in newest.values()]
    failed = [finding for evaluation, finding in found if not evaluation.passed]
    held = [finding for evaluation, finding in found if evaluation.passed]
    with OpsStore(desk.settings.store_url) as store:
        # Of no source everything was asked, so nothing is cleared for not being among these.
        became = take_in_findings(store, known, failed, set(), now)
        gone = _clear(store, known, held, now)
    said = ", ".join(f"{count} {what}" for what, count in became.items()) or "none failed"
    return through, f"{len(newest)} checks evaluated: {said}, {gone} hold again"


def _is_found_elsewhere(evaluation: AssetCheckEvaluation) -> bool:
    """Return whether a finding of another source says the same with more of its facts."""
    is_verdict = evaluation.asset_key.path[0] == "strategies"
    is_refusal = (
        evaluation.check_name == "critical_rules_hold"
        and evaluation.severity == dg.AssetCheckSeverity.ERROR
    )
    return is_verdict or (is_refusal and not evaluation.passed)


def _owner(graph: BaseAssetGraph[Any] | None, key: dg.AssetKey) -> str | None:
    """Return the first team that owns an asset, if one does."""
    owners = graph.get(key).owners if graph is not None and graph.has(key) else ()
    return next((o.removeprefix(TEAM) for o in owners if o.startswith(TEAM)), None)


def _finding(
    evaluation: AssetCheckEvaluation, desk: Desk, now: dt.datetime, owner: str | None
) -> Finding:
    path = evaluation.asset_key.path
    asset = "/".join(path)
    is_intake = path[0] == "accepted"
    return Finding(
        source=SOURCE,
        type="data_quality" if is_intake else "pipeline_failure",
        title=f"The check {evaluation.check_name} of {asset} fails",
        detected_at=now,
        on=now.date(),
        requester=desk.duty,
        channel=path[1] if is_intake and len(path) > 2 else None,
        feed=path[-1] if is_intake else None,
        metric=f"{asset}:{evaluation.check_name}",
        evidence_uri=f"/assets/{asset}?view=checks",
        details=evaluation.description or _shown(evaluation),
        asset_owner=owner,
    )


def _shown(evaluation: AssetCheckEvaluation) -> str | None:
    said = {
        name: value.value
        for name, value in evaluation.metadata.items()
        if isinstance(value.value, str | int | float) and len(str(value.value)) <= 300
    }
    return "; ".join(f"{name}: {value}" for name, value in said.items()) or None


def _clear(store: OpsStore, desk: Desk, held: Iterable[Finding], now: dt.datetime) -> int:
    prints = [fingerprint(finding) for finding in held]
    gone = 0
    for state in list(store.with_fingerprints(prints)):
        for print_ in set(prints) & set(state.findings):
            command = Clear(
                actor=PIPELINE, reason="the check holds again", fingerprint=print_, on=now.date()
            )
            try:
                _, events = act_on(store, desk, state.escalation_id, command, now, announce)
            except RefusedError:
                continue
            gone += bool(events)
    return gone
