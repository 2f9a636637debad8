"""What labels and appeals speak of: the rows whose decision has not come, or did nothing.

It is what was known when they were taken in. The marts match them anew with every build, so a
decision that comes later finds its labels.
"""

import datetime as dt

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.matching import THIN_OF, load_thin
from governance_pipeline.adapters.sql import quoted

LOOK_BACK = dt.timedelta(days=28)  # for an appeal that does not say when its decision was made
SPEAKING = """
create temp table speaking as
select s.id, s.delivery_channel as channel, s.delivery_date, s.decision_id, {asked},
    s.{event_at}::date as day
from staged s anti join turned_away using (id)
"""
FOUND = """
select s.id from thin d join speaking s on d.decision_id = s.decision_id and d.channel = s.channel
"""
FOUND_BY_ITEM = """
union all
select s.id from thin d join speaking s on s.decision_id is null and d.item_id = s.item_id
    and d.policy = s.policy and d.channel = s.channel and d.decision_date <= s.day
"""
WAITING = "create temp table waiting as select * from speaking anti join ({found}) using (id)"
DAYS_ASKED = """
select channel, coalesce(decision_made_at::date, day), coalesce(decision_made_at::date, day - $back)
from waiting where decision_id is not null
"""
DID_NOTHING = """
create temp table did_nothing as
select distinct w.id from read_parquet($files) d
join waiting w on d.decision_id = w.decision_id and d.channel = w.channel
where not d.is_fired
"""
FACTS = """
insert into facts
select channel, delivery_date, 'reference', 'decision', state, count(*),
    max(delivery_date - day), null, null, null
from (
    select w.*, case when n.id is null then 'waiting' else 'not_fired' end as state
    from waiting w left join did_nothing n using (id)
) group by all
"""


def gather(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Add to the table `facts` how many rows wait, for how many days, and which did nothing."""
    is_label = batch.feed.name == "audit_labels"
    asked = "s.item_id, s.policy" if is_label else "s.decision_made_at"
    connection.execute(SPEAKING.format(asked=asked, event_at=quoted(batch.feed.event_at)))
    load_thin(connection, batch.paths.lake, THIN_OF[batch.feed.name])
    connection.execute(WAITING.format(found=FOUND + (FOUND_BY_ITEM if is_label else "")))
    files = [] if is_label else _where_they_may_be(connection, batch)
    if files:
        connection.execute(DID_NOTHING, {"files": files})
    else:
        connection.execute("create temp table did_nothing (id bigint)")
    connection.execute(FACTS)


def _where_they_may_be(connection: duckdb.DuckDBPyConnection, batch: Batch) -> list[str]:
    """Return the accepted decisions of the days on which waiting appeals may have been decided."""
    asked = connection.execute(DAYS_ASKED, {"back": LOOK_BACK.days}).fetchall()
    if not asked:
        return []
    return [
        str(batch.paths.lake / name)
        for manifest in manifests.read_feed(batch.paths.lake, "decisions")
        if any(
            channel == manifest.channel and any(first <= day <= last for day in days)
            for days in [manifest.decision_days]
            for channel, last, first in asked
        )
        for name in manifest.files.get("accepted", [])
    ]
