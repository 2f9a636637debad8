"""What intake adds to an accepted decision: its bins, its stratum, its unit and the audit draw."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb

from governance_pipeline.adapters import earlier_draws, lake, repeated
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.dated_plans import load_dated
from governance_pipeline.adapters.draws import draw_sql, probability_sql
from governance_pipeline.adapters.earlier_draws import Drawn
from governance_pipeline.adapters.plans import DEFAULT_CUTS, load_plans
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.feeds import THIN, accepted_columns

# Written out, because a text that is put together for every row costs more than all its counts.
_SIDES = {
    side: " ".join(f"when {n} then '{side}/{n}'" for n in range(-1, len(DEFAULT_CUTS) + 1))
    for side in ("fired", "unfired")
}
_STRATUM = (
    f"case when is_fired then case score_bin {_SIDES['fired']} end"
    f" else case score_bin {_SIDES['unfired']} end end"
)
_STRATUM = (
    f"case when sample_stratum is null then {_STRATUM} else {_STRATUM} || '/' || sample_stratum end"
)
_DRAW = draw_sql("getvariable('sampling_key')", "item_id", "policy", "decision_date")
_PLANNED = probability_sql("p.rate", "b.reach", "p.reach_scale", "p.reach_share")
_BIN = " + ".join(
    f"(d.score >= coalesce(s.cut_{n}, {cut}))::smallint" for n, cut in enumerate(DEFAULT_CUTS, 1)
)
_UNIT = "part, strategy_id, strategy_version, environment, item_id, decided_at::date"

# Few units have several decisions, so rows are compared only where a hash of their unit is met
# twice; a collision costs a comparison, never a unit.
TIED = f"""
create or replace temp table tied as
select id, row_number() over (
        partition by {_UNIT} order by is_fired desc, decided_at, decision_id
    ) = 1 as is_unit
from accepted where hash({_UNIT}) in (from met_twice)
"""

_DRAWN_BEFORE = """
    left join drawn_before w on w.part = b.part and w.decision_id = b.decision_id
        and w.decision_date = b.decision_date"""

# One statement, because rows are read once; where none was drawn before, their ids are not.
_COUNTED = f"""
with binned as (
    select d.*, d.decided_at::date as decision_date, s.design, s.policy,
        coalesce({_BIN}, -1)::smallint as score_bin,
        case when d.score is null then -1 else least(19, floor(d.score * 20)) end::smallint
            as fine_bin,
        u.strategy_id is not null as is_drawn_upstream
    from accepted d
    left join designs s on s.plan_hash = d.plan_hash and s.strategy_id = d.strategy_id
        and s.version = d.strategy_version
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
    left join rates r on r.design = b.design and r.is_fired = b.is_fired
        and r.score_bin = b.score_bin
    {{joined}}
)
select *,
    {_STRATUM} as stratum,
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


# Columns of a handful of values are written by their numbers: a text is hashed for every row.
NAMES = {name: f"{name}_name" for name in ("channel", "environment", "action")}
Files = dict[str, dict[int, list[Path]]]
"""Files by table and partition."""


def write(
    connection: duckdb.DuckDBPyConnection, batch: Batch, accepted: Mapping[int, Sequence[Path]]
) -> Files:
    """Write the thin tables of accepted decisions, and return their files.

    Args:
        connection: To the database of the views `staged` and `kept`.
        batch: The range.
        accepted: The files of accepted rows by partition.
    """
    written: Files = {table: {} for table in THIN}
    if not accepted:
        return written
    _show(connection, accepted)
    _prepare(connection, batch)
    days = earlier_draws.decision_days(connection)
    first = min((day for own in days.values() for day in own), default=dt.date.max)
    drawn = earlier_draws.committed(batch.paths.lake, first)
    partitions = {partition.part: partition for partition in batch.partitions.values()}
    rows = {batch.partitions[key].part: verdict.rows for key, verdict in batch.verdicts.items()}
    for layer in earlier_draws.layers(partitions, days):
        # Large ones by themselves, all others together: so few rows are sorted by their delivery.
        groups = list(lake.together({part: rows[part] for part in layer}))
        count = partial(_count, batch=batch, accepted=accepted, days=days, drawn=drawn)
        for own in lake.side_by_side(connection, groups, count):
            for table, files in own.items():
                written[table] |= files
        drawn += [
            Drawn(
                partitions[part].channel, partitions[part].day, frozenset(days[part]),
                accepted[part], written["counted_decisions"][part],
            )
            for part in layer
        ]  # fmt: skip
    return written


