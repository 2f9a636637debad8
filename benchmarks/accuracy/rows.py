"""All rows of ACCURACY section 10, by number."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.accuracy.alarms import audit_mix, delays, false_alarms, wobble
from benchmarks.accuracy.coverage import coverage, reach_coverage
from benchmarks.accuracy.drops import other_drops, precision_drop, recall_drop
from benchmarks.accuracy.fleets import fleet
from benchmarks.accuracy.results import Row, Size
from benchmarks.accuracy.speed import costs
from benchmarks.accuracy.statuses import steadiness

ROWS: dict[int, Callable[[Size], Row]] = {
    1: false_alarms,
    2: precision_drop,
    3: other_drops,
    4: recall_drop,
    5: coverage,
    6: audit_mix,
    7: wobble,
    8: fleet,
    9: costs,
    10: steadiness,
    11: delays,
    12: reach_coverage,
}
