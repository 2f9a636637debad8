"""`python -m benchmarks.scale`: what intake and marts cost by size, and what one more day costs.

Every market is made anew in a folder that is deleted at the end. Results go to
`benchmarks/results/scale.json` and `scale.svg`; each row says the size it was measured at.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.scale import orchestration, references, work
from benchmarks.scale.pairs import Cost, Worker, take_turns
from benchmarks.scale.picture import save_picture
from governance_pipeline.paths import Paths
from governance_pipeline.simulation.bulk import Bulk

RESULTS = Path(__file__).parents[1] / "results"
START = dt.date(2026, 1, 1)
FULL = 100_000_000


@dataclass(frozen=True)
class Size:
    """How large the markets are; `more_days` are the days added one by one.

    `short` and `long` are the histories in days that one more day is compared after, of `day_rows`
    decisions a day; 0 leaves that out, because it takes longer than all the rest of a small run.
    """

    rows: int
    days: int
    strategies: int
    more_days: int
    short: int
    long: int
    day_rows: int

    @property
    def said(self) -> str:
        """The size in words, for every row."""
        return f"{self.rows / 1e6:g}M decisions, {self.days} days, {self.strategies} strategies"


SIZES = {
    "small": Size(1_000_000, 30, 200, 1, 0, 0, 0),
    "10m": Size(10_000_000, 90, 1_000, 3, 30, 120, 20_000),
    "100m": Size(100_000_000, 90, 1_000, 3, 30, 360, 20_000),
}
Record = dict[str, Any]


@dataclass
class Bench:
    """One run: its size, where it works, its two processes, and what was found so far."""

    size: Size
    pairs: int
    folder: Path
    ours: Worker
    theirs: Worker
    records: list[Record]
    console: Console
    fixed: float = 0.0

    def say(self, text: str) -> None:
        """Show how far the run is."""
        self.console.log(text, highlight=False)

    def add(self, record: Record, size: str = "") -> None:
        """Keep a row, and show it."""
        self.records.append({**record, "size": size or self.size.said})
        self.say(f"{record['row']}: {record['figure']} (must be {record['must']})")

    def pairs_of(self, row: str, most: float, ours: Any, theirs: Any, root: Path) -> Record:
        """Measure one of our pieces of work beside its reference.

        Of a small market most is what a build costs without any row, so that is taken off; at full
        size it is not.
        """
        self.say(f"{row}: {self.pairs} pairs")
        fixed = 0.0
        if self.size.rows < FULL:
            fixed = median(self.ours.run(ours, self.folder / "nothing").cpu for _ in range(2))
            row += ", fixed overhead apart"
        ratio = take_turns(
            lambda: self.ours.run(ours, root), lambda: self.theirs.run(theirs, root), self.pairs,
            fixed,
        )  # fmt: skip
        record = ratio.record(row, most)
        self.add(record)
        return record


def dates(first: int, last: int) -> list[dt.date]:
    """Return days counted from the first, the last not among them."""
    return [START + dt.timedelta(days=n) for n in range(first, last)]


def measure_generator(bench: Bench) -> None:
    """Measure how fast a day of a market is made, on one core."""
    rows = 2_000_000
    place = bench.folder / "generated"
    made = bench.theirs.run(work.deliver, place, Bulk(rows, START, 1, bench.size.strategies))
    shutil.rmtree(place)
    rate = rows / made.cpu
    bench.add({"row": "decisions made a CPU second", "figure": round(rate),
               "must": ">= 500000", "holds": rate >= 500_000,
               "cpu_s": round(made.cpu, 2)}, f"{rows / 1e6:g}M decisions of one day")  # fmt: skip


def measure_market(bench: Bench) -> None:
    """Measure the full refresh in its parts, then days added one by one."""
    size, root = bench.size, bench.folder / "market"
    bench.say(f"delivering {size.said}")
    bulk = Bulk(size.rows, START, size.days, size.strategies)
    bench.theirs.run(work.make_market, root, bulk)
    first, more = dates(0, size.days - size.more_days), dates(size.days - size.more_days, size.days)
    bench.say("taking it in (once)")
    taken = bench.ours.run(work.take_in, root, first)
    judged = bench.theirs.run(references.validate, root, first)
    peaks = [taken.peak_mb]
    marts = bench.pairs_of(
        "marts, dbt in process, against two-pass SQL", 1.3, work.marts_anew, references.marts, root
    )
    wrong = bench.theirs.run(work.difference_from_reference, root).said
    bench.add({"row": "rows of marts that differ from the hand-written ones",
               "figure": sum(wrong.values()), "must": "0",
               "holds": not any(wrong.values())})  # fmt: skip
    segments = bench.pairs_of(
        "segments by category x market, against blocked SQL", 1.2, work.segments_anew,
        references.segments, root,
    )  # fmt: skip
    bench.add({"row": "peak memory of segments, MB", "figure": segments["peak_mb"],
               "must": "< 2500", "holds": segments["peak_mb"] < 2500})  # fmt: skip
    peaks.append(marts["peak_mb"])
    bench.add({"row": "peak memory of everything else, MB", "figure": round(max(peaks)),
               "must": "< 2000", "holds": max(peaks) < 2000})  # fmt: skip
    whole = taken.cpu + marts["cpu_s"] - marts["fixed_cpu_s"]
    by_hand = judged.cpu + marts["reference_cpu_s"]
    bench.add({"row": "full refresh, intake (once) and marts, against two-pass SQL and one-pass"
               " validation", "figure": round(whole / by_hand, 3), "must": "<= 1.5",
               "holds": whole <= 1.5 * by_hand, "cpu_s": round(whole, 1),
               "reference_cpu_s": round(by_hand, 1)})  # fmt: skip
    bench.ours.run(work.forget, root)
    bench.say("building everything, then day by day")
    whole = taken.cpu + bench.ours.run(work.build, root).cpu - bench.fixed
    measure_days(bench, root, more, whole)


def measure_days(bench: Bench, root: Path, more: list[dt.date], whole: float) -> None:
    """Measure one more day, its labels by themselves, and whether all is as built at once."""
    fixed, days, late = bench.fixed, [], []
    for day in more:
        taken = bench.ours.run(work.take_in, root, [day], work.FACTS)
        built = bench.ours.run(work.build, root)
        spoken = bench.ours.run(work.take_in, root, [day], work.SPEECH)
        told = bench.ours.run(work.late_labels, root)
        assert told.said[1] == 0, "labels recounted decisions"
        late.append(told)
        days.append(taken.cpu + built.cpu + spoken.cpu + told.cpu - 2 * fixed)
        bench.say(f"{day}: {days[-1]:.1f} CPU s, labels over {told.said[0]} days")
    share = median(days) / whole
    bench.add({"row": "one more day, as a share of the full refresh, fixed overhead apart",
               "figure": round(share, 4), "must": "<= 0.25", "holds": share <= 0.25,
               "cpu_s": round(median(days), 2), "fixed_cpu_s": round(fixed, 2)})  # fmt: skip
    own = median(cost.cpu for cost in late) - fixed
    bench.add({"row": f"late labels over {max(c.said[0] for c in late)} days, CPU s over the"
               " fixed overhead", "figure": round(own, 2), "must": "<= 1",
               "holds": own <= 1})  # fmt: skip
    bench.say("comparing with a full refresh")
    differing = bench.ours.run(work.difference_from_full_refresh, root).said
    bench.add({"row": "rows of published marts that a full refresh has otherwise",
               "figure": sum(differing.values()), "must": "0",
               "holds": not any(differing.values())})  # fmt: skip


def measure_nothing(bench: Bench) -> None:
    """Measure what a build costs that has next to nothing to count."""
    root, days = bench.folder / "nothing", dates(0, 6)
    bench.theirs.run(work.make_market, root, Bulk(600, START, len(days), 2))
    bench.ours.run(work.take_in, root, days[:3])
    bench.ours.run(work.build, root)
    costs = []
    for day in days[3:]:
        bench.ours.run(work.take_in, root, [day])
        costs.append(bench.ours.run(work.build, root).cpu)
    bench.fixed = median(costs)


def measure_histories(bench: Bench) -> None:
    """Measure one more day after a short and after a long history of equal days."""
    size = bench.size
    homes = {}
    for days in (size.short, size.long):
        root = bench.folder / f"history-{days}"
        bench.say(f"a history of {days} days of {size.day_rows:,} decisions")
        every = days + bench.pairs
        bulk = Bulk(size.day_rows * every, START, every, 50)
        bench.theirs.run(work.make_market, root, bulk)
        bench.ours.run(work.take_in, root, dates(0, days))
        bench.ours.run(work.build, root)
        homes[days] = (root, iter(dates(days, every)))

    def another(days: int) -> Cost:
        root, coming = homes[days]
        return bench.ours.run(work.one_more_day, root, next(coming))

    ratio = take_turns(lambda: another(size.long), lambda: another(size.short), bench.pairs)
    row = f"one more day after {size.long} days, against after {size.short}"
    bench.add(ratio.record(row, 1.15), f"{size.day_rows:,} decisions a day")


def measure_peers(bench: Bench) -> None:
    """Measure the plain aggregate by strategy, channel and day in three engines, for scale."""
    files = sorted(map(str, Paths(bench.folder / "market").landing.glob("decisions/*/*/*.parquet")))
    files = files[: max(1, len(files) * 10_000_000 // max(bench.size.rows, 10_000_000))]
    beside: Record = {}
    for name in ("duckdb", "pandas", "polars"):
        worker = Worker()
        try:
            cost = worker.run(getattr(work, f"aggregate_{name}"), files)
            beside[name] = {"cpu_s": round(cost.cpu, 2), "wall_s": round(cost.wall, 2),
                            "peak_mb": round(cost.peak_mb)}  # fmt: skip
        except ModuleNotFoundError:
            beside[name] = "not installed"
        worker.close()
    bench.add(
        {
            "row": "aggregate by strategy, channel and day, CPU s",
            "figure": beside["duckdb"]["cpu_s"],
            "must": "for scale",
            "holds": True,
            "peers": beside,
        },
        f"{min(bench.size.rows, 10_000_000) / 1e6:g}M decisions",
    )


@contextmanager
def _workplace(folder: Path | None) -> Iterator[Path]:
    """Give a folder to work in, and delete what was written there."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="governance-scale-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@click.command()
