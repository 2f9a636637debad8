"""A market of millions of decisions, for measuring: hashes of row numbers, written by DuckDB.

Every value is a function of the seed, the channel, the day and the row's number, so any part of
the market can be written by itself and comes out the same. What `simulate` plants is not here:
nothing drifts, nothing is broken.
"""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import yaml

from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.adapters.home import EXAMPLE_REGISTRY
from governance_pipeline.adapters.sql import literal
from governance_pipeline.feeds import CHANNELS, FEEDS

ACTIONS = ("block", "demote", "limit", "label", "age_gate", "filter", "boost")
POLICIES = ("counterfeit", "prohibited_goods", "misleading_price", "listing_quality")
CATEGORIES = ("aa", "bt", "el", "fb", "hb", "hg", "sg", "tg")
MARKETS = ("US", "UK", "DE", "BR", "ID")
FIRED_RATE, UNFIRED_RATE = 0.02, 0.002
"""Probabilities of the audit draw; about 5 decisions of 1,000 are drawn."""
FIRES_FROM = 0.7
LABELLED, APPEALED = 0.4, 0.01
"""Shares of the items whose draws get a label, and of the fired decisions that get an appeal."""
LABEL_LAGS, APPEAL_LAGS = 28, 14
"""Days within which a label and an appeal come, each day as likely as another."""
DAY_SECONDS = 86_400
# Ids are met once: a dictionary of them is a tenth of the cost, and is thrown away.
_FAST = (
    "format parquet, parquet_version v2, compression zstd, compression_level 1,"
    " dictionary_size_limit 10000"
)


@dataclass(frozen=True)
class Bulk:
    """The size of a market; the same values give the same rows.

    `rows` are spread evenly over channels and days, strategies are met with falling frequency.
    """

    rows: int
    start: dt.date
    days: int
    strategies: int = 200
    seed: int = 1

    def rows_of(self, day: int, channel: int) -> int:
        """Return how many decisions a channel makes on a day, counted from 0."""
        place, places = day * len(CHANNELS) + channel, self.days * len(CHANNELS)
        return self.rows * (place + 1) // places - self.rows * place // places


def write_bulk_registry(folder: Path, bulk: Bulk) -> None:
    """Write a register of the market's strategies, each on all channels, beside the example's rest.

    Args:
        folder: Gets channels.yaml, teams.yaml, policies.yaml, markets.yaml and strategies/*.yaml.
        bulk: How many strategies there are, and since when.
    """
    (folder / "strategies").mkdir(parents=True)
    for file in EXAMPLE_REGISTRY.glob("*.yaml"):
        shutil.copy(file, folder)
    since = bulk.start - dt.timedelta(days=90)
    for number in range(bulk.strategies):
        strategy = _strategy(number, since)
        text = yaml.dump(strategy, Dumper=yaml.CSafeDumper, sort_keys=False)
        (folder / "strategies" / f"{strategy['strategy_id']}.yaml").write_text(text)


