"""What is to be said of each delivery as a whole, in one small table that the suites' rules judge.

The table `facts` has a row per delivery and fact: how many rows it has, which share of an optional
column is null, which share of rows has a value, and which strategies decided. What was counted is
kept in the delivery's manifest, so comparing it with the four weeks before reads no rows.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from governance_pipeline.adapters import manifests, references
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.manifests import Statistics
from governance_pipeline.adapters.registry_store import applied_folder
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.adapters.verdicts import Key
from governance_pipeline.feeds import ABOUT_DECISIONS, Feed

WEEKS = 4  # how far back a delivery is compared
CREATE = """
create table facts (channel varchar, delivery_date date, fact varchar, subject varchar,
    state varchar, rows bigint, value double, usual double, z double, earlier bigint)
"""
# Counts and shares are compared where their noise does not depend on their size: the square root
# of a count has a standard deviation of 1/2, the arc sine of the root of a share of n one of
# 1/(2 sqrt(n)). `spread` is how deliveries differ beyond what chance alone does, robustly: from the
# median of their own weekday, once that was met three times. A delivery that somebody released as
# it is begins anew: what came before it is no measure for what comes after.
COMPARED = """
insert into facts
with scaled as (
    select *, case fact when 'row_count' then part else part / nullif(rows, 0) end as value,
        case fact when 'row_count' then 2 * sqrt(part + 0.375)
            else 2 * asin(sqrt((part + 0.375) / (rows + 0.75))) end as y,
        case fact when 'row_count' then 1 else 1 / (rows + 0.5) end as noise
    from counted
), paired as (
    select c.channel, c.delivery_date, c.fact, c.subject, h.y, h.value,
        (c.delivery_date - h.delivery_date) % 7 as days_off,
        count(*) over weekday >= 3 as is_weekly, median(h.y) over weekday as weekday_y,
        median(h.y) over every as every_y
    from scaled c join scaled h using (channel, fact, subject)
    where c.is_new and h.delivery_date between c.delivery_date - $days and c.delivery_date - 1
        and h.delivery_date >= coalesce((
            select max(r.delivery_date) from counted r
            where r.is_released and r.channel = c.channel and r.delivery_date < c.delivery_date
        ), date '0001-01-01')
    window every as (partition by c.channel, c.delivery_date, c.fact, c.subject),
        weekday as (partition by c.channel, c.delivery_date, c.fact, c.subject,
            (c.delivery_date - h.delivery_date) % 7)
), levelled as (
    select *, case when is_weekly then weekday_y else every_y end as level_y,
        is_weekly and days_off = 0 as is_alike
    from paired
), usual as (
    select channel, delivery_date, fact, subject, count(*) as earlier,
        coalesce(median(y) filter (is_alike), median(y)) as usual_y,
        coalesce(median(value) filter (is_alike), median(value)) as usual,
        1.4826 * median(abs(y - level_y)) as spread
    from levelled group by all
)
select s.channel, s.delivery_date, s.fact, s.subject, null, s.rows,
    s.value, usual,
    (s.y - usual_y) / sqrt(spread * spread + s.noise), coalesce(earlier, 0)
from scaled s left join usual using (channel, delivery_date, fact, subject)
where s.is_new
"""
STRATEGIES = """
insert into facts
select delivery_channel, delivery_date, 'strategy', case state when 'version_unregistered'
        then strategy_id || '@' || strategy_version else strategy_id end,
    state, sum(rows), null, null, null, null
