"""dbt's manifest: the project is parsed once for all homes, and again only when it changed."""

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from governance_pipeline.adapters import dbt_call
from governance_pipeline.paths import Paths
from governance_pipeline.settings import DBT_PROJECT

TARGET = DBT_PROJECT / "target"


def prepared() -> Path:
    """Return the path of the project's manifest as JSON, parsing the project first if it changed.

    Raises:
        WarehouseError: If dbt cannot parse the project.
    """
    return _prepared(_fingerprint())


def loaded() -> Any:
    """Return the manifest as dbt itself holds it, so that a run need not parse or check anything.

    Raises:
        WarehouseError: If dbt cannot parse the project.
    """
    fingerprint = _fingerprint()
    _prepared(fingerprint)
    return _loaded(fingerprint)


def _prepared(fingerprint: str) -> Path:
    parsed, manifest = TARGET / "parsed.sha256", TARGET / "manifest.json"
    TARGET.mkdir(exist_ok=True)
    with FileLock(TARGET / "parsed.lock"):  # or another process reads it half written
        if not parsed.exists() or parsed.read_text() != fingerprint or not manifest.exists():
            # Relations are named after the warehouse's file, which has one name in every home.
            os.environ["GOVERNANCE_WAREHOUSE"] = str(Paths(TARGET).warehouse)
            dbt_call.call(["parse"], TARGET)
            parsed.write_text(fingerprint)
    return manifest


@cache
def _loaded(fingerprint: str) -> Any:
    from dbt.constants import PARTIAL_PARSE_FILE_NAME
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    packed = (TARGET / PARTIAL_PARSE_FILE_NAME).read_bytes()
    manifest: Any = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
    manifest.build_parent_and_child_maps()
    manifest.build_flat_graph()
    return manifest


def _fingerprint() -> str:
    """Return the hash of what a manifest comes from: the project's files, and who parses them."""
    digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')}".encode())
    for file in _files():
        digest.update(file.as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    yield from (DBT_PROJECT / "dbt_project.yml", DBT_PROJECT / "profiles.yml")
    for kind in ("macros", "models", "tests"):
        yield from sorted(p for p in (DBT_PROJECT / kind).rglob("*.*") if p.is_file())
