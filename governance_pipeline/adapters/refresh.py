"""Which decision days the marts must recompute, and the note of what they were built from.

The note is a table of the warehouse itself, so a warehouse that is deleted is rebuilt whole, and
a run that died before its note is done again. It also keeps of every manifest what a build asks
for, under the stamp of its file: a manifest is read when it came or changed, not on every run.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from governance_pipeline.adapters import manifests, warehouse
from governance_pipeline.adapters.manifests import Delivered, Entry, Key, Manifest, Stamp
from governance_pipeline.adapters.registry_store import applied_hash
from governance_pipeline.paths import Paths
from governance_pipeline.settings import DBT_PROJECT

NOTE = "governance.built_from"
COLUMNS = ["feed", "channel", "delivery_date", "token", "written_ns", "bytes", "said"]
REGISTRY, MODELS = ("registry", "", ""), ("models", "", "")


@dataclass(frozen=True)
class RefreshPlan:
    """What a build must do, and what it will have been built from.

    `decision_days` are all days to recompute, `decided_days` those whose decisions came or
    changed; `feeds` are those of which anything came or changed, `fresh` the manifests that were
    read, `gone` the keys of those that vanished; `is_registered_anew` says whether another
    register runs.
    """

    decision_days: list[dt.date]
    decided_days: list[dt.date]
    feeds: frozenset[str]
    built_from: pd.DataFrame = field(repr=False)
    found: list[Delivered] = field(repr=False)
    fresh: list[Manifest] = field(repr=False)
    gone: list[Key] = field(repr=False)
    is_full: bool = False
    is_empty: bool = False
    is_registered_anew: bool = True


class Noted(NamedTuple):
    """A manifest that the marts were built from, and how the note says it."""

    stamp: Stamp
    entry: Entry
    text: str


def plan_refresh(paths: Paths, built_by: str = "duckdb") -> RefreshPlan:
    """Compare the committed deliveries with those the marts were built from.

    A new registry rebuilds its dimensions whatever was delivered, a changed model or another
    engine everything; nothing new at all is empty.
    """
    models = f"{_models()} {built_by}"
    tokens, note = _note(paths)
    is_full = tokens.get(MODELS) != models
    if is_full:
        tokens, note = {}, {}
    seen = manifests.stamps(paths.lake)
    found: dict[Key, Delivered] = {}
    fresh = []
    for key, stamp in seen.items():
        noted = note.get(key)
        if noted is not None and noted.stamp == stamp:
            found[key] = noted.entry
        else:
            manifest = manifests.read(paths.lake, *key[:2], dt.date.fromisoformat(key[2]))
            if manifest is not None:
                found[key] = manifest
                fresh.append(manifest)
    gone = [key for key in note if key not in found]
    changed = [m for key, m in found.items() if tokens.get(key) != m.token]
    changed += [note[key].entry for key in gone]
    retold = [m for m in fresh if (m.key not in note) or note[m.key].entry.told != m.told]
    registry = applied_hash(paths.lake) or ""
    is_registered_anew = tokens.get(REGISTRY) != registry
    return RefreshPlan(
        decision_days=_days(changed),
        decided_days=_days(m for m in changed if m.feed == "decisions"),
        feeds=frozenset(m.feed for m in changed),
        built_from=_written(found, seen, note, {REGISTRY: registry, MODELS: models}),
        found=list(found.values()),
        fresh=fresh,
        gone=gone,
        is_full=is_full,
        is_empty=not (changed or retold or is_registered_anew),
        is_registered_anew=is_registered_anew,
    )


def prepare(paths: Paths, plan: RefreshPlan, memory_limit: str) -> None:
    """Point the warehouse's sources at the files this build needs."""
    warehouse.prepare_sources(
        paths.warehouse,
        paths.lake,
        plan.found,
        plan.decision_days,
        plan.decided_days,
        secret=paths.sampling_key.read_text().strip(),
        memory_limit=memory_limit,
    )
    warehouse.write_deliveries(paths.warehouse, plan.fresh, plan.gone, anew=plan.is_full)


def remember(paths: Paths, plan: RefreshPlan) -> None:
    """Note what the marts are built from now."""
    warehouse.write_frames(paths.warehouse, {NOTE: plan.built_from})


def _days(changed: Iterable[Delivered]) -> list[dt.date]:
    return sorted({day for m in changed for day in m.decision_days})


def _models() -> str:
    """Return the hash of what dbt builds from, so that a changed model is never half applied."""
    digest = hashlib.sha256()
    for file in sorted(
        p for kind in ("models", "macros") for p in (DBT_PROJECT / kind).rglob("*.*")
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _written(
    found: Mapping[Key, Delivered],
    seen: Mapping[Key, Stamp],
    note: Mapping[Key, Noted],
    others: Mapping[Key, str],
) -> pd.DataFrame:
    """Return the note's rows: one per manifest, and one for each other thing built from."""
    rows: list[tuple[object, ...]] = [(*key, token, 0, 0, "") for key, token in others.items()]
    for key, m in found.items():
        noted = note.get(key)
        if noted is not None and noted.entry is m:
            rows.append((*key, m.token, *seen[key], noted.text))
            continue
        said = {
            "days": [day.isoformat() for day in m.decision_days],
            "files": m.files,
            "told": m.told,
        }
        rows.append((*key, m.token, *seen[key], json.dumps(said)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _note(paths: Paths) -> tuple[dict[Key, str], dict[Key, Noted]]:
    """Return the tokens of what the marts were built from, and the manifests among it."""
    if not paths.warehouse.exists() or not warehouse.has_table(paths.warehouse, NOTE):
        return {}, {}
    noted = warehouse.read_frame(paths.warehouse, f"select * from {NOTE}")
    if list(noted.columns) != COLUMNS:
        return {}, {}
    tokens: dict[Key, str] = {}
    entries: dict[Key, Noted] = {}
    for feed, channel, day, token, written_ns, size, text in noted.itertuples(index=False):
        key = (feed, channel, day)
        tokens[key] = token
        if text:
            said = json.loads(text)
            days = [dt.date.fromisoformat(d) for d in said["days"]]
            date = dt.date.fromisoformat(day)
            entry = Entry(feed, channel, date, days, said["files"], token, said["told"])
            entries[key] = Noted((written_ns, size), entry, text)
    return tokens, entries
