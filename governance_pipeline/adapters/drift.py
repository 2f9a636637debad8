"""How a file's columns differ from its feed's contract and from the delivery before, in words.

What is missing refuses a delivery, and so does what no longer has its type; a column under another
name is found by its spelling and by whether its values are of the type that is missing.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

import duckdb

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.reading import NOT_ROWS, DeliveredFile, raw_sql
from governance_pipeline.adapters.sql import quoted
from governance_pipeline.adapters.suites import UNCAST, Suite
from governance_pipeline.feeds import FEEDS, Feed

DELIVERIES_BACK = 7
ROWS_TRIED = 1000
MOSTLY = 0.8  # a renamed column may have bad values too
ALIKE = 0.6  # from here two names are said to be spelled alike, 1 being the same
ALIKE_OF_ONE_TYPE = 0.45  # enough where few values are of the missing type by chance
RETYPED_FROM = 20  # so many values without a single one of the type are no accident


@dataclass(frozen=True)
class Earlier:
    """The columns of a channel's delivery before, each with the type it had."""

    day: dt.date
    columns: Mapping[str, str]

    def had(self, names: Sequence[str]) -> str:
        """Say which of some columns it had."""
        there = [f"{n} ({_said(self.columns[n])})" for n in names if n in self.columns]
        lacked = f"did not have {'it' if len(names) == 1 else 'them'} either"
        return f"the delivery of {self.day} {'had ' + ', '.join(there) if there else lacked}"


def earlier(lake: Path, feed: str, channel: str, day: dt.date) -> Earlier | None:
    """Return the last delivery before a day of which the columns are known, if one is near."""
    for manifest in islice(manifests.read_before(lake, feed, channel, day), DELIVERIES_BACK):
        if manifest.columns and manifest.state == "accepted":
            return Earlier(manifest.delivery_date, manifest.columns)
    return None


def difference(
    file: DeliveredFile, feed: Feed, required: Sequence[str], before: Earlier | None
) -> str | None:
    """Say which columns a file lacks, and which of its others they may be; None if it lacks none.

    A column that may be missing is missed where the delivery before had it and this file has one
    that looks like it. A mapping answers for its own columns.
    """
    has_mapping = file.source is not None and file.source.mapping is not None
    if not file.columns or has_mapping or file.columns == NOT_ROWS:
        return None
    names = {name.lower() for name in file.columns}
    missing = [name for name in required if name not in names]
    gone = [
        name for name in feed.columns
        if before and name in before.columns and name not in names and name not in required
    ]  # fmt: skip
    if not missing and not (gone and file.extra(feed)):
        return None
    renamed = renames(file, feed, [*missing, *gone])
    lost = [*missing, *(name for name in gone if name in renamed)]
    if not lost:
        return None
    kinds = ", ".join(f"{name} ({_said(feed.columns[name])})" for name in lost)
    said = [f"lacks {kinds}; it has {', '.join(file.columns)}"]
    if before:
        said.append(before.had(lost))
    remedy = "deliver the column, or map it in governance.yaml"
    if renamed:
        alike = ", ".join(f"{there} looks like {name}" for name, there in renamed.items())
        remedy = f"{alike}: deliver it so, or give its source in governance.yaml `{paste(renamed)}`"
    return "; ".join([*said, remedy])


