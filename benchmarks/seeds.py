"""`python -m benchmarks.seeds`: what the demo finds over many seeds, and what it costs.

Every seed is another market with the same plants, taken from its logs to its verdicts by the same
commands that a user runs. Rows are written to `benchmarks/results/seeds.json`.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.console import Console
from rich.progress import track
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
FOUND_WITHIN_DAYS = 21
FIRST_NEEDS_AUDIT = """
select strategy_id, min(date) as found, any_value(metric) as metric
from strategy_status_days where channel = 'all' and status = 'needs_audit' group by strategy_id
"""


def measure(seed: int) -> dict[str, Any]:
    """Run one demo and compare its verdicts with its truth."""
    home = Path(tempfile.mkdtemp(prefix="governance-seed-"))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = Path(sys.executable).with_name("governance")
    subprocess.run(
        [str(command), "--home", str(home), "demo", "--seed", str(seed)],
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with duckdb.connect(str(home / "published" / "serve.duckdb"), read_only=True) as reader:
        found = reader.execute(FIRST_NEEDS_AUDIT).df().set_index("strategy_id")
        last = reader.execute(
            "select strategy_id, status from strategy_status where channel = 'all'"
        ).df()
    plants = json.loads((home / "truth" / "truth.json").read_text())
    shutil.rmtree(home)
    drops = [p for p in plants if p["kind"] in ("precision", "recall")]
    waits = [_waited(p, found) for p in drops]
    few = next(p["subject"] for p in plants if p["kind"] == "few_labels")
    return {
        "seed": seed,
        "drops": len(drops),
        "found": sum(wait is not None and 0 <= wait <= FOUND_WITHIN_DAYS for wait in waits),
        "days": waits,
        "false_needs_audit": len(set(found.index) - {p["subject"] for p in drops}),
        "healthy": int((last["status"] == "healthy").sum()),
        "few_labels": last.set_index("strategy_id")["status"][few],
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": time.monotonic() - began,
        "peak_mb": after.ru_maxrss / 1024,
    }


def _waited(plant: dict[str, Any], found: Any) -> int | None:
    """Return the days from a plant to its verdict; None if none names its metric."""
    if plant["subject"] not in found.index:
        return None
    verdict = found.loc[plant["subject"]]
    if verdict["metric"] != plant["kind"]:
        return None
    return int((verdict["found"].date() - _day(plant["date"])).days)


def _day(text: str) -> Any:
    import datetime as dt

    return dt.date.fromisoformat(text)


@click.command()
@click.option("--seeds", default=2, show_default=True, help="How many markets to govern.")
@click.option("--first", default=1, show_default=True, help="The first seed.")
def main(seeds: int, first: int) -> None:
    """Govern many simulated markets and say what was found, what was accused, what it cost."""
    rows = [measure(seed) for seed in track(range(first, first + seeds), console=Console())]
    table = Table(*rows[0].keys())
    for row in rows:
        table.add_row(*[f"{v:.1f}" if isinstance(v, float) else str(v) for v in row.values()])
    Console(width=140).print(table)
    drops, hit = sum(r["drops"] for r in rows), sum(r["found"] for r in rows)
    accused = sum(r["false_needs_audit"] for r in rows)
    summary = [
        {
            "row": f"planted drops found within 21 days, {seeds} seeds",
            "figure": hit / drops,
            "must": ">= 0.95",
            "holds": hit >= 0.95 * drops,
        },
        {
            "row": f"false needs_audit, {seeds} seeds",
            "figure": accused,
            "must": "<= 1",
            "holds": accused <= 1,
        },
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "seeds.json").write_text(json.dumps(summary + rows, indent=1) + "\n")
    for line in summary:
        click.echo(
            f"{line['row']}: {line['figure']} (must be {line['must']}, holds: {line['holds']})"
        )


if __name__ == "__main__":
    main()
