"""What a writer that died left behind: half-written folders and files that nobody ever reads."""

import json
import shutil
import time
from pathlib import Path

from governance_pipeline.paths import Paths

A_DAY = 24 * 60 * 60  # seconds
NAMED_BY_MANIFESTS = ("accepted", "quarantine", "derived", "delivered")


def clear_leftovers(paths: Paths) -> None:
    """Delete what is half written; only who holds the writer's lock may, since all of it is dead.

    Files that were placed and never listed stay a day: an intake of the same bytes places them
    again, and who began to read them before they were replaced may not have ended.
    """
    folders = [*(paths.lake / ".staging").glob("*"), *paths.published.glob(".staging-*")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    for kind, names in (("manifests", ".*.json.*"), ("known_ids", ".*.npy.*")):
        for file in (paths.lake / kind).glob(f"*/*/{names}"):
            file.unlink(missing_ok=True)
    _delete_unnamed(paths.lake)


def _delete_unnamed(lake: Path) -> None:
    """Delete the files that no manifest named a day ago, and none names now."""
    note = lake / ".unnamed.json"
    if not lake.is_dir() or (note.exists() and time.time() - note.stat().st_mtime < A_DAY):
        return
    there = {
        str(file.relative_to(lake))
        for folder in NAMED_BY_MANIFESTS
        for file in (lake / folder).rglob("*.*")
        if file.is_file()
    }
    unnamed = there.difference(
        name
        for manifest in (lake / "manifests").glob("*/*/[0-9]*.json")
        for files in json.loads(manifest.read_bytes())["files"].values()
        for name in files
    )
    before = set(json.loads(note.read_text())) if note.exists() else set[str]()
    for name in unnamed & before:
        (lake / name).unlink()
    fresh = note.with_suffix(".fresh")
    fresh.write_text(json.dumps(sorted(unnamed - before)))
    fresh.replace(note)
