"""From delivered to accepted: one step per feed, its gate inside, its checks on the page."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from governance_pipeline.adapters import registry_store
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.landing import HomeConfig, has_come, load_sources
from governance_pipeline.adapters.ledger import LedgerEntry
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.defs.resources import Home
from governance_pipeline.feeds import ABOUT_DECISIONS, CHANNELS, FEEDS
from governance_pipeline.progress import say

CHECKS = {
    "rows_are_accounted_for": "Every delivered row was accepted or is in the quarantine.",
    "critical_rules_hold": "No delivery was refused and no row broke a critical rule.",
    "warning_rules_hold": (
        "No row and no delivery broke a rule that lets it pass, and no column came or went."
    ),
}
DAYS_SHOWN = 30


def accepted_keys(feed: str) -> list[dg.AssetKey]:
    """Return the assets that hold what was accepted of a feed."""
    if feed == "decisions":
        return [dg.AssetKey(["accepted", channel, "decisions"]) for channel in CHANNELS]
    return [dg.AssetKey(["accepted", feed])]


def _spoken_of(feed: str) -> list[dg.AssetKey]:
    """Return what a feed speaks of, and is taken in after: what of it still waits is then known."""
    return accepted_keys("decisions") if feed in ABOUT_DECISIONS else []


def delivered_specs() -> list[dg.AssetSpec]:
    """Return what upstream drops: external, never materialised, the manifests are its record."""
    keys = [["delivered", channel, "decisions"] for channel in CHANNELS]
    keys += [["delivered", feed] for feed in FEEDS if feed != "decisions"]
    return [
        dg.AssetSpec(
            key,
            group_name="landing",
            description=f"Files of {key[-1]} as upstream dropped them.",
            kinds={"file"},
        )
        for key in keys
    ]


def selection(
    job: dg.JobDefinition, days: Sequence[dt.date], config: HomeConfig, landing: Path
) -> list[dg.AssetKey]:
    """Return a job's assets without those of which nothing came within a range of days.

    A partition costs a few milliseconds whether or not anything came, and one that is not made
    shows in the catalog what it is: missing.
    """
    silent = {
        key
        for feed in FEEDS
        for key in accepted_keys(feed)
        if not has_come(
            feed, [key.path[1]] if feed == "decisions" else CHANNELS, days, config, landing
        )
    }
    assert job.asset_layer is not None
    return [key for key in job.asset_layer.executable_asset_keys if key not in silent]


def intake_assets(partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition]:
    """Return one multi-asset per feed."""
    return [_feed_asset(feed, partitions) for feed in FEEDS]


def _feed_asset(feed: str, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    keys = accepted_keys(feed)

    @dg.multi_asset(
        name=f"accept_{feed}",
        specs=[
            dg.AssetSpec(
                key,
                group_name="quality",
                deps=[
                    dg.AssetKey(["delivered", *key.path[1:]]),
                    dg.AssetKey("registry"),
                    *_spoken_of(feed),
                ],
                partitions_def=partitions,
                description=f"The {feed} that hold what expectations/{feed}.yaml asks of them.",
                owners=["team:data_platform"],
                kinds={"parquet", "greatexpectations"},
                tags={"channel": key.path[1]} if feed == "decisions" else {},
            )
            for key in keys
        ],
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=description)
            for key in keys
            for name, description in CHECKS.items()
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def accept(
        context: dg.AssetExecutionContext, home: Home
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Judge a range of deliveries with one validation, and commit each partition."""
        selected = [key for key in keys if key in context.selected_asset_keys]
        channels = [key.path[1] for key in selected] if feed == "decisions" else list(CHANNELS)
        days = [dt.date.fromisoformat(day) for day in context.partition_keys]
        outcomes = intake_range(
            feed,
            channels,
            days,
            paths=home.paths,
            sources=load_sources(home.paths.governance_yaml).sources,
            run_id=context.run_id,
            progress=say,
        )
        for key in selected:
            own = [o for o in outcomes if feed != "decisions" or o.channel == key.path[1]]
            yield from _results(context, key, own)

    return accept


