"""Publishing, with the readers that make it hard."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from governance_pipeline.adapters.publish import KEEP_AFTER, Snapshot, TableDoc, publish
from governance_pipeline.adapters.serving import ask, serving_connection
from governance_pipeline.errors import InputError, PublishError

DOCS = {"verdicts": TableDoc("One row per strategy.", {"strategy_id": "Who.", "n": "How many."})}
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def make_warehouse(path: Path, n: int) -> Path:
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"create table verdicts as select 's' || i as strategy_id, {n} as n"
            " from range(500) t(i)"
        )
    return path


def publish_state(home: Path, n: int, now: dt.datetime = NOW) -> Snapshot:
    database = make_warehouse(home / "warehouse.duckdb", n)
    return publish(
        database,
        home / "published",
        {"verdicts": "verdicts"},
        DOCS,
        snapshot_id=f"snapshot-{n:04}",
        data_as_of=dt.date(2026, 3, 1),
        now=now,
    )


HAMMER = """
import os, sys
import duckdb
serve, stop = sys.argv[1:]
reader = duckdb.connect(serve, read_only=True)
asked, seen = 0, set()
while not os.path.exists(stop):
    rows = reader.execute(
        "select count(*), min(n), max(n), min(snapshot_id), max(snapshot_id) from verdicts"
    ).fetchone()
    assert rows[0] == 500 and rows[1] == rows[2] and rows[3] == rows[4], rows
    assert rows[3] == f"snapshot-{rows[1]:04}", rows
    asked, seen = asked + 1, seen | {rows[1]}
print(asked, len(seen))
"""


def test_two_readers_answer_throughout_and_never_see_half_a_snapshot(tmp_path: Path) -> None:
    publish_state(tmp_path, 0)
    serve, stop = tmp_path / "published" / "serve.duckdb", tmp_path / "stop"
    command = [sys.executable, "-c", HAMMER, str(serve), str(stop)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for n in range(1, 40):
        publish_state(tmp_path, n)
    stop.touch()
    for reader in readers:
        said, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        asked, states = map(int, said.split())
        assert asked > 50
        assert states > 1


def test_the_same_state_published_twice_has_the_same_bytes(tmp_path: Path) -> None:
    for home in ("a", "b"):
        (tmp_path / home).mkdir()
    first, second = publish_state(tmp_path / "a", 1), publish_state(tmp_path / "b", 1)
    assert (first.folder / "verdicts.parquet").read_bytes() == (
        second.folder / "verdicts.parquet"
    ).read_bytes()


def test_a_snapshot_is_never_overwritten(tmp_path: Path) -> None:
    publish_state(tmp_path, 1)
    with pytest.raises(PublishError, match="snapshot-0001 exists already"):
        publish_state(tmp_path, 1)


def test_a_snapshot_outlives_being_current_by_a_day(tmp_path: Path) -> None:
    real_now = dt.datetime.now(dt.UTC)
    old = publish_state(tmp_path, 1, real_now)
    publish_state(tmp_path, 2, real_now)
    publish_state(tmp_path, 3, real_now + KEEP_AFTER - dt.timedelta(minutes=1))
    assert old.folder.exists()
    publish_state(tmp_path, 4, real_now + KEEP_AFTER + dt.timedelta(minutes=1))
    assert not old.folder.exists()
    assert (tmp_path / "published" / "snapshot-0004").exists()


def test_views_carry_the_meaning_of_their_columns(tmp_path: Path) -> None:
    publish_state(tmp_path, 1)
    with duckdb.connect(str(tmp_path / "published" / "serve.duckdb"), read_only=True) as reader:
        comments = dict(
            reader.execute("select column_name, comment from duckdb_columns()").fetchall()
        )
    assert comments["strategy_id"] == "Who."
    assert "snapshot" in comments["snapshot_id"]


def test_a_query_reaches_nothing_but_the_snapshot(tmp_path: Path) -> None:
    publish_state(tmp_path, 1)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with serving_connection(tmp_path / "published") as reader:
        assert ask(reader, "select count(*) as n from verdicts")["n"].tolist() == [500]
        with pytest.raises(InputError, match="Permission"):
            ask(reader, f"select * from read_csv('{secret}')")
        with pytest.raises(InputError, match="refused"):
            ask(reader, "set enable_external_access = true")


def test_nothing_published_is_said_with_the_remedy(tmp_path: Path) -> None:
    with (
        pytest.raises(PublishError, match="nothing is published"),
        serving_connection(tmp_path / "published"),
    ):
        pass
