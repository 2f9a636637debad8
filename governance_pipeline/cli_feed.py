"""`governance feed`: what suppliers delivered, what of it was turned away, and why."""

import datetime as dt

import click

from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.settings import Settings

DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def feed() -> None:
    """What suppliers delivered, what of it was turned away, and why."""


@feed.command()
@click.option("--feed", "name", type=click.Choice(list(FEEDS)), help="Only this feed.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Only this channel.")
@click.option("--date", "day", type=DAY, help="Only what was delivered on this day.")
@click.option("--rule", help="Only rows turned away by this rule.")
@click.option("--limit", type=click.IntRange(1), help="Rows shown; 20 as a page, all as JSON.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
@click.pass_obj
def show(
    settings: Settings,
    name: str | None,
    channel: str | None,
    day: dt.datetime | None,
    rule: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show every row in the quarantine whole: its file, its number, the rule, what to do.

    \b
        governance feed show --feed decisions --date 2026-03-14
        governance feed show --rule score_is_a_number --json | jq .row
    """
    from governance_pipeline import show_feed
    from governance_pipeline.adapters.quarantine import rejected_rows

    found = rejected_rows(
        settings.paths.lake,
        feed=name,
        channel=channel,
        day=day.date() if day else None,
        rule=rule,
        limit=limit or (None if as_json else show_feed.ROWS_SHOWN),
    )
    show_feed.rejected(found, as_json=as_json)
