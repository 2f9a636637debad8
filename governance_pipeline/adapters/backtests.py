"""The audited decisions that a backtest needs, from the warehouse's small tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from governance_pipeline.adapters import warehouse
from governance_pipeline.domain.backtest import METRICS, Backtest, backtest
from governance_pipeline.domain.panel import ENVIRONMENT
from governance_pipeline.domain.thresholds import SCORE_BINS
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths

MATURE_SHARE = 0.9
TOLERANCE = 0.02

# What is drawn and what is labelled of it, on the last days of which 90% are labelled.
WINDOW = """
mature as (
    select decision_date from units group by decision_date
    having count(verdict) >= $mature * count(*) order by decision_date desc limit $days
)
select units.* from units semi join mature on units.decision_date = mature.decision_date
order by decision_date, decision_id
"""
BY_CUT = f"""
with units as (
    select u.decision_id, u.decision_date, u.version, u.fine_bin >= 0 as is_scored,
        u.is_fired as fires_now,
        -- What has no score goes on as it does.
        case when u.fine_bin < 0 then u.is_fired else u.fine_bin >= $cut end as fires_then,
        d.verdict, u.inclusion_probability as probability, u.reach, u.gmv
    from int_sampled_units u
    left join int_audit_draws d on d.channel = u.channel and d.decision_id = u.decision_id
        and d.decision_date = u.decision_date
    where u.strategy_id = $strategy and u.environment = $environment and u.version = $now
        and coalesce(u.channel = $channel, true)
), {WINDOW}
"""
# The draw of an item, policy and day is one uniform number, so a unit of both versions was drawn
# for both where it lies under the smaller of the two probabilities.
BY_VERSION = f"""
with drawn as (
    select u.*, d.verdict
    from int_sampled_units u
    left join int_audit_draws d on d.channel = u.channel and d.decision_id = u.decision_id
        and d.decision_date = u.decision_date
    where u.strategy_id = $strategy and coalesce(u.channel = $channel, true)
), units as (
    select now.decision_id, now.decision_date, now.version, true as is_scored,
        now.is_fired as fires_now, shadow.is_fired as fires_then,
        case
            when now.verdict = shadow.verdict then now.verdict
            when coalesce(now.verdict, 'unsure') = 'unsure'
                then coalesce(shadow.verdict, now.verdict)
            when coalesce(shadow.verdict, 'unsure') = 'unsure' then now.verdict
            else 'unsure'
        end as verdict,
        least(now.inclusion_probability, shadow.inclusion_probability) as probability,
        now.reach, now.gmv
    from drawn now
    join drawn shadow on shadow.channel = now.channel and shadow.item_id = now.item_id
        and shadow.decision_date = now.decision_date
    where now.environment = 'live' and now.version = $now
        and shadow.environment = 'shadow' and shadow.version = $then
), {WINDOW}
"""
TOLERANCES = """
select metric, tolerance from lake.strategy_goals
where strategy_id = $id and effective_from <= (select max(decision_date) from int_decision_days)
qualify row_number() over (partition by metric order by effective_from desc) = 1
"""


@dataclass(frozen=True)
class Proposal:
    """What is tried on which decisions: a cut of the score, or a version in shadow."""

    strategy_id: str
    cut: float | None = None
    version: int | None = None
    channel: str | None = None
    days: int = 28

    def __str__(self) -> str:
        """Return it in words."""
        return f"cut {self.cut:.2f}" if self.cut is not None else f"version {self.version}"


@dataclass(frozen=True)
class Report:
    """A proposal, what decides today, the days looked at, and what came out."""

    proposal: Proposal
    current_version: int
    first: pd.Timestamp
    last: pd.Timestamp
    days: int
    result: Backtest

    def flat(self) -> dict[str, Any]:
        """Return everything as one object."""
        return {
            "strategy_id": self.proposal.strategy_id,
            "channel": self.proposal.channel or "all",
            "proposal": str(self.proposal),
            "current_version": self.current_version,
            "window_first": str(self.first.date()),
            "window_last": str(self.last.date()),
            "window_days": self.days,
            **self.result.flat(),
        }


def run_backtest(paths: Paths, proposal: Proposal) -> Report:
    """Try a cut or a version on the audited decisions of its strategy.

    Raises:
        InputError: If the strategy, the version or the cut is none, or nothing can be compared.
        WarehouseError: If the marts were never built.
    """
    known = strategy_row(paths, proposal.strategy_id)
    logged = _logged(paths, proposal)
    environment = ENVIRONMENT.get(known["lifecycle"], "live")
    if proposal.version is not None:
        units, now = _version_units(paths, proposal, known, logged)
    else:
        units, now = _cut_units(paths, proposal, environment, logged)
    tolerance = warehouse.read_frame(paths.warehouse, TOLERANCES, {"id": proposal.strategy_id})
    allowed = dict.fromkeys(METRICS, TOLERANCE) | {
        row["metric"]: row["tolerance"] for row in tolerance.to_dict("records")
    }
    dates = pd.to_datetime(units["decision_date"])
    result = backtest(units, allowed)
    return Report(proposal, now, dates.min(), dates.max(), dates.nunique(), result)


def strategy_row(paths: Paths, strategy_id: str) -> dict[str, Any]:
    """Return a strategy as it is registered.

    Raises:
        InputError: If it is not, naming the nearest one that is.
    """
    found = warehouse.read_frame(
        paths.warehouse,
        "select *, levenshtein(strategy_id, $id) as distance from dim_strategies"
        " order by distance, strategy_id limit 1",
        {"id": strategy_id},
    )
    if found.empty or found["distance"].iloc[0]:
        hint = f"; did you mean {found['strategy_id'].iloc[0]}?" if len(found) else ""
        raise InputError(f"no strategy {strategy_id} is registered{hint}")
    return {str(name): value for name, value in found.iloc[0].items()}


def _logged(paths: Paths, proposal: Proposal) -> pd.DataFrame:
    """Return which versions decided where, the newest first."""
    found = warehouse.read_frame(
        paths.warehouse,
        "select environment, version, max(decision_date) as last from int_decision_days"
        " where strategy_id = $id and coalesce(channel = $channel, true)"
        " group by environment, version order by last desc, version desc",
        {"id": proposal.strategy_id, "channel": proposal.channel},
    )
    if found.empty:
        where = f" on {proposal.channel}" if proposal.channel else ""
        raise InputError(f"{proposal.strategy_id} never decided{where}; there is nothing to try on")
    return found


def _cut_units(
    paths: Paths, proposal: Proposal, environment: str, logged: pd.DataFrame
) -> tuple[pd.DataFrame, int]:
    cut = proposal.cut or 0.0
    step = round(cut * SCORE_BINS)
    if not math.isclose(step, cut * SCORE_BINS, abs_tol=1e-6) or not 0 < step < SCORE_BINS:
        raise InputError(
            f"a cut is 0.05, 0.10 ... 0.95, got {cut:g}; scores are kept in twentieths"
        )
    now = _newest(logged, environment, proposal.strategy_id)
    units = _read(paths, BY_CUT, proposal, {"cut": step, "environment": environment, "now": now})
    if not units["is_scored"].any():
        raise InputError(
            f"{proposal.strategy_id} has no score; try a version in shadow with --version instead"
        )
    return units, now


def _version_units(
    paths: Paths, proposal: Proposal, known: Mapping[str, Any], logged: pd.DataFrame
) -> tuple[pd.DataFrame, int]:
    name, then = proposal.strategy_id, proposal.version
    versions = sorted(int(v) for v in set(logged["version"]))
    if then not in versions:
        said = ", ".join(map(str, versions))
        raise InputError(f"version {then} of {name} was never logged; logged were {said}")
    if not ((logged["version"] == then) & (logged["environment"] == "shadow")).any():
        raise InputError(
            f"version {then} of {name} was never in shadow; log it with environment shadow first"
        )
    if known["audit_sample"] == "upstream":
        raise InputError(
            f"{name} is sampled upstream, so its versions share no draw; label pairs by hand"
        )
    now = _newest(logged, "live", name)
    return _read(paths, BY_VERSION, proposal, {"now": now, "then": then}), now


def _newest(logged: pd.DataFrame, environment: str, name: str) -> int:
    versions = logged.loc[logged["environment"] == environment, "version"]
    if versions.empty:
        raise InputError(f"{name} never decided {environment}; there is nothing to compare with")
    return int(versions.iloc[0])


def _read(paths: Paths, sql: str, proposal: Proposal, values: Mapping[str, Any]) -> pd.DataFrame:
    bound = {
        "strategy": proposal.strategy_id,
        "channel": proposal.channel,
        "days": proposal.days,
        "mature": MATURE_SHARE,
        **values,
    }
    units = warehouse.read_frame(paths.warehouse, sql, bound)
    if len(units):
        return units
    raw = warehouse.read_frame(paths.warehouse, sql, {**bound, "mature": 0.0})
    if len(raw):
        raise InputError(
            f"no day of {proposal.strategy_id} is 90% labelled yet; label its worklist first"
        )
    if proposal.version is not None:
        raise InputError(
            f"no item was drawn for version {proposal.version} in shadow and live version"
            f" {values['now']} on one day; run the shadow on the items that the live one decides on"
        )
    raise InputError(f"nothing of {proposal.strategy_id} was drawn for audit; give it a sampling")
