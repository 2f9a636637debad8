"""What intake adds to accepted rows, and the writing of partitions: bins, units, the audit draw."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.adapters.quarantine import QUARANTINED, UNREADABLE_ROW
from governance_pipeline.adapters.registry_store import applied_folder
from governance_pipeline.adapters.staging import Key
from governance_pipeline.feeds import DERIVED, THIN, Feed
from governance_pipeline.paths import Paths

Written = dict[tuple[str, Key], list[Path]]

DECISIONS = """
create table accepted as
with known as (
    select rowid as id, *, cast(decided_at as date) as decision_date,
        hash(strategy_id, strategy_version, environment, item_id, delivery_channel, delivery_day,
            cast(decided_at as date)) as unit
    from staged where rowid not in (select id from turned_away)
), repeated as (
    -- Few units are decided twice, so only they are ranked.
    select id, row_number() over (
        partition by unit order by is_fired desc, decided_at, decision_id) as place
    from known where unit in (select unit from known group by unit having count(*) > 1)
), drawn_upstream as (
    select distinct strategy_id, strategy_version, delivery_channel, delivery_day, decision_date
    from known where inclusion_probability is not null
), binned as (
    select k.*, s.policy, plan_of.plan_hash, u.strategy_id is not null as is_drawn_upstream,
        coalesce(repeated.place, 1) = 1 as is_unit,
        case when k.score is null then -1
            else len(list_filter(coalesce(v.cuts, [0.2, 0.4, 0.6, 0.8]), lambda c: k.score >= c))
        end as score_bin,
        case when k.score is null then -1 else least(19, cast(floor(k.score * 20) as integer)) end
            as fine_bin
    from known k
    left join repeated on repeated.id = k.id
    left join drawn_upstream u on u.strategy_id = k.strategy_id
        and u.strategy_version = k.strategy_version and u.delivery_channel = k.delivery_channel
        and u.delivery_day = k.delivery_day and u.decision_date = k.decision_date
    left join strategies s on s.strategy_id = k.strategy_id
    left join cuts v on v.strategy_id = k.strategy_id and v.version = k.strategy_version
    left join plan_of on plan_of.channel = k.delivery_channel and plan_of.day = k.delivery_day
), drawn as (
    select b.*, case when is_drawn_upstream then b.inclusion_probability else r.rate end
        as audit_probability
    from binned b
    left join rates r on r.plan_hash = b.plan_hash and r.strategy_id = b.strategy_id
        and r.version = b.strategy_version and r.is_fired = b.is_fired
        and r.score_bin = b.score_bin
)
select * exclude (id, unit, score_bin, fine_bin, is_drawn_upstream),
    cast(score_bin as smallint) as score_bin, cast(fine_bin as smallint) as fine_bin,
    case when is_fired then 'fired/' else 'unfired/' end || score_bin
        || coalesce('/' || sample_stratum, '') as stratum,
    is_unit and case when is_drawn_upstream then inclusion_probability is not null
        else coalesce({draw} < audit_probability, false) end as is_sampled