def retyped(
    connection: duckdb.DuckDBPyConnection,
    suite: Suite,
    key: tuple[str, dt.date],
    failed: Mapping[str, int],
    found: Mapping[str, str],
    before: Earlier | None,
) -> list[str]:
    """Say of one staged delivery which columns have no value of their type at all.

    Args:
        connection: To the staged rows.
        suite: Whose rules say `<column>__uncast`.
        key: Channel and day of the delivery.
        failed: How many of its rows break each rule.
        found: The types that its columns came with.
        before: The delivery before it.
    """
    said = []
    for rule in suite.rules:
        if failed.get(rule.name, 0) < RETYPED_FROM or not (rule.column or "").endswith(UNCAST):
            continue
        column = str(rule.column).removesuffix(UNCAST)
        good, sample = connection.execute(
            f"select count({quoted(column)}), min({quoted(str(rule.column))}) from staged"
            " where delivery_channel = $channel and delivery_date = $day",
            dict(zip(("channel", "day"), key, strict=True)),
        ).fetchone() or (0, None)
        if not good:
            kind = FEEDS[suite.name].columns[column]
            came = _said(found.get(column, "text"))
            past = f"; {before.had([column])}" if before else ""
            said.append(
                f"{column} has no {kind} in any of its {failed[rule.name]:,} values, but {came}"
                f" such as {str(sample)[:40]!r}{past}; deliver it as {kind}, or map it in"
                " governance.yaml"
            )
    return said


def paste(renamed: Mapping[str, str]) -> str:
    """Return the line of governance.yaml that renames columns.

    >>> paste({"decided_at": "made at"})
    'mapping: select * rename ("made at" as decided_at) from source'
    """
    pairs = ", ".join(f"{_named(there)} as {name}" for name, there in renamed.items())
    return f"mapping: select * rename ({pairs}) from source"


def renames(file: DeliveredFile, feed: Feed, missing: Sequence[str]) -> dict[str, str]:
    """Return for missing columns the unknown column of the file that is most like each.

    Only a column whose values are of the missing type is taken, and each only once.
    """
    unknown = file.extra(feed)
    fits = _fitting(file, {name: feed.columns[name] for name in missing}, unknown)
    scored = sorted(
        (
            (alikeness(name, there), name, there)
            for name in missing
            for there in unknown
            if there in fits[name]
        ),
        key=lambda found: (-found[0], found[1], found[2]),
    )
    found: dict[str, str] = {}
    for score, name, there in scored:
        is_rare = feed.columns[name] != "varchar" and len(fits[name]) == 1
        enough = ALIKE_OF_ONE_TYPE if is_rare else ALIKE
        if score >= enough and name not in found and there not in found.values():
            found[name] = there
    return {name: found[name] for name in missing if name in found}


def alikeness(one: str, other: str) -> float:
    """Return how alike two names are spelled, in 0..1, whatever their case and their underscores.

    >>> alikeness("decision_id", "decisionId")
    1.0
    >>> alikeness("decision_id", "reach") < 0.5
    True
    """
    plain, another = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (one, other))
    return SequenceMatcher(None, plain, another, autojunk=False).ratio() if plain else 0.0


def _fitting(
    file: DeliveredFile, kinds: Mapping[str, str], unknown: Sequence[str]
) -> dict[str, set[str]]:
    """Return for each missing column the unknown ones whose values are mostly of its type."""
    if not unknown or not kinds:
        return {name: set() for name in kinds}
    wanted = sorted({*kinds.values()} - {"varchar"})
    tried = ", ".join(
        f"count(try_cast({_given(there)} as {kind})) >= {MOSTLY} * count({_given(there)})"
        f" and count({_given(there)}) > 0"
        for there in unknown
        for kind in wanted
    )
    answers: Iterable[bool] = ()
    if tried:
        rows = f"(select * from ({raw_sql([file])}) limit {ROWS_TRIED})"
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            try:
                bound = {"paths": [str(file.read_from)]}
                answers = connection.execute(f"select {tried} from {rows}", bound).fetchone() or ()
            except duckdb.Error:  # what cannot be read is said elsewhere
                answers = [False] * (len(unknown) * len(wanted))
    pairs = [(there, kind) for there in unknown for kind in wanted]
    ok = {pair for pair, fits in zip(pairs, answers, strict=True) if fits}
    return {
        name: {t for t in unknown if kind == "varchar" or (t, kind) in ok}
        for name, kind in kinds.items()
    }


def _given(name: str) -> str:
    return f"nullif({quoted(name)}::varchar, '')"


def _said(kind: str) -> str:
    return {"varchar": "text", "string": "text", "large_string": "text"}.get(kind, kind)


def _named(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted(name)
