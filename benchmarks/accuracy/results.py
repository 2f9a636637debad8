"""What a row says: its parts, each with what it must reach, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import betaincinv

from governance_pipeline.domain.intervals import Integers


@dataclass(frozen=True)
class Size:
    """How many replicates of each kind; `quick` runs say so in their rows."""

    null: int
    drops: int
    fleets: int
    intervals: int
    peers: int
    seed: int
    is_quick: bool = False


@dataclass(frozen=True)
class Part:
    """One figure of a row; without bounds it is shown beside and decides nothing."""

    case: str
    value: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def holds(self) -> bool:
        """Whether the figure lies where it must; NaN does not."""
        return bool(self.low <= self.value <= self.high)


@dataclass(frozen=True)
class Row:
    """A row of ACCURACY section 10: `figure` and `must` in words, `parts` in numbers."""

    number: int
    title: str
    figure: str
    must: str
    parts: list[Part]
    prototype: str
    note: str = ""
    peers: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every part holds."""
        return all(part.holds for part in self.parts)

    def record(self, size: Size) -> dict[str, Any]:
        """Return the row as it is written to the results."""
        return {
            "row": f"{self.number} {self.title}",
            "figure": self.figure,
            "must": self.must,
            "holds": self.holds,
            "prototype": self.prototype,
            "note": self.note,
            "parts": [_part(part) for part in self.parts],
            "peers": self.peers,
            "seed": size.seed,
            "quick": size.is_quick,
        }


def _part(part: Part) -> dict[str, Any]:
    bounds = {"at_least": part.low, "at_most": part.high}
    return {
        "case": part.case,
        "value": round(float(part.value), 4),
        **{name: bound for name, bound in bounds.items() if math.isfinite(bound)},
        "holds": part.holds,
    }


def upper_limit(hits: int, trials: int) -> float:
    """Return the one-sided 95% Clopper-Pearson upper limit of a share.

    >>> round(upper_limit(0, 100), 4)
    0.0295
    """
    return 1.0 if hits >= trials else float(betaincinv(hits + 1, trials - hits, 0.95))


def days_to(alarm: Integers, drop: Integers) -> Integers:
    """Return the days from a drop to the alarm, without the pools that alarmed before it."""
    return (alarm - drop)[alarm >= drop]


def chunks(
    size: Size, key: tuple[int, ...], replicates: int, labels: float
) -> Iterator[tuple[int, np.random.Generator]]:
    """Yield how many pools to draw at once, by memory, and a generator of their own."""
    most = int(np.clip(20_000 / labels, 25, 1000))
    for index, begin in enumerate(range(0, replicates, most)):
        yield min(most, replicates - begin), np.random.default_rng([size.seed, *key, index])
