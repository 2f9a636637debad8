"""Staging, intermediate and marts: one dbt invocation over the decision days that are stale."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from governance_pipeline.adapters import dbt_manifest, refresh
from governance_pipeline.adapters.engines import engine_of
from governance_pipeline.defs.intake import accepted_keys
from governance_pipeline.defs.resources import Home
from governance_pipeline.progress import say


class Translator(DagsterDbtTranslator):
    """Names dbt's folders as groups and ties staging to what intake accepted."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the layer's folder: staging, intermediate or marts."""
        return str(dbt_resource_props["fqn"][1])

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return the model's name alone; a name is unique in the project."""
        return dg.AssetKey([dbt_resource_props["name"]])

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """Return the model's asset, its sources replaced by the assets that fill them."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id not in manifest["nodes"]:
            return spec
        sources = [
            manifest["sources"][node]["name"]
            for node in manifest["nodes"][unique_id]["depends_on"]["nodes"]
            if node.startswith("source.")
        ]
        if not sources:
            return spec
        models = [d for d in spec.deps if d.asset_key.path[-1] not in sources]
        filled_by = [dg.AssetDep(key) for name in sources for key in _assets_behind(name)]
        return spec.replace_attributes(deps=[*models, *filled_by])


def _assets_behind(source: str) -> list[dg.AssetKey]:
    """Return the assets that fill a dbt source of the lake."""
    if source.endswith("_decisions"):
        return accepted_keys("decisions")
    if source in ("decisions", "audit_labels", "appeals", "feedback", "activity"):
        return accepted_keys(source)
    if source == "recent_audit_labels":
        return accepted_keys("audit_labels")
    if source.startswith("deliver") or source in ("build_days", "decided_days", "evidence_key"):
        return [key for feed in ("decisions", "audit_labels") for key in accepted_keys(feed)]
    return [dg.AssetKey("registry")]


def dbt_marts() -> dg.AssetsDefinition:
    """Return the dbt project as assets."""
    manifest = dbt_manifest.prepared()
    translator = Translator()

    @dbt_assets(manifest=manifest, dagster_dbt_translator=translator, name="dbt_marts")
    def marts(context: dg.AssetExecutionContext, home: Home) -> Iterator[Any]:
        """Recompute exactly the decision days that deliveries touched since the last build."""
        engine = engine_of(home.settings)
        plan = refresh.plan_refresh(home.paths, engine.built_by(home.paths))
        if plan.is_empty:
            context.log.info("nothing was delivered since the marts were built: dbt is not run")
            return
        say(f"building the marts of {len(plan.decision_days)} decision days")
        built = engine.build(home.paths, plan)
        nodes = json.loads(manifest.read_text())
        for node in built:
            if node.kind == "model":
                yield dg.MaterializeResult(
                    asset_key=dg.AssetKey([node.name]),
                    metadata={"seconds": node.seconds},
                )
            else:
                key = get_asset_check_key_for_test(nodes, translator, node.unique_id, project=None)
                if key is not None:
                    yield dg.AssetCheckResult(
                        asset_key=key.asset_key,
                        check_name=key.name,
                        passed=node.passed,
                        metadata={"said": node.message},
                    )
        refresh.remember(home.paths, plan)

    return marts
