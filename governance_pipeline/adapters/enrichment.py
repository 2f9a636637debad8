"""What intake adds to an accepted decision: its bins, its stratum, its unit and the audit draw."""

import duckdb

from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.dated_plans import load_dated
from governance_pipeline.adapters.draws import draw_sql, probability_sql
from governance_pipeline.adapters.plans import load_plans

DEFAULT_CUTS = "[0.2, 0.4, 0.6, 0.8]"
MOST_CUTS = 4

_DRAW = draw_sql("getvariable('sampling_key')", "item_id", "policy", "decision_date")
_PLANNED = probability_sql("p.rate", "b.reach", "p.reach_scale", "p.reach_share")
_BIN = " + ".join(
    f"coalesce((d.score >= coalesce(c.score_cuts, {DEFAULT_CUTS})[{n}])::smallint, 0)"
    for n in range(1, MOST_CUTS + 1)
)

# Few units have several decisions, so rows are compared only where a hash of their unit is met
# twice; a collision costs a comparison, never a unit.
TIED = """
create table tied as
with hashed as (
    select id, hash(part, strategy_id, strategy_version, environment, item_id, decided_at::date)
        as unit
    from kept
), repeated as (
    select unit from hashed group by unit having count(*) > 1
)
select k.id, row_number() over (
        partition by k.part, k.strategy_id, k.strategy_version, k.environment, k.item_id,
            k.decided_at::date
        order by k.is_fired desc, k.decided_at, k.decision_id
    ) = 1 as is_unit
from kept k semi join (from hashed semi join repeated using (unit)) h on h.id = k.id
"""

# `kept` are the accepted rows of the range; one statement, because rows are read once.
ACCEPTED = f"""
with binned as (
    select d.*, d.decided_at::date as decision_date, p.policy,
        case when d.score is null then -1 else {_BIN} end::smallint as score_bin,
        case when d.score is null then -1 else least(19, floor(d.score * 20)) end::smallint
            as fine_bin,
        u.strategy_id is not null as is_drawn_upstream
    from kept d
    left join policies p on p.plan_hash = d.plan_hash and p.strategy_id = d.strategy_id
    left join cuts c on c.plan_hash = d.plan_hash and c.strategy_id = d.strategy_id
        and c.version = d.strategy_version
    left join drawn_upstream u on u.part = d.part and u.strategy_id = d.strategy_id
        and u.strategy_version = d.strategy_version
        and u.decision_date = d.decided_at::date
), united as (
    select b.*, coalesce(t.is_unit, true) as is_unit
    from binned b left join tied t on t.id = b.id
), rated as (
    select b.*,
        case when b.is_drawn_upstream then b.inclusion_probability
            when b.policy is null then null
            else coalesce(w.audit_probability, {_PLANNED}, r.rate) end as audit_probability
    from united b
    left join plan_days n on n.decision_date = b.decision_date
    left join planned p on p.plan_hash = n.plan_hash and p.strategy_id = b.strategy_id
        and p.version = b.strategy_version and p.channel = b.channel
        and p.is_fired = b.is_fired and p.score_bin = b.score_bin
    left join rates r on r.plan_hash = b.plan_hash and r.strategy_id = b.strategy_id
        and r.version = b.strategy_version and r.is_fired = b.is_fired
        and r.score_bin = b.score_bin
    left join drawn_before w on w.part = b.part and w.decision_id = b.decision_id
        and w.decision_date = b.decision_date
)
select *,
    case when is_fired then 'fired/' else 'unfired/' end || score_bin
        || coalesce('/' || sample_stratum, '') as stratum,
    case when is_drawn_upstream then inclusion_probability is not null
        when audit_probability is null then false
        else coalesce({_DRAW} < audit_probability, false) end as is_sampled
from rated
"""


# What a restated delivery said before: its probabilities stay, whatever it says of reach now.
DRAWN_BEFORE = """
insert into drawn_before
select $part, decision_id, decision_date, audit_probability from read_parquet($files)
where audit_probability is not null
"""


def prepare(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Load what `ACCEPTED` joins: plans, what was drawn before, and upstream's own draws."""
    lake = batch.paths.lake
    hashes = connection.execute("select distinct plan_hash from wanted").fetchall()
    load_plans(connection, lake, {plan_hash for (plan_hash,) in hashes})
    load_dated(connection, lake)
    connection.execute(TIED)
    key = batch.paths.sampling_key.read_text().strip()
    connection.execute("set variable sampling_key = $key", {"key": key})
    connection.execute(
        "create table drawn_upstream as select distinct part, strategy_id, strategy_version,"
        " decided_at::date as decision_date from kept where inclusion_probability is not null"
    )
    connection.execute(
        "create table drawn_before (part integer, decision_id varchar, decision_date date,"
        " audit_probability double)"
    )
    for partition in batch.partitions.values():
        files = partition.before.files.get("accepted", []) if partition.before else []
        if files:
            listed = [str(lake / name) for name in files]
            connection.execute(DRAWN_BEFORE, {"part": partition.part, "files": listed})
