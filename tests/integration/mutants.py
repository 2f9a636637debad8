"""Files that no supplier should send: rows with nasty values, and bytes that are hardly a file."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.deliveries import as_csv, as_jsonl

Row = dict[str, Any]

VALUES: tuple[Any, ...] = (
    "", None, " ", "NaN", "nan", "inf", "-Infinity", "1e308", "-1e309", "1e-400", "-0.0", "0x10",
    "1_000", "1,5", "99999999999999999999", "9223372036854775808", "-1", "3.7",
    "\u0663", "\uff11\uff12", "true ", "TRUE", "None", "null",
    "0001-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2026-03-29T02:30:00+01:00", "2026-10-25T02:30:00Europe/Berlin", "2026-03-01T10:00:00+05:30",
    "2026-03-01 10:00:00+05:45", "2026-02-30", "2026-03-01T24:00:00Z", "2026-03-01T10:00:60Z",
    "1772359200", "infinity", "-infinity", "epoch", "../../../etc/passwd", "..\\..\\boot.ini",
    "/etc/shadow", "file:///etc/passwd", "=cmd|'/c calc'!A0", "@SUM(1+1)", "+1", "-1+1",
    "'; drop table staged; --", "$1", "{batch}", "%s", "x" * 60_000, "é" * 501, "a,b", 'say "hi"',
    "two\nlines", "two\r\nlines", "a\tb", "\u202eltr", "😀", "\ufeffbom", "a\x00b", "\x01",
    '{"a": {"b": [1, 2]}}', "[1, 2]", "decision_id",
)  # fmt: skip
NAMES = (
    "a{n}", "a b{n}", "a'b{n}", "=cmd{n}", "ünï{n}", "a[x]{n}", "a*{n}", "a?{n}", '"q"{n}',
    "-rf{n}", "{{date}}{n}", "$HOME{n}", "a..{n}", "~{n}", "a;b{n}", "%2e%2e%2f{n}", "a\nb{n}",
    "x" * 200 + "{n}", "a\\b{n}", "#{n}", "a.parquet{n}", "🙂{n}",
)  # fmt: skip
HEADERS = (
    "_path", "_origin", "__origin", "file", "part", "day", "broken", "row_number", "row_json",
    "delivery_date", "delivery_channel", "unreadable", "id", "place", "whole", "score__uncast",
    "../../x", 'a"b', "a'b", "select", " ", "ünï", "x" * 300, "a\nb", "a{b}", "DECISION_ID ",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file; `rows` is how many rows it has if anybody can say."""

    name: str
    content: bytes
    rows: int | None
    way: str


def mutant(number: int, rows: list[Row], chance: random.Random) -> Mutant:
    """Return the file that so many rows become by one of the ways."""
    way = WAYS[number % len(WAYS)]
    ending, content, count = way(rows, chance)
    stem = chance.choice(NAMES).format(n=number) if chance.random() < 0.2 else f"f{number}"
    return Mutant(f"{stem}.{ending}", content, count, way.__name__)


Made = tuple[str, bytes, int | None]
Way = Callable[[list[Row], random.Random], Made]


def _nasty(rows: list[Row], chance: random.Random) -> list[Row]:
    made = [dict(row) for row in rows]
    for _ in range(chance.randint(1, 4)):
        row = chance.choice(made)
        row[chance.choice(list(row))] = chance.choice(VALUES)
    return made


def nasty_csv(rows: list[Row], chance: random.Random) -> Made:
    """Values that are hard to read, quoted as they should be."""
    return "csv", as_csv(_nasty(rows, chance)), len(rows)


def nasty_jsonl(rows: list[Row], chance: random.Random) -> Made:
    """The same in JSON, where a value may also be of another type or nested."""
    made = _nasty(rows, chance)
    other = chance.choice([True, 7, -1.5, 1e308, {"a": {"b": [1]}}, [1, [2]], {}, [], None])
    made[0][chance.choice(list(made[0]))] = other
    return "jsonl", as_jsonl(made), len(rows)


def nasty_parquet(rows: list[Row], chance: random.Random) -> Made:
    """Columns of types that nobody expects."""
    column = chance.choice(list(rows[0]))
    values: list[Any] = [chance.choice([None, 1, -1]) for _ in rows]
    if chance.random() < 0.4:
        values = [{"a": n, "b": [n]} for n in range(len(rows))]
    elif chance.random() < 0.4:
        values = [float("nan"), float("inf"), 1e308, 0.5][: len(rows)] + [0.5] * (len(rows) - 4)
    sink = io.BytesIO()
    table = {name: [str(row[name]) for row in rows] for name in rows[0]} | {column: values}
    pq.write_table(pa.table(table), sink)
    return "parquet", sink.getvalue(), len(rows)


def truncated(rows: list[Row], chance: random.Random) -> Made:
    """A file that breaks off."""
    ending, write = chance.choice(FORMS)
    whole = write(rows)
    return ending, whole[: chance.randrange(len(whole))], None


def flipped(rows: list[Row], chance: random.Random) -> Made:
    """Bytes that are others."""
    ending, write = chance.choice(FORMS)
    whole = bytearray(write(rows))
    for _ in range(chance.randint(1, 6)):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    return ending, bytes(whole), None


