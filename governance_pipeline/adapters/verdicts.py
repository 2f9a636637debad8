"""Which rows are turned away, by which rule, and which deliveries are turned away whole."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from governance_pipeline.adapters import repeated
from governance_pipeline.adapters.lake import ROWS_PER_FILE
from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.adapters.suites import UNCAST, Rule, Suite
from governance_pipeline.errors import ExpectationFileError
from governance_pipeline.feeds import Feed

Key = tuple[str, dt.date]
REFUSED = "delivery_refused"


@dataclass
class Verdict:
    """What the rules say of one delivery; `failed` counts rows, kept out or not."""

    rows: int = 0
    bad_rows: int = 0
    failed: dict[str, int] = field(default_factory=dict)


def judge(connection: duckdb.DuckDBPyConnection, feed: Feed, suite: Suite) -> dict[Key, Verdict]:
    """Write the table `turned_away` (id, rule), and return the verdict on each delivery.

    What rows break that are not turned away is counted by `confirm`, of the rules that the
    validation saw broken.

    Args:
        connection: To the database of the view `staged`.
        feed: Whose rows they are.
        suite: What they must satisfy.
    """
    connection.execute(
        "create table turned_away (id bigint, rule varchar, value varchar, is_harmless boolean)"
    )
    verdicts = _count_rows(connection, suite)
    _turn_away(connection, [r for _, r in suite.row_rules if r.severity == "critical"])
    repeated.note(connection, suite, _rows_by_part(connection, verdicts))
    for rule in suite.unique_rules:
        _turn_repeated_away(connection, feed, rule, verdicts)
    _count_bad_rows(connection, verdicts)
    return verdicts


def confirm(
    connection: duckdb.DuckDBPyConnection,
    suite: Suite,
    verdicts: Mapping[Key, Verdict],
    validated: Mapping[str, int],
) -> None:
    """Note in each verdict how many rows break the rules that the validation saw broken.

    Args:
        connection: To the database that `judge` wrote to.
        suite: What the rows must satisfy.
        verdicts: Of `judge`.
        validated: How many rows of the range break each rule, by the validation.

    Raises:
        ExpectationFileError: If a rule means other rows here than in the validation.
    """
    counted: dict[str, int] = dict(
        connection.execute("select rule, sum(n)::bigint from repeated group by rule").fetchall()
    )
    away = {n for (n,) in connection.execute("select distinct rule from turned_away").fetchall()}
    broken = [r for _, r in suite.row_rules if validated[r.name] or r.name in away]
    if broken:
        for key, failed in _count_broken(connection, broken).items():
            verdicts[key].failed |= failed
    counted |= {r.name: sum(v.failed[r.name] for v in verdicts.values()) for r in broken}
    for rule in suite.rules:
        ours, theirs = counted.get(rule.name, 0), validated[rule.name]
        if ours != theirs:
            raise ExpectationFileError(
                f"{suite.name}.yaml: {rule.name} fails for {theirs} rows in the validation"
                f" and for {ours} in the quarantine; write it so that both mean the same"
            )


def _turn_away(connection: duckdb.DuckDBPyConnection, broken: Sequence[Rule]) -> None:
    """Turn away the rows that break critical rules, each by the first of them."""
    if not broken:
        return
    rules = " ".join(f"when {rule.broken} then {literal(rule.name)}" for rule in broken)
    values = " ".join(
        f"when {rule.broken} then {quoted(rule.column)}::varchar"
        if rule.column
        else f"when {rule.broken} then null"
        for rule in broken
    )
    connection.execute(
        f"insert into turned_away select id, case {rules} end, case {values} end, false"
        f" from staged where {' or '.join(f'({rule.broken})' for rule in broken)}"
    )


def refuse(connection: duckdb.DuckDBPyConnection, refused: set[Key]) -> None:
    """Turn away every row of deliveries that are refused whole."""
    if not refused:
        return
    connection.execute("create table refused (delivery_channel varchar, delivery_date date)")
    connection.executemany("insert into refused values (?, ?)", sorted(refused))
    connection.execute(
        f"insert into turned_away select id, '{REFUSED}', null, false from staged"
        " semi join refused using (delivery_channel, delivery_date)"
        " anti join turned_away using (id)"
    )


def quarantine_sql(feed: Feed, lines: str = "(select null as id, null as line)") -> str:
    """Return the rows turned away, whole; a row number counts the lines that were no rows too.

    Args:
        feed: Whose rows they are.
        lines: The table of the lines of rows that were staged without them; none by default.
    """
    typed = ", ".join(f"{quoted(name)} := s.{quoted(name)}" for name in feed.columns)
    return f"""
    with away as (
        select s.*, t.rule, t.value from staged s join turned_away t using (id)
    ), away_files as (
        select distinct file from staged semi join turned_away using (id)
    ), starts as (
        select file, id // {ROWS_PER_FILE} as written, min(id) as start from places
        where row_number is null and file in (select file from away_files) group by all
    ), rejects as (
        select file, row_number - row_number() over (partition by file order by row_number)
            as good_before
        from places where row_number is not null
    ), placed as (
        select away.*, away.id - starts.start + 1 as place
        from away left join starts
            on starts.file = away.file and starts.written = away.id // {ROWS_PER_FILE}
    )
    select s.part, getvariable('feed') as feed, s.delivery_channel as channel, s.delivery_date,
        f.name as file,
        coalesce(s.row_number, s.place + (
            select count(*) from rejects r where r.file = s.file and r.good_before < s.place
        )) as row_number,
        s.rule, 'critical' as severity, s.value,
        coalesce(s.row_json, l.line, to_json(struct_pack({typed}))::varchar) as row_json,
        getvariable('run_id') as run_id
    from placed s join files f on f.number = s.file left join {lines} l on l.id = s.id
    """


def _count_rows(connection: duckdb.DuckDBPyConnection, suite: Suite) -> dict[Key, Verdict]:
    """Return the rows of each delivery, and how many have a value that is not of its type."""
    uncast = [rule for rule in suite.rules if (rule.column or "").endswith(UNCAST)]
    counts = "".join(f", count({quoted(str(rule.column))})" for rule in uncast)
    found = connection.execute(
        f"select delivery_channel, delivery_date, count(*){counts} from staged group by all"
    ).fetchall()
    names = [rule.name for rule in uncast]
    return {
        (channel, day): Verdict(rows, 0, dict(zip(names, failed, strict=True)))
        for channel, day, rows, *failed in found
    }


def _rows_by_part(
    connection: duckdb.DuckDBPyConnection, verdicts: Mapping[Key, Verdict]
) -> dict[int, int]:
    wanted = connection.execute("select part, delivery_channel, delivery_date from wanted")
    return {
        part: verdicts[channel, day].rows
        for part, channel, day in wanted.fetchall()
        if (channel, day) in verdicts
    }


def _count_broken(
    connection: duckdb.DuckDBPyConnection, broken: Sequence[Rule]
) -> dict[Key, dict[str, int]]:
    """Return how many rows of each delivery break each of some rules."""
    counts = "".join(f", count(*) filter ({rule.broken})" for rule in broken)
    found = connection.execute(
        f"select delivery_channel, delivery_date{counts} from staged group by all"
    ).fetchall()
    names = [rule.name for rule in broken]
    return {(channel, day): dict(zip(names, n, strict=True)) for channel, day, *n in found}


def _turn_repeated_away(
    connection: duckdb.DuckDBPyConnection, feed: Feed, rule: Rule, verdicts: dict[Key, Verdict]
) -> None:
    """Turn away rows whose key another row of the delivery has; keep the first that is good."""
    is_met = "select 1 from repeated where rule = $rule limit 1"
    if not connection.execute(is_met, {"rule": rule.name}).fetchone():
        return
    connection.execute(f"create or replace temp table later as {repeated.later_sql(rule, feed)}")
    if rule.severity == "critical":
        connection.execute(
            "insert into turned_away select id, $rule, value, is_harmless from later"
            " anti join turned_away using (id)",
            {"rule": rule.name},
        )
    for channel, day, failed in connection.execute(
        "select delivery_channel, delivery_date, count(*) from later group by all"
    ).fetchall():
        verdicts[channel, day].failed[rule.name] = failed


def _count_bad_rows(connection: duckdb.DuckDBPyConnection, verdicts: dict[Key, Verdict]) -> None:
    for channel, day, bad in connection.execute(
        "select delivery_channel, delivery_date, count(*) from staged"
        " join (select id from turned_away where not is_harmless) t using (id)"
        " where is_dated group by all"
    ).fetchall():
        verdicts[channel, day].bad_rows = bad
