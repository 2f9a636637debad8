"""The reviewers' worklist: drawn items without a verdict, written so that nobody is led.

A row is an item, the policy it is asked about, its channel and day: one review serves every
strategy that asks the same. It names no strategy, score or outcome, and comes in an order that a
keyed hash makes.
"""

import csv
import datetime as dt
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from governance_pipeline.adapters import warehouse
from governance_pipeline.adapters.lake import make_durable
from governance_pipeline.adapters.registry_store import last_applied
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths

Row = dict[Any, Any]
COLUMNS = (
    "worklist_id", "channel", "item_id", "policy", "policy_name", "decided_on", "category",
    "market", "verdict", "reviewer_id", "labelled_at",
)  # fmt: skip
# A spreadsheet takes a text that begins so for a formula and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
ASKED = """
select
    substr(sha256(concat_ws('|', $key, u.channel, u.policy, u.decision_date, u.item_id)), 1, 20)
        as worklist_id,
    u.channel, u.item_id, u.policy, u.decision_date as decided_on,
    min(u.category) as category, min(u.market) as market,
    bool_and(l.decision_id is not null) as is_answered
from int_sampled_units u
left join (
    select distinct channel, decision_id, decision_date from int_labels_matched
    where source = 'random_audit'
) l on l.channel = u.channel and l.decision_id = u.decision_id
    and l.decision_date = u.decision_date
group by u.channel, u.policy, u.decision_date, u.item_id
"""


def drawn_items(paths: Paths, worklist_ids: Sequence[str]) -> dict[str, Row]:
    """Return what was drawn under these ids, answered or not; unknown ids are left out.

    Raises:
        InputError: If the home was never made.
        WarehouseError: If the marts were never built.
    """
    found = _asked(
        paths, "worklist_id in (select unnest($ids::varchar[]))", {"ids": list(worklist_ids)}
    )
    return {str(row["worklist_id"]): row for row in found.to_dict(orient="records")}


def write_worklist(
    paths: Paths, to: Path, form: str, *, day: dt.date | None = None, channel: str | None = None
) -> int:
    """Write the open reviews to a file and return how many there are.

    Args:
        paths: The home.
        to: The file to make.
        form: `csv` or `jsonl`.
        day: Only this decision day, UTC.
        channel: Only this channel.

    Raises:
        InputError: If the file exists, since reviewers may have answered in it, or has no folder.
        WarehouseError: If the marts were never built.
    """
    if to.exists():
        raise InputError(f"{to} exists and may hold answers; name another file")
    if not to.parent.is_dir():
        raise InputError(f"{to.parent} is no folder; make it first")
    wanted = "not is_answered and ($day is null or decided_on = $day::date)"
    rows = _asked(
        paths,
        f"{wanted} and ($channel is null or channel = $channel)",
        {"day": day, "channel": channel},
    )
    registry = last_applied(paths.lake)
    names = {p.policy: p.name for p in registry.policies.values()} if registry else {}
    # The id is a keyed hash: in its order nothing is left of channel, day or strategy.
    rows = rows.sort_values("worklist_id")
    rows = rows.assign(policy_name=rows["policy"].map(names))
    rows = rows.assign(**dict.fromkeys(("verdict", "reviewer_id", "labelled_at")))
    written = [
        {name: _plain(row[name]) for name in COLUMNS} for row in rows.to_dict(orient="records")
    ]
    fresh = to.with_name(f".{to.name}.{os.getpid()}")
    fresh.write_text(_as_csv(written) if form == "csv" else _as_jsonl(written), encoding="utf-8")
    make_durable([fresh])
    fresh.replace(to)
    return len(written)


def shielded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> shielded("=cmd()"), shielded("item1")
    ("'=cmd()", 'item1')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def _asked(paths: Paths, condition: str, values: Mapping[str, Any]) -> pd.DataFrame:
    if not paths.sampling_key.exists():
        raise InputError(f"{paths.root} is not a home yet; run `governance init` first")
    secret = paths.sampling_key.read_text().strip()
    # Not the sampling key itself: a reviewer's tool may keep the ids for ever.
    key = hashlib.sha256(f"worklist {secret}".encode()).hexdigest()
    query = f"select * from ({ASKED}) where {condition}"
    found = warehouse.read_frame(paths.warehouse, query, {"key": key, **values})
    return found.assign(decided_on=pd.to_datetime(found["decided_on"]).dt.date)


def _plain(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def _as_csv(rows: list[dict[str, str | None]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: shielded(v) if v else "" for k, v in row.items()} for row in rows)
    return text.getvalue()


def _as_jsonl(rows: list[dict[str, str | None]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
