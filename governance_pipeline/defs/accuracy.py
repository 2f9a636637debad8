"""The judgement: from tallies and draws to a verdict on every strategy, in one step."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from governance_pipeline.adapters import catalogue, completeness, judging
from governance_pipeline.adapters.studies import STUDIES, Study, run_study
from governance_pipeline.defs.reporting import report_strategies
from governance_pipeline.defs.resources import Home

JUDGES = {
    "strategy_accuracy": "Precision, recall and their kin with intervals, per strategy, version, "
    "channel and window.",
    "strategy_drift": "The evidence against each goal, as an e-value a day.",
    "strategy_status": "What is to be done about each strategy now; its history is "
    "`strategy_status_days`.",
    "strategy_harm": "Who each strategy hurts: items, reach and money, wrongly taken or missed.",
}
READS = (
    "int_audit_frame",
    "int_audit_draws",
    "fct_audit_population",
    "fct_audit_labels",
    "fct_strategy_days",
    "int_appeals_matched",
    "dim_strategies",
)


def judgement_asset() -> dg.AssetsDefinition:
    """Return the judgement as assets of one step, so that its tables never disagree."""

    @dg.multi_asset(
        name="judgement",
        specs=[
            dg.AssetSpec(
                key=name,
                group_name="accuracy",
                deps=[dg.AssetDep(source) for source in READS],
                description=description,
                owners=["team:governance"],
                kinds={"python"},
            )
            for name, description in JUDGES.items()
        ],
    )
    def judgement(
        context: dg.AssetExecutionContext, home: Home
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Judge every strategy from the counts and draws; nothing is remembered but the tables."""
        verdicts = judging.judge_warehouse(home.paths)
        reported = report_strategies(context.instance, home.paths, verdicts)
        context.log.info(f"{reported} strategies have a new verdict or reason")
        inputs = _inputs(home)
        for name in JUDGES:
            shown = judging.summary(verdicts, name)
            yield dg.MaterializeResult(asset_key=name, metadata={**shown, **inputs})

    return judgement


def study_assets() -> list[dg.AssetsDefinition]:
    """Return one asset per study: judgements that stand beside the verdicts."""
    return [_study_asset(study) for study in STUDIES]


def _study_asset(study: Study) -> dg.AssetsDefinition:
    @dg.asset(
        name=study.table,
        group_name="accuracy",
        deps=[
            relation.removeprefix("judgement.")
            for relation in study.reads.values()
            if not relation.startswith("lake.")
        ],
        description=catalogue.table_docs()[study.table].description,
        owners=["team:governance"],
        kinds={"python"},
    )
    def judged(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult[None]:
        found = run_study(home.paths, study)
        return dg.MaterializeResult(metadata={"dagster/row_count": len(found)})

    return judged


def _inputs(home: Home) -> dict[str, Any]:
    """Return the newest delivery date and what is missing on it, because it was judged without."""
    day, missing = completeness.newest_inputs(home.paths.lake)
    lines = "\n".join(f"- {line}" for line in missing)
    return {
        "newest_delivery": str(day),
        "missing_deliveries": len(missing),
        "missing": dg.MetadataValue.md(lines or "none"),
    }
