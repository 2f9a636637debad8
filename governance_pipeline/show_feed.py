"""What the feed commands print; nothing is computed here."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from governance_pipeline.adapters.quarantine import Rejected, suites_of
from governance_pipeline.adapters.releasing import Outcome
from governance_pipeline.adapters.suites import Rule
from governance_pipeline.show import WIDTH

ROWS_SHOWN = 20


def rejected(found: Rejected, *, as_json: bool) -> None:
    """Print rows of the quarantine by delivery and rule, each whole."""
    if as_json:
        for row in found.rows:
            click.echo(json.dumps(row, default=str, ensure_ascii=False))
        return
    rules = {(suite.name, rule.name): rule for suite in suites_of() for rule in suite.rules}
    console = Console(width=WIDTH, highlight=False)
    for key, rows in groupby(found.rows, key=_heading):
        _print_heading(console, found, key, rules)
        for row in rows:
            _print_row(console, row)
    if not found.total:
        click.echo("no row is in the quarantine")
    else:
        shown = len(found.rows)
        more = "" if shown == found.total else f"; {shown} of them shown, --limit shows more"
        click.echo(f"{found.total:,} rows are in the quarantine{more}")


def released(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """Print what a release let in, what stays out, and why."""
    for each in outcomes:
        before, after = each.before, each.after
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "feed": after.feed,
                        "channel": after.channel,
                        "delivery_date": str(after.delivery_date),
                        "state": after.state,
                        "rows_accepted": after.rows_accepted,
                        "rows_accepted_before": before.rows_accepted,
                        "rows_quarantined": after.rows_quarantined,
                        "rows_quarantined_before": before.rows_quarantined,
                        "stays": each.stays or None,
                    }
                )
            )
            continue
        let_in = after.rows_accepted - before.rows_accepted
        click.echo(
            f"{after.feed} {after.channel} {after.delivery_date}: {let_in:,} rows let in,"
            f" {after.rows_quarantined:,} stay out{': ' if each.stays else ''}{each.stays}"
        )
    if not as_json:
        changed = [each for each in outcomes if each.was_judged]
        click.echo(
            f"{len(changed)} of {len(outcomes)} deliveries with rows turned away were judged anew"
        )
        if changed:
            days = sorted(each.after.delivery_date for each in changed)
            click.echo(f"now: governance run --from {days[0]} --to {days[-1]}")


def _heading(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["feed"], row["channel"], row["delivery_date"], row["rule"]


def _print_heading(
    console: Console,
    found: Rejected,
    key: tuple[Any, ...],
    rules: dict[tuple[str, str], Rule],
) -> None:
    feed, channel, day, name = key
    console.print(Text.assemble((f"{feed} {channel} {day}", "bold"), "  ", (name, "bold red")))
    rule, refusal = rules.get((feed, name)), found.refusals.get((feed, channel, day))
    if refusal:
        console.print(Text(f"  The delivery was refused whole: {refusal}"), soft_wrap=True)
    if rule is not None:
        console.print(Text(f"  {rule.why} {rule.remedy}", style="dim"), soft_wrap=True)


def _print_row(console: Console, row: dict[str, Any]) -> None:
    whole, value = row["row"], row["value"]
    value = "" if value in (None, whole) else f", value {value!r}"
    line = Text(f"  {row['file']} row {row['row_number']}{value}, run {row['run_id'][:8]}")
    console.print(line, soft_wrap=True)
    said = whole if isinstance(whole, str) else json.dumps(whole, ensure_ascii=False)
    console.print(Text(f"    {said}", style="cyan"), soft_wrap=True)
