"""`governance`: the pipeline from a shell.

Exit code 0 done, 1 an expected failure in one sentence, 2 wrong usage.
"""

import atexit
import datetime as dt
import gc
import importlib
import json
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from governance_pipeline.errors import GovernanceError, InputError
from governance_pipeline.settings import Settings

DAY = click.DateTime(["%Y-%m-%d"])
DEMO_START = dt.date(2026, 3, 1)
DEMO_DAYS = 90
err = Console(stderr=True, highlight=False)


ELSEWHERE = {
    "audit": "cli_audit",
    "backtest": "cli_backtest",
    "escalations": "cli_escalations",
    "evidence": "cli_evidence",
    "feed": "cli_feed",
    "reinstate": "cli_evidence",
}
"""Commands by the module that has them: a quick one does not load what others need."""


class OneSentence(click.Group):
    """Turns every expected failure into its one sentence and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, of other modules too."""
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, and load its module if it has one of its own."""
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"governance_pipeline.{ELSEWHERE[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a traceback is left for what nobody expected."""
        try:
            return super().invoke(ctx)
        except GovernanceError as failure:
            click.echo(f"Error: {failure}", err=True)
            ctx.exit(1)


@click.group(cls=OneSentence, context_settings={"max_content_width": 100})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of all state; GOVERNANCE_HOME or .governance by default.",
)
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> None:
    """Govern traffic strategies: is each one right, has it drifted, who must act."""
    ctx.obj = Settings(home=home) if home else Settings()


@cli.command()
@click.option("--start", type=DAY, help="First delivery date; today by default.")
@click.option("--example", is_flag=True, help="Start from the example market's register.")
@click.pass_obj
def init(settings: Settings, start: dt.datetime | None, example: bool) -> None:
    """Make a home: folders, calendar, secret of the audit draw, Dagster instance.

    \b
        governance --home /srv/governance init --start 2026-03-01 --example
    """
    from governance_pipeline.adapters.home import make_home

    first = start.date() if start else dt.datetime.now(dt.UTC).date()
    make_home(settings.paths, first, example=example)
    click.echo(f"{settings.paths.root} is ready; put files under landing/ and strategies under")
    click.echo(f"registry/, then: governance registry lint, governance run --date {first}")


@cli.command()
@click.option("--seed", default=7, show_default=True, help="Another market for every number.")
@click.option("--days", default=DEMO_DAYS, show_default=True, type=click.IntRange(30, 120))
@click.pass_obj
def demo(settings: Settings, seed: int, days: int) -> None:
    """Simulate a market of six channels and govern it: from its logs to a verdict on each strategy.

    \b
        governance demo
    """
    from governance_pipeline import show
    from governance_pipeline.adapters.home import make_home, marker, remove_demo
    from governance_pipeline.adapters.registry_store import apply_registry
    from governance_pipeline.registry.loader import load_registry
    from governance_pipeline.running import run_range
    from governance_pipeline.simulation import simulate

    with Progress():
        paths = settings.paths
        last = DEMO_START + dt.timedelta(days=days - 1)
        remove_demo(paths)
        make_home(
            paths,
            DEMO_START,
            last + dt.timedelta(days=31),
            sampling_key=f"demo {seed}",
            example=True,
        )
        marker(paths).touch()
        apply_registry(paths.registry, paths.lake, last)
        simulate(
            load_registry(paths.registry),
            paths.landing,
            paths.root / "truth",
            seed=seed,
            sampling_key=paths.sampling_key.read_text().strip(),
            start=DEMO_START,
            days=days,
        )
        report = run_range(settings, DEMO_START, last)
    show.run_report(report)
    show.status(paths, as_json=False)
    show.escalated(paths)
    show.where_to_look(paths, last + dt.timedelta(days=1))
    _exit_on_failure(report)


@cli.command()
@click.option("--date", "date", type=DAY, help="One delivery date.")
@click.option("--from", "first", type=DAY, help="First delivery date of a range.")
@click.option("--to", "last", type=DAY, help="Last delivery date of a range.")
@click.pass_obj
def run(
    settings: Settings,
    date: dt.datetime | None,
    first: dt.datetime | None,
    last: dt.datetime | None,
) -> None:
    """Take in deliveries, build the marts, judge, publish; a range is one run.

    \b
        governance run --date 2026-05-30
        governance run --from 2026-03-01 --to 2026-05-29
    """
    from governance_pipeline import show
    from governance_pipeline.running import run_range

    if bool(date) == bool(first and last):
        raise click.UsageError("give --date, or both --from and --to")
    begin, end = (date, date) if date else (first, last)
    assert begin is not None and end is not None
    with Progress():
        report = run_range(settings, begin.date(), end.date())
    show.run_report(report)
    _exit_on_failure(report)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--all", "everything", is_flag=True, help="Every channel of every strategy.")
