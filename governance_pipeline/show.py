"""What people read in the terminal, from the published snapshot; nothing is computed here."""

import datetime as dt
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from governance_pipeline.adapters.serving import (
    Row,
    ask,
    ask_rows,
    serving_connection,
    unknown_strategy,
)
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths

if TYPE_CHECKING:
    from governance_pipeline.running import RunReport

WIDTH = 100
CURVE_DAYS = 90
STYLE = {
    "needs_audit": "bold red",
    "watch": "yellow",
    "insufficient_evidence": "magenta",
    "immature": "cyan",
    "healthy": "green",
    "not_monitored": "dim",
}
NEWEST_STATUSES = """
select s.* from strategy_status s
left join strategy_harm h on h.strategy_id = s.strategy_id and h.channel = s.channel
where s.channel = 'all' or $everything
order by list_position($order, s.status),
    case when s.status = 'needs_audit' then coalesce(reach_lost_est, wrongly_boosted_reach_est, 0)
        + coalesce(missed_reach_est, not_boosted_reach_est, 0) end desc nulls last,
    s.e_value desc nulls last, s.strategy_id, s.channel
"""
HARM_SAID = {
    "wrongly_restricted": "{} decisions restricted an item that should not have been",
    "reach_lost": "{} impressions taken from them",
    "gmv_lost": "{} {currency} of sales taken from them",
    "missed_reach": "{} impressions of items that should have been restricted",
    "wrongly_boosted": "{} decisions boosted an item that should not have been",
    "wrongly_boosted_reach": "{} impressions given to them",
    "not_boosted_reach": "{} impressions of items that should have been boosted",
}
NEWEST_ESTIMATES = """
with newest as (
    select strategy_accuracy.* from strategy_accuracy
    join dim_strategies using (strategy_id)
    where window_kind = '28d'
        and environment = case lifecycle when 'shadow' then 'shadow' else 'live' end
    qualify row_number() over (
        partition by strategy_id, channel order by window_end desc, version desc) = 1
), counted as (
    select *, count(*) over (partition by strategy_id) = 1 as is_only from newest
)
select strategy_id, channel, precision, precision_lo, precision_hi, recall, recall_lo, recall_hi
from counted
union all
-- The only channel of a strategy is also the whole strategy.
select strategy_id, 'all', precision, precision_lo, precision_hi, recall, recall_lo, recall_hi
from counted where is_only
"""
BARS = "▁▂▃▄▅▆▇█"


def _console() -> Console:
    return Console(width=WIDTH, highlight=False)


def status(paths: Paths, *, as_json: bool, everything: bool = False) -> None:
    """Print the newest verdict on every strategy, what matters first."""
    with serving_connection(paths.published) as connection:
        wanted = {"everything": everything, "order": list(STYLE)}
        if as_json:
            _print_objects(*ask_rows(connection, NEWEST_STATUSES, wanted))
            return
        rows = ask(connection, NEWEST_STATUSES, wanted)
        accuracy = ask(connection, NEWEST_ESTIMATES)
    table = rows.merge(accuracy, on=["strategy_id", "channel"], how="left", sort=False)
    _console().print(_status_table(table, everything))
    counts = rows.loc[rows["channel"] == "all", "status"].value_counts()
    said = ", ".join(f"{counts[name]} {name}" for name in STYLE if name in counts)
    day = pd.Timestamp(rows["date"].max()).date() if len(rows) else "never"
    _console().print(f"{int(counts.sum())} strategies as of {day}: {said}")


def explain(paths: Paths, strategy: str, *, as_json: bool) -> None:
    """Print one strategy's verdict with the figures behind it."""
    with serving_connection(paths.published) as connection:
        known = ask(connection, "select * from dim_strategies where strategy_id = $id", strategy)
        if known.empty:
            raise InputError(unknown_strategy(connection, strategy))
        verdicts = "select * from strategy_status where strategy_id = $id"
        if as_json:
            _print_objects(*ask_rows(connection, verdicts, strategy))
            return
        current = ask(connection, verdicts, strategy)
        accuracy = ask(
            connection,
            "select a.* from strategy_accuracy a join dim_strategies using (strategy_id)"
            " where strategy_id = $id and window_kind = '28d'"
            " and environment = case lifecycle when 'shadow' then 'shadow' else 'live' end"
            " order by window_end, version",
            strategy,
        )
        drift = ask(
            connection,
            "select * from strategy_drift where strategy_id = $id and mode = 'goal' order by date",
            strategy,
        )
        harm = ask(
            connection,
            "select * from strategy_harm where strategy_id = $id and channel = 'all'",
            strategy,
        )
    _explain(known.iloc[0], current, accuracy, drift, harm)


