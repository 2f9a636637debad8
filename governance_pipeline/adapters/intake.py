"""Intake: a range of deliveries of one feed, from files to committed partitions.

Everything that can be done once per range is: one reading, one validation, one writing. What makes
a partition real is the rename of its manifest, last.
"""

import datetime as dt
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from governance_pipeline.adapters import enrich, expectations, manifests, quarantine
from governance_pipeline.adapters.landing import Delivery, Source, discover
from governance_pipeline.adapters.manifests import Manifest, RuleResult
from governance_pipeline.adapters.registry_store import applied_hash
from governance_pipeline.adapters.staging import Key, Staged, fingerprint, stage
from governance_pipeline.feeds import FEEDS, Feed, accepted_columns
from governance_pipeline.paths import Paths

Progress = Callable[[str], None]


@dataclass
class _Batch:
    """One range of one feed on its way."""

    feed: Feed
    suite: expectations.Suite
    days: Sequence[dt.date]
    paths: Paths
    folder: Path
    staged: Staged = field(default_factory=Staged)
    previous: dict[Key, Manifest] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.folder / "stage.duckdb"


def intake_range(
    feed: str,
    channels: Sequence[str],
    days: Sequence[dt.date],
    *,
    paths: Paths,
    sources: Sequence[Source],
    run_id: str,
    progress: Callable[[str], None],
    memory_limit: str = "1GB",
) -> list[Manifest]:
    """Take in what was delivered of a feed within a range of days, and commit each partition.

    A delivery whose bytes were taken in before under the same suite is left as it is. A changed
    one restates its partition: draws are made by the rates of its first intake.

    Args:
        feed: A name of `feeds.FEEDS`.
        channels: The channels to look at.
        days: Delivery dates, UTC.
        paths: The home.
        sources: `sources` of governance.yaml.
        run_id: Who commits.
        progress: Called with a sentence now and then.
        memory_limit: DuckDB's, e.g. "1GB".

    Returns:
        The manifests of the range's deliveries, new and left alone, by channel and day.

    Raises:
        SourceError: If a configured source is missing or its mapping does not work.
    """
    make_empty_files(paths.lake)
    suite = expectations.load_suite(feed)
    found = discover(feed, channels, days, paths.landing, sources)
    fresh, kept = _unchanged(paths.lake, feed, suite, found)
    if not fresh:
        return sorted(kept, key=lambda m: (m.channel, m.delivery_date))
    progress(f"{feed}: reading {sum(len(d.files) for d in fresh)} files")
    with _scratch(paths.lake) as folder:
        batch = _Batch(FEEDS[feed], suite, days, paths, folder)
        made = _take_in(batch, fresh, run_id, memory_limit)
    rows, bad = sum(m.rows_delivered for m in made), sum(m.rows_quarantined for m in made)
    progress(f"{feed}: {rows:,} rows in {len(made)} deliveries, {bad:,} quarantined")
    return sorted([*kept, *made], key=lambda m: (m.channel, m.delivery_date))


def make_empty_files(lake: Path) -> None:
    """Write an empty typed file per table, so that a list of files to read is never empty."""
    tables = [*FEEDS, "sampled_decisions", "actioned_decisions"]
    if all((lake / "empty" / f"{table}.parquet").exists() for table in tables):
        return
    (lake / "empty").mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        for table in tables:
            columns = ", ".join(
                f"cast(null as {k}) as {n}" for n, k in accepted_columns(table).items()
            )
            target = str(lake / "empty" / f"{table}.parquet").replace("'", "''")
            connection.execute(
                f"copy (select {columns} where false) to '{target}' (format parquet)"
            )


@contextmanager
def _scratch(lake: Path) -> Iterator[Path]:
    folder = lake / ".staging" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(batch: _Batch, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, Any] = {
        "python_enable_replacements": False,
        "memory_limit": memory_limit,
        "threads": 2,
    }
    with duckdb.connect(str(batch.database), config=config) as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def _unchanged(
    lake: Path, feed: str, suite: expectations.Suite, found: Sequence[Delivery]
) -> tuple[list[Delivery], list[Manifest]]:
    """Split deliveries into those to take in and the manifests of those that are known."""
    fresh, kept = [], []
    for delivery in found:
        known = manifests.read(lake, feed, delivery.channel, delivery.day) if delivery.day else None
        if known is not None and known.suite_hash == suite.suite_hash:
            now = [fingerprint(file).sha256 for file in delivery.files]
            if now == [source.sha256 for source in known.sources]:
                kept.append(known)
                continue
        fresh.append(delivery)
    return fresh, kept


