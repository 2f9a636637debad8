"""The same tables by hand: as few passes over the decisions as the answers need, nothing else."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import duckdb

from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.adapters.registry_store import applied_folder
from governance_pipeline.paths import Paths
from governance_pipeline.simulation.bulk import FIRED_RATE, UNFIRED_RATE

ACCEPTED = "accepted/decisions/*/*/*.parquet"
PARQUET = "format parquet, dictionary_size_limit 4000"

KEYS = "strategy_id, strategy_version, channel, environment, decision_date"
UNIT = "strategy_id, strategy_version, environment, item_id, decided_at::date"
DRAW = draw_sql("'key'", "item_id", "policy", "decided_at::date")
RATE = f"if(is_fired, {FIRED_RATE}, {UNFIRED_RATE})"
BIN = "+".join(f"(score >= {cut})::tinyint" for cut in (0.2, 0.4, 0.6, 0.8))
BINNED = f"*, {BIN} as score_bin, least(19, floor(score * 20))::tinyint as fine_bin"
STRATUM = "if(is_fired, 'fired/', 'unfired/') || score_bin"
# Few items are judged twice by a strategy on a day: a hash finds them, the rows are ranked then.
TIED = f"""
with hashed as (select hash({UNIT}) as unit from read_parquet($file)),
    repeated as (select unit from hashed group by unit having count(*) > 1)
select decision_id, strategy_id, strategy_version, channel, environment, category, market,
    decided_at::date as decision_date, is_fired, score_bin, fine_bin, reach, gmv
from (select {BINNED} from read_parquet($file)) where hash({UNIT}) in (from repeated)
qualify row_number() over (partition by {UNIT} order by is_fired desc, decided_at, decision_id) > 1
"""
SAMPLED = f"""
select decision_id, channel, decided_at, decided_at::date as decision_date, strategy_id,
    strategy_version, environment, item_id, seller_id, category, market, policy, action, is_fired,
    score_bin, fine_bin, {STRATUM} as stratum, {RATE} as inclusion_probability, reach, gmv
from (select {BINNED} from read_parquet($file)) join policies using (strategy_id)
where {DRAW} < {RATE}
"""
ACTIONED = """
select decision_id, channel, decided_at::date as decision_date, strategy_id, strategy_version,
    environment, item_id, action
from read_parquet($file) where is_fired
"""
THIN = {"tied": TIED, "sampled": SAMPLED, "actioned": ACTIONED}
UNITS = """
create table units as from sampled anti join tied using (channel, decision_id, decision_date)
"""
# Rows are counted as if each were a unit; the few that are not are taken off again.
COUNTED = f"""
create table counted as
select {KEYS}, is_fired, score_bin, fine_bin, action, count(*) as decisions, sum(reach) as reach,
    sum(gmv::decimal(18, 4)) as gmv
from decisions group by all
"""
UNITS_BY_SEGMENT = """
create table units_by_segment as
select strategy_id, channel, environment, category, market,
    date_trunc('month', decision_date)::date as decision_month, is_fired, score_bin,
    sum(n) as population
from (
    select strategy_id, channel, environment, category, market, decision_date, is_fired, score_bin,
        1 as n from decisions
    union all select strategy_id, channel, environment, category, market, decision_date, is_fired,
        score_bin, -1 from tied
) group by all
"""
VERDICTS = """
create table verdicts as
select u.*, l.verdict, l.labelled_at::date as known_on, l.delivery_date
from units u join (
    from labels qualify row_number() over (partition by channel, label_id
        order by delivery_date desc) = 1
) l using (channel, decision_id)
"""
BY_ACTION = ", ".join(
    f"sum(decisions) filter (action = '{action}') as {name}"
    for action, name in {
        "boost": "boosted", "demote": "demoted", "limit": "limited", "label": "labelled_as_such",
        "age_gate": "age_gated", "filter": "filtered", "block": "blocked",
    }.items()
)  # fmt: skip
POPULATION = f"""
select {KEYS}, is_fired, score_bin, fine_bin, sum(n) as population, sum(reach) as reach,
    sum(gmv) as gmv
