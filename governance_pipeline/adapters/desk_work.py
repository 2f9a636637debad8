"""One pass of the escalations' desk: what was found, what is due, what was sent, what came of it.

The pass of a day and the pass of five minutes are the same function: it looks at what changed
since the last one, and nothing that it does is done twice. A pass that finds nothing to do loads
no frames, no templates and no network library.
"""

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.escalating import let_time_pass, open_desk
from governance_pipeline.adapters.notify import send_due
from governance_pipeline.adapters.ops_codec import state_from_json
from governance_pipeline.adapters.ops_schema import escalations, findings, outbox
from governance_pipeline.adapters.ops_store import Batch, OpsStore
from governance_pipeline.adapters.results import deliver_results, measure_results
from governance_pipeline.adapters.writer_lock import is_being_written, writer_lock
from governance_pipeline.domain.announcing import RESULT
from governance_pipeline.domain.desk import Desk
from governance_pipeline.domain.escalation import Escalation
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import fingerprint
from governance_pipeline.domain.opening import completed
from governance_pipeline.domain.taking_in import became, take_in
from governance_pipeline.errors import LockedError, WarehouseError
from governance_pipeline.paths import Paths
from governance_pipeline.settings import Settings

READING = frozenset({"verdicts", "results"})
"""What a pass reads the warehouse for."""

TRIES = 3
"""How often an intake is decided anew because somebody acted meanwhile."""


@dataclass
class Worked:
    """What a pass did; all empty where there was nothing to do.

    `found` says how many findings became what; `waits_for` who writes to the warehouse, so that
    its verdicts are taken in by the next pass.
    """

    found: Mapping[str, int] = field(default_factory=dict)
    woken: int = 0
    measured: int = 0
    delivered: int = 0
    sent: int = 0
    failed: int = 0
    dead: int = 0
    unaddressed: int = 0
    waits_for: str | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        return self == Worked()


def run_desk(
    settings: Settings,
    now: dt.datetime,
    addresses: Mapping[str, str] | None = None,
    *,
    is_judged: bool = False,
    everything: bool = False,
) -> Worked:
    """Take in what the newest verdicts find, let time pass, send what is due.

    Args:
        settings: The home and the store.
        now: In UTC.
        addresses: Where routes lead, by the names of environment variables; the environment's.
        is_judged: Whether the verdicts are new for sure; else only a changed warehouse is read.
        everything: Whether to look at all that go on, as is due after the policy changed.

    Raises:
        RegistryError: If no register was applied yet.
        StoreError: If the store cannot be used.
        WarehouseError: If the verdicts cannot be read; all that needs none of them was done.
    """
    worked = Worked()
    broken: WarehouseError | None = None
    desk = open_desk(settings.paths)
    with OpsStore(settings.store_url) as store:
        is_new = is_judged or has_new_verdicts(settings.paths)
        if is_new or _awaits_measuring(store):
            try:
                _read_verdicts(worked, store, desk, settings.paths, now, is_new=is_new)
            except LockedError as error:
                worked.waits_for = str(error)
            except WarehouseError as error:
                broken = error
        passed = let_time_pass(store, desk, now, announce, everything=everything)
        worked.woken = passed.changed
        where = os.environ if addresses is None else addresses
        sent = send_due(store, desk, now, where, settings.ui_url)
        worked.sent, worked.failed = sent.sent, sent.failed
        worked.dead, worked.unaddressed = sent.dead, sent.unaddressed
        worked.delivered = deliver_results(store, desk, now)
    if broken is not None:
        raise broken
    return worked


def _read_verdicts(
    worked: Worked, store: OpsStore, desk: Desk, paths: Paths, now: dt.datetime, *, is_new: bool
) -> None:
    """Do what needs the warehouse, while nobody may begin to write to it."""
    with writer_lock(paths, "the escalations' pass", wait_seconds=0.0):
        if is_new:
            worked.found = take_in_verdicts(store, desk, paths, now)
        worked.measured = measure_results(store, desk, paths, now, is_judged=is_new)