from (
    select c.*, case when s.strategy_id is null then 'unregistered'
        when s.lifecycle = 'retired' then 'retired'
        when v.version is null then 'version_unregistered' else 'registered' end as state
    from cells c
    left join read_parquet({strategies}) s on s.strategy_id = c.strategy_id
    left join read_parquet({versions}) v on v.strategy_id = c.strategy_id
        and v.version = c.strategy_version
) group by all
"""


def gather(connection: duckdb.DuckDBPyConnection, batch: Batch, judged: Sequence[Key]) -> None:
    """Write the table `facts` of the deliveries to judge, and note what was counted in `batch`."""
    feed, suite = batch.feed, batch.suite
    connection.execute(CREATE)
    if batch.has_rows:
        connection.execute(_cells_sql(connection, feed, suite))
    batch.statistics = _statistics(connection, batch, judged)
    counted = [
        (*key, *fact, key in batch.statistics, key in batch.released)
        for key, statistics in {**_earlier(batch, judged), **batch.statistics}.items()
        for fact in _counted(statistics)
    ]
    compare(connection, counted)
    if feed.name == "decisions" and batch.has_rows:
        register = applied_folder(batch.paths.lake)
        tables = {
            "strategies": literal(register / "strategies.parquet"),
            "versions": literal(register / "strategy_versions.parquet"),
        }
        connection.execute(STRATEGIES.format(**tables))
    if feed.name in ABOUT_DECISIONS and batch.has_rows:
        references.gather(connection, batch)


def compare(
    connection: duckdb.DuckDBPyConnection,
    counted: Sequence[tuple[str, dt.date, str, str, int, int, bool, bool]],
) -> None:
    """Add to the table `facts` what was counted of new deliveries, beside what is usual for them.

    Args:
        connection: To the database of the table.
        counted: Channel, day, fact, subject, how many of how many rows, whether the delivery is
            new, and whether it was released as it is, in which case it begins anew.
    """
    names = ("channel", "delivery_date", "fact", "subject", "part", "rows", "is_new", "is_released")
    if not counted:
        return
    columns = zip(names, zip(*counted, strict=True), strict=True)
    connection.register("counted", pa.table({name: list(column) for name, column in columns}))
    connection.execute(COMPARED, {"days": 7 * WEEKS})
    connection.unregister("counted")


def _cells_sql(connection: duckdb.DuckDBPyConnection, feed: Feed, suite: Suite) -> str:
    """Return the one pass over the rows: the good ones counted by what shares and rules are of."""
    keys = ["delivery_channel", "delivery_date", *suite.shares]
    if feed.name == "decisions":
        keys += ["strategy_id", "strategy_version"]
    nulls = "".join(
        f", count(*) - count({quoted(name)}) as {quoted(f'no_{name}')}"
        for name in _optional(feed, suite)
    )
    any_is_away = connection.execute("select 1 from turned_away limit 1").fetchone()
    return (
        f"create temp table cells as select {', '.join(map(quoted, keys))}, count(*) as rows{nulls}"
        f" from staged {'anti join turned_away using (id)' if any_is_away else ''} group by all"
    )


def _optional(feed: Feed, suite: Suite) -> list[str]:
    return [name for name in feed.columns if name not in suite.required]


def _statistics(
    connection: duckdb.DuckDBPyConnection, batch: Batch, judged: Sequence[Key]
) -> dict[Key, Statistics]:
    suite, optional = batch.suite, _optional(batch.feed, batch.suite)
    if not batch.has_rows:
        return {key: Statistics(rows=0) for key in judged}
    sums = "".join(f", sum({quoted(f'no_{name}')})::bigint" for name in optional)
    found = connection.execute(
        f"select delivery_channel, delivery_date, sum(rows)::bigint{sums} from cells group by all"
    ).fetchall()
    nulls = {(c, d): (rows, dict(zip(optional, n, strict=True))) for c, d, rows, *n in found}
    met: dict[tuple[Key, str], dict[str, int]] = {}
    for name in suite.shares:
        for channel, day, value, rows in connection.execute(
            f"select delivery_channel, delivery_date, {quoted(name)}::varchar, sum(rows)::bigint"
            " from cells group by all"
        ).fetchall():
            met.setdefault(((channel, day), name), {})[value] = rows
    statistics = {}
    for key in judged:
        rows, own = nulls.get(key, (0, {}))
        values = {
            # A value that is missing today has a share too: none.
            name: {value: met.get((key, name), {}).get(value, 0) for value in known}
            for name, known in suite.shares.items()
        }
        statistics[key] = Statistics(rows=rows, nulls=own, values=values)
    return statistics


def _earlier(batch: Batch, judged: Sequence[Key]) -> dict[Key, Statistics]:
    """Return what was counted of the deliveries of the four weeks before those to judge."""
    lake, feed = batch.paths.lake, batch.feed.name
    wanted: set[Key] = {
        (channel, day - dt.timedelta(days=back))
        for channel, day in judged
        for back in range(1, 7 * WEEKS + 1)
    }
    found: dict[Key, Statistics] = {}
    for key in sorted(wanted.difference(batch.partitions)):
        manifest = manifests.glance(lake, feed, *key)
        if manifest is not None and manifest.statistics is not None:
            found[key] = manifest.statistics
            if manifest.released is not None:
                batch.released[key] = manifest.released
    return found


def _counted(statistics: Statistics) -> list[tuple[str, str, int, int]]:
    """Return each fact, its subject, and how many of how many rows it counts."""
    said = [("row_count", "", statistics.rows)]
    if statistics.rows:
        said += [("null_share", name, part) for name, part in statistics.nulls.items()]
        said += [
            ("value_share", f"{name} {value}", part)
            for name, parts in statistics.values.items()
            for value, part in parts.items()
        ]
    return [(*fact, statistics.rows) for fact in said]


def sentence(fact: Mapping[str, Any]) -> str:
    """Say a fact in a few words, with what is usual.

    >>> sentence({"fact": "row_count", "value": 12.0, "usual": 1200.4, "rows": 12})
    '12 rows, usually about 1,200'
    >>> sentence({"fact": "null_share", "subject": "score", "value": 0.5, "usual": 0.01, "rows": 9})
    '50.0% of score is null, usually 1.0%'
    """
    value, usual, subject = fact["value"], fact["usual"], fact.get("subject")
    if fact["fact"] == "reference" and fact["state"] == "waiting":
        return f"{fact['rows']:,} rows wait for their decision, the oldest for {value:.0f} days"
    if fact["fact"] == "reference":
        return f"{fact['rows']:,} rows are about a decision that did not fire"
    if fact["fact"] == "row_count":
        return f"{value:,.0f} rows, usually about {usual:,.0f}"
    if fact["fact"] == "null_share":
        return f"{value:.1%} of {subject} is null, usually {usual:.1%}"
    if fact["fact"] == "value_share":
        return f"{subject} in {value:.1%} of rows, usually {usual:.1%}"
    return f"{subject}: {fact['rows']:,} rows"
