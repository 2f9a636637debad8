"""A delivery's manifest: the file whose rename is its commit, and the only list of its files."""

import datetime as dt
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from governance_pipeline.adapters.lake import make_durable
from governance_pipeline.adapters.ledger import LedgerEntry, SourceFile
from governance_pipeline.feeds import CLOCKS_DIFFER, THIN

State = Literal["accepted", "empty", "refused"]
Severity = Literal["critical", "warning", "finding"]


class RuleResult(BaseModel):
    """How one rule of the suite came out for one delivery."""

    model_config = ConfigDict(frozen=True)

    rule: str
    severity: Severity
    failed_rows: int
    observed: str
    passed: bool


class Finding(BaseModel):
    """What a rule on whole deliveries found: about what, in how many rows, in words."""

    model_config = ConfigDict(frozen=True)

    rule: str
    severity: Severity
    subject: str
    rows: int
    observed: str


class Statistics(BaseModel):
    """What was counted of the good rows of a delivery: nulls by column, rows by value."""

    model_config = ConfigDict(frozen=True)

    rows: int
    nulls: dict[str, int] = {}
    values: dict[str, dict[str, int]] = {}


class Release(BaseModel):
    """Who let a delivery in although rules on whole deliveries refuse it, and why."""

    model_config = ConfigDict(frozen=True)

    rules: list[str]
    reason: str
    released_at: dt.datetime


class Manifest(BaseModel):
    """What became of one delivery of one feed, channel and delivery date."""

    model_config = ConfigDict(frozen=True)

    feed: str
    channel: str
    delivery_date: dt.date
    state: State
    rows_delivered: int
    rows_accepted: int
    rows_quarantined: int
    restatements: int = 0
    pending_rows: int = 0
    decision_days: list[dt.date] = []
    files: dict[str, list[str]] = {}
    sources: list[SourceFile] = []
    ledger: list[LedgerEntry] = []
    rules: list[RuleResult] = []
    findings: list[Finding] = []
    statistics: Statistics | None = None
    released: Release | None = None
    refusal: str | None = None
    columns: dict[str, str] = {}
    extra_columns: list[str] = []
    drift: list[str] = []
    suite_hash: str
    plan_hash: str | None = None
    registry_hash: str | None = None
    committed_at: dt.datetime
    run_id: str

    @property
    def token(self) -> str:
        """What the marts were built from: the listed files and the days, not when."""
        said = repr((self.state, sorted(self.files.items()), self.decision_days, self.refusal))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def told(self) -> str:
        """What became of every file: bytes that came again touch no day, yet are told of."""
        said = repr([(entry.path, entry.sha256, entry.outcome) for entry in self.ledger])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def key(self) -> "Key":
        """What names it among the manifests of a lake."""
        return self.feed, self.channel, self.delivery_date.isoformat()


class Glance(BaseModel):
    """What a later delivery asks of an earlier one; it is read at a tenth of the whole's cost."""

    model_config = ConfigDict(frozen=True)

    channel: str
    delivery_date: dt.date
    decision_days: list[dt.date] = []
    files: dict[str, list[str]] = {}
    statistics: Statistics | None = None
    released: Release | None = None


