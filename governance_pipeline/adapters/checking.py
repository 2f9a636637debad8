"""What is wrong with a file, before it is delivered: intake up to its verdict, and nothing more.

The file is read, mapped, staged and judged by the code that takes deliveries in, in a temporary
folder. Of the home only the delivery before is read, to say what changed since.
"""

import datetime as dt
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from governance_pipeline.adapters import intake
from governance_pipeline.adapters.batch import Batch, Partition
from governance_pipeline.adapters.fingerprints import fingerprint
from governance_pipeline.adapters.landing import ADDRESS, Delivered, Delivery, Source
from governance_pipeline.adapters.looking import look_at
from governance_pipeline.adapters.places import files_at
from governance_pipeline.adapters.reading import NOT_ROWS, DeliveredFile, raw_sql
from governance_pipeline.adapters.registry_store import applied_hash
from governance_pipeline.adapters.shaping import castable, uncast_name
from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import Rule, load_suite
from governance_pipeline.adapters.variables import filled
from governance_pipeline.adapters.verdicts import Key, quarantine_sql
from governance_pipeline.errors import InputError
from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.paths import Paths
from governance_pipeline.settings import EXPECTATIONS

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Finding:
    """One rule that rows break: how many, and the first of them by number and value."""

    rule: Rule
    failed: int
    rows: Sequence[tuple[int, str | None]]


