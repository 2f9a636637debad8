"""`governance audit`: what reviewers label next, their answers, and how an audit ends."""

import datetime as dt
from pathlib import Path

import click

from governance_pipeline.adapters.interventions import FINDINGS
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.settings import Settings

DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def audit() -> None:
    """What reviewers label next, their answers, and how an audit ends."""


@audit.command()
@click.option("--budget", type=float, help="Reviews a day; what is spent now by default.")
@click.option("--effective-from", type=DAY, help="First decision day drawn by it.")
@click.option("--dry-run", is_flag=True, help="Show the plan and put nothing in force.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per stratum.")
@click.pass_obj
def plan(
    settings: Settings,
    budget: float | None,
    effective_from: dt.datetime | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Spread a daily budget of reviews over strategies, and draw by it from a day on.

    The plan holds for decisions from --effective-from on, by default the day after the last
    accepted one; days that were drawn already keep their draws.

    \b
        governance audit plan --budget 1500 --dry-run
        governance audit plan --budget 1500 --effective-from 2026-06-01
    """
    from governance_pipeline import show_audit
    from governance_pipeline.adapters.auditing import plan_audits
    from governance_pipeline.adapters.writer_lock import writer_lock

    begin = effective_from.date() if effective_from else None
    with writer_lock(settings.paths, "governance audit plan"):
        planned = plan_audits(settings.paths, budget, begin, is_dry=dry_run)
    show_audit.plan(planned, as_json=as_json)


@audit.command()
@click.option("--to", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--for", "day", type=DAY, help="Only decisions of this day.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Only this channel.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv")
@click.pass_obj
def export(
    settings: Settings, to: Path, day: dt.datetime | None, channel: str | None, form: str
) -> None:
    """Write the drawn items that have no verdict yet as a worklist for reviewers.

    \b
        governance audit export --to worklist.csv --for 2026-05-29 --channel lives
    """
    from governance_pipeline.adapters.worklists import write_worklist
    from governance_pipeline.adapters.writer_lock import writer_lock

    asked_for = day.date() if day else None
    with writer_lock(settings.paths, "governance audit export"):
        count = write_worklist(settings.paths, to, form, day=asked_for, channel=channel)
    click.echo(
        f"{count} reviews to do in {to}; fill in verdict (violating, not_violating, unsure),"
    )
    click.echo(f"reviewer_id and labelled_at, then: governance audit import {to}")


@audit.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def import_(settings: Settings, file: Path) -> None:
    """Check the answers in FILE and deliver them as labels; all of them or none.

    \b
        governance audit import worklist.csv
    """
    from governance_pipeline import show_audit
    from governance_pipeline.adapters.answers import import_answers
    from governance_pipeline.adapters.writer_lock import writer_lock

    with writer_lock(settings.paths, "governance audit import"):
        done = import_answers(settings.paths, file, now=dt.datetime.now(dt.UTC))
    show_audit.imported(done)


@audit.command()
@click.argument("strategy")
@click.option("--finding", required=True, type=click.Choice(FINDINGS), help="What is to be done.")
@click.option("--actor", required=True, help="Who closes it.")
@click.option("--reason", required=True, help="What was found.")
@click.option("--date", "date", type=DAY, help="First decision day that counts anew.")
@click.option("--anyway", is_flag=True, help="Also where the strategy needs no audit.")
@click.pass_obj
def close(
    settings: Settings,
    strategy: str,
    finding: str,
    actor: str,
    reason: str,
    date: dt.datetime | None,
    anyway: bool,
) -> None:
    """Say how the audit of STRATEGY ended; its monitor begins anew the day after.

    \b
        governance audit close affiliate-spam-creator-block --finding retune \\
            --actor diego.santos --reason "link rule too wide, version 2 narrows it"
    """
    from governance_pipeline import show_audit
    from governance_pipeline.adapters import auditing
    from governance_pipeline.adapters.writer_lock import writer_lock

    with writer_lock(settings.paths, "governance audit close"):
        made = auditing.close(
            settings.paths, strategy, finding=finding, actor=actor, reason=reason,
            effective_on=date.date() if date else None, is_forced=anyway,
            now=dt.datetime.now(dt.UTC),
        )  # fmt: skip
    show_audit.closed(made)
