"""Which decision days accepted rows touch: a label and an appeal touch their decision's day.

A restated delivery also touches what it spoke of before. Its manifest need not know: the decisions
may have come after it.
"""

import datetime as dt
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.sql import literal, quoted

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
    connection: duckdb.DuckDBPyConnection, batch: Batch
) -> dict[int, tuple[list[dt.date], int]]:
    """Return, per partition, the decision days it touches and its rows that wait for a decision."""
    feed = batch.feed
    if feed.name in ("audit_labels", "appeals"):
        table = "sampled_decisions" if feed.name == "audit_labels" else "actioned_decisions"
        _load_thin(connection, batch.paths.lake, table)
        _load_spoken(connection, batch)
        query = TOUCHED.format(hits=LABELLED if feed.name == "audit_labels" else APPEALED)
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


def _load_thin(connection: duckdb.DuckDBPyConnection, lake: Path, table: str) -> None:
    (channels,) = connection.execute("select list(distinct channel) from wanted").fetchone() or (
        [],
    )
    known = [m for m in manifests.read_feed(lake, "decisions") if m.channel in channels]
    files = [lake / "empty" / f"{table}.parquet", *manifests.files_of(lake, known, table)]
    listed = ", ".join(map(literal, files))
    connection.execute(f"create temp view thin as select * from read_parquet([{listed}])")


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
