"""Reviewers' answers: a worklist that comes back, checked whole and delivered as labels."""

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governance_pipeline.adapters.label_deliveries import Label, deliver_labels, moment
from governance_pipeline.adapters.worklists import drawn_items, shielded
from governance_pipeline.errors import DeliveryError, InputError
from governance_pipeline.paths import Paths

VERDICTS = ("violating", "not_violating", "unsure")
SHOWN = 10
NEEDED = ("worklist_id", "verdict", "reviewer_id", "labelled_at")
REPEATED = ("item_id", "policy", "channel")

Row = dict[str, str]
Drawn = dict[Any, Any]


@dataclass(frozen=True)
class Imported:
    """What became of a file of answers: labels delivered by channel and date, and what was left."""

    delivered: Mapping[tuple[str, dt.date], int]
    known: int
    unanswered: int


def import_answers(paths: Paths, file: Path, *, now: dt.datetime) -> Imported:
    """Deliver the answers of a file as labels of random audits; nothing if anything is wrong.

    An answer that was imported before is left alone; another verdict of the same reviewer on the
    same row is delivered as a correction. Rows without a verdict are left for another time.

    Args:
        paths: The home.
        file: A worklist, CSV or JSON lines, with verdict, reviewer_id and labelled_at filled in.
        now: The present, UTC; no label is later.

    Raises:
        DeliveryError: If the file cannot be read as a worklist.
        InputError: If an answer is wrong, naming file, row, value and remedy.
        SourceError: If the home reads labels from somewhere else than its landing folder.
    """
    rows = list(_read(file))
    answered = [(number, row) for number, row in rows if row.get("verdict")]
    known = drawn_items(paths, sorted({row["worklist_id"] for _, row in answered}))
    problems = [p for number, row in answered for p in _problems(row, number, known, now)]
    problems += _repeated(answered)
    if problems:
        more = f"\n... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        said = "\n".join(f"{file.name}, {problem}" for problem in problems[:SHOWN])
        raise InputError(f"{said}{more}\nnothing was imported")
    labels = [_label(row, known[row["worklist_id"]]) for _, row in answered]
    delivered = deliver_labels(paths, labels)
    return Imported(delivered, len(labels) - sum(delivered.values()), len(rows) - len(answered))


def _read(file: Path) -> Iterator[tuple[int, Row]]:
    """Yield each row with its number, counted as an editor of the file counts."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeliveryError(f"{file.name} is not UTF-8 text; save it as such") from error
    if file.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        _require_columns(file, reader.fieldnames or ())
        for row in reader:
            yield reader.line_num, {k: (v or "").strip() for k, v in row.items() if k is not None}
        return
    # Not by splitlines: a JSON text may hold other separators of lines than this one.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise DeliveryError(f"{file.name}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(found, dict):
            raise DeliveryError(f"{file.name}, line {number}: not a JSON object")
        _require_columns(file, found)
        yield number, {k: "" if v is None else str(v).strip() for k, v in found.items()}


def _require_columns(file: Path, there: Sequence[str] | Mapping[str, object]) -> None:
    missing = [
        n for n in ("worklist_id", "verdict", "reviewer_id", "labelled_at") if n not in there
    ]
    if missing:
        raise DeliveryError(
            f"{file.name} has no {', '.join(missing)}; keep the columns that "
            "`governance audit export` writes"
        )


def _problems(row: Row, number: int, known: Mapping[Any, Drawn], now: dt.datetime) -> Iterator[str]:
    where, name = f"row {number}", row["worklist_id"]
    if name not in known:
        yield f"{where}: worklist_id {name!r} was never drawn here; keep the ids as exported"
        return
    drawn = known[name]
    for column in REPEATED:
        true = str(drawn[column]).strip()
        if row.get(column) and row[column] not in (true, shielded(true)):
            yield (
                f"{where}: {column} {row[column]!r} is not that of {name}, {true!r};"
                " the rows were mixed up, export again"
            )
    if row["verdict"] not in VERDICTS:
        yield f"{where}: verdict {row['verdict']!r} is none of {', '.join(VERDICTS)}"
    if not row["reviewer_id"]:
        yield f"{where}: reviewer_id is empty; say who answered"
    at = moment(row["labelled_at"])
    if at is None:
        yield (
            f"{where}: labelled_at {row['labelled_at']!r} is no time; write it like"
            " 2026-05-30T14:00:00Z"
        )
    elif at > now:
        yield f"{where}: labelled_at {row['labelled_at']!r} is in the future; correct it"
    elif at.date() < drawn["decided_on"]:
        yield (
            f"{where}: labelled_at {row['labelled_at']!r} is before the decision of"
            f" {drawn['decided_on']}; correct it"
        )


def _repeated(answered: Sequence[tuple[int, Row]]) -> Iterator[str]:
    seen: dict[tuple[str, str], int] = {}
    for number, row in answered:
        key = (row["worklist_id"], row["reviewer_id"])
        if key in seen:
            yield (
                f"row {number}: {row['reviewer_id']} answered {row['worklist_id']} on row"
                f" {seen[key]} already; keep one of them"
            )
        seen.setdefault(key, number)


def _label(row: Row, drawn: Drawn) -> Label:
    at = moment(row["labelled_at"])
    assert at is not None
    said = f"{row['worklist_id']}|{row['reviewer_id']}"
    return {
        "label_id": f"w{hashlib.sha256(said.encode()).hexdigest()[:20]}",
        "item_id": str(drawn["item_id"]),
        "policy": str(drawn["policy"]),
        "channel": str(drawn["channel"]),
        "reviewer_id": row["reviewer_id"],
        "labelled_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "verdict": row["verdict"],
        "source": "random_audit",
    }
