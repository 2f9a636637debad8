"""`python -m benchmarks.scale`: what intake and marts cost by size, and what one more day costs.

Every market is made anew in a folder that is deleted at the end; with `--only` some parts are
measured by themselves, on what an earlier call left in the folder. Results go to
`benchmarks/results/scale.json` and `scale.svg`; a row replaces the one of its name and size.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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
WHOLE = (
    "full refresh through Dagster, validation and dbt, against one-pass validation, two-pass SQL"
    " of the same outputs"
)


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

    @property
    def bulk(self) -> Bulk:
        """The market of that size."""
        return Bulk(self.rows, START, self.days, self.strategies)

    @property
    def first(self) -> list[dt.date]:
        """The days that are refreshed at once."""
        return dates(0, self.days - self.more_days)


SIZES = {
    "small": Size(1_000_000, 20, 200, 1, 0, 0, 0),
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
    fixed: dict[str, float] = field(default_factory=dict)
    """What a build costs after next to nothing of a feed came."""
    fixed_refresh: float = 0.0

    @property
    def root(self) -> Path:
        """The home of the market."""
        return self.folder / "market"

    def say(self, text: str) -> None:
        """Show how far the run is."""
        self.console.log(text, highlight=False)

    def add(self, record: Record, size: str = "") -> None:
        """Keep a row, and show it."""
        made = {**record, "size": size or self.size.said, "measured": str(dt.date.today())}
        kept = [r for r in self.records if (r["row"], r["size"]) != (made["row"], made["size"])]
        self.records[:] = [*kept, made]
        self.say(f"{record['row']}: {record['figure']} (must be {record['must']})")

    def forget(self, start: str) -> None:
        """Drop this size's rows that begin so: how many days labels spoke of may have changed."""
        said = self.size.said
        self.records[:] = [
            r for r in self.records if not (r["row"].startswith(start) and r["size"] == said)
        ]

    def add_peak(self, of: str, peak_mb: float, most: int) -> None:
        """Keep the row of the most memory that a piece of work held."""
        self.add({"row": f"peak memory of {of}, MB", "figure": round(peak_mb),
                  "must": f"< {most}", "holds": peak_mb < most})  # fmt: skip

    def pairs_of(self, row: str, most: float, ours: Any, theirs: Any) -> Record:
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
            lambda: self.ours.run(ours, self.root), lambda: self.theirs.run(theirs, self.root),
            self.pairs, fixed,
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


def measure_refresh(bench: Bench) -> None:
    """Measure the full refresh as Dagster runs it, beside what it is made of by hand."""
    size, root = bench.size, bench.root
    if not root.exists():
        bench.say(f"delivering {size.said}")
        bench.theirs.run(work.make_market, root, size.bulk)
    bench.say("refreshing everything through Dagster (once)")
    whole = bench.ours.run(work.refresh, root, size.first[0], size.first[-1])
    fixed = bench.fixed_refresh if size.rows < FULL else 0.0
    bench.say(f"{whole.cpu:.1f} CPU s, {whole.wall:.0f} s, {whole.peak_mb:.0f} MB; by hand")
    parts = {
        name: bench.theirs.run(piece, *arguments).cpu
        for name, (piece, *arguments) in {
            "validation": (references.validate, root, size.first),
            "thin tables": (references.thin, root),
            "marts": (references.marts, root),
            "segments": (references.segments, root),
        }.items()
    }
    bench.say(", ".join(f"{name} {cpu:.1f}" for name, cpu in parts.items()))
    apart = ", fixed overhead apart" if fixed else ""
    without = sum(cpu for name, cpu in parts.items() if name != "thin tables")
    for row, theirs, most in (
        (WHOLE + apart, sum(parts.values()), 1.5),
        (f"{WHOLE} but the draws and thin tables{apart}", without, None),
    ):
        ratio = (whole.cpu - fixed) / theirs
        bench.add({"row": row, "figure": round(ratio, 3),
                   "must": f"<= {most}" if most else "for scale",
                   "holds": most is None or ratio <= most, "cpu_s": round(whole.cpu, 1),
                   "fixed_cpu_s": round(fixed, 1), "pairs": 1,
                   "reference_cpu_s": round(theirs, 1)})  # fmt: skip
    bench.add_peak("a full refresh", whole.peak_mb, 2000)


