"""The applied register: a snapshot in the lake, named by its hash, and the one that is current."""

import datetime as dt
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from governance_pipeline.errors import RegistryError
from governance_pipeline.registry.lint import Finding, lint
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.registry.models import Registry
from governance_pipeline.registry.snapshot import registry_frames, registry_hash

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

INTEGERS = {"current_version", "version", "rollback_of", "score_bin"}
FLOATS = {"traffic_percent", "goal", "tolerance", "evidence_half_width", "rate"}
FLAGS = {"sor_required", "is_fired"}
DATES = {"since", "until", "effective_from", "effective_to", "expires_on"}


@dataclass(frozen=True)
class Applied:
    """The register that runs, and why the one on disk does not if it does not."""

    registry_hash: str
    strategies: int
    problems: Sequence[str]


def apply_registry(folder: Path, lake: Path, today: dt.date) -> tuple[str, list[Finding]]:
    """Lint the register of a folder and make it the one that runs.

    Raises:
        RegistryError: If it does not load or a finding is an error; the current one stays.
    """
    registry = load_registry(folder)
    findings = lint(registry, today)
    errors = [f"{f.where}: {f.message}; {f.remedy}" for f in findings if f.severity == "error"]
    if errors:
        raise RegistryError("\n".join(errors))
    digest = registry_hash(registry)
    _write_snapshot(registry, lake / "registry", digest)
    return digest, findings


def apply_or_keep(folder: Path, lake: Path, today: dt.date | None = None) -> Applied:
    """Apply the register on disk; if it is not valid keep the last one and say what is wrong.

    Raises:
        RegistryError: If it is not valid and none was ever applied.
    """
    problems: list[str] = []
    try:
        apply_registry(folder, lake, today or dt.datetime.now(dt.UTC).date())
    except RegistryError as error:
        problems = str(error).splitlines()
        if applied_hash(lake) is None:
            raise
    registry = last_applied(lake)
    assert registry is not None
    return Applied(applied_hash(lake) or "", len(registry.strategies), problems)


def applied_hash(lake: Path) -> str | None:
    """Return the hash of the register that runs, or None before the first."""
    current = lake / "registry" / "current"
    return current.read_text().strip() if current.exists() else None


def applied_folder(lake: Path) -> Path:
    """Return the folder of the register that runs.

    Raises:
        RegistryError: If none was applied yet.
    """
    digest = applied_hash(lake)
    if digest is None:
        raise RegistryError("no register was applied yet; run `governance registry apply`")
    return lake / "registry" / digest


def last_applied(lake: Path) -> Registry | None:
    """Return the register that runs, or None before the first."""
    if applied_hash(lake) is None:
        return None
    return Registry.model_validate_json((applied_folder(lake) / "registry.json").read_text())


def _write_snapshot(registry: Registry, root: Path, digest: str) -> None:
    import pyarrow.parquet as pq  # slow to load, and most only read the register

    target = root / digest
    if not target.exists():
        staging = root / f".staging-{uuid.uuid4().hex}"
        staging.mkdir(parents=True)
        (staging / "registry.json").write_text(registry.model_dump_json(indent=1))
        for name, frame in registry_frames(registry).items():
            pq.write_table(_typed(frame), staging / f"{name}.parquet")
        try:
            staging.rename(target)
        except OSError:  # another process wrote the same register first
            shutil.rmtree(staging)
    fresh = root / ".current-next"
    fresh.write_text(digest)
    fresh.replace(root / "current")


def _typed(frame: "pd.DataFrame") -> "pa.Table":
    """Return a table whose types do not depend on which values happen to be null."""
    import pandas as pd
    import pyarrow as pa

    fields = []
    for name in frame.columns:
        if name in INTEGERS:
            kind = pa.int32()
        elif name in FLOATS:
            kind = pa.float64()
        elif name in FLAGS:
            kind = pa.bool_()
        else:
            kind = pa.date32() if name in DATES else pa.string()
        fields.append(pa.field(name, kind))
    return pa.Table.from_pylist(
        [
            {k: None if pd.isna(v) else v for k, v in row.items()}
            for row in frame.to_dict("records")
        ],
        schema=pa.schema(fields),
    )
