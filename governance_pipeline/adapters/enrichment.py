"""What intake adds to an accepted decision: its bins, its stratum, its unit and the audit draw."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters import earlier_draws, lake
from governance_pipeline.adapters.batch import Batch, Partition
from governance_pipeline.adapters.dated_plans import load_dated
from governance_pipeline.adapters.draws import draw_sql, probability_sql
from governance_pipeline.adapters.earlier_draws import Drawn
from governance_pipeline.adapters.plans import DEFAULT_CUTS, load_plans
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import THIN, accepted_columns

_DRAW = draw_sql("getvariable('sampling_key')", "item_id", "policy", "decision_date")
_PLANNED = probability_sql("p.rate", "b.reach", "p.reach_scale", "p.reach_share")
_BIN = " + ".join(
    f"coalesce((d.score >= case when c.version is null then {cut} else c.cut_{n} end)::smallint, 0)"
    for n, cut in enumerate(DEFAULT_CUTS, 1)
)

# Few units have several decisions, so rows are compared only where a hash of their unit is met
# twice; a collision costs a comparison, never a unit.
TIED = """
create or replace table tied as
with hashed as (
    select id, hash(part, strategy_id, strategy_version, environment, item_id, decided_at::date)
        as unit
    from accepted
), repeated as (
    select unit from hashed group by unit having count(*) > 1
)
select k.id, row_number() over (
        partition by k.part, k.strategy_id, k.strategy_version, k.environment, k.item_id,
            k.decided_at::date
        order by k.is_fired desc, k.decided_at, k.decision_id
    ) = 1 as is_unit
from accepted k semi join (from hashed semi join repeated using (unit)) h on h.id = k.id
"""

_DRAWN_BEFORE = """
    left join drawn_before w on w.part = b.part and w.decision_id = b.decision_id
        and w.decision_date = b.decision_date"""

# One statement, because rows are read once; where none was drawn before, their ids are not.
_COUNTED = f"""
with binned as (
    select d.*, d.decided_at::date as decision_date, p.policy,
        case when d.score is null then -1 else {_BIN} end::smallint as score_bin,
        case when d.score is null then -1 else least(19, floor(d.score * 20)) end::smallint
            as fine_bin,
        u.strategy_id is not null as is_drawn_upstream
    from accepted d
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
            else coalesce({{before}}{_PLANNED}, r.rate) end as audit_probability
    from united b
    left join plan_days n on n.decision_date = b.decision_date
    left join planned p on p.plan_hash = n.plan_hash and p.strategy_id = b.strategy_id
        and p.version = b.strategy_version and p.channel = b.channel
        and p.is_fired = b.is_fired and p.score_bin = b.score_bin
    left join rates r on r.plan_hash = b.plan_hash and r.strategy_id = b.strategy_id
        and r.version = b.strategy_version and r.is_fired = b.is_fired
        and r.score_bin = b.score_bin
    {{joined}}
)
select *,
    case when is_fired then 'fired/' else 'unfired/' end || score_bin
        || coalesce('/' || sample_stratum, '') as stratum,
    case when is_drawn_upstream then inclusion_probability is not null
        when audit_probability is null then false
        else coalesce({_DRAW} < audit_probability, false) end as is_sampled
from rated
"""


SAMPLED = """
select a.*, c.decision_date, p.policy, c.score_bin, c.fine_bin, c.stratum, c.is_unit,
    c.audit_probability as drawn_with, coalesce(n.plan_hash, a.plan_hash) as drawn_by
from accepted a
join (select * from counted where is_sampled) c on c.part = a.part
    and c.accepted_file = a.accepted_file and c.place = a.place