def registry_asset() -> dg.AssetsDefinition:
    """Return the register of strategies as the lake knows it."""

    @dg.asset(
        name="registry",
        group_name="registry",
        owners=["team:governance"],
        kinds={"yaml"},
        check_specs=[
            dg.AssetCheckSpec(
                "registry_is_valid",
                asset="registry",
                description="The YAML loads and lints clean; if not, the last valid one is used.",
            )
        ],
    )
    def registry(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Every strategy, its owners, goals and versions, validated and hashed."""
        applied = registry_store.apply_or_keep(home.paths.registry, home.paths.lake)
        return dg.MaterializeResult(
            metadata={"registry_hash": applied.registry_hash, "strategies": applied.strategies},
            check_results=[
                dg.AssetCheckResult(
                    check_name="registry_is_valid",
                    passed=not applied.problems,
                    metadata={"problems": dg.MetadataValue.md(_listed(applied.problems))},
                )
            ],
        )

    return registry


def _results(
    context: dg.AssetExecutionContext, key: dg.AssetKey, outcomes: Sequence[Manifest]
) -> Iterator[dg.MaterializeResult[None]]:
    by_day: dict[str, list[Manifest]] = defaultdict(list)
    for outcome in outcomes:
        by_day[outcome.delivery_date.isoformat()].append(outcome)
    for day in context.partition_keys:
        context.add_asset_metadata(_metadata(by_day[day]), asset_key=key, partition_key=day)
    yield dg.MaterializeResult(asset_key=key, check_results=list(_check_results(key, outcomes)))


def _metadata(outcomes: Sequence[Manifest]) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": sum(o.rows_accepted for o in outcomes),
        "rows_delivered": sum(o.rows_delivered for o in outcomes),
        "rows_quarantined": sum(o.rows_quarantined for o in outcomes),
        "restatements": sum(o.restatements for o in outcomes),
        "state": ", ".join(sorted({o.state for o in outcomes})) or "not delivered",
        "files": dg.MetadataValue.md(_listed([_fate(e) for o in outcomes for e in o.ledger])),
    }


def _fate(entry: LedgerEntry) -> str:
    seen = f"{entry.seen_at:%Y-%m-%d %H:%M} UTC"
    return f"{entry.path}: {entry.outcome}, {entry.rows} rows, first seen {seen}"


def _check_results(key: dg.AssetKey, outcomes: Sequence[Manifest]) -> Iterator[dg.AssetCheckResult]:
    lost = [o for o in outcomes if o.rows_delivered != o.rows_accepted + o.rows_quarantined]
    refused = [o for o in outcomes if o.state == "refused"]
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name="rows_are_accounted_for",
        passed=not lost,
        metadata={"delivered": sum(o.rows_delivered for o in outcomes)},
    )
    broken = _broken_rules(outcomes, "critical")
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name="critical_rules_hold",
        passed=not broken and not refused,
        # A quarantined row is a warning, a delivery that was turned away whole an error.
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        metadata={
            "refused": dg.MetadataValue.md(
                _listed([f"{o.channel} {o.delivery_date}: {o.refusal}" for o in refused])
            ),
            "quarantined": dg.MetadataValue.md(_listed(broken)),
            "suite": ", ".join(sorted({o.suite_hash[:12] for o in outcomes})),
        },
    )
    warned, found = _broken_rules(outcomes, "warning"), _broken_rules(outcomes, "finding")
    drifted = [f"{o.channel} {o.delivery_date}: {said}" for o in outcomes for said in o.drift]
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name="warning_rules_hold",
        passed=not warned and not found and not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "warnings": dg.MetadataValue.md(_listed(warned)),
            "findings": dg.MetadataValue.md(_listed(found)),
            "columns": dg.MetadataValue.md(_listed(drifted)),
            "extra_columns": ", ".join(sorted({c for o in outcomes for c in o.extra_columns})),
        },
    )


def _broken_rules(outcomes: Sequence[Manifest], severity: str) -> list[str]:
    return [
        f"{o.channel} {o.delivery_date}: `{rule.rule}`: {rule.observed}"
        for o in outcomes
        for rule in o.rules
        if rule.severity == severity and not rule.passed
    ]


def _listed(lines: Sequence[str]) -> str:
    shown = [f"- {line}" for line in lines[:DAYS_SHOWN]]
    if len(lines) > DAYS_SHOWN:
        shown.append(f"- and {len(lines) - DAYS_SHOWN} more")
    return "\n".join(shown) or "none"
