"""The suites: one declaration that Great Expectations and the quarantine read alike."""

from pathlib import Path

import duckdb
import pytest

from governance_pipeline.adapters import repeated
from governance_pipeline.adapters.expectations import evaluate
from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import load_suite
from governance_pipeline.errors import ExpectationFileError
from governance_pipeline.feeds import FEEDS
from governance_pipeline.settings import EXPECTATIONS

CONFIG = {"memory_limit": "500MB", "threads": "1"}
EVERY_TYPE = """
name: every_type
expectations:
- {type: expect_column_values_to_not_be_null, kwargs: {column: a}, meta: {check: a_is_present}}
- {type: expect_column_values_to_be_null, kwargs: {column: b}, meta: {check: b_is_absent}}
- {type: expect_column_values_to_be_in_set, kwargs: {column: a, value_set: [x, "it's"]},
   severity: warning, meta: {check: a_is_known}}
- {type: expect_column_values_to_be_between, kwargs: {column: n, min_value: 0, max_value: 1,
   strict_min: true}, meta: {check: n_is_a_share}}
- {type: expect_column_values_to_be_between, kwargs: {column: t, min_value: '2000-01-01 00:00:00'},
   meta: {check: t_is_late}}
- {type: expect_column_values_to_match_regex, kwargs: {column: a, regex: '^[a-z]$'},
   meta: {check: a_is_a_letter}}
- {type: expect_compound_columns_to_be_unique, kwargs: {column_list: [b, a],
   ignore_row_if: any_value_is_missing}, meta: {check: a_is_unique}}
- {type: unexpected_rows_expectation, kwargs: {unexpected_rows_query:
   "select * from {batch} where a = 'x' and n > 0.5"}, meta: {check: x_is_small}}
- {type: unexpected_rows_expectation, kwargs: {unexpected_rows_query:
   "select * from {batch} where z > 6"}, meta: {check: z_is_usual, batch: facts}}
"""


@pytest.mark.parametrize("feed", FEEDS)
def test_every_feed_has_a_suite_with_names_reasons_and_remedies(feed: str) -> None:
    suite = load_suite(EXPECTATIONS / f"{feed}.yaml")
    assert suite.name == feed
    assert suite.rules[0].name == "row_is_readable"
    for rule in suite.rules:
        assert rule.why.endswith("."), f"{rule.name} does not say what breaks with it"
        assert rule.remedy.endswith("."), f"{rule.name} does not say what to do about it"
    assert set(suite.required) <= set(FEEDS[feed].columns)


def test_the_validation_and_the_quarantine_count_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(EVERY_TYPE)
    suite = load_suite(tmp_path / "suite.yaml")
    database = tmp_path / "stage.duckdb"
    with duckdb.connect(str(database), config=dict(CONFIG)) as connection:
        connection.execute(
            "create table staged as select i // 100 as part,"
            " ['x', 'it''s', 'B', null, 'y'][i % 5 + 1] as a,"
            " if(i % 7 = 0, 'b', null) as b,"
            " ['0', '1', '0.7', 'nan', 'inf', '-1', null, '0.2'][i % 8 + 1]::double as n,"
            " [timestamp '2026-01-01', timestamp '0001-01-01', null][i % 3 + 1] as t"
            " from range(500) r(i)"
        )
        repeated.note(connection, suite, dict.fromkeys(range(5), 100))
        ours = {}
        for rule in suite.rules:
            query = f"select count(*) from staged where {rule.broken}"
            if rule.unique_by:
                keys = ", ".join(map(quoted, rule.unique_by))
                query = (
                    "select sum(n) from (select count(*) as n from staged where a is not null and"
                    f" b is not null group by {keys} having n > 1)"
                )
            ours[rule.name] = connection.execute(query).fetchall()[0][0]
        connection.execute("create table facts as select i as z from range(10) r(i)")
    # Whole deliveries are judged by the same validation, over the table of what is said of them.
    assert evaluate(database, "staged", suite, CONFIG) == ours | {"z_is_usual": 3}
    assert all(ours.values())
    with duckdb.connect(str(database)) as connection:  # nothing is left open
        assert connection.execute("select count(*) from staged").fetchall() == [(500,)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a: [", "is not YAML"),
        ("name: x", "needs a name and a list"),
        ("{name: x, expectations: [{type: t}]}", "t has no meta.check; give it one"),
        (
            "{name: x, expectations: [{type: expect_table_row_count_to_equal, meta: {check: c}}]}",
            "finds no rows",
        ),
        (
            "{name: x, expectations: [{type: expect_column_values_to_be_null, meta: {check: c},"
            " kwargs: {}}]}",
            "wrong kwargs: 'column'",
        ),
        (
            "{name: x, expectations: [{type: expect_column_values_to_be_null, meta: {check: c},"
            " kwargs: {column: c}, severity: info}]}",
            "use critical or warning",
        ),
    ],
)
def test_a_malformed_suite_is_named_with_the_remedy(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(ExpectationFileError, match=said):
        load_suite(tmp_path / "suite.yaml")


def test_an_expectation_on_a_column_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "{name: x, expectations: [{type: expect_column_values_to_be_null,"
        " kwargs: {column: nowhere}, meta: {check: nowhere_is_absent}}]}"
    )
    database = tmp_path / "stage.duckdb"
    with duckdb.connect(str(database), config=dict(CONFIG)) as connection:
        connection.execute("create table staged as select 1 as a")
    with pytest.raises(ExpectationFileError, match="nowhere_is_absent could not be evaluated"):
        evaluate(database, "staged", load_suite(tmp_path / "suite.yaml"), CONFIG)