@click.pass_obj
def status(settings: Settings, as_json: bool, everything: bool) -> None:
    """Show the verdict on every strategy, what matters first.

    \b
        governance status
        governance status --json | jq -r 'select(.status == "needs_audit") | .strategy_id'
    """
    from governance_pipeline import show

    show.status(settings.paths, as_json=as_json, everything=everything)


@cli.command()
@click.argument("strategy")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per channel.")
@click.pass_obj
def explain(settings: Settings, strategy: str, as_json: bool) -> None:
    """Say why STRATEGY has its verdict: numbers, evidence, since when, what to do next.

    \b
        governance explain affiliate-spam-creator-block
    """
    from governance_pipeline import show

    show.explain(settings.paths, strategy, as_json=as_json)


@cli.command()
@click.argument("sql")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--limit", default=200, show_default=True, help="Rows shown as a table.")
@click.pass_obj
def query(settings: Settings, sql: str, as_json: bool, limit: int) -> None:
    """Ask the published snapshot in SQL; reading only, and nothing but the snapshot.

    \b
        governance query "select strategy_id, status from strategy_status where channel = 'all'"
    """
    from governance_pipeline import show

    show.query(settings.paths, sql, as_json=as_json, limit=limit)


@cli.command()
def dictionary() -> None:
    """Print the data dictionary of the published tables as markdown.

    \b
        governance dictionary > docs/data-dictionary.md
    """
    from governance_pipeline.adapters.catalogue import data_dictionary

    click.echo(data_dictionary(), nl=False)


@cli.group()
def registry() -> None:
    """The register of strategies: policy as code."""


@registry.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
@click.pass_obj
def lint(settings: Settings, folder: Path | None, as_json: bool) -> None:
    """Check the register in FOLDER (the home's by default); errors name file, line and remedy.

    \b
        governance registry lint
    """
    from governance_pipeline.registry.lint import lint as find
    from governance_pipeline.registry.loader import load_registry

    loaded = load_registry(folder or settings.paths.registry)
    findings = find(loaded, dt.datetime.now(dt.UTC).date())
    for finding in findings:
        line = f"{finding.severity}: {finding.where}: {finding.message}; {finding.remedy}"
        click.echo(json.dumps(finding.__dict__) if as_json else line)
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        raise InputError(f"{errors} of {len(findings)} findings are errors; see above")
    if not as_json:
        click.echo(f"{len(loaded.strategies)} strategies, no errors, {len(findings)} warnings")


@registry.command()
@click.pass_obj
def apply(settings: Settings) -> None:
    """Lint the home's register and make it the one that runs from now on.

    \b
        governance registry apply
    """
    from governance_pipeline.adapters.registry_store import apply_registry
    from governance_pipeline.adapters.writer_lock import writer_lock

    with writer_lock(settings.paths, "governance registry apply"):
        applied, findings = apply_registry(
            settings.paths.registry, settings.paths.lake, dt.datetime.now(dt.UTC).date()
        )
    click.echo(f"registry {applied[:12]} applies from now on, {len(findings)} warnings")


@registry.command("import")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--mapping", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.pass_obj
def import_(settings: Settings, source: Path, mapping: Path, overwrite: bool) -> None:
    """Bring strategies kept elsewhere (CSV or JSON) into the register, one YAML file each.

    \b
        governance registry import strategies.csv --mapping mapping.yaml
    """
    from governance_pipeline.registry.importer import import_strategies

    written = import_strategies(source, mapping, settings.paths.registry, overwrite=overwrite)
    click.echo(f"{len(written)} strategies written to {settings.paths.registry / 'strategies'}")


class Progress:
    """Prints what the pipeline says while it works, with the seconds since it began."""

    def __enter__(self) -> None:
        """Begin to print."""
        began = time.monotonic()

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                err.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {record.getMessage()}")

        self._logger = logging.getLogger("governance_pipeline.progress")
        self._handler = Handler()
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        """Stop printing."""
        self._logger.removeHandler(self._handler)


def _exit_on_failure(report: Any) -> None:
    if not report.succeeded:
        sys.exit(1)


def main() -> None:
    """Run the command line."""
    collect_rarely()
    try:
        cli()
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else int(end.code is not None))


def collect_rarely() -> None:
    """Look for garbage seldom: to look through what Dagster, dbt and Great Expectations make for
    as long as the process lives, again and again, took a twelfth of a run."""
    gc.set_threshold(100_000, 50, 50)


def _leave(status: int) -> NoReturn:
    """End the process as it would end, but leave its memory to the system.

    To take a million objects apart first, one by one, took a tenth of a run.
    """
    if judging := sys.modules.get("governance_pipeline.adapters.expectations"):
        atexit.unregister(judging.forget_duckdb)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
