"""`governance evidence` and `governance reinstate`: the decisions behind a verdict, and amends."""

import datetime as dt
import getpass
import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from governance_pipeline import show
from governance_pipeline.adapters.serving import (
    Row,
    ask,
    ask_rows,
    serving_connection,
    unknown_strategy,
)
from governance_pipeline.errors import InputError
from governance_pipeline.settings import Settings

SHOWN = ("decision", "channel", "day", "outcome", "category", "market", "reach", "appeal")
EVIDENCE = """
select decision_id, channel, decision_date, outcome, category, market, reach, appeal_outcome,
    verdict, is_disputed, is_fired, score_bin, version, environment, item_hash, seller_hash
from audited_decisions
where strategy_id = $id and case
    when $disputed then is_disputed
    when $outcome is null then outcome in ('FP', 'FN')
    else outcome = $outcome
end
order by reach desc nulls last, decision_date desc, channel, decision_id
"""


@click.command()
@click.argument("strategy")
@click.option("--outcome", type=click.Choice(["FP", "FN", "TP", "TN"]), help="Wrong ones if none.")
@click.option("--disputed", is_flag=True, help="Those on which reviewers tied.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per decision.")
@click.pass_obj
def evidence(
    settings: Settings,
    strategy: str,
    outcome: str | None,
    disputed: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show the audited decisions of STRATEGY that were wrong, those of the largest reach first.

    \b
        governance evidence affiliate-spam-creator-block --outcome FP
    """
    if outcome and disputed:
        raise click.UsageError("a disputed decision has no outcome; give --outcome or --disputed")
    with serving_connection(settings.paths.published) as connection:
        known = "select 1 from dim_strategies where strategy_id = $id"
        if ask(connection, known, strategy).empty:
            raise InputError(unknown_strategy(connection, strategy))
        wanted = {"id": strategy, "outcome": outcome, "disputed": disputed}
        columns, rows = ask_rows(connection, EVIDENCE, wanted)
    if as_json:
        for row in rows[:limit]:
            click.echo(json.dumps(dict(zip(columns, row, strict=True)), default=str))
        return
    kind = "disputed" if disputed else outcome or "wrong"
    if rows:
        Console(width=show.WIDTH, highlight=False).print(_table(rows[:limit]))
    click.echo(f"{min(limit, len(rows))} of {len(rows)} audited decisions that are {kind}")


@click.command()
@click.argument("strategy")
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), help="A CSV file to make."
)
@click.option("--actor", help="Who exports; the user of this shell by default.")
@click.option("--reason", help="Why, for the log.")
@click.pass_obj
def reinstate(
    settings: Settings, strategy: str, target: Path, actor: str | None, reason: str | None
) -> None:
    """Export the real ids of items and sellers that an audit found STRATEGY restricted wrongly.

    The file is personal data: only its owner can read it, and every export is logged.

    \b
        governance reinstate affiliate-spam-creator-block --to wronged.csv --reason "appeal drive"
    """
    from governance_pipeline.adapters.reinstating import export_wronged

    made = export_wronged(
        settings.paths,
        strategy,
        target,
        actor=actor or getpass.getuser(),
        reason=reason,
        now=dt.datetime.now(dt.UTC),
    )
    click.echo(
        f"{made.rows} wrongly restricted decisions with real ids are in {target}: personal data,"
        " readable by you alone; the export is logged"
    )


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, width=show.WIDTH, padding=(0, 1, 0, 0))
    for name in SHOWN:
        table.add_column(
            name,
            no_wrap=True,
            justify="right" if name == "reach" else "left",
            overflow="fold" if name == "decision" else "ellipsis",
        )
    for row in rows:
        table.add_row(*["" if value is None else str(value) for value in row[: len(SHOWN)]])
    return table
