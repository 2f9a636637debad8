"""What `governance feed check` prints; nothing is computed here."""

import json
import textwrap

import click
from rich.console import Console
from rich.text import Text

from governance_pipeline.adapters.checking import Checked, Finding
from governance_pipeline.show import WIDTH

LONGEST_VALUE = 60
VERDICTS = {"critical": ("to the quarantine", "bold red"), "warning": ("let pass", "yellow")}


def checked(found: Checked, *, as_json: bool) -> None:
    """Print what would become of a file, and each rule that its rows break."""
    if as_json:
        click.echo(json.dumps(_as_object(found), ensure_ascii=False, default=str))
        return
    console = Console(width=WIDTH, highlight=False)
    verdict = "would be refused whole" if found.refusals else f"{found.accepted:,} accepted"
    if found.quarantined and not found.refusals:
        verdict += f", {found.quarantined:,} to the quarantine"
    console.print(
        Text(f"{found.file} as {found.feed} of {found.channel}: {found.rows:,} rows, {verdict}"),
        soft_wrap=True,
    )
    for refusal in found.refusals:
        console.print(_indented(refusal, "bold red"))
    for finding in found.findings:
        _print_finding(console, finding)
    for remark in found.remarks:
        console.print(_indented(remark, "yellow"))
    if found.extra_columns:
        said = f"kept beside the rows, unknown to the feed: {', '.join(found.extra_columns)}"
        console.print(_indented(said, "yellow"))
    if found.drift:
        said = f"since the last delivery: {', '.join(found.drift)}"
        console.print(_indented(said, "yellow"))
    if found.findings:
        console.print(Text("rows are numbered from the first after the header", style="dim"))


def _print_finding(console: Console, finding: Finding) -> None:
    rule, (becomes, style) = finding.rule, VERDICTS[finding.rule.severity]
    rows = "row" if finding.failed == 1 else "rows"
    console.print(Text.assemble((rule.name, style), f"  {finding.failed:,} {rows}, {becomes}"))
    console.print(_indented(f"{rule.why} {rule.remedy}", "dim"))
    for number, value in finding.rows:
        said = "nothing" if value is None else repr(value)
        if len(said) > LONGEST_VALUE:
            said = f"{said[:LONGEST_VALUE]}…"
        console.print(Text(f"  row {number}: {said}"))
    more = finding.failed - len(finding.rows)
    if more > 0:
        console.print(Text(f"  and {more:,} more", style="dim"))


def _indented(said: str, style: str) -> Text:
    lines = textwrap.fill(
        said.strip(), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    return Text(lines, style=style)


def _as_object(found: Checked) -> dict[str, object]:
    return {
        **found.__dict__,
        "is_accepted": found.is_accepted,
        "findings": [
            {
                "rule": finding.rule.name,
                "severity": finding.rule.severity,
                "failed": finding.failed,
                "why": finding.rule.why,
                "remedy": finding.rule.remedy,
                "rows": [{"row": number, "value": value} for number, value in finding.rows],
            }
            for finding in found.findings
        ],
    }