def whats_due(settings: Settings, now: dt.datetime) -> list[str]:
    """Return what a pass would have to do now, nothing if it would do nothing.

    Raises:
        StoreError: If the store cannot be used.
    """
    asked = {
        "clocks": sa.select(escalations.c.escalation_id).where(escalations.c.wake_at <= now),
        "messages": sa.select(outbox.c.message_id).where(
            outbox.c.state == "pending", outbox.c.next_attempt_at <= now
        ),
        "results": sa.select(escalations.c.escalation_id).where(
            escalations.c.status == "RESULT_READY",
            # A result that waits for its receipts has had its messages already.
            ~sa.exists().where(
                outbox.c.escalation_id == escalations.c.escalation_id,
                outbox.c.kind == RESULT,
                outbox.c.created_at >= escalations.c.updated_at,
            ),
        ),
    }
    due = ["verdicts"] if has_new_verdicts(settings.paths) else []
    with OpsStore(settings.store_url) as store, store.engine.connect() as connection:
        due += [
            name
            for name, query in asked.items()
            if connection.execute(query.limit(1)).first() is not None
        ]
    # What must read the verdicts waits for who writes them; clocks and messages wait for nobody.
    if READING.isdisjoint(due) or not is_being_written(settings.paths):
        return due
    return [name for name in due if name not in READING]


def has_new_verdicts(paths: Paths) -> bool:
    """Return whether the warehouse was written to since its verdicts were last taken in."""
    return _written(paths) not in ("", _read(paths))


def take_in_verdicts(
    store: OpsStore, desk: Desk, paths: Paths, now: dt.datetime
) -> Mapping[str, int]:
    """Take in what the warehouse's verdicts find, and return how many findings became what.

    Raises:
        WarehouseError: If nothing was judged yet.
        LockedError: If another process writes to the warehouse.
    """
    from governance_pipeline.adapters.findings import read_findings

    written = _written(paths)
    found, asked = read_findings(paths.warehouse, now, desk.duty)
    taken = take_in_findings(store, desk, found, asked, now)
    note_verdicts(paths, written)
    return taken


def take_in_findings(
    store: OpsStore,
    desk: Desk,
    found: Sequence[Finding],
    sources: Set[str],
    now: dt.datetime,
) -> Mapping[str, int]:
    """Make of findings what they are, and clear what some sources no longer find."""
    taken: Mapping[str, int] = {}
    for _ in range(TRIES):
        prints = [fingerprint(completed(finding, desk)) for finding in found]
        known = {state.escalation_id: state for state in _known(store, prints, sources)}
        decided = take_in(found, known.values(), sources, desk, now)
        batches = [
            Batch(name, change.before, change.events, announce(change.after, change.events, desk))
            for name, change in decided.changes.items()
        ]
        taken = taken or became(decided)
        _, late = store.append_all(batches)
        if not late:
            break
    return taken


def note_verdicts(paths: Paths, written: str | None = None) -> None:
    """Note that the verdicts of the warehouse as it is, or as it was then, were taken in."""
    fresh = _note(paths).with_suffix(".next")
    fresh.write_text(_written(paths) if written is None else written)
    fresh.replace(_note(paths))


def _known(store: OpsStore, prints: Sequence[str], sources: Set[str]) -> Iterable[Escalation]:
    yield from store.open_states()
    yield from store.with_fingerprints(prints)
    lingering = (
        sa.select(escalations.c.state)
        .join(findings, findings.c.escalation_id == escalations.c.escalation_id)
        .where(
            escalations.c.status == "CLOSED",
            findings.c.cleared_on.is_(None),
            findings.c.source.in_(sorted(sources)),
        )
        .distinct()
    )
    with store.engine.connect() as connection:
        yield from map(state_from_json, list(connection.scalars(lingering)))


def _awaits_measuring(store: OpsStore) -> bool:
    """Return whether a result was handed in that was not measured yet."""
    unmeasured = sa.select(escalations.c.escalation_id).where(
        escalations.c.status == "RESULT_READY", escalations.c.verdict.is_(None)
    )
    with store.engine.connect() as connection:
        return connection.execute(unmeasured.limit(1)).first() is not None


def _note(paths: Paths) -> Any:
    return paths.root / "verdicts-taken-in"


def _read(paths: Paths) -> str:
    return _note(paths).read_text() if _note(paths).exists() else ""


def _written(paths: Paths) -> str:
    return str(paths.warehouse.stat().st_mtime_ns) if paths.warehouse.exists() else ""
