"""Keys that rows share: found by their hashes, slice by slice, and never missed."""

from collections import Counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.adapters import repeated
from governance_pipeline.adapters.suites import Rule, Suite

WITHIN = Rule("a_is_unique", "critical", "a", "false", ("delivery_channel", "delivery_date", "a"))
ANYWHERE = Rule("a_is_met_once", "critical", "a", "false", ("a",))


@given(st.lists(st.integers(0, 40), max_size=60))
@settings(max_examples=50)
def test_what_is_met_twice_is_what_is_counted_more_than_once(keys: list[int]) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create table rows_ as select unnest($keys::ubigint[]) as k", {"keys": keys}
        )
        is_any = repeated.note_met_twice(connection, "select k from rows_")
        found = connection.execute("select key from met_twice order by key").fetchall()
    assert [key for (key,) in found] == sorted(k for k, n in Counter(keys).items() if n > 1)
    assert is_any == bool(found)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20)), min_size=1, max_size=60),
    st.integers(1, 30),
)
@settings(max_examples=40, deadline=None)
def test_slices_of_deliveries_find_what_all_together_have(
    rows: list[tuple[int, int]], at_once: int
) -> None:
    suite = Suite(
        name="x", suite_hash="", rules=(WITHIN, ANYWHERE), expectations=(), max_bad_share=1
    )
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for most in (at_once, 1_000):
            patch.setattr(repeated, "ROWS_AT_ONCE", most)
            with duckdb.connect() as connection:
                connection.execute(
                    "create table staged as select unnest($parts) as part, 'x' as delivery_channel,"
                    " unnest($parts) as delivery_date, unnest($keys) as a",
                    {"parts": [part for part, _ in rows], "keys": [key for _, key in rows]},
                )
                repeated.note(connection, suite, Counter(part for part, _ in rows))
                found.append(connection.execute("from repeated order by all").fetchall())
    assert found[0] == found[1]
    twice = Counter(rows), Counter(key for _, key in rows)
    assert sum(n for *_, n in found[0]) == sum(n for each in twice for n in each.values() if n > 1)
