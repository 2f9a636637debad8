"""One entry point: from the audit frame and its labels to accuracy, drift and status tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from governance_pipeline.domain.detecting import (
    Detected,
    Evidenced,
    decide,
    drift_table,
    fleet_part,
    gather,
    reject_fleet,
)
from governance_pipeline.domain.goals import Levels, build_levels
from governance_pipeline.domain.harm import harm_table, measure_harm
from governance_pipeline.domain.intervals import Booleans
from governance_pipeline.domain.measuring import accuracy_table, measure
from governance_pipeline.domain.panel import (
    Panel,
    accuracy_pools,
    build_panel,
    drift_pools,
    first_day,
)
from governance_pipeline.domain.reporting import status_table
from governance_pipeline.domain.status import NEEDS_AUDIT, STATUSES


@dataclass(frozen=True)
class Judgement:
    """`strategy_accuracy`, `strategy_drift`, `strategy_status_days`, `strategy_status` and
    `strategy_harm`."""

    accuracy: pd.DataFrame
    drift: pd.DataFrame
    status_days: pd.DataFrame
    status: pd.DataFrame
    harm: pd.DataFrame


@dataclass(frozen=True)
class Inputs:
    """What is judged, as tables.

    `frame` is `int_audit_frame`: populations and expected draws by strategy, channel, day and
    cell; `draws` is `int_audit_draws`: the drawn units with a verdict; `strategies`,
    `strategy_channels` and `goals` are the register; `appeals` the decided appeals by decision
    day; `golden` the golden questions by day; `interventions` the audits closed. The last three
    may be empty.
    """

    frame: pd.DataFrame
    draws: pd.DataFrame
    strategies: pd.DataFrame
    strategy_channels: pd.DataFrame
    goals: pd.DataFrame
    appeals: pd.DataFrame = field(default_factory=lambda: _empty(APPEALS))
    golden: pd.DataFrame = field(default_factory=lambda: _empty(GOLDEN))
    interventions: pd.DataFrame = field(default_factory=lambda: _empty(INTERVENTIONS))


APPEALS = "strategy_id version channel environment decision_date decided_date outcome"
GOLDEN = "date asked correct"
INTERVENTIONS = "strategy_id kind effective_on"


def _empty(columns: str) -> pd.DataFrame:
    return pd.DataFrame(columns=columns.split())


@dataclass(frozen=True)
class Terms:
    """What a judgement is made under: the days, and what gmv is counted in.

    The panel begins on `first`, drops are looked for from `start` on, the last day judged is
    `as_of`, all UTC; `currency` is None if gmv is in several.
    """

    as_of: dt.date
    first: dt.date
    start: dt.date
    currency: str | None = None

    @property
    def begin(self) -> int:
        """Return the index of `start` among the days of the panel."""
        return max(0, (self.start - self.first).days)


def judge(
    inputs: Inputs, as_of: dt.date, start: dt.date | None = None, currency: str | None = None
) -> Judgement:
    """Judge every strategy on every day up to `as_of`, each day by what was known then.

    The same inputs give the same tables, and a later `as_of` only adds days, as long as the
    registry stays. A year's family of tests begins at `start`.

    Args:
        inputs: What is judged.
        as_of: Last day judged, UTC.
        start: First day of the year in which drops are looked for; the first day of the frame if
            None. Earlier days count for estimates only.
        currency: What gmv is counted in, None if in several currencies.

    Raises:
        InputError: If counts, probabilities or verdicts contradict each other.
    """
    first = first_day(inputs.frame, as_of)
    terms = Terms(as_of, first, start or first, currency)
    return next(judge_blocks([lambda: inputs], terms))


def judge_blocks(blocks: Sequence[Callable[[], Inputs]], terms: Terms) -> Iterator[Judgement]:
    """Judge a fleet block by block, so that memory does not grow with it; yield a block's tables.

    What crosses blocks is e-BH alone: it needs every e-value, and nothing else. Of several blocks
    each is therefore read twice, once for its evidence and once for its verdicts.

    Args:
        blocks: Each gives the inputs of some strategies; a strategy is in one block.
        terms: The days, and the currency.

    Raises:
        InputError: If counts, probabilities or verdicts contradict each other.
    """
    opened, parts = None, []
    for load in blocks:
        opened = _open(load(), terms)
        parts.append(fleet_part(opened.found))
    for load, (alarms, frozen) in zip(blocks, reject_fleet(parts, terms.begin), strict=True):
        block = opened if len(blocks) == 1 and opened is not None else _open(load(), terms)
        yield _close(block, decide(block.found, alarms, frozen), terms)


@dataclass(frozen=True)
class _Block:
    """A block's panel, goals and evidence."""

    inputs: Inputs
    panel: Panel
    levels: Levels
    found: Evidenced


