"""The same tables by hand: as few passes over the decisions as the answers need, nothing else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb

from governance_pipeline.paths import Paths

KEYS = "strategy_id, strategy_version, channel, environment, decision_date"
COUNTED = f"""
create table counted as
select {KEYS}, is_fired, stratum, fine_bin, action, is_unit, count(*) as decisions,
    sum(reach) as reach, sum(gmv::decimal(18, 4)) as gmv,
    count(*) filter (is_sampled) as drawn, count(audit_probability) as drawable,
    sum(audit_probability::decimal(18, 12)) as sum_probability,
    min(audit_probability) as min_probability
from decisions group by all
"""
UNITS_BY_SEGMENT = """
create table units_by_segment as
select strategy_id, channel, environment, category, market,
    date_trunc('month', decision_date)::date as decision_month, stratum, count(*) as population
from decisions where is_unit group by all
"""
VERDICTS = """
create table verdicts as
select u.*, l.verdict, l.labelled_at::date as known_on, l.delivery_date
from sampled u join (
    from labels qualify row_number() over (partition by channel, label_id
        order by delivery_date desc) = 1
) l using (channel, decision_id)
where u.is_unit
"""
MARTS = {
    "strategy_days": f"""
        select c.*, coalesce(v.labelled, 0) as labelled, coalesce(a.submitted, 0) as submitted,
            coalesce(a.reversed, 0) as reversed
        from (
            select {KEYS}, sum(decisions) as decisions,
                sum(decisions) filter (is_fired) as fired,
                sum(decisions) filter (action = 'boost') as boosted,
                sum(decisions) filter (action = 'demote') as demoted,
                sum(decisions) filter (action = 'limit') as limited,
                sum(decisions) filter (action = 'label') as labelled_as_such,
                sum(decisions) filter (action = 'age_gate') as age_gated,
                sum(decisions) filter (action = 'filter') as filtered,
                sum(decisions) filter (action = 'block') as blocked, sum(reach) as reach,
                sum(reach) filter (is_fired) as reach_fired,
                sum(gmv) filter (is_fired) as gmv_fired, sum(drawn) filter (is_unit) as sampled
            from counted group by all
        ) c
        left join (select {KEYS}, count(*) as labelled from verdicts where verdict <> 'unsure'
            group by all) v using ({KEYS})
        left join (
            select d.strategy_id, d.strategy_version, d.channel, d.environment, d.decision_date,
                count(*) as submitted, count(*) filter (outcome like '%reversed') as reversed
            from actioned d join (
                from appeals qualify row_number() over (partition by channel, appeal_id
                    order by delivery_date desc) = 1
            ) using (channel, decision_id) group by all
        ) a using ({KEYS})""",
    "frame": f"""
        select {KEYS}, is_fired, stratum, fine_bin, sum(decisions) as population,
            sum(reach) as reach, sum(gmv) as gmv, sum(drawn) as drawn,
            sum(sum_probability) as expected_draws, min(min_probability) as min_probability
        from counted where is_unit group by all""",
    "population": f"""
        select {KEYS}, stratum, sum(decisions) as population, sum(reach) as reach
        from counted where is_unit group by all""",
    "audit_labels": f"""
        select {KEYS}, stratum, greatest(known_on, delivery_date) - decision_date as lag_days,
            count(*) filter (verdict <> 'unsure') as labelled,
            count(*) filter (verdict = 'should_fire') as should_fire,
            sum(w) as sum_w, sum(w * w) as sum_w2, sum(w) filter (verdict = 'should_fire') as fire,
            sum(w * reach) as sum_wr, sum(w * reach * w * reach) as sum_wr2
        from (select *, 1 / inclusion_probability as w from verdicts) group by all""",
    "audit_segments": """
        select strategy_id, channel, environment, category, market, decision_month, stratum,
            sum(population) as population, sum(labelled) as labelled, sum(fire) as should_fire
        from (
            select *, 0 as labelled, 0 as fire from units_by_segment union all by name
            select strategy_id, channel, environment, category, market,
                date_trunc('month', decision_date)::date as decision_month, stratum,
                0 as population, 1 as labelled, (verdict = 'should_fire')::integer as fire
            from verdicts where verdict <> 'unsure'
        ) group by all""",
    "evidence": """
        select decision_id, channel, decision_date, strategy_id, strategy_version, environment,
            md5('key' || item_id) as item_hash, md5('key' || seller_id) as seller_hash, score_bin,
            stratum, is_fired, verdict, category, market, reach, inclusion_probability
        from verdicts""",
    "conflicts": """
        with acts as (
            select channel, decision_date, item_id, strategy_id, bool_or(action = 'boost') as lifts,
                bool_or(action in ('demote', 'limit', 'filter', 'block')) as holds
            from actioned where decision_date > (select max(decision_date) - 28 from counted)
                and environment = 'live' and action <> 'none' group by all
        )
        select a.strategy_id as one, b.strategy_id as other, channel, count(*) as items_both,
            count(*) filter (a.lifts and b.holds or a.holds and b.lifts) as contradictory
        from acts a join acts b using (channel, decision_date, item_id)
        where a.strategy_id < b.strategy_id group by all""",
}
SEGMENTS = f"""
select {KEYS}, category, market, count(*) as decisions, count(*) filter (is_fired) as fired,
    sum(reach)::bigint as reach
