"""Interventions: what people did about a strategy, as dated files that the judgement reads.

One JSON file each, written once and never changed, so that a verdict can be replayed: the same
deliveries, register and interventions give the same tables.
"""

import datetime as dt
import os
import uuid
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from governance_pipeline.errors import InputError

Finding = Literal["keep", "retune", "pause", "retire"]
FINDINGS: tuple[str, ...] = get_args(Finding)
COLUMNS = {
    "intervention_id": "string", "kind": "string", "strategy_id": "string",
    "effective_on": "datetime64[us]", "at": "datetime64[us]", "actor": "string",
    "finding": "string", "reason": "string",
}  # fmt: skip


class Intervention(BaseModel):
    """Something done about a strategy, by whom, why, and from which decision day it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intervention_id: str = Field(pattern=r"^[a-z0-9]{12}$")
    kind: Literal["audit_closed"]
    strategy_id: str = Field(min_length=1)
    effective_on: dt.date
    at: dt.datetime
    actor: str = Field(min_length=2)
    finding: Finding
    reason: str = Field(min_length=5)


def close_audit(
    lake: Path,
    strategy_id: str,
    *,
    finding: Finding,
    actor: str,
    reason: str,
    effective_on: dt.date,
    now: dt.datetime,
) -> Intervention:
    """Write that an audit ended, and with what; the monitor begins anew on `effective_on`."""
    made = Intervention(
        intervention_id=uuid.uuid4().hex[:12],
        kind="audit_closed",
        strategy_id=strategy_id,
        effective_on=effective_on,
        at=now,
        actor=actor,
        finding=finding,
        reason=reason,
    )
    folder = _folder(lake)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{made.intervention_id}.{os.getpid()}"
    with fresh.open("w") as file:
        file.write(made.model_dump_json(indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / f"{effective_on}-{made.intervention_id}.json")
    return made


def read_interventions(lake: Path) -> pd.DataFrame:
    """Return every intervention, oldest first; columns as in `COLUMNS`.

    Raises:
        InputError: If a file is not an intervention, naming it.
    """
    rows = []
    for file in sorted(_folder(lake).glob("*.json")):
        try:
            rows.append(Intervention.model_validate_json(file.read_bytes()).model_dump())
        except ValueError as error:
            said = str(error).splitlines()
            raise InputError(
                f"{file.name} is no intervention: {' '.join(said[1:3])}; mend or remove it"
            ) from error
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("effective_on", "at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_localize(None)
    return frame.astype(COLUMNS).sort_values(["effective_on", "at"], ignore_index=True)


def _folder(lake: Path) -> Path:
    return lake / "interventions"
