"""What a writer that died left behind: half-written folders and files that nobody ever reads."""

import shutil

from governance_pipeline.paths import Paths


def clear_leftovers(paths: Paths) -> None:
    """Delete what is half written; only who holds the writer's lock may, since all of it is dead.

    Files that were placed and never listed stay: an intake of the same bytes places them again.
    """
    folders = [*(paths.lake / ".staging").glob("*"), *paths.published.glob(".staging-*")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    for file in (paths.lake / "manifests").glob("*/*/.*.json.*"):
        file.unlink(missing_ok=True)
