"""Draws made before: a decision keeps the probability it was first drawn with, whoever repeats it.

What was committed counts first; of deliveries that are taken in together, the one that came first.
So daily runs and a backfill draw alike, and a late correction of reach draws nothing anew.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Partition

EARLIER = """
insert into drawn_before
select $part, d.decision_id, c.decision_date, c.audit_probability
from (select decision_id, file_index, file_row_number from read_parquet($accepted)) d
join read_parquet($counted) c on c.accepted_file = d.file_index and c.place = d.file_row_number
where c.audit_probability is not null
    and d.decision_id in (select decision_id from accepted where part = $part)
    and d.decision_id not in (select decision_id from drawn_before where part = $part)
"""
Days = Mapping[int, set[dt.date]]


@dataclass(frozen=True)
class Drawn:
    """A delivery of decisions that were drawn, and where they lie."""

    channel: str
    delivery_date: dt.date
    days: frozenset[dt.date]
    accepted: Sequence[Path]
    counted: Sequence[Path]


def decision_days(connection: duckdb.DuckDBPyConnection) -> dict[int, set[dt.date]]:
    """Return the decision days of the deliveries that the view `accepted` shows."""
    found: dict[int, set[dt.date]] = defaultdict(set)
    for part, day in connection.execute(
        "select distinct part, decided_at::date from accepted"
    ).fetchall():
        found[part].add(day)
    return found


def committed(lake: Path) -> list[Drawn]:
    """Return every committed delivery of decisions, in the order of their dates."""
    found = [
        Drawn(
            m.channel,
            m.delivery_date,
            frozenset(m.decision_days),
            [lake / name for name in m.files["accepted"]],
            [lake / name for name in m.files["counted_decisions"]],
        )
        for m in manifests.read_feed(lake, "decisions")
        if m.files.get("accepted") and m.files.get("counted_decisions")
    ]
    return sorted(found, key=lambda drawn: drawn.delivery_date)


def layers(partitions: Mapping[int, Partition], days: Days) -> list[list[int]]:
    """Return the deliveries so that those of one layer share no decision day of a channel.

    Of two that share one, the one that came first is in an earlier layer.
    """
    taken: dict[tuple[str, dt.date], int] = {}
    found: dict[int, list[int]] = defaultdict(list)
    for part in sorted(days, key=lambda part: partitions[part].day):
        cells = [(partitions[part].channel, day) for day in days[part]]
        layer = max(taken.get(cell, 0) for cell in cells)
        taken |= dict.fromkeys(cells, layer + 1)
        found[layer].append(part)
    return [found[layer] for layer in sorted(found)]


def load_earlier(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    days: set[dt.date],
    drawn: Iterable[Drawn],
) -> None:
    """Add to `drawn_before` what other deliveries of a channel drew of the same decisions."""
    for other in drawn:
        is_own = other.delivery_date == partition.day
        if other.channel == partition.channel and not is_own and days & other.days:
            connection.execute(
                EARLIER,
                {
                    "part": partition.part,
                    "accepted": [str(file) for file in other.accepted],
                    "counted": [str(file) for file in other.counted],
                },
            )
