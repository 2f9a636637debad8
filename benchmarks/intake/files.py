"""A home with a register and many decisions delivered in one form, every row made by SQL."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb

from governance_pipeline.feeds import CHANNELS
from governance_pipeline.paths import Paths

FIRST_DAY = dt.date(2026, 3, 1)
STRATEGIES = 30
RATE = 0.01
BROKEN_CHANNEL = "lives"
BROKEN_EVERY = 10_000  # in texts of one channel every so-many-th line has a score that is none

ROWS = f"""
select 'd' || (i + {{offset}}) || '-' || (hash(i, {{offset}}) % 1000000) as decision_id,
    timestamp '{{day}}' + interval (i % 86400) second as decided_at,
    '{{channel}}' as channel,
    'strategy-' || (hash(i) % {STRATEGIES}) as strategy_id,
    1::integer as strategy_version,
    'live' as environment,
    'item' || (hash(i, 1) % ({{rows}} * 4)) as item_id,
    hash(i, 2) % 100 < 10 as is_fired,
    case when hash(i, 2) % 100 < 10 then 'block' else 'none' end as action,
    'ad' as item_type,
    'seller' || (hash(i, 3) % 50000) as seller_id,
    ['aa', 'bt', 'el', 'fb', 'hb', 'hg', 'sg', 'tg'][(hash(i, 4) % 8 + 1)::int] as category,
    ['US', 'UK', 'DE', 'SG', 'ID'][(hash(i, 5) % 5 + 1)::int] as market,
    (hash(i, 6) % 10000) / 10000.0::double as score,
    hash(i, 7) % 20 > 0 as automated_detection,
    'fully' as automated_decision,
    (1 + hash(i, 8) % 500)::bigint as reach,
    round((hash(i, 9) % 100000) / 100.0, 2)::double as gmv,
    null::varchar as experiment_arm,
    null::varchar as sample_stratum,
    null::double as inclusion_probability
from range({{rows}}) r(i)
"""
BROKEN = f"case when hash(decision_id) % {BROKEN_EVERY} = 0 then 'high' else score::varchar end"
OPTIONS = {
    "parquet": "format parquet, compression zstd",
    "csv": "format csv",
    "jsonl": "format json",
}


def make_home(root: Path, form: str, decisions: int, days: int) -> Paths:
    """Write a home in which decisions of all channels and some days are delivered in one form."""
    paths = Paths(root)
    paths.landing.mkdir(parents=True)
    paths.sampling_key.write_text("0123456789abcdef" * 4)
    with duckdb.connect(config={"threads": "2", "memory_limit": "1GB"}) as connection:
        _write_register(connection, paths.lake)
        rows, offset = decisions // (len(CHANNELS) * days), 0
        for channel, day in partitions(days):
            folder = paths.landing / "decisions" / channel / day.isoformat()
            folder.mkdir(parents=True)
            query = ROWS.format(rows=rows, offset=offset, day=day, channel=channel)
            if form != "parquet" and channel == BROKEN_CHANNEL:
                query = f"select * replace ({BROKEN} as score) from ({query})"
            connection.execute(f"copy ({query}) to '{folder}/a.{form}' ({OPTIONS[form]})")
            offset += rows
    return paths


def partitions(days: int) -> Iterator[tuple[str, dt.date]]:
    """Give every channel and day."""
    for channel in CHANNELS:
        for number in range(days):
            yield channel, FIRST_DAY + dt.timedelta(days=number)


def delivered(paths: Paths) -> list[str]:
    """Return every delivered file."""
    return sorted(str(file) for file in paths.landing.rglob("a.*"))


def _write_register(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    folder = lake / "registry" / "bench"
    folder.mkdir(parents=True)
    names = f"select 'strategy-' || s as strategy_id from range({STRATEGIES}) t(s)"
    tables = {
        "strategies": f"select strategy_id, 'policy' as policy, 'live' as lifecycle from ({names})",
        "strategy_versions": "select strategy_id, 1 as version, '0.2,0.4,0.6,0.8' as score_cuts"
        f" from ({names})",
        "sampling_rates": "select strategy_id, 1 as version, f as is_fired,"
        f" b::smallint as score_bin, {RATE}::double as rate from ({names}),"
        " unnest([true, false]) u(f), range(-1, 5) v(b)",
    }
    for name, query in tables.items():
        connection.execute(f"copy ({query}) to '{folder}/{name}.parquet' (format parquet)")
    (lake / "registry" / "current").write_text(folder.name)
