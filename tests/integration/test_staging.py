"""What becomes of delivered files: copied, kept or written anew, and every row in its place."""

import datetime as dt
import gzip
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governance_pipeline.adapters import intake, manifests, staging
from governance_pipeline.errors import SourceError
from governance_pipeline.feeds import FEEDS
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    Row,
    as_csv,
    as_jsonl,
    decision,
    deliver,
    make_home,
    only,
    rows_in,
    take_in,
)

COLUMNS = FEEDS["decisions"].columns
OTHER = DAY + dt.timedelta(days=1)
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


@pytest.mark.parametrize("form", ["a.csv", "a.parquet"])
def test_a_file_written_to_while_it_is_read_is_not_taken_for_what_it_was(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    rows = [decision(n) for n in range(1, 21)]
    file = deliver(paths, form, as_csv(rows) if form == "a.csv" else fitting(rows))
    known = staging.stage

    def stage(*of: Any) -> Any:
        file.write_bytes(file.read_bytes().replace(b"US", b"UK"))
        return known(*of)

    monkeypatch.setattr(intake, "stage", stage)
    with pytest.raises(SourceError, match=rf"{form} was written to while it was read"):
        take_in(paths)
    assert manifests.read_all(paths.lake) == []
    assert list((paths.lake / ".staging").iterdir()) == []
    monkeypatch.undo()
    take_in(paths)
    assert rows_in(paths, "decisions", "distinct market") == [("UK",)]


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


@pytest.mark.parametrize("form", ["csv", "json"])
def test_the_lines_of_a_large_file_are_numbered_as_they_stand(paths: Paths, form: str) -> None:
    """Several threads read it; the quarantine still names the line, and the first of two stays."""
    file = deliver(paths, f"a.{form}", b"")
    values = ", ".join(
        "'d' || i as decision_id"
        if name == "decision_id"
        else "if(i in (150000, 299998), 'high', '0.5') as score"
        if name == "score"
        else f"'{value if value is not None else ''}' as {name}"
        for name, value in decision(1).items()
    )
    with duckdb.connect() as connection:
        rows = f"select {values} from range(1, {MANY} + 1) r(i)"
        connection.execute(f"copy ({rows}) to '{file}' (format {form})")
    line = file.read_bytes().splitlines()[7 - (form == "json")].replace(b"US", b"UK")
    with file.open("ab") as stream:
        stream.write(line + b"\n")
    made = only(take_in(paths))
    assert (made.rows_delivered, made.rows_quarantined) == (MANY + 1, 3)
    found = rows_in(paths, "decisions", "row_number, rule, value, row_json", "quarantine")
    assert [row[:3] for row in found] == [
        (150_000, "score_is_a_number", "high"),
        (299_998, "score_is_a_number", "high"),
        (MANY + 1, "decision_id_is_unique", "d7"),
    ]
    whole = [json.loads(row[3]) for row in found]
    assert [(row["decision_id"], row["market"]) for row in whole] == [
        ("d150000", "US"), ("d299998", "US"), ("d7", "UK"),
    ]  # fmt: skip
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


def test_a_row_turned_away_is_kept_as_the_line_that_it_was_delivered_as(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are read without their lines; those of bad rows are found again among blank ones."""
    other = make_home(tmp_path / "other")
    seen = "delivery_date, file, row_number, rule, row_json"
    for home in (paths, other):
        for at, form in enumerate(("a.jsonl", "b.jsonl", "c.ndjson.gz")):
            rows = [decision(100 * at + n, extra=f"{n}") for n in range(1, 21)]
            rows[6] |= {"score": "high"}
            rows[18] |= {"reach": -1}
            lines = as_jsonl(rows).replace(b'":', b'" :').splitlines()
            text = b"\n \n\t\n".join(lines[:9]) + b"\r\n\x0b\r\n" + b"\r\n".join(lines[9:])
            deliver(home, form, gzip.compress(text) if form.endswith("gz") else text)
        bad = [decision(n, action="?", extra=f"{n}") for n in (1, 2)]
        deliver(home, "all-bad.jsonl", as_jsonl(bad), OTHER)
    made = take_in(paths, [DAY, OTHER])
    assert [(m.rows_delivered, m.rows_quarantined) for m in made] == [(60, 6), (2, 2)]
    found = rows_in(paths, "decisions", seen, "quarantine")
    assert [row[2] for row in found] == [7, 19, 7, 19, 7, 19, 1, 2]
    assert [json.loads(row[4])["extra"] for row in found] == [str(row[2]) for row in found]
    monkeypatch.setattr(staging, "trusting_sql", lambda _: None)
    take_in(other, [DAY, OTHER])
    assert rows_in(other, "decisions", seen, "quarantine") == found