def query(paths: Paths, sql: str, *, as_json: bool, limit: int) -> None:
    """Print the answer to one statement over the published views."""
    with serving_connection(paths.published) as connection:
        columns, rows = ask_rows(connection, sql)
    if as_json:
        _print_objects(columns, rows)
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows[:limit]:
        table.add_row(*["" if _is_null(value) else str(value) for value in row])
    Console(highlight=False).print(table)
    if len(rows) > limit:
        click.echo(f"{limit} of {len(rows)} rows; --limit shows more")


def run_report(report: "RunReport") -> None:
    """Print what did not hold in a run, and where to look at it."""
    for failure in report.failures:
        click.echo(f"Error: {failure}", err=True)
    for check in report.failed_checks:
        click.echo(f"check failed: {check}; its page in `make ui` lists the rows and the rule")
    for line in report.missing:
        click.echo(f"judged without: {line}")


def escalated(paths: Paths) -> None:
    """Print how many escalations are open, by priority."""
    with serving_connection(paths.published) as connection:
        rows = ask(
            connection,
            "select priority, count(*) as n from escalations where is_open"
            " group by priority order by priority",
        )
    said = ", ".join(f"{row['n']} {row['priority']}" for row in rows.to_dict("records"))
    click.echo(f"{int(rows['n'].sum())} escalations are open: {said or 'none'}")


def where_to_look(paths: Paths, next_day: dt.date) -> None:
    """Print the next commands a newcomer may want."""
    shown = paths.root if paths.root.name != ".governance" else Path(".governance")
    click.echo(
        "\nWhere to look next:\n"
        "  governance explain affiliate-spam-creator-block   one verdict and its evidence\n"
        "  governance escalations list                       who has to act, by when\n"
        "  make ui                                           the catalog at 127.0.0.1:3000\n"
        f"  governance run --date {next_day}                the next day, already delivered\n"
        f"  {shown}/published/serve.duckdb                 every table, for any DuckDB client"
    )


def sparkline(values: Sequence[float]) -> str:
    """Return values as a row of bars, a blank for a null.

    >>> sparkline([0.0, 0.5, float("nan"), 1.0])
    '▁▅ █'
    """
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known) or 1.0
    return "".join(
        " " if math.isnan(v) else BARS[round((v - low) / span * (len(BARS) - 1))] for v in values
    )


def _status_table(rows: pd.DataFrame, everything: bool) -> Table:
    table = Table(box=None, pad_edge=False, width=WIDTH, padding=(0, 1, 0, 0))
    table.add_column("strategy", no_wrap=True, max_width=32 if not everything else 28)
    if everything:
        table.add_column("channel", no_wrap=True)
    for name in ("status", "precision", "recall"):
        table.add_column(name, no_wrap=True, justify="left" if name == "status" else "right")
    table.add_column("since", no_wrap=True, min_width=10)
    for row in rows.to_dict("records"):
        blamed = row["metric"] if row["status"] not in ("healthy", "not_monitored") else None
        table.add_row(
            str(row["strategy_id"]),
            *([str(row["channel"])] if everything else []),
            Text(str(row["status"]), style=STYLE[str(row["status"])]),
            *(
                Text(_interval(row, metric), style="bold" if metric == blamed else "")
                for metric in ("precision", "recall")
            ),
            _text(_day(row.get("since"))),
        )
    return table


