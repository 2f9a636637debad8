"""`python -m benchmarks.intake`: what intake costs beside bare DuckDB and hand-written SQL.

Each work is a process of its own; those that are compared alternate. CPU seconds are user and
system; what Great Expectations takes to be imported is the process's and is not counted.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.intake.files import make_home

RESULTS = Path(__file__).parents[1] / "results"
WORKS = {
    "parquet": ("validate", "draw", "intake"),
    "csv": ("bare", "intake"),
    "jsonl": ("bare", "intake"),
}
VALIDATING = ("judge", "validate", "confirm")
PHASES = ("fingerprint", "read", *VALIDATING, "observe", "judge_sets", "lines", "write")
READING = ("fingerprint", "read", "lines")
PANDAS_ROWS = 1_000_000
Cost = dict[str, Any]


def run(work: str, home: Path, days: int) -> Cost:
    """Do one piece of work in a process of its own and return what it cost."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.intake.work", work, str(home), str(days)],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def measure(form: str, decisions: int, days: int, pairs: int) -> dict[str, list[Cost]]:
    """Return the costs of each work on one form, run in turns, each intake into a new home."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(pairs):
        with tempfile.TemporaryDirectory(prefix="governance-intake-") as folder:
            home = Path(folder) / "home"
            make_home(home, form, decisions, days)
            for work in WORKS[form]:
                costs[work].append(run(work, home, days))
    return costs


def on_pandas(days: int) -> list[Cost]:
    """Return what Great Expectations on pandas takes, beside ours, on a size that fits."""
    with tempfile.TemporaryDirectory(prefix="governance-intake-") as folder:
        home = Path(folder) / "home"
        make_home(home, "parquet", PANDAS_ROWS, days)
        return [run("pandas", home, days), run("intake", home, days)]


def spent(cost: Cost, *phases: str) -> float:
    """Return the CPU seconds of some phases."""
    return float(sum(cost[phase] for phase in phases))


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Return the ratio of each pair, in order of size."""
    return sorted(one / other for one, other in zip(ours, theirs, strict=True))


def row(what: str, found: list[float], most: float, note: str) -> Cost:
    """Return one row of the results: the median of the pairs decides."""
    figure = statistics.median(found)
    return {
        "row": what, "figure": round(figure, 3), "must": f"<= {most:g}", "holds": figure <= most,
        "range": [round(found[0], 3), round(found[-1], 3)], "pairs": len(found), "note": note,
    }  # fmt: skip


def rows_of(
    size: str, forms: dict[str, dict[str, list[Cost]]], pandas: list[Cost]
) -> Iterator[Cost]:
    """Yield the rows of the results."""
    by_hand = forms["parquet"]
    judged = statistics.median(c["cpu"] for c in by_hand["validate"])
    drawn = statistics.median(c["cpu"] for c in by_hand["draw"])
    for form in ("csv", "jsonl"):
        ours, bare = forms[form]["intake"], [c["cpu"] for c in forms[form]["bare"]]
        yield row(
            f"{form}: reading, typing, rejecting and writing, {size}, against bare DuckDB",
            ratios([spent(c, *READING) for c in ours], bare), 1.3,
            f"{_median(ours, *READING):.2f} against {statistics.median(bare):.2f}"
            " CPU s; one line in 10,000 of one channel in six is bad, whose files alone are written"
            " again without it, which is in the next row",
        )  # fmt: skip
        yield row(
            f"{form}: the whole intake, {size}, against bare DuckDB, validation and draw by hand",
            ratios([spent(c, *PHASES) for c in ours], [one + judged + drawn for one in bare]), 1.5,
            f"{_median(ours, *PHASES):.2f} CPU s, of which validation"
            f" {_median(ours, *VALIDATING):.2f}, whole deliveries"
            f" {_median(ours, 'observe', 'judge_sets'):.2f}, writing {_median(ours, 'write'):.2f}",
        )  # fmt: skip
    ours, validated = forms["parquet"]["intake"], forms["parquet"]["validate"]
    one_pass = [c["cpu"] for c in validated]
    yield row(
        f"validation, {size}, against one-pass SQL of the same rules",
        ratios([spent(c, *VALIDATING) for c in ours], one_pass), 1.5,
        f"{_median(ours, *VALIDATING):.2f} against {statistics.median(one_pass):.2f} CPU s",
    )  # fmt: skip
    theirs, own = pandas
    yield row(
        f"validation, {PANDAS_ROWS:,} rows, against Great Expectations on pandas",
        [spent(own, *VALIDATING) / theirs["validate"]], 1 / 3,
        f"{spent(own, *VALIDATING):.2f} against {theirs['validate']:.2f} CPU s; pandas is"
        " asked no queries for rows and its reading is not counted",
    )  # fmt: skip
    full = [a["cpu"] + b["cpu"] for a, b in zip(validated, forms["parquet"]["draw"], strict=True)]
    yield row(
        f"the whole intake from Parquet, {size}, against one-pass validation and draw by hand",
        ratios([spent(c, *PHASES) for c in ours], full), 1.5,
        f"{_median(ours, *PHASES):.2f} against {statistics.median(full):.2f} CPU s",
    )  # fmt: skip
    peaks = sorted(c["peak_mb"] for form in forms.values() for c in form["intake"])
    yield row(f"peak memory of an intake, MB, {size}, any form", peaks[-1:], 1000, "largest of all")


def _median(costs: list[Cost], *phases: str) -> float:
    return statistics.median(spent(cost, *phases) for cost in costs)


@click.command()
@click.option("--decisions", default=1_000_000, show_default=True, help="How many decisions.")
@click.option("--days", default=1, show_default=True, help="Over how many days of six channels.")
@click.option("--pairs", default=2, show_default=True, help="How often each pair runs.")
def main(decisions: int, days: int, pairs: int) -> None:
    """Measure intake beside its references and write benchmarks/results/intake.json.

    \b
        python -m benchmarks.intake --decisions 10000000 --days 3 --pairs 3
    """
    size = f"{decisions:,} decisions"
    forms = {form: measure(form, decisions, days, pairs) for form in WORKS}
    records = list(rows_of(size, forms, on_pandas(days)))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "intake.json").write_text(json.dumps(records, indent=1) + "\n")
    table = Table("row", "figure", "must be", "holds", "note")
    for record in records:
        table.add_row(*(str(record[k]) for k in ("row", "figure", "must", "holds", "note")))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