def deliver_bulk(
    landing: Path,
    bulk: Bulk,
    *,
    sampling_key: str,
    threads: int = 2,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the market's decisions, labels and appeals as Parquet by channel and day.

    Args:
        landing: Gets `<feed>/<channel>/<date>/<feed>.parquet`.
        bulk: How large the market is.
        sampling_key: The home's secret of the audit draw: what it draws is what gets labels.
        threads: How many channels are written at once.
        progress: Called with a sentence now and then.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("create table audit_labels (day date, " + _typed("audit_labels") + ")")
        connection.execute("create table appeals (day date, " + _typed("appeals") + ")")
        with ThreadPoolExecutor(threads) as pool:
            for day in range(bulk.days):
                done = [
                    pool.submit(_deliver_day, connection, landing, bulk, day, c, sampling_key)
                    for c in range(len(CHANNELS))
                ]
                for one in done:
                    one.result()
                if day % 10 == 9 or day == bulk.days - 1:
                    progress(f"{bulk.rows * (day + 1) // bulk.days:,} decisions delivered")
        for feed in ("audit_labels", "appeals"):
            _deliver_late(connection, landing, feed, bulk)


def _deliver_day(
    connection: duckdb.DuckDBPyConnection,
    landing: Path,
    bulk: Bulk,
    day: int,
    channel: int,
    sampling_key: str,
) -> None:
    """Write one channel's day, and note what reviewers and sellers will say of it."""
    date = bulk.start + dt.timedelta(days=day)
    folder = landing / "decisions" / CHANNELS[channel] / str(date)
    folder.mkdir(parents=True, exist_ok=True)
    file = literal(folder / "decisions.parquet")
    values = {
        "first": ((bulk.seed * bulk.days + day) * len(CHANNELS) + channel) << 32,
        "rows": bulk.rows_of(day, channel),
        "channel": CHANNELS[channel],
        "day": date,
        "strategies": bulk.strategies,
        "most_items": 8 * bulk.rows // bulk.days + 1,
    }
    with connection.cursor() as own:
        own.execute(
            f"copy ({_DECISIONS}) to {file} ({_FAST})",
            values,
        )
        own.execute("set variable sampling_key = $key", {"key": sampling_key})
        for feed, query in (("audit_labels", _LABELS), ("appeals", _APPEALS)):
            bound = {"day": date} if "$day" in query else {}
            own.execute(f"insert into {feed} by name {query.format(file=file)}", bound)


def _deliver_late(
    connection: duckdb.DuckDBPyConnection, landing: Path, feed: str, bulk: Bulk
) -> None:
    """Write labels or appeals by the day they come on; what comes after the last day is left."""
    columns = ", ".join(FEEDS[feed].columns)
    for channel, day in _places(bulk):
        folder = landing / feed / channel / str(day)
        folder.mkdir(parents=True, exist_ok=True)
        connection.execute(
            f"copy (select {columns} from {feed} where channel = $channel and day = $day"
            f" order by all) to {literal(folder / f'{feed}.parquet')}"
            f" ({_FAST})",
            {"channel": channel, "day": day},
        )


def _places(bulk: Bulk) -> Iterator[tuple[str, dt.date]]:
    for day in range(bulk.days):
        for channel in CHANNELS:
            yield channel, bulk.start + dt.timedelta(days=day)


def _strategy(number: int, since: dt.date) -> dict[str, object]:
    action = ACTIONS[number % len(ACTIONS)]
    return {
        "strategy_id": f"bulk-{number:04d}",
        "name": f"Bulk strategy {number}",
        "description": "A strategy of a market that was made for measuring.",
        "channels": list(CHANNELS),
        "action": action,
        "kind": "model",
        "policy": POLICIES[number % len(POLICIES)],
        "owner_team": "moderation",
        "backup_owner": "governance",
        "lifecycle": "live",
        "versions": [
            {
                "number": 1,
                "effective_from": since,
                "author": "li.wei",
                "approver": "clara.dubois",
                "reason": "made for measuring",
                "sampling": {"fired": FIRED_RATE, "not_fired": UNFIRED_RATE},
            }
        ],
        "goals": [
            {"metric": metric, "effective_from": since, "goal": goal}
            for metric, goal in (("precision", 0.75), ("recall", 0.55))
        ],
        "never_stale": "it is a measure",
        "sor_required": action != "boost",
        "sor_reason": "it restricts the visibility of a trader's offer"
        if action != "boost"
        else "it takes nothing from anybody",
    }


def _typed(feed: str) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in FEEDS[feed].columns.items())


def _number(salt: int, of: str = "i") -> str:
    """Return the SQL of a number that depends on a row and a salt, in the type DuckDB counts in."""
    return f"({_hash(salt, of)} >> 1)::bigint"


