"""Rows whose key another row of their delivery has: found once, for the quarantine and validation.

A hash met twice is rare where keys are unique, so the keys themselves are compared only there. The
table `repeated` has the hash of each key that several rows have, and how many they are.
"""

import duckdb

from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.adapters.suites import Rule, Suite
from governance_pipeline.feeds import Feed

CREATE = "create table repeated (rule varchar, key ubigint, n bigint)"


def note(connection: duckdb.DuckDBPyConnection, suite: Suite) -> None:
    """Write the table `repeated` of the view `staged`, for every rule on uniqueness."""
    connection.execute(CREATE)
    for rule in suite.unique_rules:
        keys, given = _keys(rule), _given(rule)
        connection.execute(
            "insert into repeated"
            f" with met as (select hash({keys}) as key from staged where {given} group by key"
            " having count(*) > 1)"
            f" select $rule, hash({keys}), count(*) from staged"
            f" where {given} and hash({keys}) in (select key from met)"
            f" group by {keys} having count(*) > 1",
            {"rule": rule.name},
        )


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
