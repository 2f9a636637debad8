"""What is published, under which name, and what each table and column means."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from governance_pipeline.adapters.desk_tables import SCHEMA
from governance_pipeline.adapters.publish import STAMPS, TableDoc
from governance_pipeline.adapters.studies import STUDIES
from governance_pipeline.settings import DBT_PROJECT

PUBLISHED_MARTS = (
    "dim_strategies",
    "dim_strategy_channels",
    "dim_strategy_versions",
    "dim_markets",
    "fct_strategy_days",
    "fct_strategy_segments",
    "fct_audit_population",
    "fct_audit_labels",
    "fct_audit_segments",
    "audited_decisions",
    "strategy_conflicts",
    "channel_trust_days",
    "data_quality_days",
    "data_quality_rules",
    "deliveries_ledger",
    "data_quality_findings",
)
JUDGED = (
    "strategy_accuracy",
    "strategy_drift",
    "strategy_status_days",
    "strategy_status",
    "strategy_harm",
    *(study.table for study in STUDIES),
)
ESCALATED = (
    "escalations",
    "escalation_events",
    "escalation_findings",
    "escalation_clocks",
    "escalation_metrics",
)
PACKAGE = Path(__file__).resolve().parents[1]
OWN_DOCS = (PACKAGE / "judgement_tables.yaml", PACKAGE / "escalation_tables.yaml")


def published_relations() -> dict[str, str]:
    """Return the relation of the warehouse behind each published table."""
    return {
        **{name: name for name in PUBLISHED_MARTS},
        **{name: f"judgement.{name}" for name in JUDGED},
        **{name: f"{SCHEMA}.{name}" for name in ESCALATED},
    }


def table_docs() -> Mapping[str, TableDoc]:
    """Return the meaning of every published table: dbt's for the marts, ours for the verdicts."""
    return {**_mart_docs(), **_own_docs()}


def data_dictionary() -> str:
    """Return the dictionary of the published tables as a page of markdown."""
    lines = [
        "# Data dictionary",
        "",
        "The published tables, contract `v1`. Made by `governance dictionary`; edit the",
        "descriptions in `dbt_project/models` and in `governance_pipeline/*_tables.yaml`.",
        "Every table also has " + " and ".join(f"`{name}`" for name in STAMPS) + ".",
    ]
    for name, doc in sorted(table_docs().items()):
        lines += ["", f"## {name}", "", doc.description, "", "| column | meaning |", "|---|---|"]
        lines += [f"| `{column}` | {meaning} |" for column, meaning in doc.columns.items()]
    return "\n".join(lines) + "\n"


@cache
def _mart_docs() -> Mapping[str, TableDoc]:
    # The project's own YAML, so that no parsed manifest is needed to publish or to write the page.
    docs = {}
    for file in sorted((DBT_PROJECT / "models" / "marts").rglob("*.y*ml")):
        for model in (yaml.load(file.read_text(), Loader=yaml.CSafeLoader) or {}).get("models", []):
            if model["name"] in PUBLISHED_MARTS:
                docs[model["name"]] = _doc(model)
    return docs


@cache
def _own_docs() -> Mapping[str, TableDoc]:
    loaded = [yaml.load(file.read_text(), Loader=yaml.CSafeLoader) for file in OWN_DOCS]
    return {model["name"]: _doc(model) for file in loaded for model in file["tables"]}


def _doc(model: dict[str, object]) -> TableDoc:
    columns = model.get("columns") or []
    assert isinstance(columns, list)
    return TableDoc(
        " ".join(str(model["description"]).split()),
        {c["name"]: " ".join(str(c["description"]).split()) for c in columns},
    )