def _share(salt: int, of: str = "i") -> str:
    """Return the SQL of a number in [0, 1) that depends on a row and a salt."""
    return f"({_hash(salt, of)} / 18446744073709551616.0)"


def _hash(salt: int, of: str) -> str:
    """Return the SQL of a hash that tells nothing of another salt's, unlike one of both values."""
    return f"hash(xor(hash({of}), {salt}::ubigint))"


def _pick(values: tuple[str, ...], number: str) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"[{listed}][1 + {number} % {len(values)}]"


# Squares give most rows a low score and the first strategies most rows, as logs do.
_DECISIONS = f"""
select
    to_hex({_hash(12, "i")}) || '-' || to_hex({_hash(13, "i")}) as decision_id,
    $day::timestamp + to_seconds((n * {DAY_SECONDS}) // greatest($rows, 1)) as decided_at,
    $channel as channel,
    'bulk-' || lpad(strategy::varchar, 4, '0') as strategy_id,
    1::integer as strategy_version,
    'live' as environment,
    'i' || item as item_id,
    is_fired,
    case when is_fired then {_pick(ACTIONS, "strategy")} else 'none' end as action,
    'listing' as item_type,
    's' || item % 50021 as seller_id,
    {_pick(CATEGORIES, _number(1, "item"))} as category,
    {_pick(MARKETS, "(place >> 8)")} as market,
    score,
    true as automated_detection,
    'fully' as automated_decision,
    reach,
    case when place % 10 > 0 then round(reach * (place >> 16) % 1000 / 100.0, 2) end as gmv,
    null::varchar as experiment_arm,
    null::varchar as sample_stratum,
    null::double as inclusion_probability
from (
    select *, score >= {FIRES_FROM} as is_fired
    from (
        select i, n,
            ($strategies * power({_share(2)}, 1.5))::integer % $strategies as strategy,
            {_number(3)} % $most_items as item,
            round(power({_share(4)}, 2), 4) as score,
            {_number(5)} as place,
            floor(exp(6 * {_share(6)}))::bigint as reach
        from (select $first::bigint + n as i, n from range($rows) t(n))
    )
)
"""
# What is true of a decision: the higher its score, the likelier the strategy should fire.
_TRUTH = f"score + 0.3 * ({_share(7, 'decision_id')} - 0.5) >= {FIRES_FROM}"
_LABELLED_ON = f"decided_at::date + 1 + ({_number(8, 'decision_id')} % {LABEL_LAGS})::integer"
_APPEALED_ON = f"decided_at::date + 1 + ({_number(8, 'decision_id')} % {APPEAL_LAGS})::integer"
_POLICY = _pick(POLICIES, "right(strategy_id, 4)::integer")
_DRAW = draw_sql("getvariable('sampling_key')", "item_id", _POLICY, "$day")
_LABELS = f"""
select {_LABELLED_ON} as day, 'l-' || decision_id as label_id, channel,
    'reviewer' || {_number(9, "decision_id")} % 40 as reviewer_id,
    {_LABELLED_ON} + (decided_at - decided_at::date) as labelled_at,
    case when {_TRUTH} then 'should_fire' else 'should_not_fire' end as verdict,
    'random_audit' as source, decision_id, '2026-01' as policy_version
from read_parquet({{file}})
where case when {_share(10, "item_id")} < {LABELLED} then {_DRAW} end
    < case when is_fired then {FIRED_RATE} else {UNFIRED_RATE} end
"""
_APPEALS = f"""
select {_APPEALED_ON} as day, 'a-' || decision_id as appeal_id, decision_id, channel,
    {_APPEALED_ON} + (decided_at - decided_at::date) as submitted_at,
    case when {_TRUTH} then 'upheld' else 'reversed' end as outcome,
    decided_at as decision_made_at,
    {_APPEALED_ON} + (decided_at - decided_at::date) as decided_at,
    'not_a_violation' as ground
from read_parquet({{file}})
where is_fired and {_share(11, "decision_id")} < {APPEALED}
"""
