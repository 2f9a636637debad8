"""Which ids the decisions of half a month have, hashed and in order: a file for each channel.

A label may come a year after its decision, and an id may be used again. So every id that is spoken
of is looked for in all of history, which costs a few reads in each file; the decisions themselves
are read only where it is found. The files can be made anew at any time: the name of each says of
which deliveries it is.
"""

import datetime as dt
import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.lake import make_durable
from governance_pipeline.adapters.manifests import Stamp
from governance_pipeline.adapters.sql import literal

Hashes = NDArray[np.uint64]
Days = Mapping[dt.date, Stamp]
"""Delivery dates of one channel and half a month, each with the stamp of its manifest."""
Spans = dict[tuple[str, dt.date], dict[dt.date, Stamp]]
"""The deliveries of decisions by channel and first day of the half of a month."""

IDS = {
    "sampled_decisions": "unnest([hash(decision_id), hash(item_id, policy)])",
    "actioned_decisions": "hash(decision_id)",
}
ASKED = {
    "sampled_decisions": "if(decision_id is null, hash(item_id, policy), hash(decision_id))",
    "actioned_decisions": "hash(decision_id)",
}


def span_of(day: dt.date) -> dt.date:
    """Return the first day of a day's half of its month.

    >>> [span_of(dt.date(2026, 2, day)).day for day in (1, 15, 16, 28)]
    [1, 1, 16, 16]
    """
    return day.replace(day=1 if day.day < 16 else 16)


def by_span(lake: Path) -> Spans:
    """Return what was delivered of decisions, by channel and half a month."""
    found: Spans = defaultdict(dict)
    for (_, channel, date), stamp in manifests.stamps(lake, "decisions").items():
        day = dt.date.fromisoformat(date)
        found[channel, span_of(day)][day] = stamp
    return found


def spans_that_know(
    connection: duckdb.DuckDBPyConnection, lake: Path, table: str, spans: Spans
) -> Spans:
    """Return the spans that have an id, or an item with its policy, of the table `asked`.

    Args:
        connection: To the database of `asked`.
        lake: The lake.
        table: The thin table whose ids are meant.
        spans: Where to look.
    """
    asked = connection.execute(
        f"select delivery_channel, list(distinct {ASKED[table]}) from asked group by all"
    ).fetchall()
    wanted = {channel: np.array(hashes, dtype=np.uint64) for channel, hashes in asked}
    return {
        (channel, span): days
        for (channel, span), days in spans.items()
        if channel in wanted
        and _has_any(known(connection, lake, table, channel, span, days), wanted[channel])
    }


def known(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    table: str,
    channel: str,
    span: dt.date,
    days: Days,
) -> Hashes:
    """Return the hashes of the ids of a channel and span in order, from its file or a new one."""
    # Another version of the engine may hash otherwise.
    said = repr((sorted(days.items()), duckdb.__version__))
    token = hashlib.sha256(said.encode()).hexdigest()[:16]
    file = lake / "known_ids" / table / channel / f"{span}-{token}.npy"
    try:
        hashes: Hashes = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # not there, or cut off
        hashes = _read(connection, lake, table, channel, days)
        _write(file, hashes)
    return hashes


def _read(
    connection: duckdb.DuckDBPyConnection, lake: Path, table: str, channel: str, days: Days
) -> Hashes:
    found = [manifests.glance(lake, "decisions", channel, day) for day in sorted(days)]
    names = [name for manifest in found if manifest for name in manifest.files.get(table, [])]
    listed = ", ".join(literal(lake / name) for name in [f"empty/{table}.parquet", *names])
    rows = connection.execute(f"select {IDS[table]} as id from read_parquet([{listed}])")
    return np.unique(np.asarray(rows.fetchnumpy()["id"], dtype=np.uint64))


def _write(file: Path, hashes: Hashes) -> None:
    """Write a file in the place of the one that knew other deliveries of its span."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with fresh.open("wb") as stream:
        np.save(stream, hashes)
    make_durable([fresh])
    for other in file.parent.glob(f"{file.name[:10]}-*.npy"):
        other.unlink(missing_ok=True)
    fresh.replace(file)


def _has_any(hashes: Hashes, wanted: Hashes) -> bool:
    at = np.searchsorted(hashes, wanted)
    is_within = at < len(hashes)
    return bool(np.any(hashes[at[is_within]] == wanted[is_within]))
