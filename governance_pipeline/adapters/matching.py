"""Which decision days accepted rows touch: a label and an appeal touch their decision's day.

A restated delivery also touches what it spoke of before. Its manifest need not know: the decisions
may have come after it.
"""

import datetime as dt
from pathlib import Path

import duckdb

from governance_pipeline.adapters import known_ids, manifests
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.known_ids import Spans, span_of
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import ABOUT_DECISIONS, CLOCKS_DIFFER, Feed

RECENTLY = dt.timedelta(days=28)
"""How far back decisions are read at least: nearly all labels and appeals come within it."""
# An id that was used again is two decisions, and what is said of it is said of both. One that was
# made later is not meant: how far clocks may differ is said in the marts too.
BY_DECISION = f"""
    insert into hits select k.id, d.decision_date from thin d join asked k
        on d.decision_id = k.decision_id and d.channel = k.delivery_channel
        and d.decision_date <= k.day + {CLOCKS_DIFFER.days}
"""
# A review of an item speaks of every decision on it until then, however long ago.
BY_ITEM = """
    insert into hits select k.id, d.decision_date from thin d join asked k
        on k.decision_id is null and d.item_id = k.item_id and d.policy = k.policy
        and d.channel = k.delivery_channel and d.decision_date <= k.day
"""
TOUCHED = """
    select k.part, list(distinct h.decision_date) filter (h.decision_date is not null),
        count(distinct k.id) filter (h.id is null and k.id >= 0)
    from spoken k left join hits h on h.id = k.id
    group by k.part
"""


def touched_days(
    connection: duckdb.DuckDBPyConnection, batch: Batch
) -> dict[int, tuple[list[dt.date], int]]:
    """Return, per partition, the decision days it touches and its rows that wait for a decision."""
    feed = batch.feed
    if feed.name in ABOUT_DECISIONS:
        _load_spoken(connection, batch)
        find_decisions(connection, feed, batch.paths.lake)
        query = TOUCHED
    elif batch.has_rows:
        query = (
            f"select part, list(distinct {quoted(feed.event_at)}::date), 0 from kept group by part"
        )
    else:
        return {}
    return {
        part: (sorted(days or []), waiting)
        for part, days, waiting in connection.execute(query).fetchall()
    }


def find_decisions(connection: duckdb.DuckDBPyConnection, feed: Feed, lake: Path) -> None:
    """Note in the table `hits` which decision days each row of `spoken` speaks of, once for each.

    The deliveries of the last weeks are read, in which nearly all decisions are found; of those
    before only the spans that know one of the ids, so that the cost of a day does not grow with
    the history.
    """
    connection.execute("create table if not exists hits (id bigint, decision_date date)")
    connection.execute("create table if not exists searched (id bigint)")
    connection.execute(
        "create or replace temp table asked as from spoken anti join searched using (id)"
    )
    first, last = connection.execute(
        "select min(delivery_date), max(delivery_date) from wanted"
    ).fetchone() or (None, None)
    if first is None or not connection.execute("select 1 from asked limit 1").fetchone():
        return
    table = "sampled_decisions" if feed.name == "audit_labels" else "actioned_decisions"
    spans = known_ids.by_span(lake)
    near = {key: days for key, days in spans.items() if key[1] >= span_of(first - RECENTLY)}
    far = {key: days for key, days in spans.items() if key not in near}
    met = known_ids.spans_that_know(connection, lake, table, far)
    _look_among(connection, feed, lake, table, near | met)
    connection.execute("insert into searched select distinct id from asked")
    # Known now, while it is cheap, rather than by the first label that comes after a backfill.
    for (channel, span), days in near.items():
        if span < span_of(last - RECENTLY):
            known_ids.known(connection, lake, table, channel, span, days)


def _look_among(
    connection: duckdb.DuckDBPyConnection, feed: Feed, lake: Path, table: str, spans: Spans
) -> None:
    channels = {
        channel
        for (channel,) in connection.execute(
            "select distinct delivery_channel from asked"
        ).fetchall()
    }
    found = [
        manifests.glance(lake, "decisions", channel, day)
        for (channel, _), days in sorted(spans.items())
        if channel in channels
        for day in days
    ]
    own = [lake / name for manifest in found if manifest for name in manifest.files.get(table, [])]
    listed = ", ".join(map(literal, [lake / "empty" / f"{table}.parquet", *own]))
    connection.execute(f"create or replace temp view thin as from read_parquet([{listed}])")
    connection.execute(BY_DECISION)
    if feed.name == "audit_labels":
        connection.execute(BY_ITEM)


def _load_spoken(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write the table `spoken`: the rows kept and, under a negative id, those they replace."""
    asked = ["decision_id"]
    if batch.feed.name == "audit_labels":
        asked += ["item_id", "policy"]
    connection.execute(
        "create temp table spoken (id bigint, part integer, delivery_channel varchar, day date,"
        f" {', '.join(f'{name} varchar' for name in asked)})"
    )
    names = ", ".join([f"{quoted(batch.feed.event_at)}::date", *asked])
    if batch.has_rows:
        connection.execute(
            f"insert into spoken select id, part, delivery_channel, {names} from kept"
        )
    for partition in batch.partitions.values():
        files = partition.before.files.get("accepted", []) if partition.before else []
        if files:
            connection.execute(
                f"insert into spoken select -1 - $part, $part, $channel, {names}"
                " from read_parquet($files)",
                {
                    "part": partition.part,
                    "channel": partition.channel,
                    "files": [str(batch.paths.lake / name) for name in files],
                },
            )
