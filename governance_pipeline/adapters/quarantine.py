"""Which rows are turned away, by which rule; and which deliveries are turned away whole."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence

import duckdb

from governance_pipeline.adapters.expectations import Suite
from governance_pipeline.adapters.staging import Key

UNREADABLE_ROW = "row_is_readable"
UNDATED_ROW = "delivery_day_is_known"
REFUSED = "delivery_was_refused"
READING_RULES = (UNREADABLE_ROW, UNDATED_ROW)


def date_rows(connection: duckdb.DuckDBPyConnection, days: Sequence[dt.date]) -> None:
    """Give rows without a delivery day their source's first one, and drop days out of range.

    Such a row cannot be counted on any day; it goes to the quarantine of the day on which its
    source begins, so that it is there once however often the source is read.
    """
    connection.execute("create table wanted (day date)")
    connection.executemany("insert into wanted values (?)", [(day,) for day in days])
    connection.execute("alter table staged add column is_undated boolean default false")
    connection.execute(
        "update staged set is_undated = true, delivery_day = (select min(s.delivery_day) from"
        " staged s where s.file = staged.file) where delivery_day is null"
    )
    connection.execute(
        "delete from staged where delivery_day is null"
        " or delivery_day not in (select day from wanted)"
    )


def sort_rows(
    connection: duckdb.DuckDBPyConnection, suite: Suite, broken: Mapping[str, int]
) -> dict[Key, dict[str, int]]:
    """Write the table `bad` (row, rule, severity, value) and return failures per delivery and rule.

    Only rules that the validation found broken are looked for.
    """
    connection.execute(
        "create table bad (id bigint, rule varchar, place integer, severity varchar, value varchar)"
    )
    connection.execute(
        "insert into bad select rowid, $rule, -1, 'critical', null from staged where is_undated",
        {"rule": UNDATED_ROW},
    )
    for place, rule in enumerate(suite.rules):
        if not broken.get(rule.name):
            continue
        value = f"cast({rule.column} as varchar)" if rule.column else "null"
        found = f"select rowid as id from staged where {rule.broken}"
        if rule.is_unique:
            # The first of several rows with one key stays, the others are turned away.
            found = (
                "select id from (select rowid as id, row_number() over (partition by delivered_key"
                " order by rowid) as n from staged where delivered_key in (select delivered_key"
                " from staged group by 1 having count(*) > 1)) where n > 1"
            )
        connection.execute(
            f"insert into bad select rowid, $rule, $place, $severity, {value} from staged"
            f" where rowid in ({found}) and not is_undated",
            {"rule": rule.name, "place": place, "severity": rule.severity},
        )
    counts: dict[Key, dict[str, int]] = defaultdict(dict)
    for channel, day, rule_name, n in connection.execute(
        "select delivery_channel, delivery_day, rule, count(*) from bad join staged"
        " on staged.rowid = bad.id group by all union all"
        " select delivery_channel, delivery_day, $unreadable, count(*) from rejected group by all",
        {"unreadable": UNREADABLE_ROW},
    ).fetchall():
        counts[channel, day][rule_name] = n
    connection.execute(
        "create table turned_away as select id, arg_min(rule, place) as rule,"
        " arg_min(value, place) as value from bad where severity = 'critical' group by id"
    )
    return counts


def refuse(
    connection: duckdb.DuckDBPyConnection, suite: Suite, unreadable: Mapping[Key, str]
) -> dict[Key, str]:
    """Turn away whole deliveries: those that cannot be read, and those with too many bad rows.

    A row that its source did not date counts for no delivery.
    """
    shares = connection.execute(
        "select delivery_channel, delivery_day, count(*), count(t.id) from staged"
        " left join turned_away t on t.id = staged.rowid where not is_undated group by all"
    ).fetchall()
    lost = {
        (channel, day): n
        for channel, day, n in connection.execute(
            "select delivery_channel, delivery_day, count(*) from rejected group by all"
        ).fetchall()
    }
    refused = dict(unreadable)
    for channel, day, read, broken in shares:
        unread = lost.get((channel, day), 0)
        rows, bad = read + unread, broken + unread
        if bad > suite.max_bad_share * rows:
            refused.setdefault(
                (channel, day),
                f"{bad} of {rows} rows break critical rules, more than {suite.max_bad_share:.0%}; "
                "mend the file and deliver it again",
            )
    for channel, day in refused:
        connection.execute(
            "insert into turned_away select rowid, $rule, null from staged where"
            " delivery_channel = $channel and delivery_day = $day"
            " and rowid not in (select id from turned_away)",
            {"rule": REFUSED, "channel": channel, "day": day},
        )
    return refused


def tallies(connection: duckdb.DuckDBPyConnection) -> dict[Key, tuple[int, int, int]]:
    """Return rows delivered, accepted and quarantined per delivery, each counted by itself."""
    return {
        (channel, day): (delivered, accepted, quarantined)
        for channel, day, delivered, accepted, quarantined in connection.execute(
            "select delivery_channel, delivery_day, sum(delivered), sum(accepted), sum(quarantined)"
            " from (select delivery_channel, delivery_day, count(*) as delivered, 0 as accepted,"
            " 0 as quarantined from staged group by all union all"
            " select delivery_channel, delivery_day, count(*), 0, count(*) from rejected"
            " group by all union all"
            " select delivery_channel, delivery_day, 0, count(*), 0 from accepted"
            " group by all union all"
            " select delivery_channel, delivery_day, 0, 0, count(*) from turned_away"
            " join staged on staged.rowid = turned_away.id group by all) group by all"
        ).fetchall()
    }


QUARANTINED = """
select $feed as feed, delivery_channel as channel, delivery_day as delivery_date, file, row_number,
    rule, 'critical' as severity, value,
    coalesce(raw_json, cast(to_json(struct_pack({typed})) as varchar)) as row_json,
    $run_id as run_id
from turned_away join staged on staged.rowid = turned_away.id
union all
select $feed, delivery_channel, delivery_day, file, row_number, $unreadable, 'critical', reason,
    line, $run_id
from rejected
"""
