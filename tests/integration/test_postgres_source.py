"""Tables and queries of a real PostgreSQL as deliveries."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import psycopg
import pytest

from governance_pipeline.adapters.landing import Source
from governance_pipeline.adapters.postgres import Extract
from governance_pipeline.errors import SourceError
from governance_pipeline.paths import Paths
from tests.integration.deliveries import DAY, STRATEGY, make_home, only, rows_in, take_in

NEXT = DAY + dt.timedelta(days=1)
LOG = f"""
create schema trust;
create table trust.decisions as
select
    'd' || n as decision_id,
    timestamptz '2026-03-01 10:00+00' + interval '1 day' * (n % 2) as made_at,
    'shopads'::text as channel,
    '{STRATEGY}'::varchar(80) as strategy_id,
    1::smallint as strategy_version,
    'live'::text as environment,
    'i' || n as item_id,
    n % 2 = 0 as is_fired,
    case when n % 2 = 0 then 'block' else 'none' end as action,
    ((n % 100) / 100.0)::numeric(6, 4) as score,
    true as automated_detection,
    'fully'::text as automated_decision,
    n::bigint as reach,
    1.5::numeric as gmv,
    case when n = 3 then E'a "quoted"\\nline, with all' end as note
from generate_series(1, 40) as n
"""
MAPPED = "select *, made_at as decided_at from source"
BY_DAY = Source(
    feed="decisions",
    channel="shopads",
    database="${DECISION_LOG}",
    query="select * from trust.decisions where made_at >= {date} and made_at < {date} + 1",
    mapping=MAPPED,
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


@pytest.fixture(autouse=True)
def log(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A decision log, whose address only the environment knows."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute(LOG.encode())
    monkeypatch.setenv("DECISION_LOG", postgres_url)
    return postgres_url


def tell(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def test_a_query_gives_each_day_its_rows(paths: Paths) -> None:
    first, second = take_in(paths, [DAY, NEXT, NEXT + dt.timedelta(days=1)], sources=[BY_DAY])
    assert (first.delivery_date, first.rows_accepted, first.refusal) == (DAY, 20, None)
    assert (second.delivery_date, second.rows_accepted, second.refusal) == (NEXT, 20, None)
    assert first.sources[0].path == "${DECISION_LOG}/query"
    ids = rows_in(paths, "decisions", "decided_at::date, score, reach, gmv, is_fired")
    assert ids[0] == (DAY, 0.02, 2, 1.5, True)


def test_a_table_whose_rows_date_themselves_is_split(paths: Paths) -> None:
    source = Source(
        feed="decisions", channel="shopads", database="${DECISION_LOG}", table="trust.decisions",
        split_by="decided_at", mapping=MAPPED,
    )  # fmt: skip
    made = take_in(paths, [DAY, NEXT], sources=[source])
    assert [(m.delivery_date, m.rows_accepted) for m in made] == [(DAY, 20), (NEXT, 20)]
    assert made[0].sources[0].path == "${DECISION_LOG}/trust.decisions"


def test_the_same_rows_in_another_order_are_the_same_delivery(paths: Paths, log: str) -> None:
    before = take_in(paths, [DAY, NEXT], sources=[BY_DAY])
    tell(log, "create table other as select * from trust.decisions order by decision_id desc")
    tell(log, "drop table trust.decisions; alter table other rename to decisions")
    tell(log, "alter table decisions set schema trust")
    assert take_in(paths, [DAY, NEXT], sources=[BY_DAY]) == before
    tell(log, "update trust.decisions set score = 0.5 where decision_id = 'd2'")
    restated = take_in(paths, [DAY, NEXT], sources=[BY_DAY])
    assert [m.restatements for m in restated] == [1, 0]


def test_columns_keep_the_types_that_the_database_gives_them(paths: Paths, tmp_path: Path) -> None:
    query = (
        "select 1::int2 as a, 2::int8 as b, true as c, 1.25::numeric(5, 2) as d,"
        " 12345678901234567890123::numeric as e, timestamptz '2026-03-01 10:00+05:30' as f,"
        " date '2026-03-01' as g, null::text as h, ''::text as i, '{1,2}'::int[] as j,"
        " '{\"k\": 1}'::jsonb as k, 0.1::float8 as l, E'two\\nlines' as m"
    )
    mapping = (
        "select 'd1' as decision_id, f as decided_at, typeof(a) || ',' || typeof(b) || ','"
        " || typeof(c) || ',' || typeof(d) || ',' || typeof(e) || ',' || typeof(f) || ','"
        " || typeof(g) || ',' || typeof(l) as item_id, e || coalesce(h, '-') || i || '.' || j"
        " || (k ->> 'k') || m as seller_id, 'shopads' as channel,"
        f" '{STRATEGY}' as strategy_id, a as strategy_version, 'live' as environment,"
        " c as is_fired, 'none' as action, d as gmv, 1 as reach, true as automated_detection"
        " from source"
    )
    source = Source(
        feed="decisions", channel="shopads", database="${DECISION_LOG}",
        query=query + " where {date} is not null", mapping=mapping,
    )  # fmt: skip
    made = only(take_in(paths, sources=[source]))
    assert (made.rows_accepted, made.refusal) == (1, None)
    seen = rows_in(paths, "decisions", "item_id, seller_id, decided_at, gmv")[0]
    assert seen[0] == (
        "SMALLINT,BIGINT,BOOLEAN,DECIMAL(5,2),VARCHAR,TIMESTAMP WITH TIME ZONE,DATE,DOUBLE"
    )
    assert seen[1:] == (
        "12345678901234567890123-.{1,2}1two\nlines", dt.datetime(2026, 3, 1, 4, 30), 1.25,
    )  # fmt: skip


def test_what_is_bound_is_a_value_and_a_query_can_only_read(paths: Paths, log: str) -> None:
    told = (
        "select * from trust.decisions where {channel} = 'shopads' and {date} > date '2026-01-01'"
    )
    bound = BY_DAY.model_copy(update={"query": told})
    assert only(take_in(paths, sources=[bound])).rows_delivered == 40
    for wrong in (
        "with gone as (delete from trust.decisions returning *) select *, {date} from gone",
        "select 1) as x; drop table trust.decisions; select * from (select {date}",
    ):
        with pytest.raises(SourceError, match="cannot be read"):
            take_in(paths, [NEXT], sources=[BY_DAY.model_copy(update={"query": wrong})])
    with psycopg.connect(log) as connection:
        assert connection.execute("select count(*) from trust.decisions").fetchone() == (40,)


def test_a_quoted_or_formatted_date_is_said(paths: Paths) -> None:
    for query in ("select '{date}'", "select {date:%Y}"):
        with pytest.raises(ValueError, match="bound as values"):
            Source(feed="decisions", channel="shopads", database="${X}", query=query)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/logs", "cannot be read"),
        ("postgresql://me:hunter2@127.0.0.1:port/logs", "cannot be read"),
        ("postgresql://me:hunter2@[::1", "address that cannot be read"),
        ("mysql://me:hunter2@127.0.0.1/logs", "is no PostgreSQL"),
    ],
)
def test_a_database_out_of_reach_is_one_sentence_without_its_password(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("DECISION_LOG", url)
    with pytest.raises(SourceError, match=said) as failed:
        take_in(paths, sources=[BY_DAY])
    assert "hunter2" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_query_that_does_not_work_is_said_as_the_database_says_it(paths: Paths) -> None:
    wrong = BY_DAY.model_copy(update={"query": "select nothing from trust.decisions, {date}"})
    with pytest.raises(SourceError, match="query cannot be read"):
        take_in(paths, sources=[wrong])


def test_millions_of_rows_pass_through_little_memory(tmp_path: Path, log: str) -> None:
    target = tmp_path / "rows.csv"
    code = """
import resource, sys
from pathlib import Path
from governance_pipeline.adapters.postgres import Extract
query = "select n, md5(n::text) as a, md5(n::text) as b, now() as c from generate_series(1, {}) n"
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
few = Extract("${DECISION_LOG}", query.format(1000), None, "shopads", None)
few.fetch(Path(sys.argv[1]))
before = peak()
many = Extract("${DECISION_LOG}", query.format(2_000_000), None, "shopads", None)
print(many.fetch(Path(sys.argv[1])).rows, peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=True,
        env=os.environ,
    )  # fmt: skip
    rows, grown = done.stdout.split()
    assert rows == "2000000"
    assert target.stat().st_size > 200e6
    assert float(grown) < 20, "megabytes"
    with duckdb.connect() as reader:
        counted = reader.execute("select count(*), sum(n) from read_csv($f)", {"f": str(target)})
        assert counted.fetchone() == (2_000_000, 2_000_000 * 2_000_001 // 2)


def test_an_extract_is_named_without_its_account() -> None:
    named = Extract(
        "postgresql://reader:${PASSWORD}@db.local/logs", "select 1", None, "video", None
    )
    assert named.name == "postgresql://db.local/logs/query"
