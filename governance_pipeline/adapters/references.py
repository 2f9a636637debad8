"""What labels and appeals speak of: the rows whose decision has not come, or did nothing.

It is what was known when they were taken in. The marts match them anew with every build, so a
decision that comes later finds its labels.
"""

import datetime as dt

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.matching import find_decisions
from governance_pipeline.adapters.sql import quoted

LOOK_BACK = dt.timedelta(days=28)  # for an appeal that does not say when its decision was made
SPOKEN = """
create temp table spoken as
select id, part, delivery_channel, delivery_date, decision_id, {asked}, {event_at}::date as day
from staged anti join turned_away using (id)
"""
UNMATCHED = "create temp table unmatched as select * from spoken anti join hits using (id)"
DAYS_ASKED = """
select distinct delivery_channel, coalesce(decision_made_at::date, day - $back),
    coalesce(decision_made_at::date, day)
from unmatched
"""
DID_NOTHING = """
create temp table did_nothing as
select distinct u.id from read_parquet($files) d
join unmatched u on d.decision_id = u.decision_id and d.channel = u.delivery_channel
where not d.is_fired
"""
FACTS = """
insert into facts
select delivery_channel, delivery_date, 'reference', 'decision', state, count(*),
    max(delivery_date - day), null, null, null
from (
    select u.*, case when n.id is null then 'waiting' else 'not_fired' end as state
    from unmatched u left join did_nothing n using (id)
) group by all
"""


def gather(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Add to the table `facts` how many rows wait, for how many days, and which did nothing."""
    is_label = batch.feed.name == "audit_labels"
    asked = "item_id, policy" if is_label else "decision_made_at"
    connection.execute(SPOKEN.format(asked=asked, event_at=quoted(batch.feed.event_at)))
    find_decisions(connection, batch.feed, batch.paths.lake)
    connection.execute(UNMATCHED)
    files = [] if is_label else _where_they_may_be(connection, batch)
    if files:
        connection.execute(DID_NOTHING, {"files": files})
    else:
        connection.execute("create temp table did_nothing (id bigint)")
    connection.execute(FACTS)


def _where_they_may_be(connection: duckdb.DuckDBPyConnection, batch: Batch) -> list[str]:
    """Return the accepted decisions of the days on which what is appealed may have been decided."""
    lake = batch.paths.lake
    asked = connection.execute(DAYS_ASKED, {"back": LOOK_BACK.days}).fetchall()
    files = []
    for key in manifests.keys(lake, "decisions"):
        spans = [span for channel, *span in asked if channel == key[1] and span[0] <= key[2]]
        manifest = manifests.read(lake, *key) if spans else None
        if manifest is not None and any(
            first <= day <= last for first, last in spans for day in manifest.decision_days
        ):
            files += [str(lake / name) for name in manifest.files.get("accepted", [])]
    return files
