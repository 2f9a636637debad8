"""Why a metric dropped: what changed between the reference and the weeks since it began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.intervals import (
    Floats,
    Integers,
    jeffreys_limits,
    mover_sum,
    newcombe_limits,
)
from governance_pipeline.domain.tallies import Weights, effective_labels

MIX_SHARE = 0.7
REVIEWER_SHARE = 0.5
DEPLOYED_BEFORE = 7
CAUSES = ("new_version", "traffic_mix", "reviewers", "immature_labels", "strategy", "unclear")


@dataclass(frozen=True)
class Parts:
    """A drop of a metric split by Kitagawa over the groups of one dimension.

    `mix` is what the change of the groups' shares explains, `rate` what the change within them
    does, with 95% limits; both negative for a drop, and their sum is the change.
    """

    dimension: str
    mix: float
    rate: float
    rate_lo: float
    rate_hi: float


@dataclass(frozen=True)
class Facts:
    """What speaks for each cause of one drop.

    `drop` is reference less current, in [-1, 1]; `deployed` a sentence about a version that came
    in the weeks in question; `parts` the splits by dimension; `accuracy_change` the change of
    golden accuracy with limits, NaN where nobody asked golden questions, and `reviewer_shift` the
    drop that it alone would make; `immature` what is still out, in words.
    """

    drop: float
    deployed: str | None
    parts: tuple[Parts, ...]
    accuracy_change: tuple[float, float, float]
    reviewer_shift: float
    immature: str | None


def suspect(facts: Facts) -> tuple[str, str]:
    """Return the suspected cause, one of `CAUSES`, and the figures that support it.

    Source:
        ACCURACY section 6; Kitagawa, "Components of a difference between two rates" (1955);
        Newcombe (1998), method 10, for the change of golden accuracy.

    >>> parts = Parts("category", -0.01, -0.19, -0.25, -0.14)
    >>> suspect(Facts(0.2, None, (parts,), (np.nan, np.nan, np.nan), 0.0, None))[0]
    'strategy'
    """
    fits: dict[str, str] = {}
    if facts.deployed:
        fits["new_version"] = facts.deployed
    mixed = max(facts.parts, key=lambda part: -part.mix, default=None)
    if mixed and -mixed.mix >= MIX_SHARE * facts.drop > 0 and _may_be_zero(mixed):
        fits["traffic_mix"] = f"mix over {mixed.dimension} {_split(mixed)}"
    change, low, high = facts.accuracy_change
    if (low > 0 or high < 0) and facts.reviewer_shift >= REVIEWER_SHARE * facts.drop > 0:
        fits["reviewers"] = (
            f"golden accuracy changed by {change:+.3f} ({low:+.3f} to {high:+.3f}), which makes"
            f" {facts.reviewer_shift:.3f} of a drop of {facts.drop:.3f}"
        )
    if facts.immature:
        fits["immature_labels"] = facts.immature
    if len(fits) == 1:
        return next(iter(fits.items()))
    if fits:
        return "unclear", "; ".join(f"{name}: {said}" for name, said in fits.items())
    clearest = min(facts.parts, key=lambda part: part.rate_hi, default=None)
    if clearest and not any(_may_be_zero(part) for part in facts.parts):
        return "strategy", f"worse within every {clearest.dimension} {_split(clearest)}"
    return "unclear", f"a drop of {facts.drop:.3f}, too few labels to say where"


def _may_be_zero(part: Parts) -> bool:
    return part.rate_lo <= 0 <= part.rate_hi


def _split(part: Parts) -> str:
    return (
        f"(mix {part.mix:+.3f}, rate {part.rate:+.3f}, {part.rate_lo:+.3f} to {part.rate_hi:+.3f})"
    )


def kitagawa(reference: pd.DataFrame, current: pd.DataFrame, dimension: str) -> Parts:
    """Split the change of a weighted share into mix and rate over the groups of a dimension.

    A group that one of the periods lacks has the other's rate: it is mix alone.

    Args:
        reference: Labelled units with columns `dimension`, `weight` > 0 and `hit` (bool).
        current: The same of the weeks in question.
        dimension: The column to group by.

    Source:
        Kitagawa (1955); limits of the rate part by MOVER (Zou, Huang and Zhang, 2009) over
        Jeffreys limits at the effective number of labels.

    >>> before = pd.DataFrame({"g": list("aabb"), "weight": 1.0, "hit": [1, 1, 0, 0]})
    >>> after = pd.DataFrame({"g": list("abbb"), "weight": 1.0, "hit": [1, 0, 0, 0]})
    >>> parts = kitagawa(before, after, "g")
    >>> parts.mix, parts.rate
    (-0.25, 0.0)
    """
    codes, groups = pd.factorize(
        pd.concat([reference[dimension], current[dimension]]), use_na_sentinel=False
    )
    parts = (codes[: len(reference)], reference), (codes[len(reference) :], current)
    (n0, share0, rate0, low0, high0), (n1, share1, rate1, low1, high1) = (
        _by_group(code, units, len(groups)) for code, units in parts
    )
    rate1, rate0 = np.where(n1 == 0, rate0, rate1), np.where(n0 == 0, rate1, rate0)
    mix = float(((share1 - share0) * (rate1 + rate0) / 2).sum())
    weight = (share1 + share0) / 2 * ((n0 > 0) & (n1 > 0))
    rate = float((weight * (rate1 - rate0)).sum())
    low, high = mover_sum(
        np.r_[weight, -weight], np.r_[rate1, rate0], np.r_[low1, low0], np.r_[high1, high0]
    )
    return Parts(dimension, mix, rate, float(low), float(high))


def _by_group(code: Integers, units: pd.DataFrame, groups: int) -> tuple[Floats, ...]:
    """Return labels, share of the weight, rate and its limits, each (groups,)."""
    w, hit = units["weight"].to_numpy(float), units["hit"].to_numpy(float)
    n, total, squares, events, event_squares = (
        np.bincount(code, values, minlength=groups).astype(float)
        for values in (np.ones(len(code)), w, w**2, w * hit, w**2 * hit)
    )
    rate, effective = effective_labels(n, Weights(total, squares, events, event_squares))
    low, high = jeffreys_limits(np.minimum(rate * effective, effective), effective)
    low, high = np.minimum(low, rate), np.maximum(high, rate)
    return n, total / total.sum(), rate, low, high


def change_of_share(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, ...]:
    """Return the change of a share with its 95% limits, NaN where one of the two has no units.

    Args:
        before: Events and units of the first period.
        after: Events and units of the second.

    Source:
        Newcombe (1998), method 10.

    >>> tuple(round(v, 3) for v in change_of_share((90, 100), (70, 100)))
    (-0.2, -0.306, -0.09)
    """
    if before[1] <= 0 or after[1] <= 0:
        return (np.nan, np.nan, np.nan)
    low, high = newcombe_limits(*after, *before)
    return after[0] / after[1] - before[0] / before[1], float(low), float(high)


def shift_by_reviewers(
    metric: str, totals: Mapping[str, float], before: float, now: float
) -> float:
    """Return how far a metric falls by reviewers alone, when their accuracy changes.

    Both kinds of mistake are taken to be equally likely; a drop is positive.

    Args:
        metric: `precision` or `recall`.
        totals: Units by outcome in the reference: `TP`, `FP`, `FN`, `TN`.
        before: Accuracy in the reference, in (0, 1].
        now: Accuracy since.

    >>> totals = {"TP": 90.0, "FP": 10.0, "FN": 20.0, "TN": 880.0}
    >>> round(shift_by_reviewers("precision", totals, 1.0, 0.9), 3)
    0.08
    """

    def seen(accuracy: float) -> float:
        hits = totals["TP"] * accuracy + totals["FP"] * (1 - accuracy)
        missed = totals["FN"] * accuracy + totals["TN"] * (1 - accuracy)
        base = totals["TP"] + totals["FP"] if metric == "precision" else hits + missed
        return hits / base if base > 0 else np.nan

    shift = seen(before) - seen(now)
    return 0.0 if np.isnan(shift) else float(shift)
