"""One range of one feed on its way through intake: its deliveries, files and verdicts."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from governance_pipeline.adapters.drift import Earlier, difference, earlier
from governance_pipeline.adapters.manifests import Finding, Manifest, Release, Statistics
from governance_pipeline.adapters.reading import DeliveredFile
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.adapters.verdicts import Key, Verdict
from governance_pipeline.feeds import Feed
from governance_pipeline.paths import Paths


@dataclass
class Partition:
    """One delivery on its way; `part` is its number within the intake, `earlier` what came before.

    `columns` are those of its files, with their types, where no mapping answers for them.
    """

    part: int
    channel: str
    day: dt.date
    files: Sequence[DeliveredFile]
    before: Manifest | None
    refusals: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    earlier: Earlier | None = None

    def extra(self, feed: Feed) -> list[str]:
        """Return the delivered columns that the feed does not know."""
        return sorted(name for name in self.columns if name not in feed.columns)

    def drift(self, feed: Feed) -> list[str]:
        """Say which columns are new since the delivery before, and which are gone."""
        had = self.earlier.columns if self.earlier else {}
        new = [name for name in self.extra(feed) if name not in had]
        gone = [name for name in had if name not in self.columns] if self.columns else []
        return [f"{name} is new" for name in new] + [f"{name} is gone" for name in gone]


@dataclass
class Batch:
    """One range of one feed on its way.

    `whole` has the staged files that hold one delivery's rows and no other's, by partition;
    deliveries in `mixed` share theirs. Of the files in `without_lines` rows were read without the
    text that they were delivered as. `last_days` says where sources that date their rows end.
    """

    feed: Feed
    suite: Suite
    paths: Paths
    folder: Path
    run_id: str
    partitions: dict[Key, Partition] = field(default_factory=dict)
    files: dict[int, DeliveredFile] = field(default_factory=dict)
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    statistics: dict[Key, Statistics] = field(default_factory=dict)
    findings: dict[Key, list[Finding]] = field(default_factory=dict)
    released: dict[Key, Release] = field(default_factory=dict)
    current_plan: str | None = None
    has_rows: bool = False
    whole: dict[int, list[Path]] = field(default_factory=dict)
    mixed: set[int] = field(default_factory=set)
    without_lines: set[int] = field(default_factory=set)
    last_days: dict[str, dt.date] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """Where rows are staged."""
        return self.folder / "stage.duckdb"

    def plan_of(self, partition: Partition) -> str | None:
        """Return the plan a partition is drawn by: the one of its first intake."""
        return (partition.before and partition.before.plan_hash) or self.current_plan

    def declared(self, files: Sequence[DeliveredFile]) -> str:
        """Return the hash of all that decides what becomes of files: the suite and the mapping."""
        sources = sorted({f.source.model_dump_json() for f in files if f.source is not None})
        if not sources:
            return self.suite.suite_hash
        return hashlib.sha256("\n".join([self.suite.suite_hash, *sources]).encode()).hexdigest()

    def part_of(self, file: DeliveredFile) -> int | None:
        """Return the number of a file's partition, or None if its rows date themselves."""
        return None if file.day is None else self.partitions[file.channel, file.day].part

    def to_read(self) -> list[DeliveredFile]:
        """Return the files to read: of files that are alike within a delivery only the first."""
        seen: set[tuple[str, dt.date | None, str]] = set()
        chosen = []
        for file in self.files.values():
            identity = (file.channel, file.day, file.sha256)
            if identity not in seen:
                seen.add(identity)
                chosen.append(file)
        return chosen

    def note_problems(self, unreadable: Mapping[int, str]) -> None:
        """Refuse the deliveries of files that cannot be read or lack a column."""
        last: dict[str, Earlier] = {}
        for (channel, day), partition in sorted(self.partitions.items()):
            files = [self.files[file.number] for file in partition.files]
            for file in files:
                if file.source is None or file.source.mapping is None:
                    partition.columns |= file.kinds
            if partition.columns:
                before = last.get(channel) or earlier(self.paths.lake, self.feed.name, channel, day)
                partition.earlier = before
            for file in files:
                problem = (
                    file.problem
                    or unreadable.get(file.number)
                    or difference(file, self.feed, self.suite.required, partition.earlier)
                )
                if problem:
                    partition.refusals.append(f"{Path(file.name).name} {problem}")
            if partition.columns and not partition.refusals:
                last[channel] = Earlier(day, partition.columns)
