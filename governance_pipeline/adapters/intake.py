"""Intake: a range of deliveries of one feed, from files to committed partitions.

Everything that can be done once per range is: one reading, one validation, one writing. What makes
a partition real is the rename of its manifest, last.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import duckdb

from governance_pipeline.adapters import expectations, lake, ledger, manifests, set_rules, verdicts
from governance_pipeline.adapters.batch import Batch, Partition
from governance_pipeline.adapters.committing import commit_partitions, note_refusals
from governance_pipeline.adapters.fingerprints import fingerprint
from governance_pipeline.adapters.kept import kept_deliveries
from governance_pipeline.adapters.landing import Delivery, Source, discover, form_of
from governance_pipeline.adapters.ledger import SourceFile
from governance_pipeline.adapters.looking import look_at
from governance_pipeline.adapters.manifests import Manifest, Release
from governance_pipeline.adapters.plans import keep_current_plan
from governance_pipeline.adapters.reading import DeliveredFile
from governance_pipeline.adapters.staging import stage
from governance_pipeline.adapters.suites import load_suite
from governance_pipeline.adapters.verdicts import Key
from governance_pipeline.feeds import FEEDS
from governance_pipeline.paths import Paths
from governance_pipeline.settings import EXPECTATIONS


def intake_range(
    feed: str,
    channels: Sequence[str],
    days: Sequence[dt.date],
    *,
    paths: Paths,
    sources: Sequence[Source],
    run_id: str,
    progress: Callable[[str], None] = lambda _: None,
    memory_limit: str = "600MB",
    threads: int = 2,
    suites: Path = EXPECTATIONS,
    only: Mapping[Key, Release | None] | None = None,
) -> list[Manifest]:
    """Take in what was delivered of a feed within a range of days, and commit each partition.

    A delivery whose bytes were taken in before under the same suite is left as it is. A changed
    one restates its partition, and its draws are made by the plan of its first intake.

    Args:
        feed: A name of `feeds.FEEDS`.
        channels: The channels to look at.
        days: Delivery dates, UTC.
        paths: The home.
        sources: `sources` of governance.yaml.
        run_id: Who commits.
        progress: Called with a sentence now and then.
        memory_limit: DuckDB's, e.g. "1GB".
        threads: How many DuckDB may use.
        suites: Folder of the suites, one `<feed>.yaml` each.
        only: Look at these deliveries alone; one with a release is taken in again even if nothing
            changed, whatever the rules say that it names.

    Returns:
        The manifests of the range's deliveries, new and left alone, by channel and day.

    Raises:
        SourceError: If a configured source is missing or its mapping does not work.
        RegistryError: If decisions are taken in before any registry was applied.
        ExpectationFileError: If a suite is malformed or means two things.
    """
    lake.make_empty_files(paths.lake)
    found = discover(feed, channels, days, paths.landing, sources)
    with lake.scratch(paths.lake) as folder:
        batch = Batch(FEEDS[feed], load_suite(suites / f"{feed}.yaml"), paths, folder, run_id)
        keys = [(channel, day) for channel in channels for day in days]
        if only is not None:
            keys = [key for key in keys if key in only]
            batch.released = {key: release for key, release in only.items() if release}
            before = {key: manifests.read(paths.lake, feed, *key) for key in keys}
            own = [source for source in sources if source.feed == feed]
            found = [*found, *kept_deliveries(paths.lake, before, found, own)]
        kept = _plan(batch, found, keys)
        if batch.partitions:
            progress(
                f"{feed}: reading {len(batch.files)} files of {len(batch.partitions)} deliveries"
            )
            config = {"memory_limit": memory_limit, "threads": str(threads)}
            made = _take_in(batch, config)
            rows, bad = sum(m.rows_delivered for m in made), sum(m.rows_quarantined for m in made)
            progress(f"{feed}: {rows:,} rows in {len(made)} deliveries, {bad:,} quarantined")
            kept += made
    return sorted(kept, key=lambda m: (m.channel, m.delivery_date))


def _plan(batch: Batch, found: Sequence[Delivery], keys: Sequence[Key]) -> list[Manifest]:
    """Note in `batch` what is new or changed; return the manifests of what is neither."""
    numbers = count(1)
    manifest = {key: manifests.read(batch.paths.lake, batch.feed.name, *key) for key in keys}
    known = {(s.path, s.version): s for m in manifest.values() if m for s in m.sources}
    delivered: dict[Key, list[DeliveredFile]] = {}
    for delivery in found:
        looked = [
            fingerprint(next(numbers), file, delivery, batch.paths.root, batch.folder, known)
            for file in delivery.files
        ]
        files = [file for file in looked if file is not None]
        if looked and not files:  # nothing but queries that found no row
            continue
        for day in sorted({day for _, day in keys}) if delivery.day is None else [delivery.day]:
            delivered.setdefault((delivery.channel, day), []).extend(files)
    unchanged = []
    for key in keys:
        before, now = manifest[key], delivered.get(key)
        is_same = now is None or (key not in batch.released and _is_same(batch, before, now))
        if before is not None and is_same:
            unchanged.append(_noted(batch, before, now or []))
        elif now is not None:
            batch.partitions[key] = Partition(len(batch.partitions), *key, now, before)
    needed = {file.number: file for p in batch.partitions.values() for file in p.files}
    batch.files = {
        number: look_at(file, batch.folder, batch.feed) for number, file in needed.items()
    }
    return unchanged


def _is_same(batch: Batch, before: Manifest | None, files: Sequence[DeliveredFile]) -> bool:
    if before is None:
        return False
    known = {(source.sha256, form_of(Path(source.path))) for source in before.sources}
    now = {(file.sha256, form_of(Path(file.name))) for file in files}
    return known == now and before.suite_hash == batch.declared(files)


def _noted(batch: Batch, before: Manifest, files: Sequence[DeliveredFile]) -> Manifest:
    """Return a manifest whose bytes came again, with the names that are new in its ledger."""
    again = [SourceFile(path=file.name, sha256=file.sha256, bytes=file.bytes) for file in files]
    known = {(entry.path, entry.sha256) for entry in before.ledger}
    if known.issuperset((file.path, file.sha256) for file in again):
        return before
    entries = ledger.noted(
        before.ledger, again, seen_at=dt.datetime.now(dt.UTC), run_id=batch.run_id
    )
    noted = before.model_copy(update={"ledger": entries})
    manifests.commit(batch.paths.lake, noted)
    return noted


def _take_in(batch: Batch, config: dict[str, str]) -> list[Manifest]:
    if batch.feed.name == "decisions":
        batch.current_plan = keep_current_plan(batch.paths.lake)
    with judged(batch, config) as connection:
        return commit_partitions(connection, batch)


@contextmanager
def judged(batch: Batch, config: dict[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Stage and judge what is planned, and give the database of it; nothing is committed yet."""
    with _opened(batch, config) as connection:
        batch.note_problems(stage(connection, batch))
        if batch.has_rows:
            batch.verdicts = verdicts.judge(connection, batch.feed, batch.suite)
        note_refusals(connection, batch)
        set_rules.observe(connection, batch)
    validated = _validated(batch, config)
    with _opened(batch, config) as connection:
        if batch.has_rows:
            verdicts.confirm(connection, batch.suite, batch.verdicts, validated)
        set_rules.judge(batch, validated)
        yield connection


def _validated(batch: Batch, config: dict[str, str]) -> dict[str, int]:
    """Return how often each rule is broken, on rows and on whole deliveries, by one validation."""
    suite = batch.suite.limited(to_rows=batch.has_rows, to_deliveries=bool(batch.statistics))
    if not (suite.rules or suite.set_rules):
        return {}
    table = "staged" if batch.has_rows else "facts"
    return expectations.evaluate(batch.database, table, suite, config)


@contextmanager
def _opened(batch: Batch, config: dict[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(batch.database), config={**config}) as connection:
        connection.execute("set python_enable_replacements = false")
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        # Joins keep the order they are written in: the large table first, which streams in its own
        # order, the small one second. Left to itself the planner once hashed the rows themselves.
        connection.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
        connection.execute("set checkpoint_threshold = '1GB'")
        yield connection
