"""The rows that were turned away, as the deliveries that stand list them."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.lake import QUARANTINE
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.adapters.suites import Suite, load_suite
from governance_pipeline.adapters.verdicts import REFUSED
from governance_pipeline.errors import InputError
from governance_pipeline.feeds import FEEDS
from governance_pipeline.settings import EXPECTATIONS


@dataclass(frozen=True)
class Rejected:
    """Some of the rows turned away, as the quarantine has them, and how many there are in all.

    `refusals` says for a delivery, by feed, channel and day, why it was turned away whole.
    """

    rows: list[dict[str, Any]]
    total: int
    refusals: dict[tuple[str, str, dt.date], str]


def rejected_rows(
    lake: Path,
    *,
    feed: str | None = None,
    channel: str | None = None,
    day: dt.date | None = None,
    rule: str | None = None,
    limit: int | None = None,
) -> Rejected:
    """Return the rows in the quarantine, newest delivery first.

    Args:
        lake: The lake.
        feed: Only rows of this feed.
        channel: Only rows of this channel.
        day: Only rows of this delivery date.
        rule: Only rows turned away by this rule.
        limit: At most so many rows; all if None.

    Raises:
        InputError: If no feed has the rule.
    """
    if rule is not None and rule not in known_rules(feed):
        raise InputError(f"no rule is called {rule}; `governance feed show` names those broken")
    found = [
        manifest
        for manifest in (manifests.read_feed(lake, feed) if feed else manifests.read_all(lake))
        if manifest.rows_quarantined or manifest.refusal
        if channel in (None, manifest.channel) and day in (None, manifest.delivery_date)
    ]
    rows, total = _read(lake, found, rule, limit)
    return Rejected(
        rows, total, {(m.feed, m.channel, m.delivery_date): m.refusal for m in found if m.refusal}
    )


def known_rules(feed: str | None = None) -> set[str]:
    """Return the names that a row's rule can have."""
    return {REFUSED, *(rule.name for each in suites_of(feed) for rule in each.rules)}


def suites_of(feed: str | None = None) -> list[Suite]:
    """Return the suite of a feed, or of every feed."""
    return [load_suite(EXPECTATIONS / f"{name}.yaml") for name in FEEDS if feed in (None, name)]


def _read(
    lake: Path, found: Sequence[Manifest], rule: str | None, limit: int | None
) -> tuple[list[dict[str, Any]], int]:
    files = [str(lake / name) for m in found for name in m.files.get("quarantine", [])]
    if not files:
        return [], 0
    wanted = {"files": files, "rule": rule}
    where = "from read_parquet($files) where $rule is null or rule = $rule"
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        (total,) = connection.execute(f"select count(*) {where}", wanted).fetchone() or (0,)
        found_rows = connection.execute(
            f"select {', '.join(QUARANTINE)} {where}"
            " order by delivery_date desc, feed, channel, rule, file, row_number limit $limit",
            wanted | {"limit": total if limit is None else limit},
        ).fetchall()
    return [_whole(dict(zip(QUARANTINE, row, strict=True))) for row in found_rows], int(total)


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """Return a quarantined row with what was delivered as `row`: named values, or a line's text."""
    text = row.pop("row_json")
    try:
        delivered = json.loads(text)
    except (TypeError, ValueError):
        delivered = text
    return row | {"row": delivered}
