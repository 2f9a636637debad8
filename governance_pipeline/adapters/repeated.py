"""Rows whose key another row of their delivery has: found once, for the quarantine and validation.

A hash met twice is rare where keys are unique, so the keys themselves are compared only there. The
table `repeated` has the hash of each key that several rows have, and how many they are.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate, groupby

import duckdb
import numpy as np
import pyarrow as pa

from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.adapters.suites import Rule, Suite
from governance_pipeline.feeds import Feed

DELIVERY = {"delivery_channel", "delivery_date"}
"""With these among its columns, a key is within one delivery."""
ROWS_AT_ONCE = 10_000_000
"""Of how many rows hashes are sorted at once: 80 MB, or those of one delivery."""
CREATE = "create table repeated (rule varchar, key ubigint, n bigint)"


def note(connection: duckdb.DuckDBPyConnection, suite: Suite, rows: Mapping[int, int]) -> None:
    """Write the table `repeated` of the view `staged`, for every rule on uniqueness.

    Args:
        connection: To the database of `staged`.
        suite: Whose rules.
        rows: How many rows each delivery has, by its number.
    """
    connection.execute(CREATE)
    for rule in suite.unique_rules:
        keys, given = _keys(rule), _given(rule)
        for first, last in _slices(rows, is_split=DELIVERY.issubset(rule.unique_by)):
            among = f"from staged where part between {first} and {last} and {given}"
            if note_met_twice(connection, f"select hash({keys}) {among}"):
                connection.execute(
                    f"insert into repeated select $rule, hash({keys}), count(*) {among}"
                    f" and hash({keys}) in (from met_twice) group by {keys} having count(*) > 1",
                    {"rule": rule.name},
                )


def note_met_twice(connection: duckdb.DuckDBPyConnection, hashes: str) -> bool:
    """Write the table `met_twice`, what a query of hashes gives more than once; say if it has any.

    They are sorted here, at a third of what it takes to group them: nearly all are met once.
    """
    (found,) = map(np.asarray, connection.execute(hashes).fetchnumpy().values())
    found.sort()
    twice = np.unique(found[1:][found[1:] == found[:-1]])
    connection.register("given", pa.table({"key": twice}))
    connection.execute("create or replace temp table met_twice as select key from given")
    connection.unregister("given")
    return len(twice) > 0


def _slices(rows: Mapping[int, int], *, is_split: bool) -> Iterator[tuple[int, int]]:
    """Give the first and last number of deliveries whose keys are sorted together.

    >>> list(_slices({0: 9_000_000, 1: 500_000, 2: 800_000, 3: 1}, is_split=True))
    [(0, 1), (2, 3)]
    >>> list(_slices({0: 9_000_000, 1: 500_000, 2: 800_000, 3: 1}, is_split=False))
    [(0, 3)]
    """
    parts = sorted(rows)
    so_far = dict(zip(parts, accumulate(rows[part] for part in parts), strict=True))
    for _, own in groupby(parts, lambda part: is_split and so_far[part] // ROWS_AT_ONCE):
        numbers = [*own]
        yield numbers[0], numbers[-1]


def alike_sql(rule: Rule) -> str:
    """Return the query of the validation: a row for every row of `{batch}` that shares its key.

    As shipped, the table is joined to itself, which costs more than all other rules together.
    """
    return (
        f"with alike as (select count(*) as n from {{batch}} where {_given(rule)}"
        f" and {_is_met(rule)} group by {_keys(rule)} having count(*) > 1)"
        " select unnest(range(n)) as row_of_key from alike"
    )


def later_sql(rule: Rule, feed: Feed) -> str:
    """Return the rows of a key after the first that is good, with the value that they repeat.

    A row that repeats another in every column is harmless: it does not speak against a delivery.
    """
    whole = f"hash({', '.join(map(quoted, feed.columns))})"
    return f"""
    select id, delivery_channel, delivery_date, value, whole = first_whole as is_harmless
    from (
        select id, delivery_channel, delivery_date, {quoted(rule.unique_by[-1])}::varchar as value,
            {whole} as whole, first_value({whole}) over alike as first_whole,
            row_number() over alike as place
        from staged where {_given(rule)} and {_is_met(rule)}
        window alike as (
            partition by {_keys(rule)} order by id in (select id from turned_away), id
        )
    ) where place > 1
    """


def _keys(rule: Rule) -> str:
    return ", ".join(map(quoted, rule.unique_by))


def _given(rule: Rule) -> str:
    if not rule.skips_nulls:
        return "true"
    return " and ".join(f"{quoted(name)} is not null" for name in rule.unique_by)


def _is_met(rule: Rule) -> str:
    return f"hash({_keys(rule)}) in (select key from repeated where rule = {literal(rule.name)})"
