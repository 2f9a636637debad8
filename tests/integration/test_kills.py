"""A killed run leaves what was there or what it made, and the next one finishes the work."""

import datetime as dt
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.leftovers import A_DAY
from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.paths import Paths
from tests.integration import killed
from tests.integration.deliveries import (
    DAY,
    as_csv,
    decision,
    deliver,
    label,
    make_home,
)

DAYS = 6
Partition = tuple[dict[str, Any], tuple[tuple[str, bytes], ...]]


def deliver_all(paths: Paths, score: float) -> None:
    for n in range(DAYS):
        day = DAY + dt.timedelta(days=n)
        rows = [
            decision(k, decided_at=f"{day} 10:00", decision_id=f"d{n}-{k}", score=score)
            for k in range(20)
        ]
        deliver(paths, "a.csv", as_csv(rows), day)
        verdict = "unsure" if score > 0.5 else "should_fire"
        labels = [label(n, decision_id=f"d{n}-{k}", verdict=verdict) for k in range(3)]
        deliver(paths, "a.csv", as_csv([labels[0], label(100 + n)]), day, "audit_labels")


def partitions(paths: Paths) -> dict[str, Partition]:
    """Return every partition as its readers see it: its manifest, and its files byte by byte."""
    timed = {"committed_at", "ledger"}
    return {
        f"{m.feed} {m.delivery_date}": (
            m.model_dump(exclude=timed, mode="json"),
            tuple(
                (name, (paths.lake / name).read_bytes())
                for files in m.files.values()
                for name in sorted(files)
            ),
        )
        for m in manifests.read_all(paths.lake)
    }


@pytest.fixture(scope="module")
def restated(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A home in which every delivery was written anew and nothing taken in of it yet."""
    paths = make_home(tmp_path_factory.mktemp("kills") / "home")
    deliver_all(paths, 0.25)
    killed.run(killed.intake, paths.root, DAYS)
    deliver_all(paths, 0.75)
    return paths


@pytest.fixture(scope="module")
def undisturbed(restated: Paths) -> Paths:
    """The same home after a run that nobody killed."""
    paths = Paths(Path(shutil.copytree(restated.root, restated.root.with_name("undisturbed"))))
    killed.run(killed.intake, paths.root, DAYS)
    return paths


def check(restated: Paths, undisturbed: Paths, kills: Iterable[Callable[[Path], bool]]) -> int:
    """Kill three times upon another, finish, begin anew; return how many kills hit."""
    old, new = partitions(restated), partitions(undisturbed)
    assert all(old[name] != new[name] for name in new)
    hits, home = 0, Paths(restated.root.with_name("killed"))
    for number, kill in enumerate(kills):
        if not home.root.exists():
            shutil.copytree(restated.root, home.root)
        hits += kill(home.root)
        seen = partitions(home)
        assert seen.keys() == old.keys()
        for name, partition in seen.items():
            assert partition in (old[name], new[name]), f"{name} is neither old nor new"
        if number % 3 == 2:
            killed.run(killed.intake, home.root, DAYS)
            assert partitions(home) == new
            assert not list((home.lake / ".staging").iterdir())
            assert not list((home.lake / "manifests").glob("*/*/.*"))
            shutil.rmtree(home.root)
    return hits


def test_what_no_manifest_names_for_a_day_is_deleted_and_nothing_else(
    restated: Paths, undisturbed: Paths, tmp_path: Path
) -> None:
    home = Paths(Path(shutil.copytree(restated.root, tmp_path / "home")))
    assert killed.killed_at(killed.intake, home.root, 20, DAYS)  # placed, and not yet committed
    killed.run(killed.intake, home.root, DAYS)
    note, before = home.lake / ".unnamed.json", lake_files(home)
    half_written = home.lake / "known_ids" / "sampled_decisions" / "lives" / ".2026-03-01-a.npy.7"
    half_written.parent.mkdir(parents=True, exist_ok=True)
    half_written.touch()
    for moment, is_left in ((None, True), (A_DAY, True), (None, True), (A_DAY, False)):
        if moment:
            os.utime(note, (time.time() - moment - 60,) * 2)
        with writer_lock(home, "a test"):
            pass
        assert (lake_files(home) == before) == is_left
    assert not half_written.exists()
    named = {
        name for m in manifests.read_all(home.lake) for own in m.files.values() for name in own
    }
    assert lake_files(home) == named < before
    assert partitions(home) == partitions(undisturbed)


def lake_files(paths: Paths) -> set[str]:
    return {
        str(file.relative_to(paths.lake))
        for folder in ("accepted", "quarantine", "derived", "delivered")
        for file in (paths.lake / folder).rglob("*.*")
    }


def test_an_intake_killed_at_a_rename_leaves_every_partition_old_or_new(
    restated: Paths, undisturbed: Paths
) -> None:
    places = random.Random(5).sample(range(60), 22)
    kills = [
        lambda root, place=place: killed.killed_at(killed.intake, root, place, DAYS)
        for place in places
    ]
    assert check(restated, undisturbed, kills) >= 14


def test_an_intake_killed_at_any_time_leaves_every_partition_old_or_new(
    restated: Paths, undisturbed: Paths, tmp_path: Path
) -> None:
    again = shutil.copytree(restated.root, tmp_path / "again")
    seconds = killed.run(killed.intake, Path(again), DAYS)
    times = random.Random(7)
    waits = [times.uniform(0, 0.7 if n % 3 else 1) * seconds for n in range(22)]
    kills = [
        lambda root, after=after: killed.kill(killed.intake, root, after, DAYS) for after in waits
    ]
    assert check(restated, undisturbed, kills) >= 11
