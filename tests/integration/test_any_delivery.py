"""However it is delivered, the same things happened: two hundred worlds, drawn by hypothesis.

What is identical: every published mart but those that tell of the deliveries themselves, byte for
byte as Parquet. Labels are as late in the clean delivery as in the other, since how late they came
is what the marts say of them.
"""

import datetime as dt
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from governance_pipeline.adapters.catalogue import PUBLISHED_MARTS
from governance_pipeline.adapters.publish import publish
from governance_pipeline.paths import Paths
from tests.integration import worlds as w

OF_DELIVERIES = ("data_quality_", "deliveries_")
SAME = tuple(name for name in PUBLISHED_MARTS if not name.startswith(OF_DELIVERIES))
EXAMPLES = 204


@pytest.fixture(scope="module")
def made() -> list[w.World]:
    drawn: list[w.World] = []

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(w.worlds())
    def collect(world: w.World) -> None:
        drawn.append(world)

    collect()
    return drawn


def published(paths: Paths) -> dict[str, bytes]:
    snapshot = publish(
        paths.warehouse, paths.published, {name: name for name in SAME}, {}, snapshot_id="same",
        data_as_of=w.START, now=dt.datetime.now(dt.UTC),
    )  # fmt: skip
    return {name: (snapshot.folder / f"{name}.parquet").read_bytes() for name in SAME}


def differing(one: Paths, other: Paths, table: str) -> str:
    """Say which rows of a table are in one home only."""
    with duckdb.connect(str(one.warehouse), read_only=True) as connection:
        connection.execute(f"attach '{other.warehouse}' as other (read_only)")
        found = connection.execute(
            f"select 'clean', * from (from {table} except all from other.main.{table}) union all"
            f" select 'other', * from (from other.main.{table} except all from {table}) limit 6"
        )
        return f"{[name for name, *_ in found.description or []]} {found.fetchall()}"


def test_any_delivery_of_the_same_events_gives_the_same_marts(
    made: list[w.World], tmp_path: Path
) -> None:
    assert len(made) >= 200
    days = w.days_of(len(made))
    later = w.long_after(days)
    clean = w.make_market(tmp_path / "clean", later[-1])
    w.deliver_clean(clean, made)
    w.take_in(clean, [*days, *later])
    other = w.make_market(tmp_path / "other", later[-1])
    for step in range(w.STEPS):
        w.deliver_step(other, made, step)
        # What comes long after is first taken in when nothing is known of the time before.
        w.take_in(other, *((days, later) if step else (later, days)))
    expected, got = published(clean), published(other)
    unlike = [name for name in SAME if expected[name] != got[name]]
    assert not unlike, "\n".join(f"{name}: {differing(clean, other, name)}" for name in unlike)
