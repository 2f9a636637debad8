"""`python -m benchmarks.accuracy`: measure ACCURACY section 10 and write what came out."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.peering import ask_peers
from benchmarks.accuracy.picture import save_picture
from benchmarks.accuracy.results import Size
from benchmarks.accuracy.rows import ROWS

RESULTS = Path(__file__).parents[1] / "results"


def size_of(replicates: int, seed: int, *, quick: bool) -> Size:
    """Return how many replicates of each kind a run draws.

    A quick run is too small for most upper limits: its rows may fail by their size alone.
    """
    if quick:
        return Size(min(replicates, 60), 60, 1, 12, 2, seed, is_quick=True)
    return Size(replicates, max(replicates * 6 // 5, 1), 10, 240, 20, seed)


def measure(rows: list[int], size: Size, console: Console) -> list[dict[str, Any]]:
    """Return the records of the rows, saying what is being measured."""
    records = []
    told = {}
    with console.status("asking the peers"):
        told = ask_peers(size, rows)
    for number in rows:
        with console.status(f"row {number} of {max(ROWS)}"):
            begin = time.process_time()
            row = ROWS[number](size)
            row.peers.update(told.get(number, {}))
            record = row.record(size)
            record["cpu_s"] = round(time.process_time() - begin, 1)
            record["measured_on"] = dt.datetime.now(tz=dt.UTC).date().isoformat()
        console.print(f"row {number}: {row.figure}", highlight=False)
        records.append(record)
    return records


def keep(records: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """Write the records in place of the same rows' older ones, and return all that the file has."""
    found = json.loads(file.read_text()) if file.exists() else []
    by_number = {int(record["row"].split()[0]): record for record in [*found, *records]}
    kept = [by_number[number] for number in sorted(by_number)]
    file.write_text(json.dumps(kept, indent=1) + "\n")
    return kept


def show(records: list[dict[str, Any]], console: Console) -> None:
    """Print the rows as a table."""
    quick = " (quick: too few replicates to prove a row)" if records[0]["quick"] else ""
    table = Table("row", "figure", "must be", "holds", title=f"ACCURACY section 10{quick}")
    for record in records:
        table.add_row(
            record["row"], record["figure"], record["must"], "yes" if record["holds"] else "NO"
        )
    console.print(table)
    for record in records:
        for part in record["parts"]:
            if not part["holds"]:
                bound = part.get("at_most", part.get("at_least"))
                console.print(f"missed: {part['case']} is {part['value']}, bound {bound}")


@click.command()
@click.option("--rows", default=",".join(map(str, ROWS)), show_default=True, help="Which rows.")
@click.option("--replicates", default=1000, show_default=True, help="Steady strategies per case.")
@click.option("--quick", is_flag=True, help="Few replicates, about two minutes, proves little.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same figures.")
@click.option("--results", default=RESULTS, type=click.Path(path_type=Path), help="Where to write.")
def main(rows: str, replicates: int, quick: bool, seed: int, results: Path) -> None:
    """Measure how often the judgement errs, how fast it finds a drop, and what it costs.

    \b
        python -m benchmarks.accuracy --rows 2,3 --seed 7
    """
    console = Console(width=150)
    numbers = [int(number) for number in rows.split(",")]
    unknown = [number for number in numbers if number not in ROWS]
    if unknown:
        raise click.UsageError(f"rows are 1 to {max(ROWS)}, got {unknown[0]}")
    records = measure(numbers, size_of(replicates, seed, quick=quick), console)
    results.mkdir(parents=True, exist_ok=True)
    name = "accuracy-quick" if quick else "accuracy"
    kept = keep(records, results / f"{name}.json")
    save_picture(kept, results / f"{name}.svg")
    show(records, console)


if __name__ == "__main__":
    main()
