"""What becomes of delivered files: copied, kept or written anew, and every row in its place."""

import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governance_pipeline.feeds import FEEDS
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    Row,
    as_jsonl,
    decision,
    deliver,
    make_home,
    only,
    rows_in,
    take_in,
)

COLUMNS = FEEDS["decisions"].columns
MANY = 300_000  # more than DuckDB reads in one piece


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


def fitting(rows: list[Row]) -> bytes:
    """Rows as Parquet of exactly the contract's types, as a careful supplier writes it."""
    texts = pa.table({name: [row[name] for row in rows] for name in COLUMNS})
    typed = ", ".join(
        f"{name}::timestamptz::timestamp as {name}"
        if kind == "timestamp"
        else f"{name}::{kind} as {name}"
        for name, kind in COLUMNS.items()
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("texts", texts)
        sink = io.BytesIO()
        pq.write_table(connection.execute(f"select {typed} from texts").to_arrow_table(), sink)
        return sink.getvalue()


def accepted_bytes(paths: Paths, names: list[str]) -> list[bytes]:
    return [(paths.lake / name).read_bytes() for name in names]


def test_parquet_of_the_contracts_shape_is_accepted_byte_by_byte(paths: Paths) -> None:
    content = fitting([decision(n) for n in range(1, 21)])
    file = deliver(paths, "a.parquet", content)
    made = only(take_in(paths))
    assert accepted_bytes(paths, made.files["accepted"]) == [content]
    file.write_bytes(b"written over in its place")
    assert accepted_bytes(paths, made.files["accepted"]) == [content]
    assert len(rows_in(paths, "decisions")) == 20


@pytest.mark.parametrize("change", [{"score": 1.7}, {"market": ""}])
def test_parquet_with_a_bad_row_or_an_empty_text_is_written_anew(paths: Paths, change: Row) -> None:
    rows = [decision(n) for n in range(1, 21)]
    rows[4] |= change
    content = fitting(rows)
    deliver(paths, "a.parquet", content)
    made = only(take_in(paths))
    assert accepted_bytes(paths, made.files["accepted"]) != [content]
    assert made.rows_quarantined == ("score" in change)
    away = rows_in(paths, "decisions", "row_number, value", "quarantine")
    assert away == ([(5, "1.7")] if "score" in change else [])
    found = rows_in(paths, "decisions", "count(*) filter (market = '')::int, count(*)::int")
    assert found == [(0, 20 - made.rows_quarantined)]


def test_the_lines_of_a_large_file_are_numbered_as_they_stand(paths: Paths) -> None:
    """Several threads read it; the quarantine still names the line, and the first of two stays."""
    file = deliver(paths, "a.csv", b"")
    values = ", ".join(
        "'d' || i as decision_id"
        if name == "decision_id"
        else "if(i in (150000, 299998), 'high', '0.5') as score"
        if name == "score"
        else f"'{value if value is not None else ''}' as {name}"
        for name, value in decision(1).items()
    )
    with duckdb.connect() as connection:
        connection.execute(f"copy (select {values} from range(1, {MANY} + 1) r(i)) to '{file}'")
    with file.open("ab") as stream:
        line = file.read_bytes().splitlines()[7].replace(b",US,", b",UK,")
        stream.write(line + b"\n")
    made = only(take_in(paths))
    assert (made.rows_delivered, made.rows_quarantined) == (MANY + 1, 3)
    assert rows_in(paths, "decisions", "row_number, rule, value", "quarantine") == [
        (150_000, "score_is_a_number", "high"),
        (299_998, "score_is_a_number", "high"),
        (MANY + 1, "decision_id_is_unique", "d7"),
    ]
    assert rows_in(paths, "decisions", "market, decision_id = 'd7'")[-1] == ("US", True)


@pytest.mark.parametrize("line", ["{broken", "null", "[1]", '"d1"'])
def test_a_line_that_is_no_object_changes_no_other_row(
    paths: Paths, tmp_path: Path, line: str
) -> None:
    rows = [decision(n, gmv=1e400 if n == 3 else 2.50, seller_id={"a": [n]}) for n in range(1, 21)]
    deliver(paths, "a.jsonl", as_jsonl(rows))
    take_in(paths)
    other = make_home(tmp_path / "other")
    lines = as_jsonl(rows).splitlines(keepends=True)
    deliver(other, "a.jsonl", b"".join([*lines[:6], f"{line}\n".encode(), *lines[6:]]))
    made = only(take_in(other))
    seen = ", ".join(COLUMNS)
    assert rows_in(other, "decisions", seen) == rows_in(paths, "decisions", seen)
    assert rows_in(other, "decisions", "row_number, rule, value, row_json", "quarantine") == [
        (7, "row_is_readable", line, line)
    ]
    assert (made.rows_accepted, made.rows_quarantined) == (20, 1)