def _explain(
    known: "pd.Series[Any]",
    current: pd.DataFrame,
    accuracy: pd.DataFrame,
    drift: pd.DataFrame,
    harm: pd.DataFrame,
) -> None:
    console = _console()
    pooled = current.loc[current["channel"] == "all"].iloc[0]
    console.print(f"[bold]{known['strategy_id']}[/bold]  {known['name']}")
    console.print(str(known["description"]), style="dim")
    console.print(
        f"{known['action']} {known['kind']} for policy {known['policy']}, owned by "
        f"{known['owner_team']}, {known['lifecycle']}, version {known['current_version']}\n"
    )
    console.print(Text(str(pooled["status"]), style=STYLE[str(pooled["status"])]), end="  ")
    console.print(str(pooled["reason"]))
    if not _is_null(pooled["suspected_cause"]):
        console.print(f"cause: {pooled['suspected_cause']}, {pooled['cause_evidence']}")
    if pooled["is_recovered"]:
        console.print("recovered: what it decided since the alarm holds the goal again")
    console.print(f"next: {pooled['next_action']}\n")
    for metric in ("precision", "recall"):
        _explain_metric(console, metric, pooled, accuracy, drift)
    for row in harm.to_dict("records"):
        _explain_harm(console, row)
    others = current.loc[current["channel"] != "all"]
    for row in others.to_dict("records") if len(others) > 1 else []:
        console.print(f"  on {row['channel']}: {row['status']}  {row['reason']}")


def _explain_metric(
    console: Console,
    metric: str,
    pooled: "pd.Series[Any]",
    accuracy: pd.DataFrame,
    drift: pd.DataFrame,
) -> None:
    history = _whole(accuracy).drop_duplicates("window_end", keep="last")
    evidence = _whole(drift.loc[drift["metric"] == metric])
    if history.empty:
        return
    last = history.iloc[-1].to_dict()
    curve = sparkline(_curve(history[metric]))
    console.print(f"[bold]{metric:10}[/bold] {pooled[f'{metric}_status']}")
    console.print(f"  28 days    {_interval(last, metric)}   {curve}")
    if len(evidence):
        now = evidence.iloc[-1]
        console.print(f"  goal       {now['goal']:.1%}, tolerance {now['tolerance']:.1%}")
        logs = [math.log10(max(v, 1e-3)) for v in _curve(evidence["e_value"])]
        console.print(f"  evidence   e = {now['e_value']:.3g}   {sparkline(logs)}")
    console.print("")


def _explain_harm(console: Console, row: dict[Any, Any]) -> None:
    lines = [
        said.format(_amount(row[f"{name}_est"]), currency=row["currency"])
        + f" ({_amount(row[f'{name}_lo'])} to {_amount(row[f'{name}_hi'])})"
        for name, said in HARM_SAID.items()
        if not _is_null(row[f"{name}_est"])
    ]
    if lines:
        console.print(f"[bold]{'harm':10}[/bold] in its last {row['cohorts']} cohorts")
        for line in lines:
            console.print(f"  {line}")
        console.print("")


def _amount(value: float) -> str:
    """Return an amount in the digits that people read.

    >>> _amount(52304.2), _amount(87.6)
    ('52,300', '88')
    """
    return f"{float(f'{value:.3g}'):,.0f}"


def _curve(days: "pd.Series[float]") -> list[float]:
    """Return every third of the last 90 days, the newest included."""
    return list(days.iloc[-CURVE_DAYS:].iloc[::-3].iloc[::-1])


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the whole strategy: channel `all`, or its only channel."""
    return rows if rows["channel"].nunique() <= 1 else rows.loc[rows["channel"] == "all"]


def _interval(row: dict[Any, Any], metric: str) -> str:
    value, low, high = (row.get(f"{metric}{suffix}") for suffix in ("", "_lo", "_hi"))
    if _is_null(value):
        return "-"
    assert value is not None and low is not None and high is not None
    return f"{value:.1%} ({100 * low:.0f}-{100 * high:.0f})"


def _print_objects(columns: Sequence[str], rows: Sequence[Row]) -> None:
    for row in rows:
        click.echo(json.dumps(dict(zip(columns, row, strict=True)), default=str))


def _is_null(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _text(value: Any) -> str:
    return "" if _is_null(value) else str(value)


def _day(value: Any) -> Any:
    return value if _is_null(value) else pd.Timestamp(value).date()
