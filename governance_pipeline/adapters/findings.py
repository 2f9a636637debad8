"""Where findings come from: what each source asks of the warehouse, and what it makes of a row.

A new source is one entry of `SOURCES`, or a table of the warehouse of one shape: `handed_in.py`.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.handed_in import handed_in
from governance_pipeline.domain import noticing
from governance_pipeline.domain.findings import Finding
from governance_pipeline.errors import WarehouseError

DRIFT = """
with needed as (
    select *, precision_status = 'needs_audit' as is_precision,
        bool_or(channel = 'all') over (partition by strategy_id) as has_whole
    from judgement.strategy_status
    -- An alarm that holds its goal again is a finding that has gone.
    where status = 'needs_audit' and not is_recovered
), by_metric as (
    select needed.*, 'precision' as about from needed where is_precision
    union all
    select needed.*, 'recall' from needed where recall_status = 'needs_audit'
), channels as (
    select strategy_id, case when count(*) = 1 then min(channel) end as only_channel
    from dim_strategy_channels group by strategy_id
), trust as (
    select channel, sum(impressions) / count(distinct date) as impressions
    from channel_trust_days
    where date > (select max(date) - 28 from channel_trust_days)
    group by channel
), shown as (
    select c.strategy_id, c.channel, t.impressions
    from dim_strategy_channels c join trust t using (channel)
), estimates as (
    select strategy_id, channel, precision, precision_lo, precision_hi, recall, recall_lo, recall_hi
    from judgement.strategy_accuracy where window_kind = '28d'
    qualify row_number() over (partition by strategy_id, channel
        order by window_end desc, environment = 'live' desc, version desc) = 1
), goals as (
    select strategy_id, metric, max_by(goal, effective_from) as goal
    from lake.strategy_goals where goal is not null group by strategy_id, metric
)
select n.strategy_id, s.name, s.polarity, n.about as metric, n.date,
    -- What a status says is of one metric; of the other only its numbers are known.
    case when n.metric = n.about then n.reason end as reason,
    case when n.metric = n.about then n.suspected_cause end as suspected_cause,
    case when n.metric = n.about then n.cause_evidence end as cause_evidence,
    case when n.metric = n.about then n.since end as since,
    case when n.channel = 'all' then c.only_channel else n.channel end as channel,
    case n.about when 'precision' then e.precision else e.recall end as estimate,
    case n.about when 'precision' then e.precision_lo else e.recall_lo end as estimate_lo,
    case n.about when 'precision' then e.precision_hi else e.recall_hi end as estimate_hi,
    g.goal, h.* exclude (strategy_id, channel, polarity),
    (select sum(impressions) from shown
        where shown.strategy_id = n.strategy_id and n.channel in ('all', shown.channel)
    ) as channel_impressions
from by_metric n
join dim_strategies s on s.strategy_id = n.strategy_id
join goals g on g.strategy_id = n.strategy_id and g.metric = n.about
left join channels c on c.strategy_id = n.strategy_id
left join judgement.strategy_harm h on h.strategy_id = n.strategy_id and h.channel = n.channel
left join estimates e on e.strategy_id = n.strategy_id
    and e.channel = case when n.channel = 'all' then coalesce(c.only_channel, 'all')
        else n.channel end
where n.channel = 'all' or not n.has_whole
order by n.strategy_id, n.metric <> n.about, n.channel
"""
REFUSALS = """
with newest as (select max(delivery_date) as day from lake.deliveries)
select feed, channel, max(delivery_date) as delivery_date, min(delivery_date) as first_refused,
    count(*) as refused, max_by(refusal, delivery_date) as refusal,
    max_by(rows_quarantined, delivery_date) as rows_quarantined,
    -- What grew old is not mended by that: who works on it still does.
    max(delivery_date) > any_value(newest.day) - $within as opens
from lake.deliveries, newest
where state = 'refused'
group by feed, channel order by feed, channel
"""
RULES = """
with newest as (
    select feed, channel, max(delivery_date) as delivery_date from lake.deliveries
    where state = 'accepted' group by feed, channel
)
select r.* from lake.delivery_rules r join newest using (feed, channel, delivery_date)
where r.severity = 'finding' and not r.passed
order by r.feed, r.channel, r.rule
"""
CONFLICTS = """
select * from strategy_conflicts
where window_end = (select max(window_end) from strategy_conflicts)
    and contradictory_share > $share and contradictory_items >= $items
order by contradictory_items desc, strategy_a, strategy_b, channel
"""


@dataclass(frozen=True)
class FindingSource:
    """A kind of finding: what is asked of the warehouse, and the finding of each row.

    `source` is what its findings call themselves; a finding of it that is no longer among the
    answers has gone.
    """

    name: str
    source: str
    asks: str
    finding: Callable[[Mapping[str, Any], dt.datetime, str], Finding]
    values: Mapping[str, Any] | None = None


SOURCES: tuple[FindingSource, ...] = (
    # What explains others comes first, so that those join it.
    FindingSource(
        "refused deliveries", "data_quality", REFUSALS, noticing.refusal,
        {"within": noticing.REFUSALS_WITHIN},
    ),
    FindingSource("broken rules", "data_quality", RULES, noticing.broken_rule),
    FindingSource("drift", "drift", DRIFT, noticing.drift),
    FindingSource(
        "conflicts", "conflict", CONFLICTS, noticing.conflict,
        {"share": noticing.CONTRADICTORY_SHARE, "items": noticing.CONTRADICTORY_ITEMS},
    ),
)  # fmt: skip


def read_findings(
    path: Path,
    now: dt.datetime,
    requester: str,
    sources: Sequence[FindingSource] = SOURCES,
) -> tuple[list[Finding], set[str]]:
    """Return what the newest verdicts find, and the sources that were asked.

    All is of one state of the warehouse. Of a source that was asked, what is not among the
    findings has gone.

    Raises:
        WarehouseError: If it is missing, or a table hands in what is no finding.
        LockedError: If another process writes to it.
    """
    with warehouse.connect(path, read_only=True) as connection:
        found = [
            source.finding(row, now, requester)
            for source in sources
            for row in _rows(connection, source)
        ]
        given = handed_in(connection, now, requester)
    found += [finding for some in given.values() for finding in some]
    return found, {source.source for source in sources} | given.keys()


def _rows(connection: duckdb.DuckDBPyConnection, source: FindingSource) -> list[dict[str, Any]]:
    try:
        answer = connection.execute(source.asks, dict(source.values or {}))
    except duckdb.CatalogException as error:
        said = str(error).splitlines()[0]
        raise WarehouseError(f"{source.name} cannot be asked for: {said}; run the days") from error
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
