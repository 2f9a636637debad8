"""Writing the partitions of an intake and committing them, manifest by manifest."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters import (
    enrichment,
    kept,
    lake,
    ledger,
    manifests,
    set_rules,
    verdicts,
)
from governance_pipeline.adapters.batch import Batch, Partition
from governance_pipeline.adapters.drift import retyped
from governance_pipeline.adapters.extras import write_extras
from governance_pipeline.adapters.fingerprints import refuse_changed
from governance_pipeline.adapters.ledger import SourceFile
from governance_pipeline.adapters.lines import find_lines
from governance_pipeline.adapters.manifests import Manifest, RuleResult
from governance_pipeline.adapters.matching import touched_days
from governance_pipeline.adapters.registry_store import applied_hash
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.adapters.verdicts import Verdict
from governance_pipeline.feeds import accepted_columns


def note_refusals(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Refuse the deliveries that were judged too bad to take a part of."""
    for key, partition in batch.partitions.items():
        verdict = batch.verdicts.get(key, Verdict())
        partition.refusals += retyped(
            connection, batch.suite, key, verdict.failed, partition.columns, partition.earlier
        )
        if not partition.refusals and batch.suite.is_too_bad(verdict.bad_rows, verdict.rows):
            partition.refusals.append(
                f"{verdict.bad_rows} of {verdict.rows} rows break critical rules, more than"
                f" {batch.suite.max_bad_share:.0%}; mend the file and deliver it again"
            )


def commit_partitions(connection: duckdb.DuckDBPyConnection, batch: Batch) -> list[Manifest]:
    """Write every table of the staged partitions and commit their manifests."""
    refused = {key for key, partition in batch.partitions.items() if partition.refusals}
    written: dict[str, dict[int, list[Path]]] = {"accepted": {}, "quarantine": {}}
    if batch.has_rows:
        verdicts.refuse(connection, refused)
        written = _write(connection, batch)
    refuse_changed(batch.files.values())
    touched = touched_days(connection, batch)
    rows = _rows_per_file(connection, batch)
    made = []
    for partition in _delivered(batch):
        files = _place(batch, partition, written)
        if files.get("quarantine") or partition.refusals:
            files[kept.FOLDER] = kept.keep(batch.paths.lake, partition.files)
        days, waiting = touched.get(partition.part, ([], 0))
        made.append(_manifest(batch, partition, files, days, waiting, rows))
    named = {batch.paths.lake / f for m in made for own in m.files.values() for f in own}
    lake.make_durable(sorted(named))
    manifests.commit_all(batch.paths.lake, made)
    return made


