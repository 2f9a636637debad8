"""Other tools on the same streams, run in an environment of their own and in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.alarms import YEAR, audit_mix_world
from benchmarks.accuracy.drops import DAYS, DROP, HORIZON, plain_world
from benchmarks.accuracy.results import Size
from benchmarks.accuracy.streams import World, draw, precision_world, same_lags

LABELS = 50
ENVIRONMENT = Path(".venv-peers")
# The row that each scenario belongs to.
SCENARIOS = {"steady": 1, "drop": 2, "audit mix": 6}


def ask_peers(size: Size, rows: list[int]) -> dict[int, dict[str, Any]]:
    """Return what the peers say by row; what could not be run is named with its reason."""
    python = ENVIRONMENT / "bin" / "python"
    wanted = [name for name, row in SCENARIOS.items() if row in rows]
    if not wanted:
        return {}
    if not python.exists():
        missing = {"peers": "not installed; run make bench-accuracy"}
        return {SCENARIOS[name]: missing for name in wanted}
    with tempfile.TemporaryDirectory(prefix="accuracy-peers-") as folder:
        streams, verdicts = Path(folder) / "streams.npz", Path(folder) / "verdicts.json"
        np.savez(streams, **_streams(size, wanted))
        subprocess.run(
            [python, "-W", "ignore", Path(__file__).with_name("peers.py"), streams, verdicts],
            check=True, capture_output=True, env={**os.environ, "PYTHONPATH": ""},
        )  # fmt: skip
        told = json.loads(verdicts.read_text())
    return {SCENARIOS[name]: _said(name, told, size) for name in wanted}


def _streams(size: Size, wanted: list[str]) -> dict[str, Any]:
    found = {}
    for name in wanted:
        stream = draw(_world(name, size.peers), size.peers, np.random.default_rng([size.seed, 6]))
        found[f"{name}:labels"] = stream.drawn.sum(axis=2)
        found[f"{name}:errors"] = stream.errors.sum(axis=2)
    return found


def _world(name: str, pools: int) -> World:
    if name == "steady":
        return precision_world(YEAR, 0.9, LABELS, same_lags())
    if name == "drop":
        return plain_world(0.8, LABELS)(_drop_days(pools))
    return audit_mix_world()


def _drop_days(pools: int) -> Any:
    return DROP + np.arange(pools) % 7


def _said(scenario: str, told: dict[str, Any], size: Size) -> dict[str, Any]:
    """Return a share of years with an alarm, or the days from the drop to the first after it."""
    versions = {name.lower(): version for name, version in told["versions"].items()}
    found: dict[str, Any] = dict(told["failed"])
    for name, days in told["alarms"][scenario].items():
        label = f"{name} {versions[name.split()[0].lower()]}"
        alarms = np.array([DAYS if day is None else day for day in days])
        if scenario == "drop":
            waits = alarms - _drop_days(size.peers)
            early = (waits < 0).mean()
            wait = float(np.median(waits[waits >= 0])) if early < 1 else np.inf
            said = f"{wait:g} days" if wait < HORIZON else "not found"
            found[label] = said + (f", {early:.0%} alarmed before" if early else "")
        else:
            found[label] = f"{np.mean([day is not None for day in days]):.0%}"
    found["replicates"] = size.peers
    return found
