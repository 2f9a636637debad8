"""What the audit commands print; nothing is computed here."""

import json

import click
import pandas as pd
from rich.console import Console
from rich.table import Table

from governance_pipeline.adapters.answers import Imported
from governance_pipeline.adapters.auditing import Planned
from governance_pipeline.adapters.interventions import Intervention
from governance_pipeline.show import WIDTH

NEXT = {
    "keep": "its goals stand, and evidence against them is gathered from nothing again",
    "retune": "release the new version in the register, then: governance registry apply",
    "pause": "set `lifecycle: paused` in the register, then: governance registry apply",
    "retire": "set `lifecycle: retired` in the register, then: governance registry apply",
}


def plan(planned: Planned, *, as_json: bool) -> None:
    """Print a plan by strategy: labels, what they will show, and what stays unprovable."""
    if as_json:
        for row in planned.table.to_dict(orient="records"):
            known = {str(k): None if pd.isna(v) else v for k, v in row.items()}
            known["plan_date"] = str(row["plan_date"])[:10]
            click.echo(json.dumps(known | {"effective_from": planned.effective_from}, default=str))
        return
    strategies = _by_strategy(planned.table)
    console = Console(width=WIDTH, highlight=False)
    console.print(_table(strategies))
    console.print(
        "precision, recall: expected 95% interval after 28 days; drop: days until one by 10 points"
        " is proven",
        style="dim",
    )
    unproven = strategies.loc[strategies["unprovable"].notna()]
    if len(unproven):
        console.print("\nWhat stays unprovable at this budget:")
    for row in unproven.to_dict(orient="records"):
        needed = row["labels_needed"]
        enough = "" if pd.isna(needed) else f" (about {needed:.0f} labels a day would do)"
        console.print(f"  {row['strategy_id']}: {row['unprovable']}{enough}", soft_wrap=False)
    total, now = strategies["labels"].sum(), strategies["labels_now"].sum()
    click.echo(f"\n{total:.0f} labels a day for {len(strategies)} strategies, {now:.0f} now")
    if planned.written is None:
        click.echo(f"nothing was put in force; without --dry-run: from {planned.effective_from} on")
    else:
        click.echo(
            f"in force for decisions from {planned.effective_from} on, plan"
            f" {planned.written.plan_hash}; earlier days keep their draws"
        )


def imported(done: Imported) -> None:
    """Print what became of a file of answers, and which day to run."""
    for (channel, day), count in sorted(done.delivered.items()):
        click.echo(f"{count} labels of {channel} delivered on {day}")
    if done.known:
        click.echo(f"{done.known} answers were imported before and are left as they are")
    if done.unanswered:
        click.echo(f"{done.unanswered} rows have no verdict yet")
    if done.delivered:
        days = sorted({day for _, day in done.delivered})
        span = f"--date {days[0]}" if len(days) == 1 else f"--from {days[0]} --to {days[-1]}"
        click.echo(f"they count after: governance run {span}")


def closed(made: Intervention) -> None:
    """Print that an audit was closed, from when on, and what happens next."""
    click.echo(
        f"the audit of {made.strategy_id} is closed with finding {made.finding};"
        f" it is monitored anew from {made.effective_on} on"
    )
    click.echo(f"next: {NEXT[made.finding]}")


def _by_strategy(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per strategy: the whole where it has several channels, else the only one."""
    several = set(table.loc[table["channel"] == "all", "strategy_id"])
    kept = table.loc[(table["channel"] == "all") | ~table["strategy_id"].isin(several)]
    firsts = dict.fromkeys(kept.columns.drop(["strategy_id", "labels", "labels_now"]), "first")
    summed = kept.groupby("strategy_id", as_index=False).agg(
        {**firsts, "labels": "sum", "labels_now": "sum"}
    )
    return summed.sort_values(["labels", "strategy_id"], ascending=[False, True])


def _table(strategies: pd.DataFrame) -> Table:
    table = Table(box=None, pad_edge=False, width=WIDTH, padding=(0, 1, 0, 0))
    table.add_column("strategy", no_wrap=True, max_width=34)
    for name in ("labels/day", "now", "precision", "10-pt drop", "recall", "10-pt drop"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("unprovable")
    for row in strategies.to_dict(orient="records"):
        shown = []
        for metric in ("precision", "recall"):
            shown += [_half(row[f"{metric}_half_width"]), _days(row[f"{metric}_days_to_detect"])]
        labels = (f"{row['labels']:.1f}", f"{row['labels_now']:.1f}")
        proven = "" if pd.isna(row["unprovable"]) else "yes"
        table.add_row(str(row["strategy_id"]), *labels, *shown, proven)
    return table


def _half(width: float) -> str:
    return f"± {100 * width:.1f}%"


def _days(days: float) -> str:
    return "-" if pd.isna(days) else f"{days:.0f} days"
