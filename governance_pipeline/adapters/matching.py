"""Which decision days accepted rows touch: a label and an appeal touch their decision's day.

A restated delivery also touches what it spoke of before. Its manifest need not know: the decisions
may have come after it.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import ABOUT_DECISIONS, Feed

RECENTLY = dt.timedelta(days=45)
"""How far back decisions are looked for first: nearly all labels and appeals come within it.

What is found there is not looked for among older ones. So of an id that two days use, further apart
than this, only the newer is touched; `docs/decisions/what-any-delivery-leaves-alike.md` says so.
"""
BY_DECISION = """
    insert into hits select k.id, k.decision_id, d.decision_date from thin d join waiting k
        on d.decision_id = k.decision_id and d.channel = k.delivery_channel
"""
# A review of an item speaks of every decision on it until then, however long ago.
BY_ITEM = """
    insert into hits select k.id, null, d.decision_date from thin d join waiting k
        on k.decision_id is null and d.item_id = k.item_id and d.policy = k.policy
        and d.channel = k.delivery_channel and d.decision_date <= k.labelled_at::date
"""
FOUND = """
    delete from waiting where decision_id is not null
        and (id, decision_id) in (select (id, decision_id) from hits)
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
    """Return, per partition, the decision days it touches and its rows that wait for a decision.

    A decision is looked for among those delivered lately, and among all older ones only by the
    rows that found none, so that the cost of a day does not grow with the history.
    """
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
    """Note in the table `hits` which decision days each row of `spoken` speaks of."""
    connection.execute(
        "create temp table hits (id bigint, decision_id varchar, decision_date date)"
    )
    connection.execute("create temp table waiting as from spoken")
    channels, first = connection.execute(
        "select list(distinct channel), min(delivery_date) from wanted"
    ).fetchone() or ([], None)
    if first is None:
        return
    since = first - RECENTLY
    keys = [key for key in manifests.keys(lake, "decisions") if key[1] in channels]
    for part in (
        [key for key in keys if key[2] >= since],
        [key for key in keys if key[2] < since],
    ):
        if connection.execute("select 1 from waiting limit 1").fetchone():
            _look_among(connection, feed, lake, part)


def _look_among(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    lake: Path,
    deliveries: Sequence[tuple[str, str, dt.date]],
) -> None:
    table = "sampled_decisions" if feed.name == "audit_labels" else "actioned_decisions"
    known = [m for m in (manifests.glance(lake, *key) for key in deliveries) if m is not None]
    own = [lake / name for manifest in known for name in manifest.files.get(table, [])]
    files = [lake / "empty" / f"{table}.parquet", *own]
    listed = ", ".join(map(literal, files))
    connection.execute(f"create or replace temp view thin as from read_parquet([{listed}])")
    connection.execute(BY_DECISION)
    if feed.name == "audit_labels":
        connection.execute(BY_ITEM)
    connection.execute(FOUND)


def _load_spoken(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write the table `spoken`: the rows kept and, under a negative id, those they replace."""
    asked = {"decision_id": "varchar"}
    if batch.feed.name == "audit_labels":
        asked |= {"item_id": "varchar", "policy": "varchar", "labelled_at": "timestamp"}
    names = ", ".join(asked)
    connection.execute(
        "create temp table spoken (id bigint, part integer, delivery_channel varchar,"
        f" {', '.join(f'{name} {kind}' for name, kind in asked.items())})"
    )
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
