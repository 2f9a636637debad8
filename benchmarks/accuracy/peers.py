"""NannyML, Evidently and river on exchanged streams, in an environment of their own.

    python peers.py STREAMS.npz VERDICTS.json

reads labels and errors by day, (days, replicates), of each scenario, and writes the first day on
which each peer alarms, after its first 60 days as a reference. This file imports nothing of the
pipeline, because the peers' pins conflict with its own.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import traceback
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

import numpy as np
import pandas as pd

REFERENCE_DAYS = 60


def verdicts(labels, errors, rng):
    """Return day and error of every label of one replicate, in an order of its own each day."""
    day, wrong = [], []
    for at, (n, k) in enumerate(zip(labels, errors, strict=True)):
        day.append(np.full(n, at))
        wrong.append(rng.permutation(np.arange(n) < k).astype(int))
    return np.concatenate(day), np.concatenate(wrong)


def by_river(make):
    """Return a monitor of river: the first day after the reference on which it says drift."""

    def monitor(day, wrong, _last):
        detector = make()
        for at, value in zip(day.tolist(), wrong.tolist(), strict=True):
            detector.update(value)
            if detector.drift_detected and at >= REFERENCE_DAYS:
                return at
        return None

    return monitor


def frame(day, wrong):
    """Return fired decisions as a classifier's: predicted 1, true where not an error.

    NannyML gives no precision where only one class is predicted, so that every day also has a
    decision that did not fire; it does not enter a precision.
    """
    quiet = np.unique(day)
    table = pd.DataFrame(
        {
            "day": np.r_[day, quiet],
            "y_pred": np.r_[np.ones(len(day), dtype=int), np.zeros(len(quiet), dtype=int)],
            "y_true": np.r_[1 - wrong, np.zeros(len(quiet), dtype=int)],
        }
    ).sort_values("day", kind="stable")
    table["date"] = pd.Timestamp("2026-01-05") + pd.to_timedelta(table["day"], unit="D")
    return table


def by_nannyml(day, wrong, last):
    """Return the end of the first week whose realized precision leaves NannyML's thresholds."""
    import nannyml as nml

    table = frame(day, wrong)
    table["y_pred_proba"] = np.where(table["y_pred"] == 1, 0.9, 0.1)
    calculator = nml.PerformanceCalculator(
        problem_type="classification_binary", y_true="y_true", y_pred="y_pred",
        y_pred_proba="y_pred_proba", timestamp_column_name="date",
        metrics=["precision"], chunk_period="W",
    )  # fmt: skip
    is_reference = table["day"] < REFERENCE_DAYS - REFERENCE_DAYS % 7
    found = calculator.fit(table[is_reference]).calculate(table[~is_reference])
    weeks = found.filter(period="analysis").to_df()
    alarms = weeks[weeks[("precision", "alert")]]
    if alarms.empty:
        return None
    end = pd.Timestamp(alarms[("chunk", "end_date")].iloc[0])
    return min(int((end - pd.Timestamp("2026-01-05")).days), last)


def by_evidently(day, wrong, last):
    """Return the end of the first week that Evidently's drift preset calls drifted."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def dataset(rows):
        table = pd.DataFrame({"is_error": wrong[rows].astype(str)})
        definition = DataDefinition(categorical_columns=["is_error"])
        return Dataset.from_pandas(table, data_definition=definition)

    reference = dataset(day < REFERENCE_DAYS)
    for begin in range(REFERENCE_DAYS, last - 5, 7):
        week = dataset((day >= begin) & (day < begin + 7))
        run = Report([DataDriftPreset()]).run(week, reference)
        drifted = next(
            metric["value"]["count"]
            for metric in run.dict()["metrics"]
            if "DriftedColumnsCount" in json.dumps(metric["config"])
            or "DriftedColumnsCount" in str(metric.get("metric_name", ""))
        )
        if drifted > 0:
            return begin + 6
    return None


def monitors():
    """Return every peer that can be imported, and what became of the others."""
    found, failed = {}, {}
    try:
        from river import drift

        found |= {
            "river ADWIN": by_river(drift.ADWIN),
            "river DDM": by_river(drift.binary.DDM),
            "river EDDM": by_river(drift.binary.EDDM),
            "river Page-Hinkley": by_river(drift.PageHinkley),
        }
    except ImportError as error:
        failed["river"] = str(error)
    for name, module, monitor in (
        ("NannyML", "nannyml", by_nannyml), ("Evidently", "evidently", by_evidently),
    ):  # fmt: skip
        try:
            __import__(module)
            found[name] = monitor
        except ImportError as error:
            failed[name] = str(error)
    return found, failed


def main(streams: str, results: str) -> None:
    """Run every peer on every replicate of every scenario."""
    found, failed = monitors()
    arrays = np.load(streams)
    scenarios = sorted({name.split(":")[0] for name in arrays.files})
    alarms = {scenario: {} for scenario in scenarios}
    for scenario in scenarios:
        labels, errors = arrays[f"{scenario}:labels"], arrays[f"{scenario}:errors"]
        for name, monitor in found.items():
            try:
                alarms[scenario][name] = [
                    monitor(
                        *verdicts(labels[:, at], errors[:, at], np.random.default_rng(at)),
                        len(labels) - 1,
                    )
                    for at in range(labels.shape[1])
                ]
            except Exception:
                failed[name] = traceback.format_exc(limit=1).strip().splitlines()[-1]
    packages = {
        name: importlib.metadata.version(name) for name in ("nannyml", "evidently", "river")
    }
    told = {"alarms": alarms, "failed": failed, "versions": packages}
    Path(results).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
