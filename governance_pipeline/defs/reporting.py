"""Telling the catalog: a strategy's new days as observations, its changed verdicts as evaluations.

Both are runless. What was told last is noted beside Dagster's own files, because it belongs to
that log: a log that is deleted is told everything again.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.events import AssetObservationData, DagsterEvent, DagsterEventType
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from governance_pipeline.defs.pages import Page, observed, verdict_pages
from governance_pipeline.defs.strategies import asset_key
from governance_pipeline.domain.judgement import Judgement
from governance_pipeline.paths import Paths
from governance_pipeline.progress import say

HISTORY_DAYS = 365
"""How much of the past the catalog is told; the published tables have all of it."""


def report_strategies(instance: dg.DagsterInstance, paths: Paths, verdicts: Judgement) -> int:
    """Write every strategy's new days and its changed verdicts to the catalog.

    Returns:
        How many strategies have a verdict that is not the one shown so far.
    """
    note = paths.dagster / "told.json"
    told: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {}
    changed = 0
    pages = verdict_pages(verdicts)
    oldest = str(pd.Timestamp(verdicts.status["date"].max()) - pd.Timedelta(days=HISTORY_DAYS))
    say(f"reporting on {len(pages)} strategies in the catalog")
    for strategy_id, page in pages.items():
        before = told.get(strategy_id, {})
        through = _report_days(instance, strategy_id, page, before.get("through", oldest))
        said = {name: verdict.said for name, verdict in page.verdicts.items()}
        if said != before.get("said"):
            changed += 1
            _report_verdicts(instance, strategy_id, page)
        told[strategy_id] = {"through": through, "said": said}
    fresh = note.with_suffix(".next")
    fresh.write_text(json.dumps(told))
    fresh.replace(note)
    return changed


def _report_days(instance: dg.DagsterInstance, strategy_id: str, page: Page, through: str) -> str:
    key = asset_key(strategy_id)
    first = page.days["date"].searchsorted(pd.Timestamp(through), side="right")
    for row in page.days.iloc[first:].to_dict("records"):
        day = pd.Timestamp(row["date"]).date()
        numbers = observed(row)
        if not numbers:
            continue
        observation = dg.AssetObservation(
            asset_key=key, metadata={"decision_date": str(day), **numbers}
        )
        # Dated at the end of its day, so that the plots over time show the history they are of.
        moment = dt.datetime.combine(day, dt.time(23, 59), tzinfo=dt.UTC)
        instance.report_dagster_event(
            DagsterEvent(
                event_type_value=DagsterEventType.ASSET_OBSERVATION.value,
                event_specific_data=AssetObservationData(observation),
                job_name=RUNLESS_JOB_NAME,
            ),
            run_id=RUNLESS_RUN_ID,
            timestamp=moment.timestamp(),
        )
        through = day.isoformat()
    return through


def _report_verdicts(instance: dg.DagsterInstance, strategy_id: str, page: Page) -> None:
    chart = {"history": dg.MetadataValue.md(page.chart())} if len(page.days) else {}
    for name, verdict in page.verdicts.items():
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=asset_key(strategy_id),
                check_name=name,
                passed=verdict.passed,
                severity=verdict.severity,
                metadata={**verdict.metadata, **(chart if name != "labels" else {})},
            )
        )


def report_escalations(
    instance: dg.DagsterInstance, paths: Paths, still_open: Iterable[Mapping[str, Any]]
) -> int:
    """Write to every strategy's page which escalations of it are open, if that changed.

    Args:
        instance: Holds the catalog.
        paths: The home.
        still_open: Rows of the store's `escalations`.

    Returns:
        On how many pages something changed.
    """
    note = paths.dagster / "escalations-told.json"
    told: dict[str, list[str]] = json.loads(note.read_text()) if note.exists() else {}
    now: dict[str, list[str]] = {}
    for row in sorted(still_open, key=lambda r: (r["priority"], r["escalation_id"])):
        if row["strategy_id"]:
            now.setdefault(row["strategy_id"], []).append(_escalated(row))
    changed = [name for name in sorted({*told, *now}) if told.get(name) != now.get(name)]
    for name in changed:
        lines = now.get(name, [])
        shown = dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "none")
        metadata: dict[str, Any] = {"open_escalations": len(lines), "escalations": shown}
        instance.report_runless_asset_event(
            dg.AssetObservation(asset_key=asset_key(name), metadata=metadata)
        )
    if changed:
        fresh = note.with_suffix(".next")
        fresh.write_text(json.dumps(now))
        fresh.replace(note)
    return len(changed)


def _escalated(row: Mapping[str, Any]) -> str:
    due = f", {row['due_clock']} due {row['due_at']:%F %H:%M} UTC" if row["due_at"] else ""
    return (
        f"**{row['priority']}** `{row['escalation_id']}` {row['status']}, "
        f"{row['owner_team'] or 'not triaged'}{due}: {row['title']}"
    )
