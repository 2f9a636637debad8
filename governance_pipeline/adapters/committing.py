"""Writing the partitions of an intake and committing them, manifest by manifest."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from governance_pipeline.adapters import enrichment, lake, manifests, set_rules, verdicts
from governance_pipeline.adapters.batch import Batch, Partition
from governance_pipeline.adapters.manifests import Manifest, RuleResult, SourceFile
from governance_pipeline.adapters.matching import touched_days
from governance_pipeline.adapters.registry_store import applied_hash
from governance_pipeline.adapters.sql import literal
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.adapters.verdicts import Verdict
from governance_pipeline.feeds import accepted_columns

# The thin tables, written in the same commit, and which accepted rows they hold.
THIN_ROWS = {"sampled_decisions": "is_sampled", "actioned_decisions": "is_fired"}


def commit_partitions(connection: duckdb.DuckDBPyConnection, batch: Batch) -> list[Manifest]:
    """Write every table of the staged partitions and commit their manifests."""
    for key, partition in batch.partitions.items():
        verdict = batch.verdicts.get(key, Verdict())
        if not partition.refusals and batch.suite.is_too_bad(verdict.bad_rows, verdict.rows):
            partition.refusals.append(
                f"{verdict.bad_rows} of {verdict.rows} rows break critical rules, more than"
                f" {batch.suite.max_bad_share:.0%}; mend the file and deliver it again"
            )
    refused = {key for key, partition in batch.partitions.items() if partition.refusals}
    verdicts.refuse(connection, refused)
    connection.execute(
        "create view kept as select s.rowid as id, s.*, w.part, w.plan_hash from staged s"
        " join wanted w using (delivery_channel, delivery_date)"
        " anti join turned_away t on t.id = s.rowid"
    )
    written = _write(connection, batch)
    touched = touched_days(connection, batch.feed, batch.paths.lake)
    rows = _rows_per_file(connection)
    quarantined = dict(
        connection.execute(
            "select part, count(*) from staged s join turned_away on id = s.rowid"
            " join wanted using (delivery_channel, delivery_date) group by part"
        ).fetchall()
    )
    made = []
    for partition in _delivered(connection, batch):
        files = _place(batch, partition, written)
        days, waiting = touched.get(partition.part, ([], 0))
        made.append(
            _manifest(
                batch, partition, files, quarantined.get(partition.part, 0), days, waiting, rows
            )
        )
    named = {batch.paths.lake / f for m in made for own in m.files.values() for f in own}
    lake.make_durable(sorted(named))
    manifests.commit_all(batch.paths.lake, made)
    return made


def _write(connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[str, dict[int, list[Path]]]:
    """Write accepted, thin and quarantined rows below the batch's folder."""
    feed, folder = batch.feed, batch.folder
    is_decisions = feed.name == "decisions"
    accepted = "select * from kept"
    if is_decisions:
        enrichment.prepare(connection, batch)
        accepted = enrichment.ACCEPTED
    written = {
        "accepted": lake.write_partitions(
            connection, accepted, accepted_columns(feed.name), folder / "accepted"
        )
    }
    if is_decisions and written["accepted"]:
        connection.execute(
            "create view accepted as select a.* exclude (part), w.part,"
            " coalesce(n.plan_hash, w.plan_hash) as plan_hash,"
            " a.audit_probability as inclusion_probability from"
            f" read_parquet({literal(f'{folder}/accepted/*/*.parquet')},"
            " hive_partitioning = true) a"
            " join wanted w on w.part = a.part"
            " left join plan_days n on n.decision_date = a.decision_date"
        )
        for table, condition in THIN_ROWS.items():
            query = f"select * from accepted where {condition}"
            written[table] = lake.write_partitions(
                connection, query, accepted_columns(table), folder / table
            )
    connection.execute("set variable feed = $feed", {"feed": feed.name})
    connection.execute("set variable run_id = $run_id", {"run_id": batch.run_id})
    written["quarantine"] = lake.write_partitions(
        connection, verdicts.quarantine_sql(feed), lake.QUARANTINE, folder / "quarantine"
    )
    return written


def _rows_per_file(connection: duckdb.DuckDBPyConnection) -> dict[tuple[int, int], int]:
    found = connection.execute(
        "select part, file, count(*) from staged join wanted"
        " using (delivery_channel, delivery_date) group by part, file"
    ).fetchall()
    return {(part, file): rows for part, file, rows in found}


def _delivered(connection: duckdb.DuckDBPyConnection, batch: Batch) -> list[Partition]:
    """Return the partitions that were delivered: a source that dates its rows ends at its last."""
    last_days = dict(
        connection.execute(
            "select delivery_channel, max(delivery_date) from staged group by all"
        ).fetchall()
    )
    return [
        partition
        for partition in batch.partitions.values()
        if any(file.day for file in partition.files)
        or not partition.files
        or partition.day <= last_days.get(partition.channel, dt.date.min)
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
    quarantined: int,
    days: Sequence[dt.date],
    waiting: int,
    rows: Mapping[tuple[int, int], int],
) -> Manifest:
    verdict = batch.verdicts.get((partition.channel, partition.day), Verdict())
    before, refusal = partition.before, "; ".join(partition.refusals) or None
    if before is not None:
        days = sorted({*days, *before.decision_days})
        if refusal:  # what was accepted before stays what everybody reads
            files = {**before.files, "quarantine": files["quarantine"]}
    known = list(batch.feed.columns)
    extra = {c for f in partition.files if f.source is None for c in batch.files[f.number].columns}
    return Manifest(
        feed=batch.feed.name,
        channel=partition.channel,
        delivery_date=partition.day,
        state="refused" if refusal else "accepted" if verdict.rows else "empty",
        rows_delivered=verdict.rows,
        rows_accepted=verdict.rows - quarantined,
        rows_quarantined=quarantined,
        restatements=_restatements(partition),
        pending_rows=waiting,
        decision_days=list(days),
        files=files,
        sources=[
            SourceFile(
                path=file.name,
                sha256=file.sha256,
                bytes=file.bytes,
                rows=rows.get((partition.part, file.number), 0),
            )
            for file in partition.files
        ],
        rules=[
            *_rule_results(batch.suite, verdict),
            *set_rules.results(batch, (partition.channel, partition.day)),
        ],
        findings=batch.findings.get((partition.channel, partition.day), []),
        statistics=batch.statistics.get((partition.channel, partition.day)),
        released=batch.released.get((partition.channel, partition.day)),
        refusal=refusal,
        extra_columns=sorted(name for name in extra if name.lower() not in known),
        suite_hash=batch.declared(partition.files),
        plan_hash=batch.plan_of(partition),
        registry_hash=applied_hash(batch.paths.lake),
        committed_at=dt.datetime.now(dt.UTC),
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
