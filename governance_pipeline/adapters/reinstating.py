"""The restricted export: whom an audit found to be restricted wrongly, by their real ids.

Published evidence names nobody. This file does, so that traffic can be given back; who made one is
logged before it is written.
"""

import csv
import datetime as dt
import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import duckdb

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.backtests import strategy_row
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths

COLUMNS = (
    "decision_id", "channel", "decided_on", "action", "item_id", "seller_id", "verdict_source",
    "appeal_outcome",
)  # fmt: skip
WRONGED = """
with appealed as (
    select channel, decision_id, decision_date, max(outcome) as appeal_outcome
    from int_appeals_matched group by channel, decision_id, decision_date
)
select u.decision_id, u.channel, u.decision_date as decided_on, u.action, u.item_id, u.seller_id,
    v.verdict_source, a.appeal_outcome
from int_sampled_units u
join int_audit_draws d on d.channel = u.channel and d.decision_id = u.decision_id
    and d.decision_date = u.decision_date
join int_labels_adjudicated v on v.channel = u.channel and v.decision_id = u.decision_id
    and v.decision_date = u.decision_date
left join appealed a on a.channel = u.channel and a.decision_id = u.decision_id
    and a.decision_date = u.decision_date
where u.strategy_id = $strategy and u.environment = 'live' and u.is_fired
    and u.action not in ('none', 'boost') and d.verdict = 'should_not_fire'
order by u.decision_date, u.channel, u.decision_id
"""
# A spreadsheet runs a cell that begins so.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Export:
    """One file of real ids, as it is logged."""

    at: str
    actor: str
    strategy_id: str
    rows: int
    sha256: str
    file: str
    reason: str | None


def export_wronged(
    paths: Paths,
    strategy_id: str,
    target: Path,
    *,
    actor: str,
    reason: str | None,
    now: dt.datetime,
) -> Export:
    """Write the audited false positives of a restrictive strategy to a file only its owner reads.

    Raises:
        InputError: If the strategy is none or boosts, nobody was found wronged, or `target` exists,
            lies in the published folder or cannot be written.
        WarehouseError: If the marts were never built.
    """
    known = strategy_row(paths, strategy_id)
    if known["polarity"] != "restrictive":
        raise InputError(
            f"{strategy_id} boosts: what it fired on wrongly was given traffic, nobody is to be"
            " reinstated"
        )
    _check_target(paths, target)
    found = _wronged(paths, strategy_id)
    if not found:
        raise InputError(f"no audit of {strategy_id} found anybody restricted wrongly yet")
    content = as_csv(found)
    made = Export(
        at=now.isoformat(timespec="seconds"),
        actor=actor,
        strategy_id=strategy_id,
        rows=len(found),
        sha256=hashlib.sha256(content).hexdigest(),
        file=str(target.resolve()),
        reason=reason,
    )
    _write(paths, target, content, made)
    return made


def as_csv(rows: list[tuple[object, ...]]) -> bytes:
    r"""Return rows as CSV that no spreadsheet takes for formulas.

    >>> as_csv([("=1+1", "lives")]).splitlines()[1]
    b"'=1+1,lives"
    """
    text = io.StringIO()
    # Both ends of line, so that a value with either is quoted and begins no row of its own.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([[_harmless(value) for value in row] for row in rows])
    return text.getvalue().encode()


def _harmless(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _wronged(paths: Paths, strategy_id: str) -> list[tuple[object, ...]]:
    with warehouse.connect(paths.warehouse, read_only=True) as connection:
        try:
            return connection.execute(WRONGED, {"strategy": strategy_id}).fetchall()
        except duckdb.CatalogException as error:
            said = str(error).splitlines()[0]
            raise InputError(f"{said}; `governance run` builds what is missing") from error


def _check_target(paths: Paths, target: Path) -> None:
    if target.resolve().is_relative_to(paths.published.resolve()):
        raise InputError(
            f"{target} is in the published folder, where everybody reads; choose another"
        )
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} exists and is not overwritten; choose another name")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is no folder; make it first")


def _write(paths: Paths, target: Path, content: bytes, made: Export) -> None:
    """Take the name, log, then write: no content ever lies there unlogged."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            _log(paths, made)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _log(paths: Paths, made: Export) -> None:
    descriptor = os.open(paths.reinstatements, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(json.dumps(made.__dict__).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
