"""Rules on whole deliveries: judged by the validation beside the rows, each delivery by itself."""

from collections.abc import Mapping

import duckdb

from governance_pipeline.adapters import facts
from governance_pipeline.adapters.batch import Batch
from governance_pipeline.adapters.manifests import Finding, RuleResult
from governance_pipeline.adapters.suites import Rule
from governance_pipeline.adapters.verdicts import Key, Verdict
from governance_pipeline.errors import ExpectationFileError

MOST_SAID = 5  # findings of one rule that a sentence names


def observe(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Write what is to be said of the deliveries of a batch, and note in it what rules find."""
    judged = [key for key in batch.partitions if _is_whole(batch, key)]
    if not batch.suite.set_rules or not judged:
        return
    _keep_releases(batch)
    facts.gather(connection, batch, judged)
    for rule in batch.suite.set_rules:
        found = connection.execute(
            f"select * from facts where {rule.broken} order by rows desc, subject"
        )
        names = [name for name, *_ in found.description or []]
        for row in found.fetchall():
            fact = dict(zip(names, row, strict=True))
            key = (fact["channel"], fact["delivery_date"])
            batch.findings.setdefault(key, []).append(
                Finding(
                    rule=rule.name,
                    severity=rule.severity,
                    subject=fact["subject"],
                    rows=fact["rows"],
                    observed=facts.sentence(fact),
                )
            )


def judge(batch: Batch, validated: Mapping[str, int]) -> None:
    """Confirm by the validation what was found, and refuse what breaks a critical rule.

    Args:
        batch: What was observed of.
        validated: How many facts break each rule, by the validation.

    Raises:
        ExpectationFileError: If a rule means other facts here than in the validation.
    """
    if not batch.statistics:
        return
    every = [finding for findings in batch.findings.values() for finding in findings]
    for rule in batch.suite.set_rules:
        ours, theirs = sum(f.rule == rule.name for f in every), validated[rule.name]
        if ours != theirs:
            raise ExpectationFileError(
                f"{batch.suite.name}.yaml: {rule.name} fails for {theirs} facts in the validation"
                f" and for {ours} in its SQL; write it so that both mean the same"
            )
    for rule in batch.suite.set_rules:
        if rule.severity == "critical":
            _refuse(batch, rule)


def results(batch: Batch, key: Key) -> list[RuleResult]:
    """Return how each rule on whole deliveries came out for one of them."""
    statistics = batch.statistics.get(key)
    if statistics is None:
        return []
    made = []
    for rule in batch.suite.set_rules:
        found = [finding for finding in batch.findings.get(key, []) if finding.rule == rule.name]
        failed = sum(finding.rows for finding in found) if rule.severity == "finding" else 0
        more = f"; and {len(found) - MOST_SAID} more" if len(found) > MOST_SAID else ""
        made.append(
            RuleResult(
                rule=rule.name,
                severity=rule.severity,
                failed_rows=failed,
                observed="; ".join(f.observed for f in found[:MOST_SAID]) + more
                or f"of {statistics.rows:,} rows",
                passed=not found,
            )
        )
    return made


def _keep_releases(batch: Batch) -> None:
    """See to it that a release holds as long as the files are those that were released."""
    for key, partition in batch.partitions.items():
        before = partition.before
        if before is None or before.released is None:
            continue
        if {file.sha256 for file in partition.files} == {file.sha256 for file in before.sources}:
            batch.released.setdefault(key, before.released)


def _is_whole(batch: Batch, key: Key) -> bool:
    """Return whether a delivery can be judged as one: dated, readable, and not refused already."""
    partition, verdict = batch.partitions[key], batch.verdicts.get(key, Verdict())
    is_dated = any(file.day for file in partition.files) or not partition.files
    is_refused = partition.refusals or batch.suite.is_too_bad(verdict.bad_rows, verdict.rows)
    return is_dated and not is_refused


def _refuse(batch: Batch, rule: Rule) -> None:
    for key, findings in batch.findings.items():
        released = batch.released.get(key)
        if released is not None and rule.name in released.rules:
            continue
        said = "; ".join(f.observed for f in findings if f.rule == rule.name)
        if said:
            batch.partitions[key].refusals.append(f"{rule.name}: {said}. {rule.remedy}")