@click.option("--size", type=click.Choice(list(SIZES)), default="small", show_default=True)
@click.option("--pairs", default=5, show_default=True, help="Pairs of every ratio.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to work; a temporary one.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(size: str, pairs: int, folder: Path | None, results: Path) -> None:
    """Measure intake and marts beside hand-written SQL, and write the results."""
    console = Console(width=160)
    with _workplace(folder) as place:
        bench = Bench(SIZES[size], pairs, place, Worker(), Worker(), [], console)
        try:
            measure_generator(bench)
            measure_nothing(bench)
            measure_market(bench)
            measure_peers(bench)
            shutil.rmtree(place / "market")
            if bench.size.long:
                measure_histories(bench)
            orchestration.measure(bench.add, bench.say, place / "nothing", place)
        finally:
            bench.ours.close()
            bench.theirs.close()
    results.mkdir(exist_ok=True)
    machine = {"cores": 2, "machine": platform.machine(), "measured": str(dt.date.today())}
    written = [{**record, **machine} for record in bench.records]
    (results / "scale.json").write_text(json.dumps(written, indent=1) + "\n")
    save_picture(written, results / "scale.svg")
    console.print(_table(written))


def _table(records: list[Record]) -> Table:
    table = Table("row", "figure", "must", "holds", "CPU s", "reference", "range", "peak MB")
    for r in records:
        cpu = r.get("cpu_ratio")
        table.add_row(
            r["row"], str(r["figure"]), r["must"], "yes" if r["holds"] else "no",
            str(r.get("cpu_s", "")), str(r.get("reference_cpu_s", "")),
            f"{cpu['least']} to {cpu['most']}" if cpu else "", str(r.get("peak_mb", "")),
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
