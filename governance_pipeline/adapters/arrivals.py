"""What arrived: deliveries of the landing folders that are new or changed, once they are complete.

A file is complete when two looks find it alike: one renamed into place is so at once, one being
written grows. A folder without files says nothing yet; the daily run takes it for a delivery of
nothing.
"""

import datetime as dt
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.landing import UNFINISHED
from governance_pipeline.feeds import CHANNELS, FEEDS

CLOCKS_DIFFER_NS = 600 * 10**9  # a file server's clock may be behind ours by so much


class Looked(BaseModel):
    """What one look knew: the deliveries that must be found alike, and those handed over."""

    model_config = ConfigDict(frozen=True)

    since: int = 0
    waiting: dict[str, str] = {}
    handed_over: dict[str, str] = {}


def look(
    lake: Path, landing: Path, before: Looked, now_ns: int, dates: Collection[str]
) -> tuple[Looked, dict[str, dict[str, str]]]:
    """Return what this look knows, and the complete deliveries: date, then asset, then state.

    An asset is `<channel>/decisions`, or another feed by its name. The first look of all takes for
    handed over what was committed after its files had changed last.

    Args:
        lake: The lake, for the first look only.
        landing: The landing folders.
        before: What the look before knew.
        now_ns: When this look begins, in nanoseconds since 1970.
        dates: Dates that a run can be started for; others wait until they are.
    """
    changed = _changed(landing, before.since)
    states = {name: _state(landing, name) for name in changed | before.waiting.keys()}
    known = {name: state for name, state in before.handed_over.items() if name in changed}
    if not before.since:
        known |= {n: s for n, s in states.items() if s and _is_committed(lake, landing, n)}
    fresh = {name: state for name, state in states.items() if state and state != known.get(name)}
    alike = {name: state for name, state in fresh.items() if before.waiting.get(name) == state}
    ready = {name: state for name, state in alike.items() if name.partition("/")[0] in dates}
    complete: dict[str, dict[str, str]] = defaultdict(dict)
    for name, state in sorted(ready.items()):
        date, _, asset = name.partition("/")
        if not (_is_committed(lake, landing, name) and _has_same_bytes(lake, landing, name)):
            complete[date][asset] = state
    return Looked(
        since=now_ns - CLOCKS_DIFFER_NS,
        waiting={name: state for name, state in fresh.items() if name not in ready},
        handed_over=known | ready,
    ), dict(complete)


def _changed(landing: Path, since: int) -> set[str]:
    """Return the deliveries of which a file changed, or came under its name, since a time."""
    found = set()
    for feed, channel, folder in _folders(landing):
        for day in filter(_is_date, _entries(folder)):
            for file in _entries(day.path):
                with suppress(OSError):
                    at = file.stat()
                    is_new = max(at.st_mtime_ns, at.st_ctime_ns) > since
                    if is_new and not UNFINISHED.search(file.name):
                        found.add(_name(feed, channel, day.name))
    return found


def _state(landing: Path, name: str) -> str | None:
    """Return the fingerprint of a delivery's files, by name, size and time; None without files."""
    date, _, asset = name.partition("/")
    seen = []
    for folder in _folders_of(landing, asset):
        for file in _files(folder / date):
            with suppress(OSError):
                at = file.stat()
                seen.append((file.path, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
    return hashlib.sha256(repr(sorted(seen)).encode()).hexdigest()[:16] if seen else None


def _is_committed(lake: Path, landing: Path, name: str) -> bool:
    """Return whether all folders of a delivery were committed after they had changed last."""
    return all(
        manifest is not None and _last_change(folder) < manifest.committed_at.timestamp()
        for folder, manifest in _manifests(lake, landing, name)
    )


def _has_same_bytes(lake: Path, landing: Path, name: str) -> bool:
    """Return whether what was committed are these bytes: some may have come while it was read."""
    return all(
        manifest is not None
        and {source.sha256 for source in manifest.sources} == set(map(_sha256, _files(folder)))
        for folder, manifest in _manifests(lake, landing, name)
    )


def _manifests(
    lake: Path, landing: Path, name: str
) -> Iterator[tuple[Path, manifests.Manifest | None]]:
    date, _, asset = name.partition("/")
    for folder in _folders_of(landing, asset):
        if (folder / date).is_dir():
            day = dt.date.fromisoformat(date)
            found = manifests.read(lake, folder.parent.name, folder.name, day)
            yield folder / date, found


def _last_change(folder: Path) -> float:
    times = [file.stat() for file in _files(folder)]
    return max((max(at.st_mtime, at.st_ctime) for at in times), default=0.0)


def _sha256(file: os.DirEntry[str]) -> str:
    with Path(file.path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _folders(landing: Path) -> Iterator[tuple[str, str, Path]]:
    for feed in FEEDS:
        for channel in CHANNELS:
            yield feed, channel, landing / feed / channel


def _folders_of(landing: Path, asset: str) -> list[Path]:
    channel, is_decisions, feed = asset.rpartition("/")
    return [landing / feed / name for name in ([channel] if is_decisions else CHANNELS)]


def _name(feed: str, channel: str, date: str) -> str:
    return f"{date}/{channel}/{feed}" if feed == "decisions" else f"{date}/{feed}"


def _entries(folder: os.PathLike[str] | str) -> Iterator[os.DirEntry[str]]:
    try:
        yield from os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return


def _files(folder: Path) -> list[os.DirEntry[str]]:
    return [file for file in _entries(folder) if not UNFINISHED.search(file.name)]


def _is_date(entry: os.DirEntry[str]) -> bool:
    try:
        dt.date.fromisoformat(entry.name)
    except ValueError:
        return False
    return True
