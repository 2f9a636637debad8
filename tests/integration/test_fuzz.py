"""Ten thousand files that no supplier should send: none stops the others, no row is miscounted."""

import datetime as dt
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.paths import Paths
from tests.integration.deliveries import DAY, Row, decision, label, make_home
from tests.integration.mutants import Mutant, mutant

# Files of a call: six channels, a file a day. More in a call cost less each.
DAYS, CALLS = 210, 8
FILES = DAYS * CALLS * len(CHANNELS)


def appeal(number: int, **changes: Any) -> Row:
    return {
        "appeal_id": f"a{number}", "decision_id": f"d{number}", "submitted_at": f"{DAY} 08:00",
        "outcome": "upheld", "decision_made_at": f"{DAY}T07:00:00Z", "decided_at": None,
        "ground": "wrong",
    } | changes  # fmt: skip


def answer(number: int, **changes: Any) -> Row:
    return {
        "feedback_id": f"f{number}", "submitted_at": f"{DAY} 08:00", "kind": "nps", "score": 9,
        "theme": "delivery", "category": "hb", "market": "US", "item_id": "i1",
        "seller_id": "s1", "decision_id": None,
    } | changes  # fmt: skip


FEEDS: dict[str, Callable[..., Row]] = {
    "decisions": decision, "audit_labels": label, "appeals": appeal, "feedback": answer,
}  # fmt: skip


def deliver(
    paths: Paths, feed: str, seed: int, days: list[dt.date]
) -> dict[tuple[str, dt.date], Mutant]:
    chance = random.Random(seed)
    made: dict[tuple[str, dt.date], Mutant] = {}
    for at, day in enumerate(days):
        for place, channel in enumerate(CHANNELS):
            rows = [
                FEEDS[feed](n, channel=channel)
                | ({"decided_at": f"{day} 10:00:00"} if feed == "decisions" else {})
                for n in range(chance.randint(4, 7))
            ]
            one = mutant(seed + at * len(CHANNELS) + place, rows, chance)
            folder = paths.landing / feed / channel / str(day)
            folder.mkdir(parents=True)
            (folder / one.name).write_bytes(one.content)
            made[channel, day] = one
    return made


def check(manifest: Manifest, one: Mutant, quarantined: int) -> None:
    said = (one.way, one.name, manifest.refusal)
    assert manifest.rows_delivered == manifest.rows_accepted + manifest.rows_quarantined, said
    assert manifest.rows_quarantined == quarantined, said
    assert manifest.state != "refused" or manifest.rows_accepted == 0, said
    assert sum(source.rows for source in manifest.sources) == manifest.rows_delivered, said
    if one.rows is not None and not _is_unreadable(manifest):
        assert manifest.rows_delivered == one.rows, said


def _is_unreadable(manifest: Manifest) -> bool:
    """Whether a file as a whole was said to be unreadable, in a sentence that names it."""
    return manifest.state == "refused" and manifest.rows_delivered == 0


def counts(paths: Paths, made: list[Manifest], kind: str) -> Counter[tuple[str, dt.date]]:
    files = [str(paths.lake / name) for m in made for name in m.files.get(kind, [])]
    with duckdb.connect() as connection:
        found = connection.execute(
            "select parse_path(filename)[-3], parse_path(filename)[-2]::date, count(*)"
            " from read_parquet($files, filename = true) group by all",
            {"files": files},
        ).fetchall()
    return Counter({(channel, day): rows for channel, day, rows in found})


@pytest.mark.parametrize("call", range(CALLS))
def test_no_file_stops_the_others_or_is_miscounted(tmp_path: Path, call: int) -> None:
    feed = list(FEEDS)[call % len(FEEDS)]
    paths = make_home(tmp_path / "deep" / "er" / "home")
    days = [DAY + dt.timedelta(days=n) for n in range(DAYS)]
    delivered = deliver(paths, feed, call * 100_000, days)
    outside = _outside(tmp_path, paths.root)

    made = intake_range(feed, CHANNELS, days, paths=paths, sources=[], run_id="r")

    assert len(made) == len(delivered)
    quarantined, accepted = counts(paths, made, "quarantine"), counts(paths, made, "accepted")
    for manifest in made:
        key = (manifest.channel, manifest.delivery_date)
        check(manifest, delivered[key], quarantined[key])
        assert accepted[key] == manifest.rows_accepted, delivered[key]
    assert _outside(tmp_path, paths.root) == outside
    states = Counter(manifest.state for manifest in made)
    assert states["accepted"] > DAYS and states["refused"] > DAYS


def test_there_are_ten_thousand_of_them() -> None:
    assert FILES >= 10_000


def _outside(folder: Path, home: Path) -> list[str]:
    """Return what lies beside the home, and in the folder that the process runs in."""
    return sorted(
        str(path)
        for path in [*folder.rglob("*"), *Path(os.getcwd()).iterdir()]  # noqa: PTH109
        if not path.is_relative_to(home)
    )
