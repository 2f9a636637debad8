"""The data docs: every rule with its reason and remedy, and how the newest deliveries came out.

One static page out of the published snapshot and the suites; it needs no network and no script.
"""

import datetime as dt
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from governance_pipeline.adapters.serving import ask_rows, serving_connection
from governance_pipeline.adapters.suites import Suite, load_suite
from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.paths import Paths
from governance_pipeline.settings import EXPECTATIONS

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
DAYS = 35
MOST_TROUBLES = 200
COLOURS = {"critical": "bad", "warning": "warn", "finding": "find"}
REFUSED = ("refused whole", "critical")
NEWEST = f"(select max(delivery_date) - {DAYS} from data_quality_days)"
DELIVERIES = f"select * from data_quality_days where delivery_date > {NEWEST}"
BROKEN = f"""
select feed, channel, delivery_date as day, rule, severity, failed_rows, observed
from data_quality_rules where not passed and delivery_date > {NEWEST}
order by day desc, feed, channel, rule
"""

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One delivery in the calendar: its colour, what is written in it, and what it says in full."""

    colour: str
    text: str
    said: str


def write_data_docs(paths: Paths, suites: Path = EXPECTATIONS) -> Path | None:
    """Write the page of the current snapshot below the home; None if nothing was delivered yet.

    Raises:
        PublishError: If nothing was published yet.
    """
    with serving_connection(paths.published) as connection:
        deliveries = _rows(*ask_rows(connection, DELIVERIES))
        broken = _rows(*ask_rows(connection, BROKEN))
    if not deliveries:
        return None
    page = render(deliveries, broken, [load_suite(suites / f"{feed}.yaml") for feed in FEEDS])
    target = paths.data_docs / "index.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".index.{os.getpid()}")
    fresh.write_text(page, encoding="utf-8")
    fresh.replace(target)
    return target


def render(deliveries: Sequence[Row], broken: Sequence[Row], suites: Sequence[Suite]) -> str:
    """Return the page as HTML.

    Args:
        deliveries: Rows of `data_quality_days` of the days to show, at least one.
        broken: Rules that did not hold: feed, channel, day, rule, severity, failed_rows, observed.
        suites: The suite of every feed.
    """
    last = max(row["delivery_date"] for row in deliveries)
    first = max(last - dt.timedelta(days=DAYS - 1), min(row["delivery_date"] for row in deliveries))
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    remedies = {(s.name, r.name): r.remedy for s in suites for r in (*s.rules, *s.set_rules)}
    troubles = _refusals(deliveries) + [
        row | {"remedy": remedies.get((row["feed"], row["rule"]), "")} for row in broken
    ]
    troubles.sort(key=lambda row: (row["day"], row["severity"] == "critical"), reverse=True)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("data_docs.html").render(
        as_of=deliveries[0]["data_as_of"],
        snapshot_id=deliveries[0]["snapshot_id"],
        first=first,
        last=last,
        days=days,
        months=[(name, len(list(own))) for name, own in groupby(f"{d:%B %Y}" for d in days)],
        figures=_figures(deliveries, broken),
        feeds=[_feed(suite, days, deliveries, broken) for suite in suites],
        troubles=troubles[:MOST_TROUBLES],
        left_off=max(0, len(troubles) - MOST_TROUBLES),
        colours=COLOURS,
    )


def _rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Row]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def _refusals(deliveries: Sequence[Row]) -> list[Row]:
    return [
        {
            "feed": row["feed"], "channel": row["channel"], "day": row["delivery_date"],
            "rule": "delivery_refused", "severity": "critical", "observed": row["refusal"],
            "remedy": "Mend the file and deliver it again, then: governance feed release.",
        }
        for row in deliveries
        if row["state"] == "refused"
    ]  # fmt: skip


def _figures(deliveries: Sequence[Row], broken: Sequence[Row]) -> list[dict[str, str]]:
    rows = sum(row["rows_delivered"] for row in deliveries)
    kept = sum(row["rows_accepted"] for row in deliveries)
    warned = {(r["feed"], r["channel"], r["day"]) for r in broken if r["severity"] == "warning"}
    figures = {
        "deliveries": f"{len(deliveries):,}",
        "rows delivered": f"{rows:,}",
        # Rounded down: all but a few is not all.
        "of them accepted": f"{kept * 10_000 // rows / 100:.2f}%" if rows else "none",
        "rows in the quarantine": f"{sum(row['rows_quarantined'] for row in deliveries):,}",
        "deliveries refused": f"{sum(row['state'] == 'refused' for row in deliveries):,}",
        "deliveries with a warning": f"{len(warned):,}",
        "findings": f"{sum(row['severity'] == 'finding' for row in broken):,}",
    }
    return [{"name": name, "value": value} for name, value in figures.items()]


def _feed(
    suite: Suite, days: Sequence[dt.date], deliveries: Sequence[Row], broken: Sequence[Row]
) -> dict[str, Any]:
    own = {(r["channel"], r["delivery_date"]): r for r in deliveries if r["feed"] == suite.name}
    against: dict[tuple[str, dt.date], list[Row]] = defaultdict(list)
    times, rows = Counter[str](), Counter[str]()
    for row in broken:
        if row["feed"] == suite.name:
            against[row["channel"], row["day"]].append(row)
            times[row["rule"]] += 1
            rows[row["rule"]] += row["failed_rows"]
    calendar = [
        (
            channel,
            [_cell(channel, day, own.get((channel, day)), against[channel, day]) for day in days],
        )
        for channel in CHANNELS
    ]
    rules = [
        {
            "name": rule.name, "severity": rule.severity, "why": rule.why, "remedy": rule.remedy,
            "judges": judges, "deliveries": times[rule.name], "rows": rows[rule.name],
        }
        for judges, known in (("a row", suite.rules), ("a delivery", suite.set_rules))
        for rule in known
    ]  # fmt: skip
    return {
        "name": suite.name, "calendar": calendar, "rules": rules, "suite_hash": suite.suite_hash,
        "max_bad_share": suite.max_bad_share,
    }  # fmt: skip


def _cell(
    channel: str, day: dt.date, delivery: Mapping[str, Any] | None, broken: Sequence[Row]
) -> Cell:
    where = f"{channel} {day}"
    if delivery is None:
        return Cell("none", "·", f"{where}: not delivered")
    lines = [
        f"{where}: {delivery['rows_delivered']:,} rows, {delivery['rows_accepted']:,} accepted,"
        f" {delivery['rows_quarantined']:,} in the quarantine",
        *(f"{row['rule']}: {row['observed']}" for row in broken),
    ]
    if delivery["restatements"]:
        lines.append(f"restated {delivery['restatements']} times")
    if delivery["release_reason"]:
        lines.append(f"let in nonetheless: {delivery['release_reason']}")
    if delivery["refusal"]:
        lines.append(f"refused: {delivery['refusal']}")
    return Cell(*_mark(delivery, {row["severity"] for row in broken}), "\n".join(lines))


def _mark(delivery: Mapping[str, Any], severities: set[str]) -> tuple[str, str]:
    """Return the colour of a delivery and what is written in it, the worst thing first."""
    if delivery["state"] == "refused":
        return "bad", "✕"
    if delivery["rows_quarantined"]:
        return "warn", f"-{_short(delivery['rows_quarantined'])}"
    if severities & {"critical", "warning"}:
        return "warn", "!"
    if severities:
        return "find", "?"
    if delivery["state"] == "empty":
        return "none", "0"
    return "good", _short(delivery["rows_accepted"])


def _short(count: int) -> str:
    """Return a count in at most four characters.

    >>> [_short(n) for n in (7, 999, 1829, 28_290, 999_600, 12_400_000)]
    ['7', '999', '1.8k', '28k', '1M', '12M']
    """
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        scaled = count / size
        if scaled >= 0.9995:
            return (
                f"{scaled:.1f}{unit}".replace(".0", "") if scaled < 9.95 else f"{scaled:.0f}{unit}"
            )
    return str(count)