from drawn
"""


def prepare(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    paths: Paths,
    previous: Mapping[Key, Manifest],
) -> None:
    """Write the table `accepted`: the rows that were not turned away, and what is added to them."""
    if feed.name != "decisions":
        connection.execute(
            "create table accepted as select * from staged"
            " where rowid not in (select id from turned_away)"
        )
        return
    _load_register(connection, paths, previous)
    connection.execute(
        "set variable sampling_key = $key", {"key": paths.sampling_key.read_text().strip()}
    )
    draw = draw_sql("getvariable('sampling_key')", "item_id", "policy", "decision_date")
    connection.execute(DECISIONS.format(draw=draw))


def plan_of(feed: Feed, paths: Paths, before: Manifest | None) -> str | None:
    """Return the hash of the rates a partition is drawn by: those of its first intake."""
    if feed.name != "decisions":
        return None
    if before is not None and before.plan_hash:
        return before.plan_hash
    return _current_plan(paths)


def write_partitions(
    connection: duckdb.DuckDBPyConnection, feed: Feed, folder: Path, run_id: str
) -> Written:
    """Write every table of the intake by partition below `folder`; return the files made."""
    columns = [*feed.columns, *(DERIVED if feed.name == "decisions" else ())]
    if feed.name == "decisions":
        columns.remove("inclusion_probability")
    day = "delivery_day as delivery_date"
    queries = {"accepted": f"select {', '.join(columns)}, {day} from accepted"}
    if feed.name == "decisions":
        thin = {
            "delivery_date": day,
            "inclusion_probability": "audit_probability as inclusion_probability",
        }
        for table, condition in (
            ("sampled_decisions", "is_sampled"),
            ("actioned_decisions", "is_fired"),
        ):
            chosen = ", ".join(thin.get(name, name) for name in THIN[table])
            queries[table] = f"select {chosen} from accepted where {condition}"
    typed = ", ".join(f"{name} := {name}" for name in feed.columns)
    connection.execute("create table quarantined as " + QUARANTINED.format(typed=typed), {
        "feed": feed.name, "run_id": run_id, "unreadable": UNREADABLE_ROW,
    })  # fmt: skip
    queries["quarantine"] = "select * from quarantined"
    written: Written = defaultdict(list)
    for kind, query in queries.items():
        _copy(connection, query, folder / kind, written, kind)
    return written


def decision_days(
    connection: duckdb.DuckDBPyConnection, feed: Feed, paths: Paths
) -> dict[Key, tuple[list[dt.date], int]]:
    """Return, per delivery, the days whose marts it touches and its rows that wait for a match."""
    if feed.name in ("audit_labels", "appeals"):
        return _matched_days(connection, feed, paths)
    event = "decision_date" if feed.name == "decisions" else f"cast({feed.event_at} as date)"
    found = connection.execute(
        f"select delivery_channel, delivery_day, list(distinct {event}) from accepted group by all"
    ).fetchall()
    return {(channel, day): (sorted(days), 0) for channel, day, days in found}


def _matched_days(
    connection: duckdb.DuckDBPyConnection, feed: Feed, paths: Paths
) -> dict[Key, tuple[list[dt.date], int]]:
    table = "sampled_decisions" if feed.name == "audit_labels" else "actioned_decisions"
    files = manifests.files_of(paths.lake, manifests.read_all(paths.lake), table)
    listed = [str(paths.lake / "empty" / f"{table}.parquet"), *map(str, files)]
    connection.execute(
        "create temp table known as select * from read_parquet($files)", {"files": listed}
    )
    by_item = ""
    if feed.name == "audit_labels":
        by_item = (
            " union all select a.rowid, k.decision_date from accepted a join known k on"
            " a.decision_id is null and k.item_id = a.item_id and k.policy = a.policy"
            " and k.channel = a.channel and k.decision_date <= cast(a.labelled_at as date)"
        )
    found = connection.execute(
        "with hits as (select a.rowid as id, k.decision_date from accepted a join known k on"
        f" k.decision_id = a.decision_id and k.channel = a.channel{by_item})"
        " select delivery_channel, delivery_day,"
        " list(distinct decision_date) filter (decision_date is not null),"
        " count(distinct accepted.rowid) filter (decision_date is null)"
        " from accepted left join hits on hits.id = accepted.rowid group by all"
    ).fetchall()
    return {(channel, day): (sorted(days or []), waiting) for channel, day, days, waiting in found}


def _copy(
    connection: duckdb.DuckDBPyConnection, query: str, folder: Path, written: Written, kind: str
) -> None:
    """Write a query's rows below `folder`, a file a partition, in an order that repeats."""
    target = str(folder).replace("'", "''")
    connection.execute(
        f"copy (select *, channel as __channel, delivery_date as __day from ({query}))"
        f" to '{target}' (format parquet, compression zstd, partition_by (__channel, __day))"
    )
    for file in folder.glob("*/*/*.parquet"):
        channel, day = file.parent.parent.name, file.parent.name
        key = (channel.partition("=")[2], dt.date.fromisoformat(day.partition("=")[2]))
        written[kind, key].append(file)


def _load_register(
    connection: duckdb.DuckDBPyConnection, paths: Paths, previous: Mapping[Key, Manifest]
) -> None:
    folder = applied_folder(paths.lake)
    for table in ("strategies", "strategy_versions"):
        connection.execute(
            f"create temp table {table} as select * from read_parquet($file)",
            {"file": str(folder / f"{table}.parquet")},
        )
    connection.execute(
        "create temp table cuts as select strategy_id, version,"
        " cast(string_split(score_cuts, ',') as double[]) as cuts from strategy_versions"
    )
    current = _keep_plan(connection, paths)
    connection.execute(
        "create temp table plan_of as select distinct delivery_channel as channel,"
        " delivery_day as day, $current as plan_hash from staged",
        {"current": current},
    )
    earlier = [(m.plan_hash, *key) for key, m in previous.items() if m.plan_hash]
    if earlier:
        connection.executemany(
            "update plan_of set plan_hash = ? where channel = ? and day = ?", earlier
        )
    plans = [str(_plan_file(paths, plan)) for plan in {current, *(e[0] for e in earlier)}]
    connection.execute(
        "create temp table rates as select *, parse_filename(filename, true) as plan_hash"
        " from read_parquet($files, filename = true)",
        {"files": plans},
    )


def _keep_plan(connection: duckdb.DuckDBPyConnection, paths: Paths) -> str:
    """Keep today's rates under their hash, so that a restatement is drawn as it was."""
    plan = _current_plan(paths)
    target = _plan_file(paths, plan)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(".next")
        source = applied_folder(paths.lake) / "sampling_rates.parquet"
        fresh.write_bytes(source.read_bytes())
        fresh.replace(target)
    return plan


def _current_plan(paths: Paths) -> str:
    rates = applied_folder(paths.lake) / "sampling_rates.parquet"
    return hashlib.sha256(rates.read_bytes()).hexdigest()[:16]


def _plan_file(paths: Paths, plan: str) -> Path:
    return paths.lake / "plans" / f"{plan}.parquet"
