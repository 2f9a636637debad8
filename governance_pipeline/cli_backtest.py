"""`governance backtest`: what a cut or a version would have done."""

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from governance_pipeline.feeds import CHANNELS
from governance_pipeline.settings import Settings

if TYPE_CHECKING:
    from governance_pipeline.adapters.backtests import Report
    from governance_pipeline.domain.pairing import Difference

WIDTH = 100
STYLE = {"better": "green", "not worse": "cyan", "worse": "bold red", "too few labels": "magenta"}


@click.command()
@click.argument("strategy")
@click.option("--cut", type=float, help="Fire on every score of at least this; a twentieth.")
@click.option("--version", type=click.IntRange(1), help="A version that decides in shadow.")
@click.option("--channel", type=click.Choice(CHANNELS), help="One channel; all by default.")
@click.option("--days", default=28, show_default=True, type=click.IntRange(1, 366))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def backtest(
    settings: Settings,
    strategy: str,
    cut: float | None,
    version: int | None,
    channel: str | None,
    days: int,
    as_json: bool,
) -> None:
    """Try a cut of the score, or a version in shadow, on the audited decisions of STRATEGY.

    Both are asked about the same decisions; the last days that are 90% labelled count.

    \b
        governance backtest low-quality-listing-demote --cut 0.6
        governance backtest low-quality-listing-demote --version 3
    """
    from governance_pipeline.adapters.backtests import Proposal, run_backtest

    if (cut is None) == (version is None):
        raise click.UsageError("give either --cut or --version")
    report = run_backtest(settings.paths, Proposal(strategy, cut, version, channel, days))
    if as_json:
        click.echo(json.dumps(report.flat()))
        return
    _show(report)


def _show(report: "Report") -> None:
    console = Console(width=WIDTH, highlight=False)
    proposal, result = report.proposal, report.result
    where = proposal.channel or "all channels"
    console.print(
        f"[bold]{proposal.strategy_id}[/bold]  {proposal} against version"
        f" {report.current_version} as it fires, {where}"
    )
    console.print(
        f"{report.days} days from {report.first.date()} to {report.last.date()}:"
        f" {result.units:,} decisions drawn, {result.labelled:,} labelled\n"
    )
    console.print(Text(result.verdict, style=STYLE[result.verdict]), end="  ")
    console.print(result.reason + "\n")
    table = Table("", "now", "then", "difference", box=None, pad_edge=False)
    table.add_row("precision", *_cells(result.precision))
    table.add_row("recall", *_cells(result.recall))
    console.print(table)
    console.print(
        f"\nright only now {result.only_now_right}, right only then {result.only_then_right}"
        " (labelled decisions)"
    )
    console.print(f"decisions that would change   {result.changed_share:.1%}")
    for said, name in (("would fire anew", "newly_fired"), ("would be released", "released")):
        reach, gmv = getattr(result, f"reach_{name}"), getattr(result, f"gmv_{name}")
        console.print(f"{said:29} reach {reach:,.0f}, gmv {gmv:,.0f}")


def _cells(found: "Difference") -> tuple[Any, ...]:
    if found.null_reason:
        return "-", "-", found.null_reason
    return (
        f"{found.now:.1%} ({100 * found.now_lo:.0f}-{100 * found.now_hi:.0f})",
        f"{found.then:.1%} ({100 * found.then_lo:.0f}-{100 * found.then_hi:.0f})",
        f"{100 * found.difference:+.1f} points"
        f" ({100 * found.difference_lo:+.1f} to {100 * found.difference_hi:+.1f})",
    )
