"""`governance feed check`: what is wrong with a file, before it is delivered."""

import datetime as dt
import sys
from pathlib import Path

import click

from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.settings import Settings

DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("file")
@click.option("--feed", required=True, type=click.Choice(list(FEEDS)), help="What it is.")
@click.option("--channel", type=click.Choice(CHANNELS), help="By default as path or rows say.")
@click.option("--date", "day", type=DAY, help="Day of delivery; by default as path says, or today.")
@click.option("--mapping", help="SQL over `source`, or a file that holds it.")
@click.option("--limit", default=5, type=click.IntRange(1), help="Rows named for each rule; 5.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def check(
    settings: Settings,
    file: str,
    feed: str,
    channel: str | None,
    day: dt.datetime | None,
    mapping: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Say everything that is wrong with FILE, a path or an address, before it is delivered.

    Nothing is taken in. Exit code 0 if every row would be accepted, 1 if not.

    \b
        governance feed check decisions.csv --feed decisions --channel video
        governance feed check log.parquet --feed decisions --mapping mapping.sql --json
    """
    from governance_pipeline import show_check
    from governance_pipeline.adapters.checking import check_file

    if mapping and Path(mapping).is_file():
        mapping = Path(mapping).read_text(encoding="utf-8")
    checked = check_file(
        file,
        feed,
        channel=channel,
        day=day.date() if day else None,
        mapping=mapping,
        paths=settings.paths,
        shown=limit,
    )
    show_check.checked(checked, as_json=as_json)
    if not checked.is_accepted:
        sys.exit(1)