def _count(
    session: duckdb.DuckDBPyConnection,
    parts: Sequence[int],
    *,
    batch: Batch,
    accepted: Mapping[int, Sequence[Path]],
    days: earlier_draws.Days,
    drawn: Sequence[Drawn],
) -> Files:
    """Write the thin tables of some deliveries that share no decision day of a channel."""
    key = batch.paths.sampling_key.read_text().strip()
    session.execute("set variable sampling_key = $key", {"key": key})
    _show(session, {part: accepted[part] for part in parts})
    _look_around(session)
    asked = [partition for partition in batch.partitions.values() if partition.part in parts]
    earlier_draws.load_earlier(session, batch.paths.lake, asked, days, drawn)
    only = parts[0] if len(parts) == 1 else None
    written: Files = {}
    for table, query in (
        ("counted_decisions", _counted_sql(session)), ("sampled_decisions", SAMPLED),
        ("actioned_decisions", ACTIONED),
    ):  # fmt: skip
        columns = accepted_columns(table)
        columns |= {name: kind for name, kind in NAMES.items() if name in columns}
        own = lake.write_partitions(session, query, columns, batch.folder / table, only)
        written[table] = {part: own[part] for part in parts if part in own}
        if table == "counted_decisions":
            _show_counted(session, written[table])
    return written


def _counted_sql(connection: duckdb.DuckDBPyConnection) -> str:
    if connection.execute("select 1 from drawn_before limit 1").fetchone():
        return _COUNTED.format(before="w.audit_probability, ", joined=_DRAWN_BEFORE)
    return _COUNTED.format(before="", joined="")


def _show(connection: duckdb.DuckDBPyConnection, accepted: Mapping[int, Sequence[Path]]) -> None:
    """Create the view `accepted`: the rows of some deliveries, each with the place it has."""
    files = [(part, at, str(file)) for part, own in accepted.items() for at, file in enumerate(own)]
    columns = ", ".join(f"r.{quoted(name)}" for name in accepted_columns("decisions"))
    said, joined = _whose(connection, [(part, at) for part, at, _ in files])
    connection.execute(
        f"create or replace temp view accepted as select {columns}, {said},"
        " r.file_row_number as place,"
        f" r.file_index::bigint * {lake.ROWS_PER_FILE} + r.file_row_number as id"
        f" from read_parquet([{', '.join(literal(file) for _, _, file in files)}],"
        f" hive_partitioning = false) r {joined}"
    )


def _whose(
    connection: duckdb.DuckDBPyConnection, files: Sequence[tuple[int, int]]
) -> tuple[str, str]:
    """Return the columns that say of a row whose it is, and the join that they take.

    Of one file they are the same for every row, and are written out: that costs nothing.
    """
    columns = ("part", "accepted_file", "delivery_date", "plan_hash")
    lake.write_numbers(connection, "accepted_files", columns[:2], files)
    if len(files) > 1:
        joined = "join accepted_files f on f.number = r.file_index join wanted w on w.part = f.part"
        return "f.part, f.accepted_file, w.delivery_date, w.plan_hash", joined
    [(part, at)] = files
    [(day, plan_hash)] = connection.execute(
        "select delivery_date, plan_hash from wanted where part = $part", {"part": part}
    ).fetchall()
    values = (f"{part}::integer", f"{at}::integer", f"date '{day}'", literal(plan_hash))
    return ", ".join(f"{v} as {n}" for v, n in zip(values, columns, strict=True)), ""


def _show_counted(connection: duckdb.DuckDBPyConnection, own: Mapping[int, Sequence[Path]]) -> None:
    files = [file for part in own.values() for file in part]
    connection.execute(
        "create or replace temp view counted as select * from read_parquet("
        f"[{', '.join(map(literal, files))}], hive_partitioning = true)"
    )


def _prepare(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Load the plans, and make room for what concerns only some deliveries."""
    lake_folder = batch.paths.lake
    hashes = connection.execute("select distinct plan_hash from wanted").fetchall()
    load_plans(connection, lake_folder, {plan_hash for (plan_hash,) in hashes})
    load_dated(connection, lake_folder)
    for name, kind in NAMES.items():
        values = f"select distinct {name} from accepted where {name} is not null"
        connection.execute(f"create type {kind} as enum ({values})")


def _look_around(connection: duckdb.DuckDBPyConnection) -> None:
    """Load what the counting joins: repeated units, and upstream's own draws."""
    repeated.note_met_twice(connection, f"select hash({_UNIT}) from accepted")
    connection.execute(TIED)
    connection.execute(
        "create or replace temp table drawn_upstream as select distinct part, strategy_id,"
        " strategy_version, decided_at::date as decision_date from accepted"
        " where inclusion_probability is not null"
    )
