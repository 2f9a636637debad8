"""The ledger: every file that ever came, by its bytes, and what became of it.

The entries of a partition are part of its manifest, so the rename that commits the partition also
commits them; nothing is ever taken out.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["accepted", "restated", "unchanged", "refused", "superseded", "empty"]
COUNTED = ("accepted", "restated")
HELD_ONCE = (*COUNTED, "empty", "superseded")


class SourceFile(BaseModel):
    """One delivered file, by its bytes; `version` is its store's own name for them."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    bytes: int
    rows: int = 0
    version: str | None = None


class LedgerEntry(SourceFile):
    """A file that came once, when it was first seen, and what became of it by which run."""

    outcome: Outcome
    seen_at: dt.datetime
    run_id: str


def written(
    before: Sequence[LedgerEntry],
    files: Sequence[SourceFile],
    *,
    refused: bool,
    seen_at: dt.datetime,
    run_id: str,
) -> list[LedgerEntry]:
    """Return a partition's entries after a delivery, in the order in which the files first came.

    Args:
        before: Its entries so far.
        files: What is delivered now.
        refused: Whether the delivery is turned away, so that what was accepted before still holds.
        seen_at: Now, UTC.
        run_id: Who takes it in.
    """
    known = {(entry.path, entry.sha256): entry for entry in before}
    is_restated = any(entry.outcome in HELD_ONCE for entry in before)
    now, met = {}, set[str]()
    for file in files:
        entry = known.get((file.path, file.sha256))
        outcome = _outcome(file, entry, refused, file.sha256 in met, is_restated)
        met.add(file.sha256)
        if entry is not None and entry.outcome == outcome:
            now[file.path, file.sha256] = entry
        else:
            first = entry.seen_at if entry else seen_at
            now[file.path, file.sha256] = LedgerEntry(
                **file.model_dump(), outcome=outcome, seen_at=first, run_id=run_id
            )
    gone = {
        key: entry
        if refused or entry.outcome in ("refused", "superseded")
        else entry.model_copy(update={"outcome": "superseded", "run_id": run_id})
        for key, entry in known.items()
        if key not in now
    }
    return [{**gone, **now}[key] for key in [*known, *(key for key in now if key not in known)]]


def noted(
    before: Sequence[LedgerEntry],
    files: Sequence[SourceFile],
    *,
    seen_at: dt.datetime,
    run_id: str,
) -> list[LedgerEntry]:
    """Return a partition's entries after bytes came again that were taken in under another name."""
    known = {(entry.path, entry.sha256) for entry in before}
    return [
        *before,
        *(
            LedgerEntry(**file.model_dump(), outcome="unchanged", seen_at=seen_at, run_id=run_id)
            for file in files
            if (file.path, file.sha256) not in known
        ),
    ]


def _outcome(
    file: SourceFile,
    entry: LedgerEntry | None,
    refused: bool,
    is_repeated: bool,
    is_restated: bool,
) -> Outcome:
    if entry is not None and entry.outcome in COUNTED:
        return entry.outcome
    if refused:
        return "refused"
    if is_repeated:
        return "unchanged"
    if not file.rows:
        return "empty"
    return "restated" if is_restated else "accepted"
