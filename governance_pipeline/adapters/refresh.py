"""Which decision days the marts must recompute, and the note of what they were built from.

The note is a table of the warehouse itself, so a warehouse that is deleted is rebuilt whole, and
a run that died before its note is done again.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field

import pandas as pd

from governance_pipeline.adapters import manifests, warehouse
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.adapters.registry_store import applied_hash
from governance_pipeline.paths import Paths
from governance_pipeline.settings import DBT_PROJECT

NOTE = "governance.built_from"


@dataclass(frozen=True)
class RefreshPlan:
    """What a build must do, and what it will have been built from."""

    decision_days: list[dt.date]
    built_from: pd.DataFrame = field(repr=False)
    found: list[Manifest] = field(repr=False)
    is_full: bool = False
    is_empty: bool = False


def plan_refresh(paths: Paths, built_by: str = "duckdb") -> RefreshPlan:
    """Compare the committed deliveries with those the marts were built from.

    A new registry rebuilds its dimensions whatever was delivered, a changed model or another
    engine everything; nothing new at all is empty.
    """
    models = f"{_models()} {built_by}"
    found = manifests.read_all(paths.lake)
    now = pd.DataFrame(
        [(m.feed, m.channel, m.delivery_date.isoformat(), m.token) for m in found]
        + [("registry", "", "", applied_hash(paths.lake) or ""), ("models", "", "", models)]
        + [("ledger", "", "", _told(found))],
        columns=["feed", "channel", "delivery_date", "token"],
    )
    before = _built_from(paths)
    is_full = models not in set(before["token"])
    if is_full:
        before = before.iloc[:0]
    merged = now.merge(before, on=["feed", "channel", "delivery_date"], how="left")
    stale = merged["token_x"] != merged["token_y"]
    changed = {
        tuple(row)
        for row in now.loc[stale.to_numpy(), ["feed", "channel", "delivery_date"]].to_numpy()
    }
    touched = {
        day
        for m in found
        if (m.feed, m.channel, m.delivery_date.isoformat()) in changed
        for day in m.decision_days
    }
    days = sorted(touched)
    return RefreshPlan(
        decision_days=days,
        built_from=now,
        found=found,
        is_full=is_full,
        is_empty=not changed,
    )


def prepare(paths: Paths, plan: RefreshPlan, memory_limit: str) -> None:
    """Point the warehouse's sources at the files this build needs."""
    warehouse.prepare_sources(
        paths.warehouse,
        paths.lake,
        plan.found,
        plan.decision_days,
        secret=paths.sampling_key.read_text().strip(),
        memory_limit=memory_limit,
    )


def remember(paths: Paths, plan: RefreshPlan) -> None:
    """Note what the marts are built from now."""
    warehouse.write_frames(paths.warehouse, {NOTE: plan.built_from})


def _models() -> str:
    """Return the hash of what dbt builds from, so that a changed model is never half applied."""
    digest = hashlib.sha256()
    for file in sorted(
        p for kind in ("models", "macros") for p in (DBT_PROJECT / kind).rglob("*.*")
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _told(found: list[Manifest]) -> str:
    """Return the hash of what became of every file: bytes that came again touch no day."""
    said = repr([(e.path, e.sha256, e.outcome) for m in found for e in m.ledger])
    return hashlib.sha256(said.encode()).hexdigest()


def _built_from(paths: Paths) -> pd.DataFrame:
    if not paths.warehouse.exists() or not warehouse.has_table(paths.warehouse, NOTE):
        return pd.DataFrame(columns=["feed", "channel", "delivery_date", "token"])
    return warehouse.read_frame(paths.warehouse, f"select * from {NOTE}")