def measure_marts(bench: Bench) -> None:
    """Measure the marts built anew, dbt in process."""
    bench.theirs.run(references.thin, bench.root)  # of the days that were added too
    marts = bench.pairs_of(
        "marts, dbt in process, against two-pass SQL", 1.3, work.marts_anew, references.marts
    )
    wrong = bench.theirs.run(work.difference_from_reference, bench.root).said
    bench.add({"row": "rows of marts that differ from the hand-written ones",
               "figure": sum(wrong.values()), "must": "0",
               "holds": not any(wrong.values())})  # fmt: skip
    bench.add_peak("the marts", marts["peak_mb"], 2000)


def measure_segments(bench: Bench) -> None:
    """Measure the counts by day, category and market built anew."""
    segments = bench.pairs_of(
        "segments by category x market, against blocked SQL", 1.2, work.segments_anew,
        references.segments,
    )  # fmt: skip
    bench.add_peak("segments", segments["peak_mb"], 2500)


def measure_days(bench: Bench) -> None:
    """Measure one more day, its labels by themselves, and whether all is as built at once."""
    root, size, days, late, peak = bench.root, bench.size, [], [], 0.0
    whole = next(r for r in bench.records if r["row"].startswith(WHOLE) and r["size"] == size.said)
    fixed = sum(bench.fixed.values())
    for day in dates(size.days - size.more_days, size.days):
        costs = []
        for feed in work.IN_TURN:
            costs += [
                bench.ours.run(work.take_in, root, [day], [feed]),
                bench.ours.run(work.build, root),
            ]
            if feed == "audit_labels":
                late.append(costs[-1])
            assert feed == "decisions" or costs[-1].said[1] == 0, f"{feed} recounted decisions"
        days.append(sum(cost.cpu for cost in costs) - fixed)
        peak = max(peak, *(cost.peak_mb for cost in costs))
        bench.say(f"{day}: {days[-1]:.1f} CPU s, labels over {late[-1].said[0]} days")
    share = median(days) / (whole["cpu_s"] - bench.fixed_refresh)
    bench.add({"row": "one more day, as a share of the full refresh, fixed overhead apart",
               "figure": round(share, 4), "must": "<= 0.25", "holds": share <= 0.25,
               "cpu_s": round(median(days), 2), "fixed_cpu_s": round(fixed, 2)})  # fmt: skip
    built = median(cost.cpu for cost in late)
    own = built - bench.fixed["audit_labels"]
    bench.forget("late labels over ")
    bench.add({"row": f"late labels over {max(c.said[0] for c in late)} days, CPU s over the"
               " fixed overhead", "figure": round(own, 2), "must": "<= 1", "holds": own <= 1,
               "cpu_s": round(built, 2),
               "fixed_cpu_s": round(bench.fixed["audit_labels"], 2)})  # fmt: skip
    bench.add_peak("one more day", peak, 2000)
    bench.say("comparing with a full refresh")
    differing = bench.ours.run(work.difference_from_full_refresh, root).said
    bench.add({"row": "rows of published marts that a full refresh has otherwise",
               "figure": sum(differing.values()), "must": "0",
               "holds": not any(differing.values())})  # fmt: skip


def measure_nothing(bench: Bench) -> None:
    """Measure what a build costs that has next to nothing to count."""
    bench.say("what is paid without rows")
    root, days = bench.folder / "nothing", dates(0, 7)
    shutil.rmtree(root, ignore_errors=True)
    bench.theirs.run(work.make_market, root, Bulk(700, START, len(days), 2))
    bench.ours.run(work.take_in, root, days[:3])
    bench.ours.run(work.build, root)
    costs: dict[str, list[float]] = {feed: [] for feed in work.IN_TURN}
    for day in days[3:5]:
        for feed, built in costs.items():
            bench.ours.run(work.take_in, root, [day], [feed])
            built.append(bench.ours.run(work.build, root).cpu)
    bench.fixed = {feed: median(built) for feed, built in costs.items()}
    for day in days[5:]:  # once for the imports
        bench.fixed_refresh = bench.ours.run(work.refresh, root, day, day).cpu