from decisions where decision_date between $first and $last group by all
"""
BLOCK = 10
RULES = """
select count(*) filter (decision_id is null or not regexp_full_match(decision_id,
        '[A-Za-z0-9_-]{1,500}')),
    count(*) filter (decided_at is null or decided_at not between '2000-01-01' and '2100-01-01'),
    count(*) filter (channel is null or channel <> split_part(path, '/', -3)),
    count(*) filter (strategy_id is null), count(*) filter (strategy_version is null),
    count(*) filter (environment is null or environment not in ('live', 'shadow')),
    count(*) filter (item_id is null), count(*) filter (score < 0 or score > 1),
    count(*) filter (is_fired is null),
    count(*) filter (action is null or action not in ('none', 'boost', 'demote', 'limit', 'label',
        'age_gate', 'filter', 'block')),
    count(*) filter (environment = 'shadow' and action <> 'none'),
    count(*) filter (is_fired and action = 'none'), count(*) filter (reach < 0),
    count(*) filter (gmv < 0),
    count(*) filter (inclusion_probability <= 0 or inclusion_probability > 1)
from read_parquet($files, filename = 'path')
"""


def validate(root: Path, days: list[dt.date]) -> list[int]:
    """Judge delivered decisions: one pass for the rules, one a file for its ids."""
    found = []
    with _opened(None) as connection:
        for day in days:
            files = sorted(map(str, Paths(root).landing.glob(f"decisions/*/{day}/*.parquet")))
            found += connection.execute(RULES, {"files": files}).fetchall()[0]
            for file in files:
                found += connection.execute(
                    "select count(*) - count(distinct decision_id) from read_parquet($file)",
                    {"file": file},
                ).fetchall()[0]
    return found


def marts(root: Path) -> None:
    """Write the tables of the marts, all but the segments by day."""
    with _opened(root / "reference.duckdb") as connection:
        _views(connection, root)
        for sql in (COUNTED, UNITS_BY_SEGMENT, VERDICTS):
            connection.execute(sql)
        for name, sql in MARTS.items():
            connection.execute(f"create table {name} as {sql}")


def segments(root: Path) -> None:
    """Write the counts by strategy, day, category and market, ten days at a time."""
    with _opened(root / "reference-segments.duckdb") as connection:
        _views(connection, root)
        first, last = connection.execute(
            "select min(decision_date), max(decision_date) from decisions"
        ).fetchall()[0]
        never = {"first": dt.date.max, "last": dt.date.min}
        connection.execute(f"create table segments as {SEGMENTS}", never)
        while first <= last:
            until = first + dt.timedelta(days=BLOCK - 1)
            connection.execute(f"insert into segments {SEGMENTS}", {"first": first, "last": until})
            first = until + dt.timedelta(days=1)


def _opened(file: Path | None) -> duckdb.DuckDBPyConnection:
    if file is not None:
        file.unlink(missing_ok=True)
    opened = duckdb.connect(str(file or ":memory:"), config={"threads": 2, "memory_limit": "1GB"})
    opened.execute("set enable_progress_bar = false")
    return opened


def _views(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    lake = Paths(root).lake
    for name, files in {
        "decisions": "derived/counted_decisions/*/*/*.parquet",
        "sampled": "derived/sampled_decisions/*/*/*.parquet",
        "actioned": "derived/actioned_decisions/*/*/*.parquet",
        "labels": "accepted/audit_labels/*/*/*.parquet",
        "appeals": "accepted/appeals/*/*/*.parquet",
    }.items():
        connection.execute(f"create view {name} as from read_parquet('{lake}/{files}')")
