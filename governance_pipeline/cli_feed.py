"""`governance feed`: what suppliers delivered, what of it was turned away, and why."""

import datetime as dt

import click

from governance_pipeline.cli_check import check
from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.settings import Settings

DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def feed() -> None:
    """What suppliers delivered, what of it was turned away, and why."""


feed.add_command(check)


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
        day=_date(day),
        rule=rule,
        limit=limit or (None if as_json else show_feed.ROWS_SHOWN),
    )
    show_feed.rejected(found, as_json=as_json)


@feed.command()
@click.option("--feed", "name", type=click.Choice(list(FEEDS)), help="Only this feed.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Only this channel.")
@click.option("--date", "day", type=DAY, help="Only what was delivered on this day.")
@click.option("--from", "first", type=DAY, help="Only deliveries from this day on.")
@click.option("--to", "last", type=DAY, help="Only deliveries up to this day.")
@click.option("--despite", help="Let a delivery in although it breaks this rule on whole ones.")
@click.option("--reason", help="Why it is right nonetheless; published with the delivery.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per delivery.")
@click.pass_obj
def release(
    settings: Settings,
    name: str | None,
    channel: str | None,
    day: dt.datetime | None,
    first: dt.datetime | None,
    last: dt.datetime | None,
    despite: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Take in again what was turned away, after its rule, its mapping or its file was mended.

    Every delivery with rows in the quarantine is judged anew as it lies in landing. --despite lets
    a single delivery in that is right although it is unlike the four weeks before it.

    \b
        governance feed release --feed decisions --from 2026-03-01 --to 2026-03-31
        governance feed release --feed decisions --channel lives --date 2026-03-14 \\
            --despite row_count_is_plausible --reason "ten times as many at the festival"
    """
    from governance_pipeline import show_feed
    from governance_pipeline.adapters.releasing import release_rows
    from governance_pipeline.adapters.writer_lock import writer_lock

    if bool(despite) != bool(reason):
        raise click.UsageError("give --despite and --reason together")
    if despite and not (name and channel and day):
        raise click.UsageError("--despite is for one delivery: give --feed, --channel and --date")
    if day and (first or last):
        raise click.UsageError("give --date, or --from and --to")
    with writer_lock(settings.paths, "governance feed release"):
        outcomes = release_rows(
            settings,
            feed=name,
            channel=channel,
            first=_date(day or first),
            last=_date(day or last),
            despite=despite,
            reason=reason,
        )
    show_feed.released(outcomes, as_json=as_json)


@feed.command()
@click.pass_obj
def docs(settings: Settings) -> None:
    """Write the page of every rule and of the newest deliveries; each run writes it, too.

    \b
        governance feed docs
    """
    from governance_pipeline.adapters.data_docs import write_data_docs

    written = write_data_docs(settings.paths)
    click.echo(f"{written} is written" if written else "nothing was delivered yet")


def _date(moment: dt.datetime | None) -> dt.date | None:
    return moment.date() if moment else None
