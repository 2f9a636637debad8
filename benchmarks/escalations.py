"""`python -m benchmarks.escalations`: the desk with 10,000 open escalations and 1,000,000 events.

Rows are written to `benchmarks/results/escalations.json`: CPU seconds of a process of its own and
its peak memory. Escalations are decided by the rules, one of each kind, and their logs are then
copied under other ids, so that the store is what ten years would leave.
"""

import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from governance_pipeline.adapters import ops_codec as codec
from governance_pipeline.adapters.desk_tables import write_desk_tables
from governance_pipeline.adapters.desk_work import note_verdicts
from governance_pipeline.adapters.escalating import let_time_pass, open_desk
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.ops_schema import clocks, escalations, events, findings
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.domain import commands as c
from governance_pipeline.domain.deciding import act, advance
from governance_pipeline.domain.desk import PIPELINE, Desk
from governance_pipeline.domain.escalation import Escalation, Event, Measurement
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import new_id
from governance_pipeline.paths import Paths
from governance_pipeline.settings import Settings

RESULTS = Path(__file__).parent / "results"
OPEN, EVENTS, BLOCK = 10_000, 1_000_000, 2_000
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
OWNER, REQUESTER = "moderation/ines", "search_recommendation/rui"
Log = tuple[Escalation, list[Event]]


def opened(desk: Desk, at: dt.datetime, days: int, kind: str) -> Log:
    """Return an escalation of a finding that came back on some days."""
    found = Finding(
        "drift", kind, "Recall of Block counterfeit listings fell to 52%", at, at.date(),
        "search_recommendation", channel="shoptab", strategy_id="counterfeit-listing-block",
        metric="recall", exposure=6_000.0, channel_impressions=5e6, observed=0.52, expected=0.8,
    )  # fmt: skip
    asked = c.Open(actor=PIPELINE, reason="e = 41", escalation_id=new_id(found), finding=found)
    state, log = act(None, asked, desk, at)
    kept = list(log)
    for day in range(1, days + 1):
        when = at + day * DAY
        state, log = advance(state, desk, when)
        kept += log
        noted = c.Note(actor=PIPELINE, reason="e = 41", finding=replace(found, on=when.date()))
        state, log = act(state, noted, desk, when)
        kept += log
    return state, kept


def closed(desk: Desk, at: dt.datetime) -> Log:
    """Return an escalation that went all the way."""
    state, kept = opened(desk, at, 4, "missed_violation")
    measured = Measurement("improved", "recall rose", "recall", 0.5, 0.7, 0.2, 0.1, 0.3)
    who: dict[str, Any] = {"actor": OWNER, "reason": "it is done"}
    then: list[c.Command] = [
        c.Acknowledge(**who), c.Start(**who), c.Mitigate(**who, record="rollback"),
        c.Resolve(**who, code="strategy_fixed", evidence_uri="file:e", change="version 3"),
        c.Measure(actor=PIPELINE, reason="28 days", measurement=measured),
        *(c.Deliver(actor=PIPELINE, reason="sent", recipient=team, receipt="250 OK")
          for team in state.stakeholders),
        c.Accept(actor=REQUESTER, reason="it holds"),
    ]  # fmt: skip
    for hour, command in enumerate(then, start=1):
        state, log = act(state, command, desk, at + 4 * DAY + dt.timedelta(hours=hour))
        kept += log
    return state, kept


def fill(store: OpsStore, desk: Desk) -> int:
    """Write the open escalations, and ended ones until there are enough events; return how many."""
    kinds = ("missed_violation", "wrong_suppression", "metric_drop", "request")
    fresh = [opened(desk, NOW - (1 + n % 20) * DAY, n % 20, kinds[n % 4]) for n in range(80)]
    ended = [closed(desk, NOW - (40 + n) * DAY) for n in range(40)]
    count = number = 0
    while number < OPEN or count < EVENTS:
        logs = [
            (fresh if n < OPEN else ended)[n % (80 if n < OPEN else 40)]
            for n in range(number, number + BLOCK)
        ]
        _copy(store, logs, number)
        number += BLOCK
        count += sum(len(log) for _, log in logs)
    return count


def _copy(store: OpsStore, logs: list[Log], first: int) -> None:
    rows: dict[Any, list[dict[str, Any]]] = {events: [], escalations: [], findings: [], clocks: []}
    for number, (state, log) in enumerate(logs, start=first):
        key = f"{state.escalation_id[:9]}{number:010x}"
        rows[events] += [codec.event_row(replace(event, escalation_id=key)) for event in log]
        rows[escalations].append(codec.state_row(replace(state, escalation_id=key)))
        rows[findings] += [codec.finding_row(key, seen) for seen in state.findings.values()]
        rows[clocks] += [codec.clock_row(key, clock) for clock in state.clocks.values()]
    with store.writing() as connection:
        for table, values in rows.items():
            connection.execute(table.insert(), values)


def measured(home: Path, *arguments: str) -> tuple[float, float]:
    """Return CPU seconds and peak megabytes of one command in a process of its own."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True,"
        " stdout=subprocess.DEVNULL); u = resource.getrusage(resource.RUSAGE_CHILDREN);"
        " print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True,
        env={"GOVERNANCE_HOME": str(home), "PATH": str(Path(sys.executable).parent)},
    )  # fmt: skip
    cpu, megabytes = map(float, done.stdout.split())
    return cpu, megabytes


@click.command()
@click.option("--pass-of", type=click.Path(path_type=Path), help="Only run the daily pass there.")
def main(pass_of: Path | None) -> None:
    """Fill a store, then list it, let a day pass for all that goes on, and let nothing be due."""
    if pass_of:
        settings = Settings(home=pass_of)
        with OpsStore(settings.store_url) as store:
            if settings.paths.warehouse.exists():  # the first time only its tables are written
                done = let_time_pass(store, open_desk(settings.paths), NOW, everything=True)
                click.echo(json.dumps(done.__dict__))
            write_desk_tables(store, settings.paths.warehouse, NOW)
        note_verdicts(settings.paths)
        return
    home = Path(tempfile.mkdtemp(prefix="governance-desk-"))
    paths = Paths(home)
    make_home(paths, NOW.date() - 365 * DAY, example=True)
    apply_registry(paths.registry, paths.lake, NOW.date())
    settings = Settings(home=home)
    with OpsStore(settings.store_url) as store:
        count = fill(store, open_desk(paths))
    governance = str(Path(sys.executable).with_name("governance"))
    listing = [governance, "escalations", "list"]
    whole = [sys.executable, "-m", "benchmarks.escalations", "--pass-of", str(home)]
    rows = []
    for name, command, must in (
        ("list", listing, 1.0),
        ("list as JSON", [*listing, "--json"], None),
        ("tables written for the first time", whole, None),
        ("daily pass over all", whole, 20.0),
        ("daily pass again, nothing due", whole, 20.0),
        ("idle `work`", [governance, "escalations", "work"], 1.0),
    ):
        cpu, megabytes = measured(home, *command)
        holds = None if must is None else cpu < must and megabytes < 500
        rows.append({
            "row": f"{name}, {OPEN:,} open, {count:,} events", "cpu_s": round(cpu, 2),
            "peak_mb": round(megabytes), "must_be_under_s": must, "holds": holds,
        })  # fmt: skip
        click.echo(json.dumps(rows[-1]))
    rows.append({"row": "size of the store", "mb": round(paths.ops.stat().st_size / 2**20)})
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "escalations.json").write_text(json.dumps(rows, indent=1) + "\n")
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
