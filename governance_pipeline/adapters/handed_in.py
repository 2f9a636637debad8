"""Findings that a table of the warehouse hands in: one shape, which any mart or judgement fills.

A relation `findings_<source>`, in whatever schema, is asked like the sources of `findings.py`: each
row is a finding, and one that is no longer there has gone. An empty table finds nothing, a table
that is missing is not asked.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import duckdb

from governance_pipeline.domain.findings import Finding
from governance_pipeline.errors import WarehouseError
from governance_pipeline.registry.conditions import FindingType, Source

PREFIX = "findings_"
NEEDED = ("type", "title", "found_on")
"""Columns that every row fills; `found_on` is the day of data that it was seen on."""

SOURCES = tuple(name for name in get_args(Source) if name not in ("person", "failed_check"))
"""What a table may be named after: of these all findings are known at once."""

GIVEN = ("source", "type", "title", "detected_at", "on", "requester")
OPTIONAL = ("requester", *(f.name for f in fields(Finding) if f.name not in GIVEN))
"""Columns that a table may have: the other facts of a finding, by their names."""

TABLES = """
select table_schema, table_name, list(column_name) as columns
from information_schema.columns
where starts_with(table_name, $prefix) and table_catalog = current_database()
group by all order by all
"""


def handed_in(
    connection: duckdb.DuckDBPyConnection, now: dt.datetime, requester: str
) -> dict[str, list[Finding]]:
    """Return what every table hands in, by the source that it is named after.

    Args:
        connection: The warehouse.
        now: When it became known, in UTC.
        requester: The team that is told the result, where a row names none.

    Raises:
        WarehouseError: If a table has not the shape; it names the table and the remedy.
    """
    found: dict[str, list[Finding]] = {}
    for schema, table, columns in connection.execute(TABLES, {"prefix": PREFIX}).fetchall():
        source = table.removeprefix(PREFIX)
        _check(table, source, columns)
        said = ", ".join(f'"{name}"' for name in columns)
        # In one order, so that the same rows open the same escalations.
        answer = connection.execute(f'select {said} from "{schema}"."{table}" order by all')
        found[source] = [
            _finding(table, source, dict(zip(columns, row, strict=True)), now, requester)
            for row in answer.fetchall()
        ]
    return found


def _check(table: str, source: str, columns: list[str]) -> None:
    if source not in SOURCES:
        known = ", ".join(SOURCES)
        raise WarehouseError(f"{table} is named after no source of findings; those are {known}")
    missing = [name for name in NEEDED if name not in columns]
    unknown = sorted({*columns} - {*NEEDED, *OPTIONAL})
    if missing or unknown:
        raise WarehouseError(
            f"{table} hands in findings without {', '.join(missing) or 'nothing needed'} and with "
            f"{', '.join(unknown) or 'nothing'} that no finding has; see docs/escalations.md"
        )


def _finding(
    table: str, source: str, row: Mapping[str, Any], now: dt.datetime, requester: str
) -> Finding:
    if row["type"] not in get_args(FindingType) or None in [row[name] for name in NEEDED]:
        raise WarehouseError(
            f"{table}: the finding {row['title']!r} of {row['found_on']} is of type "
            f"{row['type']!r}; fill in {', '.join(NEEDED)}, the type one of "
            f"{', '.join(get_args(FindingType))}"
        )
    # A column that is null, as one that is missing, leaves what a finding is without it.
    said = {name: row[name] for name in OPTIONAL if row.get(name) is not None}
    return Finding(
        source=source,
        type=row["type"],
        title=row["title"],
        detected_at=now,
        on=row["found_on"],
        **{"requester": requester, **said},
    )