from (
    select {KEYS}, is_fired, score_bin, fine_bin, decisions as n, reach, gmv from counted
    union all select {KEYS}, is_fired, score_bin, fine_bin, -1, -reach, -gmv::decimal(18, 4)
        from tied
) group by all
"""
MARTS = {
    "strategy_days": f"""
        select c.*, coalesce(d.sampled, 0) as sampled, coalesce(v.labelled, 0) as labelled,
            coalesce(a.submitted, 0) as submitted, coalesce(a.reversed, 0) as reversed
        from (
            select {KEYS}, sum(decisions) as decisions,
                coalesce(sum(decisions) filter (is_fired), 0) as fired, {BY_ACTION},
                sum(reach) as reach, sum(reach) filter (is_fired) as reach_fired,
                sum(gmv) filter (is_fired) as gmv_fired
            from counted group by all
        ) c
        left join (select {KEYS}, count(*) as sampled from units group by all) d using ({KEYS})
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
        select p.* exclude (score_bin), {STRATUM} as stratum, coalesce(d.drawn, 0) as drawn,
            population * {RATE} as expected_draws, {RATE} as min_probability
        from population_by_bin p
        left join (select {KEYS}, is_fired, score_bin, fine_bin, count(*) as drawn
            from units group by all) d using ({KEYS}, is_fired, score_bin, fine_bin)""",
    "population": f"""
        select {KEYS}, {STRATUM} as stratum, sum(population) as population, sum(reach) as reach
        from population_by_bin group by all""",
    "audit_labels": f"""
        select {KEYS}, stratum, greatest(known_on, delivery_date) - decision_date as lag_days,
            count(*) filter (verdict <> 'unsure') as labelled,
            count(*) filter (verdict = 'should_fire') as should_fire,
            sum(w) as sum_w, sum(w * w) as sum_w2, sum(w) filter (verdict = 'should_fire') as fire,
            sum(w * reach) as sum_wr, sum(w * reach * w * reach) as sum_wr2
        from (select *, 1 / inclusion_probability as w from verdicts) group by all""",
    "audit_segments": f"""
        select strategy_id, channel, environment, category, market, decision_month, stratum,
            sum(population) as population, sum(labelled) as labelled, sum(fire) as should_fire
        from (
            select * exclude (is_fired, score_bin), {STRATUM} as stratum, 0 as labelled, 0 as fire
            from units_by_segment union all by name
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


def thin(root: Path) -> None:
    """Write by hand what labels and appeals are joined to, file by file: who was drawn, who fired.

    The few decisions that are no units are written too, for the marts to take off.
    """
    out = root / "by-hand"
    shutil.rmtree(out, ignore_errors=True)
    for table in THIN:
        (out / table).mkdir(parents=True)
    with _opened(None) as connection:
        _policies(connection, root)
        for number, file in enumerate(sorted(map(str, Paths(root).lake.glob(ACCEPTED)))):
            for table, query in THIN.items():
                connection.execute(
                    f"copy ({query}) to '{out}/{table}/{number}.parquet' ({PARQUET})",
                    {"file": file},
                )


def marts(root: Path) -> None:
    """Write the tables of the marts, all but the segments by day."""
    with _opened(root / "reference.duckdb") as connection:
        _views(connection, root)
        for sql in (UNITS, COUNTED, UNITS_BY_SEGMENT, VERDICTS):
            connection.execute(sql)
        connection.execute(f"create table population_by_bin as {POPULATION}")
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
    opened = duckdb.connect(str(file or ":memory:"), config={"threads": 2, "memory_limit": "2GB"})
    opened.execute("set enable_progress_bar = false")
    return opened


def _policies(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    register = applied_folder(Paths(root).lake)
    connection.execute(
        "create table policies as select strategy_id, policy"
        f" from read_parquet('{register}/strategies.parquet')"
    )


def _views(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Show the accepted files, which are the delivered ones to the byte, and those of `thin`."""
    for name, files in {
        "accepted": f"lake/{ACCEPTED}",
        "tied": "by-hand/tied/*.parquet",
        "sampled": "by-hand/sampled/*.parquet",
        "actioned": "by-hand/actioned/*.parquet",
        "labels": "lake/accepted/audit_labels/*/*/*.parquet",
        "appeals": "lake/accepted/appeals/*/*/*.parquet",
    }.items():
        connection.execute(f"create view {name} as from read_parquet('{root}/{files}')")
    connection.execute(
        f"create view decisions as select {BINNED}, decided_at::date as decision_date from accepted"
    )
