"""The catalog as the register: one asset per strategy, with its owner, channels and checks.

The assets are external: the judgement reports on them, no run materialises them, because a run
that selects a check wipes the result it shows.
"""

from collections.abc import Iterator

import dagster as dg

from governance_pipeline.adapters import judging
from governance_pipeline.defs.pages import verdict_pages
from governance_pipeline.defs.resources import Home
from governance_pipeline.registry.models import Registry, Strategy

CHECKS = {
    "precision": "Of what it fires on, the share that reviewers say it should is at its goal.",
    "recall": "Of what it should fire on, the share it does fire on is at its goal.",
    "labels": "Enough labels came back to say so.",
}


def asset_key(strategy_id: str) -> dg.AssetKey:
    """Return a strategy's key, which survives a change of its channels."""
    return dg.AssetKey(["strategies", strategy_id.replace("-", "_")])


def strategy_specs(registry: Registry) -> list[dg.AssetSpec]:
    """Return one external asset per registered strategy."""
    return [_spec(strategy) for _, strategy in sorted(registry.strategies.items())]


def _spec(strategy: Strategy) -> dg.AssetSpec:
    channels = list(strategy.channels)
    group = f"strategies_{channels[0]}" if len(channels) == 1 else "strategies_multi"
    return dg.AssetSpec(
        asset_key(strategy.strategy_id),
        deps=["strategy_status"],
        group_name=group,
        owners=[f"team:{strategy.owner_team}"],
        description=f"**{strategy.name}**\n\n{strategy.description}",
        kinds={strategy.kind},
        tags={
            **{f"channel/{channel}": "yes" for channel in channels},
            "action": strategy.action,
            "lifecycle": strategy.lifecycle,
            "policy": strategy.policy,
        },
    )


def strategy_checks(registry: Registry) -> dg.AssetChecksDefinition:
    """Return the checks of all strategies, for evaluation on demand from their pages."""

    @dg.multi_asset_check(
        name="strategy_verdicts",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(name, asset=asset_key(strategy_id), description=description)
            for strategy_id in sorted(registry.strategies)
            for name, description in CHECKS.items()
        ],
    )
    def strategy_verdicts(
        context: dg.AssetCheckExecutionContext, home: Home
    ) -> Iterator[dg.AssetCheckResult]:
        """Show again what the last judgement said."""
        pages = verdict_pages(judging.read_verdicts(home.paths))
        for strategy_id, page in pages.items():
            for name, verdict in page.verdicts.items():
                key = dg.AssetCheckKey(asset_key(strategy_id), name)
                if key in context.selected_asset_check_keys:
                    yield dg.AssetCheckResult(
                        asset_key=key.asset_key,
                        check_name=name,
                        passed=verdict.passed,
                        severity=verdict.severity,
                        metadata=verdict.metadata,
                    )

    return strategy_verdicts
