"""Columns that come, go, change their type or their name."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from governance_pipeline.adapters.landing import Source
from governance_pipeline.defs.intake import _check_results
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    Row,
    as_csv,
    as_jsonl,
    as_parquet,
    decision,
    deliver,
    make_home,
    only,
    rows_in,
    take_in,
)

DECISIONS = dg.AssetKey(["accepted", "shopads", "decisions"])
NEXT = DAY.replace(day=2)
Writer = Callable[[Sequence[Row]], bytes]
FORMS: dict[str, Writer] = {"a.csv": as_csv, "a.jsonl": as_jsonl, "a.parquet": as_parquet}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


def rows(count: int = 20, /, **changes: Any) -> list[Row]:
    return [decision(n, **changes) for n in range(1, count + 1)]


def renamed(found: Sequence[Row], **names: str) -> list[Row]:
    return [{names.get(name, name): value for name, value in row.items()} for row in found]


@pytest.mark.parametrize("name", FORMS)
def test_the_values_of_a_new_column_are_kept_and_reported(paths: Paths, name: str) -> None:
    deliver(paths, name, FORMS[name](rows()))
    assert only(take_in(paths)).drift == []
    deliver(
        paths, name, FORMS[name]([row | {"Fraud": "x" + row["item_id"]} for row in rows()]), NEXT
    )
    made = only(take_in(paths, [NEXT]))
    assert (made.state, made.rows_accepted) == ("accepted", 20)
    assert (made.extra_columns, made.drift) == (["fraud"], ["fraud is new"])
    kept = rows_in(paths, "decisions", "row_key, extra", "extra")
    assert len(kept) == 20
    assert json.loads(dict(kept)["d7"]) == {"Fraud": "xi7"}
    checks = {str(check.check_name): check for check in _check_results(DECISIONS, [made])}
    warned = checks["warning_rules_hold"]
    assert not warned.passed
    assert "2026-03-02: fraud is new" in str(warned.metadata["columns"].value)


def test_a_column_that_stays_is_no_news_and_one_that_goes_is(paths: Paths) -> None:
    days = [DAY, NEXT, NEXT.replace(day=3)]
    for day, columns in zip(days, ({"fraud": 1}, {"fraud": 2}, {}), strict=True):
        deliver(paths, "a.csv", as_csv(rows(20, **columns)), day)
    assert [m.drift for m in take_in(paths, days)] == [["fraud is new"], [], ["fraud is gone"]]


def test_a_value_after_a_thousand_rows_without_it_is_not_lost(paths: Paths) -> None:
    late = [{k: v for k, v in row.items() if k != "gmv"} for row in rows(2000)]
    late[1500] |= {"gmv": 77.5}
    deliver(paths, "a.jsonl", as_jsonl(late))
    assert only(take_in(paths)).rows_accepted == 2000
    assert rows_in(paths, "decisions", "sum(gmv)") == [(77.5,)]


def test_a_mapping_finds_a_column_that_few_lines_have(paths: Paths) -> None:
    late = [{k: v for k, v in row.items() if k != "gmv"} for row in rows(2000)]
    late[1500] |= {"worth": 77.5}
    deliver(paths, "a.jsonl", as_jsonl(late))
    source = Source(
        feed="decisions", path="landing/decisions/{channel}/{date}/*",
        mapping="select *, worth as gmv from source",
    )  # fmt: skip
    take_in(paths, sources=[source])
    assert rows_in(paths, "decisions", "sum(gmv)") == [(77.5,)]


@pytest.mark.parametrize("name", FORMS)
def test_a_missing_column_refuses_with_what_was_expected_and_had_before(
    paths: Paths, name: str
) -> None:
    deliver(paths, name, FORMS[name](rows()))
    take_in(paths)
    lost = [{k: v for k, v in row.items() if k != "is_fired"} for row in rows()]
    deliver(paths, name, FORMS[name](lost), NEXT)
    made = only(take_in(paths, [NEXT]))
    kind = "bool" if name == "a.parquet" else "text"
    assert made.state == "refused"
    assert str(made.refusal).startswith(f"{name} lacks is_fired (boolean); it has decision_id, ")
    assert f"the delivery of 2026-03-01 had is_fired ({kind}); deliver the column" in str(
        made.refusal
    )


@pytest.mark.parametrize("name", FORMS)
def test_a_renamed_column_is_found_by_spelling_and_type_and_the_mapping_works(
    paths: Paths, name: str
) -> None:
    changed = renamed(rows(), decided_at="Decision Time", is_fired="fired", item_id="itemId")
    if name == "a.parquet":
        table = pa.Table.from_pylist(changed)
        pq.write_table(table, paths.root / "x.parquet")
        content = (paths.root / "x.parquet").read_bytes()
    else:
        content = FORMS[name](changed)
    deliver(paths, name, content)
    made = only(take_in(paths))
    assert made.state == "refused"
    assert "Decision Time looks like decided_at" in str(made.refusal)
    pasted = str(made.refusal).split("`")[1]
    mapping = yaml.safe_load(pasted)["mapping"]
    source = Source(feed="decisions", path="landing/decisions/{channel}/{date}/*", mapping=mapping)
    assert only(take_in(paths, sources=[source])).rows_accepted == 20
    assert rows_in(paths, "decisions", "min(item_id), count(decided_at), bool_or(is_fired)") == [
        ("i1", 20, True)
    ]


def test_a_column_alike_by_name_but_not_by_its_values_is_not_suggested(paths: Paths) -> None:
    changed = [row | {"is_fire": "perhaps"} for row in renamed(rows(), is_fired="x9")]
    deliver(paths, "a.csv", as_csv(changed))
    assert "looks like" not in str(only(take_in(paths)).refusal)


def test_an_optional_column_under_a_new_name_is_not_taken_for_null(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv(rows()))
    take_in(paths)
    deliver(paths, "a.csv", as_csv(renamed(rows(), score="model_score")), NEXT)
    made = only(take_in(paths, [NEXT]))
    assert made.state == "refused"
    assert "lacks score (double)" in str(made.refusal)
    assert "select * rename (model_score as score) from source" in str(made.refusal)
    deliver(
        paths, "a.csv", as_csv([{k: v for k, v in r.items() if k != "score"} for r in rows()]), NEXT
    )
    made = only(take_in(paths, [NEXT]))
    assert (made.state, made.drift) == ("accepted", ["score is gone"])


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("column", "kind"), [("gmv", "double"), ("strategy_version", "integer")])
def test_a_retyped_column_refuses_with_the_difference(
    paths: Paths, name: str, column: str, kind: str
) -> None:
    deliver(paths, name, FORMS[name](rows()))
    take_in(paths)
    deliver(paths, name, FORMS[name](rows(**{column: "v2"})), NEXT)
    made = only(take_in(paths, [NEXT]))
    assert made.state == "refused"
    assert f"{column} has no {kind} in any of its 20 values, but" in str(made.refusal)
    assert "such as 'v2'; the delivery of 2026-03-01 had " + column in str(made.refusal)


def test_a_few_values_of_another_type_are_not_a_retyped_column(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([*rows(), decision(21, gmv="n/a")]))
    made = only(take_in(paths))
    assert (made.state, made.rows_accepted) == ("accepted", 21)
