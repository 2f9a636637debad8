"""The register as tables and as one hash, so that every number can say what it was judged by."""

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from governance_pipeline.registry.models import Rates, Registry, Strategy, Version

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "strategies": (
        "strategy_id name description action polarity kind policy owner_team backup_owner "
        "partner_teams lifecycle traffic_percent current_version expires_on never_stale_reason "
        "sor_required sor_reason scope_categories scope_markets audit_sample registry_hash"
    ),
    "strategy_channels": "strategy_id channel since until",
    "strategy_versions": (
        "strategy_id version effective_from effective_to author approver reason rollback_of "
        "score_cuts"
    ),
    "strategy_goals": (
        "strategy_id metric effective_from goal goal_null_reason tolerance evidence_half_width"
    ),
    "sampling_rates": "strategy_id version is_fired score_bin rate",
    "channels": "channel name owner_team",
    "teams": "team name contact notify calendar",
    "policies": "policy name standard_refs description",
    "markets": "market business_zone currency",
}


def registry_hash(registry: Registry) -> str:
    """Return the SHA-256 of what the register says, whatever order its files were read in."""
    said = registry.model_dump(mode="json")
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def registry_frames(registry: Registry) -> "dict[str, pd.DataFrame]":
    """Return the register as the tables that intake, dbt and judgement read."""
    import pandas as pd  # half a second that who only reads the register does not need

    digest = registry_hash(registry)
    strategies = [registry.strategies[name] for name in sorted(registry.strategies)]
    rows: dict[str, list[dict[str, Any]]] = {
        "strategies": [_strategy_row(s, digest) for s in strategies],
        "strategy_channels": [row for s in strategies for row in _channel_rows(s)],
        "strategy_versions": [row for s in strategies for row in _version_rows(s)],
        "strategy_goals": [
            {"strategy_id": s.strategy_id, **goal.model_dump()}
            for s in strategies
            for goal in sorted(s.goals, key=lambda g: (g.metric, g.effective_from))
        ],
        "sampling_rates": [row for s in strategies for row in _rate_rows(s)],
        "channels": [c.model_dump() for _, c in sorted(registry.channels.items())],
        "teams": [
            {
                **t.model_dump(exclude={"routes", "members"}),
                "notify": ",".join(t.notify or t.routes),
            }
            for _, t in sorted(registry.teams.items())
        ],
        "policies": [
            {**p.model_dump(), "standard_refs": ",".join(p.standard_refs)}
            for _, p in sorted(registry.policies.items())
        ],
        "markets": [m.model_dump() for _, m in sorted(registry.markets.items())],
    }
    return {
        name: pd.DataFrame(rows[name], columns=columns.split()) for name, columns in COLUMNS.items()
    }


def _strategy_row(strategy: Strategy, digest: str) -> dict[str, Any]:
    kept = (
        "strategy_id name description action polarity kind policy owner_team backup_owner "
        "lifecycle traffic_percent expires_on sor_required sor_reason audit_sample"
    )
    return {
        **{name: getattr(strategy, name) for name in kept.split()},
        "partner_teams": ",".join(strategy.partner_teams),
        "current_version": strategy.current_version.number,
        "never_stale_reason": strategy.never_stale,
        "scope_categories": ",".join(strategy.scope.categories),
        "scope_markets": ",".join(strategy.scope.markets),
        "registry_hash": digest,
    }


def _channel_rows(strategy: Strategy) -> Iterator[dict[str, Any]]:
    since = strategy.since or min(version.effective_from for version in strategy.versions)
    for channel in strategy.channels:
        yield {
            "strategy_id": strategy.strategy_id,
            "channel": channel,
            "since": since,
            "until": None,
        }


def _version_rows(strategy: Strategy) -> Iterator[dict[str, Any]]:
    versions = sorted(strategy.versions, key=lambda version: version.number)
    ends = [version.effective_from for version in versions[1:]] + [None]
    for version, end in zip(versions, ends, strict=True):
        yield {
            "strategy_id": strategy.strategy_id,
            "version": version.number,
            "effective_from": version.effective_from,
            "effective_to": end,
            "author": version.author,
            "approver": version.approver,
            "reason": version.reason,
            "rollback_of": version.rollback_of,
            "score_cuts": ",".join(f"{cut:g}" for cut in version.score_cuts),
        }


def _rate_rows(strategy: Strategy) -> Iterator[dict[str, Any]]:
    for version in strategy.versions:
        if version.sampling is None:
            continue
        for is_fired, rates in (
            (True, version.sampling.fired),
            (False, version.sampling.not_fired),
        ):
            for score_bin, rate in _by_bin(version, rates):
                yield {
                    "strategy_id": strategy.strategy_id,
                    "version": version.number,
                    "is_fired": is_fired,
                    "score_bin": score_bin,
                    "rate": rate,
                }


def _by_bin(version: Version, rates: Rates) -> Iterator[tuple[int, float]]:
    """Yield a rate for every score bin, and for -1, the decisions without a score."""
    bins = len(version.score_cuts) + 1
    spread = rates if isinstance(rates, list) else [rates] * bins
    yield -1, sum(spread) / len(spread)
    yield from enumerate(spread)