def _write(connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[str, dict[int, list[Path]]]:
    """Write accepted, thin and quarantined rows below the batch's folder."""
    feed, folder = batch.feed, batch.folder
    connection.execute("set variable feed = $feed", {"feed": feed.name})
    connection.execute("set variable run_id = $run_id", {"run_id": batch.run_id})
    find_lines(connection, batch)
    written = {
        "quarantine": _write_quarantine(connection, batch),
        "extra": write_extras(connection, batch),
    }
    turned_away = connection.execute("select 1 from turned_away limit 1").fetchone()
    kept = "select * from staged anti join turned_away using (id)"
    connection.execute(f"create view kept as {kept if turned_away else 'select * from staged'}")
    columns = accepted_columns(feed.name)
    if feed.name != "decisions":
        written["accepted"] = lake.write_partitions(
            connection, "select * from kept", columns, folder / "accepted"
        )
        return written
    rows = {batch.partitions[key].part: verdict.rows for key, verdict in batch.verdicts.items()}
    accepted = {part: own for part, own in _spared(connection, batch).items() if part in rows}
    others = [part for part in rows if part not in accepted]
    for parts in lake.together({part: rows[part] for part in others}):
        accepted |= lake.write_partitions(
            connection, f"select * from kept where part in ({', '.join(map(str, parts))})", columns,
            folder / "accepted", parts[0] if len(parts) == 1 else None,
        )  # fmt: skip
    return {**written, "accepted": accepted, **enrichment.write(connection, batch, accepted)}


def _write_quarantine(connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[int, list[Path]]:
    # Rows are kept whole here, texts and all, so only few are held before they are written.
    connection.execute("set partitioned_write_flush_threshold = 50000")
    written = lake.write_partitions(
        connection, verdicts.quarantine_sql(batch.feed, "lines"), lake.QUARANTINE,
        batch.folder / "quarantine",
    )  # fmt: skip
    connection.execute("reset partitioned_write_flush_threshold")
    return written


def _spared(connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[int, list[Path]]:
    """Return the files of deliveries that are accepted as they were staged, by partition."""
    found = connection.execute(
        "select distinct part from staged semi join turned_away using (id)"
    ).fetchall()
    touched = {part for (part,) in found}
    return {part: files for part, files in batch.whole.items() if part not in touched}


def _rows_per_file(
    connection: duckdb.DuckDBPyConnection, batch: Batch
) -> dict[tuple[int, int], int]:
    if not batch.has_rows:
        return {}
    found = connection.execute("select part, file, count(*) from staged group by all").fetchall()
    return {(part, file): rows for part, file, rows in found}


def _delivered(batch: Batch) -> list[Partition]:
    """Return the partitions that were delivered: a source that dates its rows ends at its last."""
    return [
        partition
        for partition in batch.partitions.values()
        if any(file.day for file in partition.files)
        or not partition.files
        or partition.day <= batch.last_days.get(partition.channel, dt.date.min)
    ]


def _place(
    batch: Batch, partition: Partition, written: Mapping[str, Mapping[int, Sequence[Path]]]
) -> dict[str, list[str]]:
    """Move a partition's files to where they stay; the same intake gives the same names."""
    said = repr((
        batch.feed.name, partition.channel, partition.day, _restatements(partition),
        [file.sha256 for file in partition.files], batch.declared(partition.files),
        batch.plan_of(partition),
    ))  # fmt: skip
    token = hashlib.sha256(said.encode()).hexdigest()[:16]
    placed = {}
    for kind, files in written.items():
        own = (
            f"{kind}/{batch.feed.name}" if kind in ("accepted", "quarantine") else f"derived/{kind}"
        )
        folder = f"{own}/{partition.channel}/{partition.day}"
        placed[kind] = lake.place(batch.paths.lake, folder, token, files.get(partition.part, ()))
    return placed


def _restatements(partition: Partition) -> int:
    return partition.before.restatements + 1 if partition.before else 0


def _manifest(
    batch: Batch,
    partition: Partition,
    files: dict[str, list[str]],
    days: Sequence[dt.date],
    waiting: int,
    rows: Mapping[tuple[int, int], int],
) -> Manifest:
    verdict = batch.verdicts.get((partition.channel, partition.day), Verdict())
    before, refusal = partition.before, "; ".join(partition.refusals) or None
    # Counted where they were written: a row that is nowhere is then missed.
    accepted, quarantined = (
        lake.count_rows(batch.paths.lake, files.get(kind, ()))
        for kind in ("accepted", "quarantine")
    )
    if before is not None:
        days = sorted({*days, *before.decision_days})
        if refusal:  # what was accepted before stays what everybody reads
            own = (name for name in ("quarantine", kept.FOLDER) if name in files)
            files = {**before.files, **{name: files[name] for name in own}}
    now = dt.datetime.now(dt.UTC)
    sources = [
        SourceFile(
            path=file.name,
            sha256=file.sha256,
            bytes=file.bytes,
            rows=rows.get((partition.part, file.number), 0),
            version=file.version,
        )
        for file in partition.files
    ]
    return Manifest(
        feed=batch.feed.name,
        channel=partition.channel,
        delivery_date=partition.day,
        state="refused" if refusal else "accepted" if verdict.rows else "empty",
        rows_delivered=verdict.rows,
        rows_accepted=accepted,
        rows_quarantined=quarantined,
        restatements=_restatements(partition),
        pending_rows=waiting,
        decision_days=list(days),
        files=files,
        sources=sources,
        ledger=ledger.written(
            before.ledger if before else [],
            sources,
            refused=refusal is not None,
            seen_at=now,
            run_id=batch.run_id,
        ),
        rules=[
            *_rule_results(batch.suite, verdict),
            *set_rules.results(batch, (partition.channel, partition.day)),
        ],
        findings=batch.findings.get((partition.channel, partition.day), []),
        statistics=batch.statistics.get((partition.channel, partition.day)),
        released=batch.released.get((partition.channel, partition.day)),
        refusal=refusal,
        columns=partition.columns,
        extra_columns=partition.extra(batch.feed),
        drift=partition.drift(batch.feed),
        suite_hash=batch.declared(partition.files),
        plan_hash=batch.plan_of(partition),
        registry_hash=applied_hash(batch.paths.lake),
        committed_at=now,
        run_id=batch.run_id,
    )


def _rule_results(suite: Suite, verdict: Verdict) -> list[RuleResult]:
    return [
        RuleResult(
            rule=rule.name,
            severity=rule.severity,
            failed_rows=verdict.failed.get(rule.name, 0),
            observed=f"{verdict.failed.get(rule.name, 0)} of {verdict.rows} rows",
            passed=not verdict.failed.get(rule.name, 0),
        )
        for rule in suite.rules
    ]
