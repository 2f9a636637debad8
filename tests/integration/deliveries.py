"""A small home, and deliveries of every form for it."""

import csv
import datetime as dt
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.landing import Source
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.feeds import THIN
from governance_pipeline.paths import Paths

DAY = dt.date(2026, 3, 1)
STRATEGY = "ad-health-claim-block"
Row = dict[str, Any]


def decision(number: int = 1, **changes: Any) -> Row:
    return {
        "decision_id": f"d{number}",
        "decided_at": f"{DAY}T10:00:00Z",
        "channel": "shopads",
        "strategy_id": STRATEGY,
        "strategy_version": 1,
        "environment": "live",
        "item_id": f"i{number}",
        "item_type": "ad",
        "seller_id": f"s{number % 7}",
        "category": "hb",
        "market": "US",
        "score": (number % 100) / 100,
        "is_fired": number % 2 == 0,
        "action": "block" if number % 2 == 0 else "none",
        "automated_detection": True,
        "automated_decision": "fully",
        "reach": number,
        "gmv": 1.5,
        "experiment_arm": None,
        "sample_stratum": None,
        "inclusion_probability": None,
    } | changes


def as_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else list(decision()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: Sequence[Row]) -> bytes:
    sink = io.BytesIO()
    typed = [
        {**row, "decided_at": dt.datetime.fromisoformat(row["decided_at"])}
        if "decided_at" in row
        else row
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(typed), sink)
    return sink.getvalue()


FORMS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "a.csv": as_csv,
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "a.jsonl": as_jsonl,
    "a.ndjson.gz": lambda rows: gzip.compress(as_jsonl(rows)),
    "a.parquet": as_parquet,
    "a.parquet.gz": lambda rows: gzip.compress(as_parquet(rows)),
}


def write_registry(lake: Path, rate: float = 0.5, policy: str = "health_claims") -> None:
    folder = lake / "registry" / f"r{rate}{policy}"
    folder.mkdir(parents=True)
    version = {
        "strategy_id": STRATEGY, "version": 1, "effective_from": dt.date(2026, 1, 1),
        "effective_to": None, "author": "a", "approver": "b", "reason": "c", "rollback_of": None,
        "score_cuts": "0.2,0.4,0.6,0.8",
    }  # fmt: skip
    rates = [
        {"strategy_id": STRATEGY, "version": 1, "is_fired": f, "score_bin": b, "rate": rate}
        for f in (True, False)
        for b in range(-1, 5)
    ]
    tables: Mapping[str, list[Row]] = {
        "strategies": [{"strategy_id": STRATEGY, "policy": policy, "lifecycle": "live"}],
        "strategy_versions": [version],
        "sampling_rates": rates,
    }
    for name, table in tables.items():
        pq.write_table(pa.Table.from_pylist(table), folder / f"{name}.parquet")
    (lake / "registry" / "current").write_text(folder.name)


def make_home(root: Path) -> Paths:
    made = Paths(root)
    made.landing.mkdir(parents=True)
    made.sampling_key.write_text("a secret")
    write_registry(made.lake)
    return made


def deliver(
    paths: Paths, name: str, content: bytes, day: dt.date = DAY, feed: str = "decisions"
) -> Path:
    file = paths.landing / feed / "shopads" / day.isoformat() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def take_in(
    paths: Paths,
    days: Sequence[dt.date] = (DAY,),
    feed: str = "decisions",
    sources: Sequence[Source] = (),
    run_id: str = "run",
) -> list[Manifest]:
    return intake_range(
        feed, ["shopads"], list(days), paths=paths, sources=list(sources), run_id=run_id,
        progress=lambda _: None,
    )  # fmt: skip


# An accepted row and what intake adds to it, which is kept beside it.
WHOLE = """
select * from (select *, file_index::integer as accepted_file, file_row_number as place
    from read_parquet($accepted)) d
join (select accepted_file, place, delivery_date, decision_date, stratum, score_bin, fine_bin,
    audit_probability, is_unit, is_sampled from read_parquet($counted)) c
    using (accepted_file, place)
"""


def rows_in(paths: Paths, table: str, columns: str = "*", kind: str | None = None) -> list[Any]:
    kind = kind or (table if table in THIN else "accepted")
    feed = "decisions" if table in THIN else table
    found = [m for m in manifests.read_all(paths.lake) if m.feed == feed and m.files.get(kind)]
    if not found:
        return []
    with duckdb.connect() as connection:
        for number, manifest in enumerate(found):
            query, files = "from read_parquet($files)", {"files": listed(paths, manifest, kind)}
            if (table, kind) == ("decisions", "accepted"):
                query = WHOLE
                files = {
                    name: listed(paths, manifest, of)
                    for name, of in (("accepted", kind), ("counted", "counted_decisions"))
                }
            into = "insert into found by name" if number else "create table found as"
            connection.execute(f"{into} {query}", files)
        return connection.execute(f"select {columns} from found order by all").fetchall()


def listed(paths: Paths, manifest: Manifest, kind: str) -> list[str]:
    return [str(paths.lake / name) for name in manifest.files[kind]]


def only(made: Sequence[Manifest]) -> Manifest:
    assert len(made) == 1
    return made[0]


def label(number: int, **changes: Any) -> Row:
    return {
        "label_id": f"l{number}",
        "decision_id": f"d{number}",
        "item_id": None,
        "policy": None,
        "channel": "shopads",
        "reviewer_id": "r1",
        "labelled_at": "2026-03-02T09:00:00Z",
        "verdict": "should_fire",
        "source": "random_audit",
        "policy_version": "1",
        "golden_verdict": None,
    } | changes