def _take_in(
    batch: _Batch, deliveries: Sequence[Delivery], run_id: str, memory_limit: str
) -> list[Manifest]:
    with _opened(batch, memory_limit) as connection:
        batch.staged = stage(connection, batch.feed, deliveries)
        quarantine.date_rows(connection, batch.days)
    broken = expectations.evaluate(batch.database, "staged", batch.suite)
    with _opened(batch, memory_limit) as connection:
        counts = quarantine.sort_rows(connection, batch.suite, broken)
        keys = _deliveries(connection, batch, deliveries)
        for key in keys:
            known = manifests.read(batch.paths.lake, batch.feed.name, *key)
            if known is not None:
                batch.previous[key] = known
        refused = {k: v for k, v in batch.staged.refused.items() if k in keys}
        refused |= quarantine.refuse(connection, batch.suite, refused)
        enrich.prepare(connection, batch.feed, batch.paths, batch.previous)
        written = enrich.write_partitions(connection, batch.feed, batch.folder, run_id)
        tallies = quarantine.tallies(connection)
        touched = enrich.decision_days(connection, batch.feed, batch.paths)
    files = _move_into_place(batch, written)
    made = [
        _manifest(batch, key, refused.get(key), counts, tallies, touched, files, run_id)
        for key in keys
    ]
    os.sync()  # everything the manifests name is on the disk before they name it
    for manifest in made:
        manifests.commit(batch.paths.lake, manifest)
    return made


def _deliveries(
    connection: duckdb.DuckDBPyConnection, batch: _Batch, deliveries: Sequence[Delivery]
) -> list[Key]:
    """Return the partitions of this intake; a source that dates its rows has those it brings."""
    keys = {(d.channel, d.day) for d in deliveries if d.day is not None}
    keys |= set(
        connection.execute("select distinct delivery_channel, delivery_day from staged").fetchall()
    )
    by_key = {key: [d for d in deliveries if (d.channel, d.day) == key] for key in keys}
    for key, own in by_key.items():
        for delivery in own or [d for d in deliveries if d.channel == key[0] and d.day is None]:
            batch.staged.files[key] += [fingerprint(file) for file in delivery.files]
    return sorted(keys)


def _move_into_place(
    batch: _Batch, written: dict[tuple[str, Key], list[Path]]
) -> dict[Key, dict[str, list[str]]]:
    """Rename written files to their folders of the lake, where nobody lists them yet."""
    token = uuid.uuid4().hex[:12]
    placed: dict[Key, dict[str, list[str]]] = {}
    for (kind, key), files in sorted(written.items()):
        channel, day = key
        own = {
            "accepted": f"accepted/{batch.feed.name}",
            "quarantine": f"quarantine/{batch.feed.name}",
        }
        folder = f"{own.get(kind, f'derived/{kind}')}/{channel}/{day}"
        (batch.paths.lake / folder).mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(sorted(files)):
            name = f"{folder}/{token}-{number}.parquet"
            file.rename(batch.paths.lake / name)
            placed.setdefault(key, {}).setdefault(kind, []).append(name)
    return placed


def _manifest(
    batch: _Batch,
    key: Key,
    refusal: str | None,
    counts: dict[Key, dict[str, int]],
    tallies: dict[Key, tuple[int, int, int]],
    touched: dict[Key, tuple[list[dt.date], int]],
    files: dict[Key, dict[str, list[str]]],
    run_id: str,
) -> Manifest:
    delivered, accepted, quarantined = tallies.get(key, (0, 0, 0))
    before = batch.previous.get(key)
    days, pending = touched.get(key, ([], 0))
    listed = files.get(key, {})
    if before is not None:
        days = sorted({*days, *before.decision_days})
        if refusal is not None:
            # What was accepted before stays what everybody reads.
            listed = {k: v for k, v in before.files.items() if k != "quarantine"} | listed
            days = before.decision_days
    state: manifests.State = "refused" if refusal else "accepted" if delivered else "empty"
    return Manifest(
        feed=batch.feed.name,
        channel=key[0],
        delivery_date=key[1],
        state=state,
        rows_delivered=delivered,
        rows_accepted=accepted,
        rows_quarantined=quarantined,
        restatements=before.restatements + 1 if before else 0,
        pending_rows=pending,
        decision_days=days,
        files=listed,
        sources=batch.staged.files[key],
        rules=_rule_results(batch.suite, counts.get(key, {}), delivered),
        refusal=refusal,
        extra_columns=batch.staged.extra.get(key, []),
        suite_hash=batch.suite.suite_hash,
        plan_hash=enrich.plan_of(batch.feed, batch.paths, before),
        registry_hash=applied_hash(batch.paths.lake),
        committed_at=dt.datetime.now(dt.UTC),
        run_id=run_id,
    )


def _rule_results(
    suite: expectations.Suite, failed: dict[str, int], delivered: int
) -> list[RuleResult]:
    rules = [(rule.name, rule.severity) for rule in suite.rules]
    rules += [(name, "critical") for name in quarantine.READING_RULES if failed.get(name)]
    return [
        RuleResult(
            rule=name,
            severity=severity,
            failed_rows=failed.get(name, 0),
            observed=f"{failed.get(name, 0)} of {delivered} rows",
            passed=not failed.get(name, 0),
        )
        for name, severity in rules
    ]
