"""What appeals say: overturn rates, beside the estimates and never mixed with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from governance_pipeline.domain.cohorts import WINDOW
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.domain.panel import Panel, Pools

OVERTURNED = ("reversed", "partially_reversed")
UNDECIDED = ("pending", "omitted")
NO_APPEALS = "no appeal was decided"


@dataclass(frozen=True)
class Overturns:
    """Counts of a window, all of one shape: what fired, and appeals decided and overturned."""

    fired: Floats
    decided: Floats
    overturned: Floats

    @property
    def overturn_rate(self) -> Floats:
        """Share of the decided appeals that were overturned; NaN without any."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.decided > 0, self.overturned / self.decided, np.nan)

    @property
    def proxy_precision(self) -> Floats:
        """One less the share of firings overturned: too high, because most who are wronged
        never appeal; NaN where nobody decided an appeal."""
        with np.errstate(divide="ignore", invalid="ignore"):
            is_known = (self.decided > 0) & (self.fired > 0)
            return np.where(is_known, 1 - self.overturned / self.fired, np.nan)


def count_overturns(
    panel: Panel, pools: Pools, appeals: pd.DataFrame
) -> tuple[Overturns, Overturns]:
    """Return, for every day, the last 28 decision days and all days of the version in force.

    An appeal counts from the day it was decided on.

    Args:
        panel: Frame and labels.
        pools: What is counted.
        appeals: Appeals of decisions that fired: strategy_id, version, channel, environment,
            decision_date, decided_date, outcome.

    Returns:
        Both with arrays of shape (days, pools).
    """
    lane, day, known, outcome = _coded(panel, appeals)
    rows, pool = pools.expand(lane)
    day, known, outcome = day[rows], known[rows], outcome[rows]
    frame = panel.frame[panel.frame["is_fired"].astype(bool)]
    at, fired_pool = pools.expand(frame["lane"].to_numpy())
    fired_day = frame["day"].to_numpy()[at]
    fired = frame["population"].to_numpy()[at]
    one = np.ones(len(day))
    found = []
    for window in (WINDOW, panel.days):
        found.append(
            Overturns(
                _in_window(panel, pools, fired_day, fired_day, fired_pool, fired, window),
                _in_window(panel, pools, day, known, pool, one, window),
                _in_window(panel, pools, day, known, pool, outcome.astype(float), window),
            )
        )
    return found[0], found[1]


def _coded(panel: Panel, appeals: pd.DataFrame) -> tuple[Integers, Integers, Integers, Booleans]:
    appeals = appeals[~appeals["outcome"].isin(UNDECIDED)]
    keys = ["strategy_id", "environment", "channel"]
    lanes = panel.lanes.assign(
        environment=panel.strategies["environment"].to_numpy()[panel.lanes["strategy"]]
    )
    code = pd.Series(lanes.index, index=pd.MultiIndex.from_frame(lanes[keys]))
    lane = code.reindex(pd.MultiIndex.from_frame(appeals[keys])).to_numpy(dtype=float)
    first = pd.Timestamp(panel.first)
    day, known = (
        (pd.to_datetime(appeals[name]) - first).dt.days.to_numpy(dtype=float)
        for name in ("decision_date", "decided_date")
    )
    keep = ~np.isnan(lane) & (day >= 0) & (known < panel.days) & (day < panel.days)
    lane, day, known = (v[keep].astype(np.int64) for v in (lane, day, known))
    strategy = panel.lanes["strategy"].to_numpy()[lane]
    is_own = appeals["version"].to_numpy()[keep] == panel.version[day, strategy]
    overturned = appeals["outcome"].isin(OVERTURNED).to_numpy()[keep]
    return lane[is_own], day[is_own], np.maximum(known, day)[is_own], overturned[is_own]


def _in_window(
    panel: Panel,
    pools: Pools,
    day: Integers,
    known: Integers,
    pool: Integers,
    count: Floats,
    window: int,
) -> Floats:
    """Return, per day, what was known of the decision days in its window and version."""
    strategy = pools.table["strategy"].to_numpy()
    ends = np.minimum(day + window, _version_ends(panel)[day, strategy[pool]])
    change = np.zeros((panel.days + 1, len(pools)))
    counts = known < ends
    np.add.at(change, (known[counts], pool[counts]), count[counts])
    np.add.at(change, (ends[counts], pool[counts]), -count[counts])
    return np.cumsum(change, axis=0)[: panel.days]


def _version_ends(panel: Panel) -> Integers:
    """Return the first day after each day's version, shape (days, strategies)."""
    days = panel.days
    changes = np.ones(panel.version.shape, dtype=bool)
    changes[:-1] = panel.version[1:] != panel.version[:-1]
    ends = np.where(changes, np.arange(1, days + 1)[:, None], days)
    return np.minimum.accumulate(ends[::-1], axis=0)[::-1]