def encoded(rows: list[Row], chance: random.Random) -> Made:
    """Another encoding."""
    text = as_csv([row | {"category": "é"} for row in rows]).decode()
    encoding = chance.choice(["utf-16", "utf-16-le", "latin-1", "cp1252", "utf-32", "utf-7"])
    return "csv", text.encode(encoding), None


def with_mark(rows: list[Row], chance: random.Random) -> Made:
    """A byte order mark before it."""
    ending, write = chance.choice(FORMS[:2])
    return ending, b"\xef\xbb\xbf" + write(rows), len(rows)


def other_line_ends(rows: list[Row], chance: random.Random) -> Made:
    """Lines that end as on Windows, the last one perhaps not at all."""
    ending, write = chance.choice(FORMS[:2])
    content = write(rows).replace(b"\n", b"\r\n")
    return ending, content.rstrip() if chance.random() < 0.5 else content, len(rows)


def badly_quoted(rows: list[Row], chance: random.Random) -> Made:
    """Quotation marks where none should be."""
    content = bytearray(as_csv(rows))
    for _ in range(chance.randint(1, 3)):
        content.insert(chance.randrange(len(content)), ord('"'))
    return "csv", bytes(content), None


def with_nulls(rows: list[Row], chance: random.Random) -> Made:
    """Null bytes anywhere."""
    ending, write = chance.choice(FORMS[:2])
    content = bytearray(write(rows))
    for _ in range(chance.randint(1, 5)):
        content.insert(chance.randrange(len(content)), 0)
    return ending, bytes(content), None


def uneven(rows: list[Row], chance: random.Random) -> Made:
    """A line with a field too many or too few: still one row each."""
    lines = as_csv(rows).splitlines()
    at = chance.randrange(1, len(lines))
    lines[at] = lines[at] + b",more" if chance.random() < 0.5 else lines[at].rpartition(b",")[0]
    return "csv", b"\n".join(lines) + b"\n", len(rows)


def odd_header(rows: list[Row], chance: random.Random) -> Made:
    """Columns that are there twice, lack a name, or have one that is ours."""
    names = list(rows[0])
    if chance.random() < 0.4:
        names[chance.randrange(len(names))] = chance.choice([*names, *HEADERS, ""])
    else:
        names.append(chance.choice(HEADERS))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[*row.values(), "x"][: len(names)] for row in rows])
    return "csv", text.getvalue().encode(), None


def odd_keys(rows: list[Row], chance: random.Random) -> Made:
    """The same in JSON: keys that are ours, keys in one row only."""
    made = [dict(row) for row in rows]
    for row in chance.sample(made, chance.randint(1, len(made))):
        row[chance.choice(HEADERS)] = chance.choice(VALUES)
    return "jsonl", as_jsonl(made), len(rows)


def nothing(_: list[Row], chance: random.Random) -> Made:
    """No row at all."""
    empty = chance.choice([b"", b"\n", b"\n\n\n", b" \n", b"\xef\xbb\xbf", as_csv([])])
    return chance.choice(["csv", "jsonl"]) if empty != as_csv([]) else "csv", empty, None


def no_rows(rows: list[Row], chance: random.Random) -> Made:
    """Lines that are no rows."""
    junk = [b"[1, 2]", b"7", b'"text"', b"null", b"{", b"}{", b"[" * 5000, b'{"a":' * 300, b"NaN",
            b'{"decision_id": NaN}', b'{"a": 1e999}', b'{"a": 1, "a": 2}', b"\xff\xfe"]  # fmt: skip
    lines = as_jsonl(rows).splitlines() + [chance.choice(junk) for _ in range(3)]
    chance.shuffle(lines)
    return "jsonl", b"\n".join(lines) + b"\n", len(lines)


def packed_badly(rows: list[Row], chance: random.Random) -> Made:
    """Compression that is none, or breaks off."""
    whole = gzip.compress(as_csv(rows))
    made = chance.choice([as_csv(rows), whole[:-5], whole + b"tail", b"", b"\x1f\x8b", whole * 2])
    return chance.choice(["csv.gz", "csv.zst", "jsonl.gz", "parquet.gz", "csv"]), made, None


def one_line(rows: list[Row], chance: random.Random) -> Made:
    """JSON that is one list, or spread over lines."""
    whole = json.dumps(rows, indent=chance.choice([None, 1]))
    return "json", whole.encode(), None


FORMS: list[tuple[str, Callable[[list[Row]], bytes]]] = [
    ("csv", as_csv),
    ("jsonl", as_jsonl),
    ("parquet", lambda rows: nasty_parquet(rows, random.Random(len(rows)))[1]),
    ("csv.gz", lambda rows: gzip.compress(as_csv(rows))),
]
WAYS: list[Way] = [
    nasty_csv, nasty_csv, nasty_jsonl, nasty_jsonl, nasty_parquet, truncated, flipped, encoded,
    with_mark, other_line_ends, badly_quoted, with_nulls, uneven, odd_header, odd_keys, nothing,
    no_rows, packed_badly, one_line,
]  # fmt: skip
