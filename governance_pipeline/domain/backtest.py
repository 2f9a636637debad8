"""A backtest: what a cut or a version would have done on decisions that were audited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from governance_pipeline.domain.pairing import Difference, compare
from governance_pipeline.domain.tallies import check_probabilities

METRICS = ("precision", "recall")
BETTER, NOT_WORSE, WORSE, TOO_FEW = "better", "not worse", "worse", "too few labels"


@dataclass(frozen=True)
class Backtest:
    """What would change, and whether it would be for the better.

    `units` were drawn, `labelled` of them have a verdict; `only_now_right` and `only_then_right`
    count the labelled units that one of the two decides rightly and the other wrongly. Reach and
    gmv are of the whole window, estimated from the draws.
    """

    verdict: str
    reason: str
    units: int
    labelled: int
    precision: Difference
    recall: Difference
    only_now_right: int
    only_then_right: int
    changed_share: float
    reach_newly_fired: float
    reach_released: float
    gmv_newly_fired: float
    gmv_released: float

    def flat(self) -> dict[str, Any]:
        """Return every figure under a name of its own."""
        found = asdict(self)
        for metric in METRICS:
            parts = found.pop(metric)
            found |= {f"{metric}_{name}": value for name, value in parts.items()}
        return {name: _plain(value) for name, value in found.items()}


def backtest(units: pd.DataFrame, tolerance: Mapping[str, float]) -> Backtest:
    """Compare what fires now with what would fire then, on the same drawn units.

    Args:
        units: One row per drawn unit: fires_now, fires_then, verdict (null without one),
            probability of having been drawn, reach and gmv.
        tolerance: How much of precision and recall may be lost, in [0, 1).

    Raises:
        InputError: If a probability is outside (0, 1].
    """
    probability = units["probability"].to_numpy(dtype=float)
    check_probabilities(probability)
    weight = 1 / probability
    now, then = (units[name].to_numpy(dtype=bool) for name in ("fires_now", "fires_then"))
    says = units["verdict"].isin(["should_fire", "should_not_fire"]).to_numpy()
    should = (units["verdict"] == "should_fire").to_numpy(dtype=bool)
    found = compare(now[says], then[says], should[says], weight[says])
    new, gone = then & ~now, now & ~then
    right_now, right_then = says & (now == should), says & (then == should)
    worth = {name: weight * units[name].fillna(0).to_numpy(float) for name in ("reach", "gmv")}
    word, reason = conclude(found, tolerance)
    return Backtest(
        verdict=word,
        reason=reason,
        units=len(units),
        labelled=int(says.sum()),
        precision=found["precision"],
        recall=found["recall"],
        only_now_right=int((right_now & ~right_then).sum()),
        only_then_right=int((right_then & ~right_now).sum()),
        changed_share=float(weight[new | gone].sum() / weight.sum()) if len(units) else math.nan,
        reach_newly_fired=float(worth["reach"][new].sum()),
        reach_released=float(worth["reach"][gone].sum()),
        gmv_newly_fired=float(worth["gmv"][new].sum()),
        gmv_released=float(worth["gmv"][gone].sum()),
    )


def conclude(found: Mapping[str, Difference], tolerance: Mapping[str, float]) -> tuple[str, str]:
    """Return better, not worse, worse or too few labels, and why in a sentence.

    Worse is a metric that surely loses more than its tolerance. Not worse is that neither may lose
    more; better is that, and one that surely gains. Anything else the labels cannot tell.

    >>> up = Difference(0.8, 0.7, 0.9, 0.9, 0.8, 0.95, 0.1, 0.05, 0.15, None)
    >>> conclude({"precision": up, "recall": up}, {"precision": 0.02, "recall": 0.02})
    ('better', 'precision +10.0 points (+5.0 to +15.0), recall +10.0 points (+5.0 to +15.0)')
    """
    nulls = [f"{name}: {found[name].null_reason}" for name in METRICS if found[name].null_reason]
    if nulls:
        return TOO_FEW, "; ".join(dict.fromkeys(nulls))
    reason = ", ".join(f"{name} {_points(found[name])}" for name in METRICS)
    least = {name: found[name].difference_lo + tolerance[name] for name in METRICS}
    if any(found[name].difference_hi < -tolerance[name] for name in METRICS):
        return WORSE, reason
    if any(margin < 0 for margin in least.values()):
        return TOO_FEW, reason
    gains = any(found[name].difference_lo > 0 for name in METRICS)
    return (BETTER if gains else NOT_WORSE), reason


def _points(found: Difference) -> str:
    value, low, high = (
        100 * v for v in (found.difference, found.difference_lo, found.difference_hi)
    )
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
