"""Every model says nothing that only one of the two engines understands.

The parity tests prove it on data and need Java; this reads the models as Spark is given them, and
needs nothing, so that a new model cannot leave Spark behind unseen.
"""

import re
from pathlib import Path

import pytest
import sqlglot
from jinja2 import Environment
from sqlglot import exp

from governance_pipeline.adapters.catalogue import PUBLISHED_MARTS
from governance_pipeline.adapters.engines.spark import READ_BEYOND_DBT
from governance_pipeline.settings import DBT_PROJECT

PACKAGE = Path(__file__).parents[2] / "governance_pipeline"
MODELS = sorted(DBT_PROJECT.glob("models/*/*.sql"))
TESTS = sorted(DBT_PROJECT.glob("tests/*.sql"))
MACROS = "\n".join(file.read_text() for file in sorted(DBT_PROJECT.glob("macros/*.sql")))
# Same name, same arguments, same answer on both, nulls included.
FUNCTIONS = {
    "any_value", "avg", "cast", "coalesce", "count", "date_trunc", "extract", "first_value",
    "greatest", "last_value", "least", "length", "lower", "max", "md5", "min", "nullif",
    "row_number", "sum", "try_cast", "upper",
}  # fmt: skip
# What Spark writes for what a dispatched macro says.
DISPATCHED = {"datediff"}
BRACKETED = {
    "and", "as", "by", "case", "decimal", "distinct", "else", "except", "exists", "filter", "from",
    "having", "in", "intersect", "join", "not", "on", "or", "over", "partition", "select", "then",
    "union", "using", "values", "when", "where", "with",
}  # fmt: skip
TYPES = {"BIGINT", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "INT", "SMALLINT"}
FOREIGN = (exp.Qualify, exp.Bracket, exp.IntDiv, exp.Lambda, exp.Unnest, exp.Array, exp.Struct)
# Columns that intake, or the model that makes them, never leaves null.
NEVER_NULL = {
    "actions", "contradictory_items", "decided_at", "decision_date", "decision_id",
    "delivery_date", "first_labelled_at", "is_fired", "items_both", "label_id", "labelled_at",
}  # fmt: skip


class Relation(str):
    """A table's name, which dbt lets one ask for more."""

    schema = identifier = property(str)


class Adapter:
    """Finds a macro's Spark version as dbt's adapter does."""

    def __init__(self, macros: dict[str, object]) -> None:
        self.macros = macros

    def dispatch(self, name: str, package: str) -> object:
        """Return the macro for Spark, or the default."""
        return self.macros.get(f"spark__{name}") or self.macros[f"default__{name}"]


def as_spark_is_given_it(file: Path) -> str:
    """Render a model as dbt does for Spark, without dbt-spark or Java."""
    environment = Environment(extensions=["jinja2.ext.do"], autoescape=False)
    names: dict[str, object] = {}
    known: dict[str, object] = {
        "adapter": Adapter(names),
        "config": lambda **_: "",
        "env_var": lambda name, default="": (
            "2026-03-01 2026-04-02" if name.endswith("_DAYS") else default
        ),
        "execute": True,
        "is_incremental": lambda: True,
        "ref": Relation,
        "source": lambda schema, table: Relation(f"{schema}.{table}"),
        "target": {"type": "spark"},
        "this": Relation("this"),
        "return": lambda value: value,
    }
    macros = environment.from_string(MACROS, globals=known).make_module()
    names.update({name: getattr(macros, name) for name in dir(macros) if name[0] != "_"})
    return environment.from_string(file.read_text(), globals={**known, **names}).render()


@pytest.mark.parametrize("file", [*MODELS, *TESTS], ids=lambda file: file.stem)
def test_a_model_is_sql_for_spark_too(file: Path) -> None:
    sql = as_spark_is_given_it(file)
    (tree,) = sqlglot.parse(sql, read="spark")
    assert tree is not None
    foreign = [node.sql() for node in tree.find_all(*FOREIGN)]
    assert not foreign, f"Spark does not read {foreign}"
    stars = [star.sql() for star in tree.find_all(exp.Star) if any(star.args.values())]
    assert not stars, f"write the columns out instead of {stars}"
    called = set(re.findall(r"\b([a-z_0-9]+)\(", re.sub(r"--.*", "", sql.lower()))) - BRACKETED
    alien = called - FUNCTIONS - DISPATCHED
    assert not alien, (
        f"{alien} differ between DuckDB and Spark, or nobody has looked: see FUNCTIONS"
    )
    cast_to = {cast.to.this.name for cast in tree.find_all(exp.Cast)}
    assert cast_to <= TYPES, f"{cast_to - TYPES} have another name on Spark"


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_no_order_depends_on_where_an_engine_puts_nulls(file: Path) -> None:
    for ordered in re.findall(r"\border by\s+(.*?)\s*\)", file.read_text(), re.DOTALL):
        for term in ordered.split(","):
            name = term.split()[0].rpartition(".")[2]
            assert name in NEVER_NULL or "nulls" in term, f"say where the nulls of {name} go"


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_a_table_by_day_is_recomputed_the_way_its_engine_can(file: Path) -> None:
    assert "materialized='incremental'" not in file.read_text(), "start it with recomputed_by_day()"


def test_what_is_read_beyond_dbt_is_taken_over_from_spark() -> None:
    models = {file.stem for file in MODELS}
    read = {
        name
        for file in PACKAGE.rglob("*.py")
        for name in re.findall(r"\b(?:int|stg|fct|dim)_[a-z_]+\b", file.read_text())
        if name in models
    }
    assert read - {*PUBLISHED_MARTS} <= set(READ_BEYOND_DBT)
    assert set(READ_BEYOND_DBT) <= models