class Delivered(Protocol):
    """What a build asks of a delivery: a manifest answers it, and so does its entry in a note."""

    @property
    def feed(self) -> str: ...  # noqa: D102
    @property
    def channel(self) -> str: ...  # noqa: D102
    @property
    def delivery_date(self) -> dt.date: ...  # noqa: D102
    @property
    def decision_days(self) -> list[dt.date]: ...  # noqa: D102
    @property
    def files(self) -> dict[str, list[str]]: ...  # noqa: D102
    @property
    def pending_rows(self) -> int: ...  # noqa: D102
    @property
    def token(self) -> str: ...  # noqa: D102
    @property
    def told(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Entry:
    """What a note keeps of a manifest, so that one that stayed as it is need not be read."""

    feed: str
    channel: str
    delivery_date: dt.date
    decision_days: list[dt.date]
    files: dict[str, list[str]]
    pending_rows: int
    token: str
    told: str


Key = tuple[str, str, str]
"""Feed, channel and delivery date as it is written."""
Stamp = tuple[int, int]
"""When a file was written, in ns, and its bytes: what was committed anew has another stamp."""


def commit(lake: Path, manifest: Manifest) -> None:
    """Put a manifest in its place; readers see the state before it or after it."""
    commit_all(lake, [manifest])


def commit_all(lake: Path, made: Sequence[Manifest]) -> None:
    """Put manifests in their places, each by one rename after all are on the disk."""
    renames = []
    for manifest in made:
        target = _path(lake, manifest.feed, manifest.channel, manifest.delivery_date)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        fresh.write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        renames.append((fresh, target))
    make_durable([fresh for fresh, _ in renames])
    for fresh, target in renames:
        fresh.replace(target)


def read(lake: Path, feed: str, channel: str, day: dt.date) -> Manifest | None:
    """Return the manifest of one delivery, or None if it never came."""
    said = _bytes(lake, feed, channel, day)
    return None if said is None else Manifest.model_validate_json(said)


def glance(lake: Path, feed: str, channel: str, day: dt.date) -> Glance | None:
    """Return what a later delivery asks of one, or None if it never came."""
    said = _bytes(lake, feed, channel, day)
    return None if said is None else Glance.model_validate_json(said)


def stamps(lake: Path, feed: str | None = None) -> dict[Key, Stamp]:
    """Return every manifest, or every one of a feed, with its stamp, by feed, channel and date."""
    found = []
    root = lake / "manifests"
    for path in _folders([str(root / feed)] if feed else _folders([str(root)])):
        feed, channel = Path(path).parts[-2:]
        with os.scandir(path) as files:
            for file in files:
                if file.name[0].isdigit() and file.name.endswith(".json"):
                    said = file.stat()
                    key = (feed, channel, file.name.removesuffix(".json"))
                    found.append((key, (said.st_mtime_ns, said.st_size)))
    return dict(sorted(found))


def keys(lake: Path, feed: str) -> list[tuple[str, str, dt.date]]:
    """Return feed, channel and delivery date of a feed's manifests, without reading them."""
    return [(feed, channel, dt.date.fromisoformat(date)) for _, channel, date in stamps(lake, feed)]


def _folders(parents: Iterable[str]) -> list[str]:
    return [
        entry.path
        for parent in parents
        if Path(parent).is_dir()
        for entry in os.scandir(parent)
        if entry.is_dir()
    ]


def read_all(lake: Path) -> list[Manifest]:
    """Return every manifest, ordered by feed, channel and delivery date."""
    return [
        Manifest.model_validate_json(path.read_bytes())
        for path in sorted((lake / "manifests").glob("*/*/[0-9]*.json"))
    ]


def read_feed(lake: Path, feed: str) -> list[Manifest]:
    """Return the manifests of one feed, ordered by channel and delivery date."""
    return [
        Manifest.model_validate_json(path.read_bytes())
        for path in sorted((lake / "manifests" / feed).glob("*/[0-9]*.json"))
    ]


def read_before(lake: Path, feed: str, channel: str, day: dt.date) -> Iterator[Manifest]:
    """Return the manifests of one channel's deliveries before a day, the latest first."""
    folder = lake / "manifests" / feed / channel
    for path in sorted(folder.glob("[0-9]*.json"), reverse=True):
        if path.stem < day.isoformat():
            yield Manifest.model_validate_json(path.read_bytes())


def files_of(
    lake: Path, found: Iterable[Delivered], table: str, days: set[dt.date] | None = None
) -> list[Path]:
    """Return the listed files of a table: a feed, `quarantine`, or a thin one.

    Args:
        lake: The lake that the manifests' paths are relative to.
        found: All manifests.
        table: A feed's name or a thin table's.
        days: Only deliveries that touched one of these decision days; all if None.
    """
    feed, kind = ("decisions", table) if table in THIN else (table, "accepted")
    return [
        lake / name
        for manifest in found
        if manifest.feed == feed and (days is None or days.intersection(manifest.decision_days))
        for name in manifest.files.get(kind, [])
    ]


def speaking_of(found: Iterable[Delivered], days: set[dt.date]) -> list[Delivered]:
    """Return the deliveries of labels and appeals that may speak of decisions of these days.

    What is said is of a day on or before its delivery, and of decisions of then or before: what
    came before the first day says nothing of them, by clocks and zones that may differ each time.
    """
    if not days:
        return []
    first = min(days) - 2 * CLOCKS_DIFFER
    return [manifest for manifest in found if manifest.delivery_date >= first]


def contested(found: Sequence[Delivered], days: set[dt.date]) -> list[Delivered]:
    """Return the deliveries of decisions that share one of these days with another delivery.

    Only their rows can be repeated or corrected by another delivery, so only they are compared.
    """
    touched = Counter(
        (manifest.channel, day)
        for manifest in found
        if manifest.feed == "decisions" and manifest.files.get("accepted")
        for day in manifest.decision_days
        if day in days
    )
    return [
        manifest
        for manifest in found
        if manifest.feed == "decisions"
        and any(touched[manifest.channel, day] > 1 for day in manifest.decision_days)
    ]


def _bytes(lake: Path, feed: str, channel: str, day: dt.date) -> bytes | None:
    try:
        return _path(lake, feed, channel, day).read_bytes()
    except FileNotFoundError:
        return None


def _path(lake: Path, feed: str, channel: str, day: dt.date) -> Path:
    return lake / "manifests" / feed / channel / f"{day}.json"
