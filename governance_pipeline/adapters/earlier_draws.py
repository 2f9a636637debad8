"""Draws made before: a decision keeps the probability it was first drawn with, whoever repeats it.

What was committed counts first; of deliveries that are taken in together, the one that came first.
So daily runs and a backfill draw alike, and a late correction of reach draws nothing anew.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.batch import Partition
from governance_pipeline.adapters.lake import write_numbers

# One statement for all: what is looked for is hashed, what was drawn before streams past it.
EARLIER = """
insert into drawn_before
with repeated as (
    select p.part, d.decision_id, f.delivery, f.accepted_file,
        d.file_row_number as place
    from read_parquet($accepted) d
    join earlier_accepted f on f.number = d.file_index
    join earlier_pairs p on p.delivery = f.delivery
    join accepted a on a.part = p.part and a.decision_id = d.decision_id
), found as (
    select r.part, r.decision_id, c.decision_date, c.audit_probability,
        row_number() over (
            partition by r.part, r.decision_id, c.decision_date order by r.delivery
        ) as recency
    from read_parquet($counted) c
    join earlier_counted n on n.number = c.file_index
    join repeated r on r.delivery = n.delivery and r.accepted_file = c.accepted_file
        and r.place = c.place
    where c.audit_probability is not null
)
select part, decision_id, decision_date, audit_probability from found where recency = 1
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


def committed(lake: Path, since: dt.date) -> list[Drawn]:
    """Return the committed deliveries that may speak of decisions from a day on, in their order.

    A decision is not delivered before its day, so what came earlier need not be read.
    """
    near = [key for key in manifests.keys(lake, "decisions") if key[2] >= since]
    found = [
        Drawn(
            m.channel,
            m.delivery_date,
            frozenset(m.decision_days),
            [lake / name for name in m.files["accepted"]],
            [lake / name for name in m.files["counted_decisions"]],
        )
        for m in (manifests.glance(lake, *key) for key in near)
        if m and m.files.get("accepted") and m.files.get("counted_decisions")
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
    lake: Path,
    partitions: Sequence[Partition],
    days: Days,
    drawn: Sequence[Drawn],
) -> None:
    """Write the table `drawn_before`: what the decisions of some deliveries were drawn with before.

    What a restated delivery said itself comes first, then what others of its channel said.
    """
    connection.execute(
        "create or replace temp table drawn_before (part integer, decision_id varchar,"
        " decision_date date, audit_probability double)"
    )
    own = [_before(lake, partition) for partition in partitions]
    pairs = [
        (place, partition.part)
        for partition, before in zip(partitions, own, strict=True)
        for place, other in enumerate([*own, *drawn])
        if other is not None
        and (other is before or _shares_a_day(partition, days[partition.part], other))
    ]
    if not pairs:
        return
    every = dict(enumerate([*own, *drawn]))
    others = [(place, every[place]) for place in sorted({place for place, _ in pairs})]
    accepted = [(n, at, str(f)) for n, o in others if o for at, f in enumerate(o.accepted)]
    counted = [(n, str(file)) for n, other in others if other for file in other.counted]
    for table, columns, rows in (
        ("earlier_pairs", ("delivery", "part"), pairs),
        ("earlier_accepted", ("delivery", "accepted_file"), [row[:2] for row in accepted]),
        ("earlier_counted", ("delivery",), [row[:1] for row in counted]),
    ):
        write_numbers(connection, table, columns, rows)
    files = {"accepted": [row[-1] for row in accepted], "counted": [row[-1] for row in counted]}
    connection.execute(EARLIER, files)


def _before(lake: Path, partition: Partition) -> Drawn | None:
    files = partition.before.files if partition.before else {}
    accepted, counted = (
        [lake / name for name in files.get(kind, ())] for kind in ("accepted", "counted_decisions")
    )
    if not counted:
        return None
    return Drawn(partition.channel, partition.day, frozenset(), accepted, counted)


def _shares_a_day(partition: Partition, days: set[dt.date], other: Drawn) -> bool:
    is_own = other.delivery_date == partition.day
    return other.channel == partition.channel and not is_own and bool(days & other.days)