left join policies p on p.plan_hash = a.plan_hash and p.strategy_id = a.strategy_id
left join plan_days n on n.decision_date = c.decision_date
"""
SAMPLED = (
    "select * exclude (plan_hash, inclusion_probability, drawn_with, drawn_by),"
    f" drawn_with as inclusion_probability, drawn_by as plan_hash from ({SAMPLED})"
)
ACTIONED = "select *, decided_at::date as decision_date from accepted where is_fired"


def write(
    connection: duckdb.DuckDBPyConnection, batch: Batch, accepted: Mapping[int, Sequence[Path]]
) -> dict[str, dict[int, list[Path]]]:
    """Write the thin tables of accepted decisions; return their files by table and partition.

    Args:
        connection: To the database of the views `staged` and `kept`.
        batch: The range.
        accepted: The files of accepted rows by partition.
    """
    written: dict[str, dict[int, list[Path]]] = {table: {} for table in THIN}
    if not accepted:
        return written
    _prepare(connection, batch)
    _show(connection, accepted)
    days = earlier_draws.decision_days(connection)
    first = min((day for own in days.values() for day in own), default=dt.date.max)
    drawn = earlier_draws.committed(batch.paths.lake, first)
    partitions = {partition.part: partition for partition in batch.partitions.values()}
    for parts in _together(batch, partitions, days):
        only = parts[0] if len(parts) == 1 else None
        _show(connection, {part: accepted[part] for part in parts})
        _look_around(connection)
        asked = [partitions[part] for part in parts]
        earlier_draws.load_earlier(connection, batch.paths.lake, asked, days, drawn)
        for table, query in (
            ("counted_decisions", _counted_sql(connection)), ("sampled_decisions", SAMPLED),
            ("actioned_decisions", ACTIONED),
        ):  # fmt: skip
            own = lake.write_partitions(
                connection, query, accepted_columns(table), batch.folder / table, only
            )
            written[table] |= {part: own[part] for part in parts if part in own}
            if table == "counted_decisions":
                _show_counted(connection, own, parts)
        drawn += [
            Drawn(
                partitions[part].channel, partitions[part].day, frozenset(days[part]),
                accepted[part], written["counted_decisions"][part],
            )
            for part in parts
        ]  # fmt: skip
    return written


def _counted_sql(connection: duckdb.DuckDBPyConnection) -> str:
    if connection.execute("select 1 from drawn_before limit 1").fetchone():
        return _COUNTED.format(before="w.audit_probability, ", joined=_DRAWN_BEFORE)
    return _COUNTED.format(before="", joined="")


def _together(
    batch: Batch, partitions: Mapping[int, Partition], days: earlier_draws.Days
) -> Iterator[list[int]]:
    """Give those that repeat no day of one before, the large one by one, all others together."""
    rows = {batch.partitions[key].part: verdict.rows for key, verdict in batch.verdicts.items()}
    for layer in earlier_draws.layers(partitions, days):
        yield from lake.together({part: rows[part] for part in layer})


def _show(connection: duckdb.DuckDBPyConnection, accepted: Mapping[int, Sequence[Path]]) -> None:
    """Create the view `accepted`: the rows of some deliveries, each with the place it has."""
    files = [(part, at, str(file)) for part, own in accepted.items() for at, file in enumerate(own)]
    rows = [(part, at) for part, at, _ in files]
    lake.write_numbers(connection, "accepted_files", ("part", "accepted_file"), rows)
    columns = ", ".join(f"r.{quoted(name)}" for name in accepted_columns("decisions"))
    connection.execute(
        f"create or replace view accepted as select {columns}, f.part, f.accepted_file,"
        f" r.file_row_number as place,"
        f" r.file_index * {lake.ROWS_PER_FILE} + r.file_row_number as id,"
        " w.delivery_date, w.plan_hash"
        f" from read_parquet([{', '.join(literal(file) for _, _, file in files)}],"
        " hive_partitioning = false) r"
        " join accepted_files f on f.number = r.file_index join wanted w on w.part = f.part"
    )


def _show_counted(
    connection: duckdb.DuckDBPyConnection, own: Mapping[int, Sequence[Path]], parts: Sequence[int]
) -> None:
    files = [file for part in parts for file in own.get(part, ())]
    connection.execute(
        "create or replace view counted as select * from read_parquet("
        f"[{', '.join(map(literal, files))}], hive_partitioning = true)"
    )


def _prepare(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Load the plans, and make room for what concerns only some deliveries."""
    lake_folder = batch.paths.lake
    hashes = connection.execute("select distinct plan_hash from wanted").fetchall()
    load_plans(connection, lake_folder, {plan_hash for (plan_hash,) in hashes})
    load_dated(connection, lake_folder)
    key = batch.paths.sampling_key.read_text().strip()
    connection.execute("set variable sampling_key = $key", {"key": key})


def _look_around(connection: duckdb.DuckDBPyConnection) -> None:
    """Load what the counting joins: repeated units, and upstream's own draws."""
    connection.execute(TIED)
    connection.execute(
        "create or replace table drawn_upstream as select distinct part, strategy_id,"
        " strategy_version, decided_at::date as decision_date from accepted"
        " where inclusion_probability is not null"
    )
