"""Delivered files of which rows are turned away: kept in the lake until none of them is.

So rows can be let in when their rule is mended, though landing was cleared in the meantime.
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from governance_pipeline.adapters.landing import Delivery, KeptFile, Source
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.adapters.reading import DeliveredFile
from governance_pipeline.adapters.verdicts import Key

FOLDER = "delivered"


def keep(lake: Path, files: Iterable[DeliveredFile]) -> list[str]:
    """Keep the bytes of a delivery's files in the lake; return their names there.

    Rows of a database can be asked for again, and so can those of a source that dates its rows.
    """
    names = []
    for file in files:
        asked = file.source is not None and file.source.database is not None
        if file.day is None or not file.form or asked or not file.path.exists():
            continue
        packed = file.path.suffix if file.path.suffix in (".gz", ".zst") else ""
        name = f"{FOLDER}/{file.sha256}.{file.form}{packed}"
        if not (lake / name).exists():
            _place(file.path.resolve(), lake / name)
        names.append(name)
    return sorted(set(names))


def kept_deliveries(
    lake: Path,
    before: Mapping[Key, Manifest | None],
    found: Iterable[Delivery],
    sources: Sequence[Source],
) -> list[Delivery]:
    """Return the deliveries of which nothing lies in landing any more, as they were kept.

    Args:
        lake: The lake.
        before: What became of each delivery.
        found: What lies in landing.
        sources: The sources of the feed.
    """
    there = {(delivery.channel, delivery.day) for delivery in found if delivery.files}
    again = []
    for (channel, day), manifest in before.items():
        if manifest is None or (channel, day) in there or (channel, None) in there:
            continue
        names = {Path(name).name.split(".")[0]: name for name in manifest.files.get(FOLDER, [])}
        named = [source for source in sources if source.channel in (None, channel)]
        # Of several sources nobody can tell which one a file was of.
        if all(source.sha256 in names for source in manifest.sources) and len(named) < 2:
            files = [KeptFile(s.path, lake / names[s.sha256], s.sha256) for s in manifest.sources]
            again.append(Delivery(channel, day, files, named[0] if named else None))
    return again


def _place(file: Path, target: Path) -> None:
    """Give a file a second name; where that cannot be, copy it."""
    target.parent.mkdir(exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, fresh)
    fresh.rename(target)