def _open(inputs: Inputs, terms: Terms) -> _Block:
    panel = build_panel(inputs.frame, inputs.draws, inputs.strategies, terms.as_of, terms.first)
    levels = build_levels(inputs.goals, panel)
    closings = _closings(panel, inputs.interventions)
    found = gather(panel, drift_pools(panel), levels, terms.begin, closings)
    return _Block(inputs, panel, levels, found)


def _close(block: _Block, detected: Detected, terms: Terms) -> Judgement:
    panel, levels, inputs = block.panel, block.levels, block.inputs
    pools = accuracy_pools(panel)
    targets = levels.target[:, pools.table["strategy"].to_numpy()]
    measured = measure(panel, pools, targets, inputs.appeals)
    registry = (inputs.strategies, inputs.strategy_channels)
    status_days = status_table(
        panel, measured, detected, levels, registry, inputs.golden, terms.begin
    )
    hurt = measure_harm(panel, measured)
    harm = harm_table(panel, pools, hurt, inputs.strategies, terms.currency)
    return Judgement(
        accuracy_table(panel, measured, terms.begin),
        drift_table(panel, detected, levels, terms.begin),
        status_days,
        newest_statuses(status_days, harm),
        harm,
    )


def _closings(panel: Panel, interventions: pd.DataFrame) -> Booleans:
    """Return the days from which a closed audit counts, shape (days, strategies)."""
    closed = interventions[interventions["kind"] == "audit_closed"]
    day = (pd.to_datetime(closed["effective_on"]) - pd.Timestamp(panel.first)).dt.days
    found = np.zeros((panel.days, len(panel.strategies)), dtype=bool)
    for name, at in zip(closed["strategy_id"], day, strict=True):
        if 0 <= at < panel.days:
            found[int(at), (panel.strategies["strategy_id"] == name).to_numpy()] = True
    return found


def newest_statuses(status_days: pd.DataFrame, harm: pd.DataFrame) -> pd.DataFrame:
    """Return the last day of `strategy_status_days`, what matters most first."""
    newest = status_days[status_days["date"] == status_days["date"].max()]
    return by_urgency(newest, harm)


def by_urgency(statuses: pd.DataFrame, harm: pd.DataFrame) -> pd.DataFrame:
    """Return statuses of one day, first by status, then by the reach harmed, then by evidence.

    Only what needs an audit is ordered by its harm.

    >>> statuses = pd.DataFrame({"strategy_id": ["a", "b"], "channel": "all",
    ...     "status": ["healthy", "watch"], "e_value": [1.0, 4.0]})
    >>> harm = pd.DataFrame(columns=["strategy_id", "channel", *HARMED])
    >>> by_urgency(statuses, harm)["strategy_id"].tolist()
    ['b', 'a']
    """
    reach = harm.set_index(["strategy_id", "channel"])[HARMED].astype(float).sum(axis=1)
    keys = pd.MultiIndex.from_frame(statuses[["strategy_id", "channel"]])
    rank = statuses["status"].map({name: code for code, name in enumerate(STATUSES)})
    hurt = np.where(rank == NEEDS_AUDIT, -np.nan_to_num(reach.reindex(keys).to_numpy()), 0.0)
    calm = -statuses["e_value"].astype(float).fillna(0.0)
    ordered = statuses.assign(rank=rank, hurt=hurt, calm=calm)
    order = ["rank", "hurt", "calm", "strategy_id", "channel"]
    ordered = ordered.sort_values(order, kind="stable")
    return ordered.drop(columns=["rank", "hurt", "calm"]).reset_index(drop=True)


HARMED = ["reach_lost_est", "missed_reach_est", "wrongly_boosted_reach_est",
          "not_boosted_reach_est"]  # fmt: skip