@dataclass(frozen=True)
class Checked:
    """What would become of a file, and everything that is wrong with it.

    `rows` are `accepted` or `quarantined`; if one of the `refusals` holds, none is accepted.
    `remarks` are what the rules on whole deliveries find.
    """

    file: str
    feed: str
    channel: str
    rows: int = 0
    accepted: int = 0
    quarantined: int = 0
    refusals: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    drift: Sequence[str] = ()
    extra_columns: Sequence[str] = ()
    remarks: Sequence[str] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether every row would be accepted."""
        return not self.refusals and not self.quarantined


def check_file(
    file: str,
    feed: str,
    *,
    channel: str | None = None,
    day: dt.date | None = None,
    mapping: str | None = None,
    paths: Paths,
    shown: int = 5,
) -> Checked:
    """Return everything that is wrong with a file, as intake would find it.

    Args:
        file: A path, or the address of one file.
        feed: What it is to be delivered as.
        channel: The channel; by default the one that its path or its first row names.
        day: When it is delivered; by default the day that its path names, or today, UTC.
        mapping: SQL over `source`, as governance.yaml has it.
        paths: The home, of which only the manifests are read.
        shown: How many rows are named for each rule.

    Raises:
        InputError: If there is no such file, or nothing says its channel.
        SourceError: If the mapping does not work.
    """
    found = _the_file(file)
    with tempfile.TemporaryDirectory(prefix="governance-check-") as folder:
        source = None
        if mapping:  # valid without a date, because this file is a delivery by itself
            source = Source.model_construct(feed=feed, path=file, mapping=mapping, channel=channel)
        suite = load_suite(EXPECTATIONS / f"{feed}.yaml")
        # On a supplier's machine, and before the first run, only the rows can be judged.
        if applied_hash(paths.lake) is None or not (paths.lake / "manifests").is_dir():
            suite = replace(suite, set_rules=(), set_expectations=())
        batch = Batch(FEEDS[feed], suite, paths, Path(folder), "feed check")
        parts = Path(file).parts
        named = channel or next((part for part in parts if part in CHANNELS), None)
        came = day or next(map(dt.date.fromisoformat, filter(DAY.fullmatch, parts)), None)
        looked = _look_at(batch, found, source)
        key = (named or _channel_of(looked), came or dt.datetime.now(dt.UTC).date())
        looked = replace(looked, channel=key[0], day=key[1])
        batch.files = {looked.number: looked}
        batch.partitions[key] = Partition(0, *key, [looked], None)
        with intake.judged(batch, {"memory_limit": "1GB"}) as connection:
            return _checked(connection, batch, file, key, shown)


def _look_at(batch: Batch, file: Delivered, source: Source | None) -> DeliveredFile:
    delivery = Delivery("", None, [file], source)
    known = fingerprint(1, file, delivery, batch.paths.root, batch.folder, {})
    assert known is not None
    return look_at(known, batch.folder, batch.feed)


def _the_file(file: str) -> Delivered:
    if not ADDRESS.match(file):
        if not Path(file).is_file():
            raise InputError(f"{file} is no file; give the path of one")
        return Path(file).resolve()
    found = files_at(filled(file), file)
    if len(found) != 1:
        raise InputError(f"{file} names {len(found)} files; give the address of one")
    return found[0]


def _channel_of(file: DeliveredFile) -> str:
    """Return the channel that the first row of a file names."""
    names = [name for name in file.columns if name.lower() == "channel"]
    first = None
    if names and file.problem is None and file.columns != NOT_ROWS:
        with duckdb.connect() as connection:
            rows = f"select {quoted(names[0])}::varchar from ({raw_sql([file])}) limit 1"
            first = connection.execute(rows, {"paths": [str(file.read_from)]}).fetchone()
    if first is None or first[0] not in CHANNELS:
        raise InputError(
            f"{file.name} does not say its channel; give --channel, one of {', '.join(CHANNELS)}"
        )
    return str(first[0])


def _checked(
    connection: duckdb.DuckDBPyConnection, batch: Batch, file: str, key: Key, shown: int
) -> Checked:
    partition, verdict = batch.partitions[key], batch.verdicts.get(key)
    said = Checked(
        file, batch.feed.name, key[0], refusals=partition.refusals,
        remarks=[
            f"{found.rule}: {found.observed}"
            for found in batch.findings.get(key, [])
            if found.severity != "critical"  # those are among the refusals
        ],
        drift=partition.drift(batch.feed) if partition.earlier else (),
        extra_columns=partition.extra(batch.feed),
    )  # fmt: skip
    if verdict is None:
        return said
    (away,) = connection.execute("select count(distinct id) from turned_away").fetchone() or (0,)
    quarantined = verdict.rows if partition.refusals else int(away)
    broken = _broken(batch, partition, verdict.failed)
    counts = _counts(connection, broken)
    rows = _first_rows(connection, batch, broken, shown)
    findings = [
        Finding(rule, counts[rule.name], rows.get(rule.name, []))
        for rule in sorted(batch.suite.rules, key=lambda rule: rule.severity != "critical")
        if counts.get(rule.name)
    ]
    return replace(
        said,
        rows=verdict.rows,
        accepted=verdict.rows - quarantined,
        quarantined=quarantined,
        findings=findings,
    )


def _broken(batch: Batch, partition: Partition, failed: Mapping[str, int]) -> dict[str, str]:
    """Return the condition of the rows that break each rule, where that rule is what to mend.

    Of a line that is no row, of a value that is not of its type, and of a column that the file has
    not, it is said once and not by every other rule that asks for the value.
    """
    found = {}
    lost = set(batch.suite.required) - {*partition.columns} if partition.columns else set()
    for rule in batch.suite.rules:
        if not failed.get(rule.name) or rule.column in lost:
            continue
        condition = [rule.broken, "unreadable is null"]
        if rule.unique_by:
            condition = ["id in (select id from turned_away where rule = $rule)"]
        elif rule.column == "unreadable":
            condition = [rule.broken]
        elif rule.column in castable(batch.feed):
            condition.append(f"{quoted(uncast_name(rule.column))} is null")
        found[rule.name] = " and ".join(f"({each})" for each in condition)
    return found


def _counts(connection: duckdb.DuckDBPyConnection, broken: Mapping[str, str]) -> dict[str, int]:
    counted = {}
    for name, condition in broken.items():
        rows = f"select count(*) from staged where {condition}"
        bound = {"rule": name} if "$rule" in condition else {}
        counted[name] = int((connection.execute(rows, bound).fetchone() or (0,))[0])
    return counted


def _first_rows(
    connection: duckdb.DuckDBPyConnection, batch: Batch, broken: Mapping[str, str], shown: int
) -> dict[str, list[tuple[int, str | None]]]:
    """Return the first rows that break each rule, numbered as the quarantine numbers them."""
    connection.execute("create table first_away (id bigint, rule varchar, value varchar)")
    for rule in batch.suite.rules:
        if rule.name in broken:
            value = f"{quoted(rule.column)}::varchar" if rule.column else "null"
            connection.execute(
                f"insert into first_away select id, $rule, {value} from staged"
                f" where {broken[rule.name]} order by id limit $shown",
                {"rule": rule.name, "shown": shown},
            )
    connection.execute("drop table turned_away")
    connection.execute("alter table first_away rename to turned_away")
    found: dict[str, list[tuple[int, str | None]]] = {}
    for name, number, value in connection.execute(
        f"select rule, row_number, value from ({quarantine_sql(batch.feed)}) order by 1, 2"
    ).fetchall():
        found.setdefault(name, []).append((number, value))
    return found
