"""Staging, intermediate and marts: one dbt invocation over the decision days that are stale."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from governance_pipeline.adapters import refresh
from governance_pipeline.defs.intake import accepted_keys
from governance_pipeline.defs.resources import Home
from governance_pipeline.errors import WarehouseError
from governance_pipeline.settings import DBT_PROJECT

MANIFEST = DBT_PROJECT / "target" / "manifest.json"


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
    if source in ("deliveries", "delivery_rules", "build_days"):
        return [key for feed in ("decisions", "audit_labels") for key in accepted_keys(feed)]
    return [dg.AssetKey("registry")]


def prepared_manifest() -> Path:
    """Return dbt's manifest, parsing the project first if it is missing or older than a model.

    Raises:
        WarehouseError: If dbt cannot parse the project; the message carries dbt's own.
    """
    files = [p for kind in ("models", "macros", "tests") for p in (DBT_PROJECT / kind).rglob("*.*")]
    files += [DBT_PROJECT / "dbt_project.yml", DBT_PROJECT / "profiles.yml"]
    newest = max(path.stat().st_mtime for path in files)
    if MANIFEST.exists() and MANIFEST.stat().st_mtime >= newest:
        return MANIFEST
    parsed = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "parse", "--quiet"],
        cwd=DBT_PROJECT,
        env={**os.environ, "DBT_PROFILES_DIR": str(DBT_PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if parsed.returncode:
        raise WarehouseError(f"dbt could not parse {DBT_PROJECT}: {parsed.stdout[-2000:]}")
    MANIFEST.touch()
    return MANIFEST


def dbt_marts() -> dg.AssetsDefinition:
    """Return the dbt project as assets."""

    @dbt_assets(manifest=prepared_manifest(), dagster_dbt_translator=Translator(), name="dbt_marts")
    def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, home: Home) -> Iterator[Any]:
        """Recompute exactly the decision days that deliveries touched since the last build."""
        plan = refresh.plan_refresh(home.paths)
        if plan.is_empty:
            context.log.info("nothing was delivered since the marts were built: dbt is not run")
            return
        context.log.info(f"building {len(plan.decision_days)} decision days with dbt")
        refresh.prepare(home.paths, plan, home.memory_limit)
        arguments = ["build"]
        if plan.is_full:
            arguments.append("--full-refresh")
        # One folder per home, so that dbt finds what it parsed for this home the last time.
        target = home.paths.root / "dbt"
        yield from dbt.cli(arguments, context=context, target_path=target).stream()
        refresh.remember(home.paths, plan)

    return marts


def dbt_resource(warehouse: Path, memory_limit: str, threads: int) -> DbtCliResource:
    """Return the dbt command line bound to one home's warehouse."""
    os.environ["GOVERNANCE_WAREHOUSE"] = str(warehouse)
    os.environ["GOVERNANCE_MEMORY_LIMIT"] = memory_limit
    os.environ["GOVERNANCE_THREADS"] = str(threads)
    return DbtCliResource(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        # The one of this environment, whether or not somebody activated it.
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
    )
