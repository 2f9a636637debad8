"""Which rows are turned away, by which rule, and which deliveries are turned away whole."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field

import duckdb

from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import Rule, Suite
from governance_pipeline.feeds import Feed

Key = tuple[str, dt.date]
REFUSED = "delivery_refused"


@dataclass
class Verdict:
    """What the rules say of one delivery; `failed` counts rows, kept out or not."""

    rows: int = 0
    bad_rows: int = 0
    failed: dict[str, int] = field(default_factory=dict)


def judge(
    connection: duckdb.DuckDBPyConnection, feed: Feed, suite: Suite
) -> tuple[dict[Key, Verdict], dict[str, int]]:
    """Write the table `turned_away` (id, rule), and count per delivery and over all of them.

    Returns:
        The verdict on each delivery, and how many rows break each rule by Great Expectations' way
        of counting: of rows that are alike it counts all, of which the quarantine keeps one out.
    """
    verdicts = _count_row_rules(connection, suite)
    connection.execute(
        "create table turned_away (id bigint, rule varchar, value varchar, is_harmless boolean)"
    )
    critical = [(bit, rule) for bit, rule in suite.row_rules if rule.severity == "critical"]
    if critical:
        rules = " ".join(f"when broken & {bit} <> 0 then '{rule.name}'" for bit, rule in critical)
        values = " ".join(
            f"when broken & {bit} <> 0 then {quoted(rule.column)}::varchar"
            for bit, rule in critical
            if rule.column
        )
        connection.execute(
            f"insert into turned_away select rowid, case {rules} end,"
            f" {f'case {values} end' if values else 'null'}, false"
            f" from staged semi join wanted using (delivery_channel, delivery_date)"
            f" where broken & {suite.critical_bits} <> 0"
        )
    totals: dict[str, int] = defaultdict(int)
    for verdict in verdicts.values():
        for name, failed in verdict.failed.items():
            totals[name] += failed
    for rule in suite.unique_rules:
        totals[rule.name] = _find_repeated(connection, feed, suite, rule, verdicts)
    _count_bad_rows(connection, verdicts)
    return verdicts, dict(totals)


def refuse(connection: duckdb.DuckDBPyConnection, refused: set[Key]) -> None:
    """Turn away every row of deliveries that are refused whole."""
    if not refused:
        return
    connection.execute("create table refused (delivery_channel varchar, delivery_date date)")
    connection.executemany("insert into refused values (?, ?)", sorted(refused))
    connection.execute(
        f"insert into turned_away select rowid, '{REFUSED}', null, false from staged"
        " semi join refused using (delivery_channel, delivery_date)"
        " where rowid not in (select id from turned_away)"
    )


def quarantine_sql(feed: Feed) -> str:
    """Return the rows turned away, whole; a row number counts the lines that were no rows too."""
    typed = ", ".join(f"{quoted(name)} := s.{quoted(name)}" for name in feed.columns)
    return f"""
    with starts as (
        select file, min(rowid) as start from staged where row_number is null group by file
    ), rejects as (
        select file, row_number - row_number() over (partition by file order by row_number)
            as good_before
        from staged where row_number is not null
    ), away as (
        select s.*, t.rule, t.value, s.rowid - starts.start + 1 as place
        from staged s join turned_away t on t.id = s.rowid
        left join starts on starts.file = s.file
    )
    select w.part, getvariable('feed') as feed, w.channel, s.delivery_date, f.name as file,
        coalesce(s.row_number, s.place + (
            select count(*) from rejects r where r.file = s.file and r.good_before < s.place
        )) as row_number,
        s.rule, 'critical' as severity, s.value,
        coalesce(s.row_json, to_json(struct_pack({typed}))::varchar) as row_json,
        getvariable('run_id') as run_id
    from away s join files f on f.number = s.file
    join wanted w on w.delivery_channel = s.delivery_channel
        and w.delivery_date = s.delivery_date
    """


def _count_row_rules(connection: duckdb.DuckDBPyConnection, suite: Suite) -> dict[Key, Verdict]:
    counts = "".join(f", count(*) filter (broken & {bit} <> 0)" for bit, _ in suite.row_rules)
    found = connection.execute(
        f"select delivery_channel, delivery_date, count(*){counts} from staged"
        " semi join wanted using (delivery_channel, delivery_date) group by all"
    ).fetchall()
    names = [rule.name for _, rule in suite.row_rules]
    return {
        (channel, day): Verdict(rows, 0, dict(zip(names, failed, strict=True)))
        for channel, day, rows, *failed in found
    }


def _find_repeated(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    suite: Suite,
    rule: Rule,
    verdicts: dict[Key, Verdict],
) -> int:
    """Turn away rows whose key another row of the delivery has; keep the first that is good.

    A row that repeats another in every column is harmless: it does not speak against a delivery.
    """
    keys = ", ".join(quoted(name) for name in rule.unique_by)
    given = " and ".join(f"{quoted(name)} is not null" for name in rule.unique_by)
    condition = f"where {given}" if rule.skips_nulls else ""
    connection.execute(
        f"create or replace temp table repeated as select {keys}, count(*) as n from staged"
        f" semi join wanted using (delivery_channel, delivery_date) {condition}"
        " group by all having count(*) > 1"
    )
    (total,) = connection.execute(
        "select coalesce(sum(n), 0)::bigint from repeated"
    ).fetchone() or (0,)
    if not total:
        return 0
    same = " and ".join(
        f"s.{quoted(name)} is not distinct from r.{quoted(name)}" for name in rule.unique_by
    )
    row = ", ".join(f"s.{quoted(name)}" for name in feed.columns)
    order = f"order by s.broken & {suite.critical_bits} <> 0, s.rowid"
    names = ", ".join(f"s.{quoted(name)}" for name in rule.unique_by)
    connection.execute(
        "create or replace temp table others as select id, delivery_channel, delivery_date, value,"
        " whole = first_whole as is_harmless from (select s.rowid as id, s.delivery_channel,"
        f" s.delivery_date, s.{quoted(rule.unique_by[-1])}::varchar as value,"
        f" hash({row}) as whole, first_value(hash({row})) over keys as first_whole,"
        f" row_number() over keys as place from staged s join repeated r on {same}"
        f" window keys as (partition by {names} {order})) where place > 1"
    )
    if rule.severity == "critical":
        connection.execute(
            "insert into turned_away select id, $rule, value, is_harmless from others"
            " where id not in (select id from turned_away)",
            {"rule": rule.name},
        )
    for channel, day, failed in connection.execute(
        "select delivery_channel, delivery_date, count(*) from others group by all"
    ).fetchall():
        verdicts[channel, day].failed[rule.name] = failed
    return int(total)


def _count_bad_rows(connection: duckdb.DuckDBPyConnection, verdicts: dict[Key, Verdict]) -> None:
    for channel, day, bad in connection.execute(
        "select delivery_channel, delivery_date, count(*) from staged join turned_away"
        " on id = staged.rowid where not is_harmless"
        " and staged.rowid not in (select id from undated) group by all"
    ).fetchall():
        verdicts[channel, day].bad_rows = bad
