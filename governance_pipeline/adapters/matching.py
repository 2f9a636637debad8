"""Which decision days accepted rows touch: a label and an appeal touch their decision's day.

A restated delivery also touches what it spoke of before. Its manifest need not know: the decisions
may have come after it.
"""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Partition
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import Feed

LABELLED = """
    select k.id, d.decision_date from thin d join spoken k
        on d.decision_id = k.decision_id and d.channel = k.delivery_channel
    union
    select k.id, d.decision_date from thin d join spoken k
        on k.decision_id is null and d.item_id = k.item_id and d.policy = k.policy
        and d.channel = k.delivery_channel and d.decision_date <= k.labelled_at::date
"""
APPEALED = """
    select k.id, d.decision_date from thin d join spoken k
        on d.decision_id = k.decision_id and d.channel = k.delivery_channel
"""
TOUCHED = """
    select k.part, list(distinct h.decision_date) filter (h.decision_date is not null),
        count(distinct k.id) filter (h.id is null and k.id >= 0)
    from spoken k left join ({hits}) h on h.id = k.id
    group by k.part
"""


def touched_days(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    lake: Path,
    partitions: Iterable[Partition],
) -> dict[int, tuple[list[dt.date], int]]:
    """Return, per partition, the decision days it touches and its rows that wait for a decision."""
    if feed.name in ("audit_labels", "appeals"):
        table = "sampled_decisions" if feed.name == "audit_labels" else "actioned_decisions"
        _load_thin(connection, lake, table)
        _load_spoken(connection, feed, lake, partitions)
        query = TOUCHED.format(hits=LABELLED if feed.name == "audit_labels" else APPEALED)
    else:
        query = (
            f"select part, list(distinct {quoted(feed.event_at)}::date), 0 from kept group by part"
        )
    return {
        part: (sorted(days or []), waiting)
        for part, days, waiting in connection.execute(query).fetchall()
    }


def _load_thin(connection: duckdb.DuckDBPyConnection, lake: Path, table: str) -> None:
    (channels,) = connection.execute("select list(distinct channel) from wanted").fetchone() or (
        [],
    )
    known = [m for m in manifests.read_feed(lake, "decisions") if m.channel in channels]
    files = [lake / "empty" / f"{table}.parquet", *manifests.files_of(lake, known, table)]
    listed = ", ".join(map(literal, files))
    connection.execute(f"create temp view thin as select * from read_parquet([{listed}])")


def _load_spoken(
    connection: duckdb.DuckDBPyConnection, feed: Feed, lake: Path, partitions: Iterable[Partition]
) -> None:
    """Write the table `spoken`: the rows kept and, under a negative id, those they replace."""
    asked = ["decision_id"]
    if feed.name == "audit_labels":
        asked += ["item_id", "policy", "labelled_at"]
    names = ", ".join(asked)
    connection.execute(
        f"create temp table spoken as select id, part, delivery_channel, {names} from kept"
    )
    for partition in partitions:
        files = partition.before.files.get("accepted", []) if partition.before else []
        if files:
            connection.execute(
                f"insert into spoken select -1 - $part, $part, $channel, {names}"
                " from read_parquet($files)",
                {
                    "part": partition.part,
                    "channel": partition.channel,
                    "files": [str(lake / name) for name in files],
                },
            )