def measure_histories(bench: Bench) -> None:
    """Measure one more day after a short and after a long history of equal days.

    Both end on the same date: units by segment are counted by month, of which a day late in one
    has more.
    """
    size = bench.size
    homes = {}
    for days in (size.short, size.long):
        root = bench.folder / f"history-{days}"
        shutil.rmtree(root, ignore_errors=True)
        bench.say(f"a history of {days} days of {size.day_rows:,} decisions")
        every = dates(size.long - days, size.long + bench.pairs)
        bulk = Bulk(size.day_rows * len(every), every[0], len(every), 50)
        bench.theirs.run(work.make_market, root, bulk)
        bench.ours.run(work.take_in, root, every[:days])
        bench.ours.run(work.build, root)
        homes[days] = (root, iter(every[days:]))

    def another(days: int) -> Cost:
        root, coming = homes[days]
        return bench.ours.run(work.one_more_day, root, next(coming))

    ratio = take_turns(lambda: another(size.long), lambda: another(size.short), bench.pairs)
    row = f"one more day after {size.long} days, against after {size.short}"
    bench.add(ratio.record(row, 1.15), f"{size.day_rows:,} decisions a day")


def measure_peers(bench: Bench) -> None:
    """Measure the plain aggregate by strategy, channel and day in three engines, for scale."""
    files = sorted(map(str, Paths(bench.root).landing.glob("decisions/*/*/*.parquet")))
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


def measure_orchestration(bench: Bench) -> None:
    """Measure what is paid without any row."""
    orchestration.measure_days(bench.add, bench.say, bench.folder / "nothing")
    many = bench.folder / "many"
    shutil.rmtree(many, ignore_errors=True)
    orchestration.measure_fleet(bench.add, bench.say, many, is_reported=bench.size.long > 0)


PARTS: Mapping[str, Callable[[Bench], None]] = {
    "generator": measure_generator,
    "refresh": measure_refresh,
    "days": measure_days,
    "marts": measure_marts,
    "segments": measure_segments,
    "peers": measure_peers,
    "histories": measure_histories,
    "orchestration": measure_orchestration,
}
"""The parts in the order they are measured; days are added to what the refresh left."""


@contextmanager
def _workplace(folder: Path | None, is_kept: bool) -> Iterator[Path]:
    """Give a folder to work in, and delete what was written there, if it is not to be kept."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if is_kept:
            yield folder
            return
    place = Path(tempfile.mkdtemp(prefix="governance-scale-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@click.command()
@click.option("--size", type=click.Choice(list(SIZES)), default="small", show_default=True)
@click.option("--pairs", default=0, help="Pairs of every ratio; 2 of a small market, else 5.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to work; a temporary one.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(PARTS)),
    help="Measure this part alone, on what an earlier call left in --folder.",
)
def main(size: str, pairs: int, folder: Path | None, results: Path, only: tuple[str, ...]) -> None:
    """Measure intake and marts beside hand-written SQL, and write the results."""
    console = Console(width=160)
    earlier = results / "scale.json"
    records = json.loads(earlier.read_text()) if earlier.exists() else []
    with _workplace(folder, bool(only)) as place:
        several = pairs or (2 if size == "small" else 5)
        bench = Bench(SIZES[size], several, place, Worker(), Worker(), records, console)
        try:
            measure_nothing(bench)
            for name in only or PARTS:
                if name != "histories" or bench.size.long:
                    PARTS[name](bench)
                write_results(results, records)
        finally:
            bench.ours.close()
            bench.theirs.close()
    console.print(_table(_shown(records, bench.size.said)))


def write_results(results: Path, records: list[Record]) -> None:
    """Write the rows, and the picture of those of the largest market."""
    results.mkdir(exist_ok=True)
    machine = {"cores": 2, "machine": platform.machine()}
    written = [{**record, **machine} for record in records]
    (results / "scale.json").write_text(json.dumps(written, indent=1) + "\n")
    measured = [
        size.said for size in SIZES.values() if any(r["size"] == size.said for r in written)
    ]
    if measured:
        save_picture(_shown(written, measured[-1]), measured[-1], results / "scale.svg")


def _shown(records: list[Record], size: str) -> list[Record]:
    """Return the rows of one market, and those of none."""
    others = {other.said for other in SIZES.values()} - {size}
    return [record for record in records if record["size"] not in others]


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
