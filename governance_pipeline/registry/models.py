"""The register's typed models; every field says what it means, and nothing else is allowed."""

import datetime as dt
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from governance_pipeline.registry.entry import Entry
from governance_pipeline.registry.escalation import EVERY_PRIORITY, EscalationPolicy, Priority
from governance_pipeline.registry.shipped import shipped_policy

Action = Literal["boost", "demote", "limit", "label", "age_gate", "filter", "block"]
Channel = Literal["shoptab", "campaigns", "shopads", "affiliate", "video", "lives"]
Lifecycle = Literal["draft", "shadow", "ramp", "live", "paused", "retired"]
Metric = Literal["precision", "recall"]
Rates = float | list[float]

LEGACY = "legacy"
"""Approver of a version that was imported from elsewhere."""

DEFAULT_CUTS = [0.2, 0.4, 0.6, 0.8]


class ChannelEntry(Entry):
    """A surface that strategies steer traffic on."""

    channel: Channel
    name: str = Field(min_length=1, description="What people call it.")
    owner_team: str = Field(description="The team that answers for the surface.")


class Route(Entry):
    """A way to a team; its address is a secret, which an environment variable holds."""

    env: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$", description="Where apprise's URL is.")
    priorities: list[Priority] = Field(default_factory=lambda: EVERY_PRIORITY)
    is_digest: bool = Field(False, description="Whether messages are gathered into one a day.")
    keeps_quiet: bool = Field(True, description="Whether all but P1 waits until the team works.")


class Team(Entry):
    """Who owns strategies and is told about them."""

    team: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str = Field(min_length=1)
    contact: str = Field(min_length=3, description="Where a person answers: a list or a room.")
    notify: list[str] = Field(default_factory=list, description="Names of notification routes.")
    routes: dict[str, Route] = Field(default_factory=dict, description="The routes, by name.")
    calendar: str = Field("always", description="When it works: a calendar of the policy.")
    members: list[str] = Field(default_factory=list, description="Who may act for it; empty: all.")


class Policy(Entry):
    """The rule of the market that strategies enforce and reviewers judge by."""

    policy: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str = Field(min_length=1)
    description: str = Field(min_length=20)
    standard_refs: list[str] = Field(default_factory=list, description="Standards it serves.")


class Market(Entry):
    """A country the market sells in."""

    market: str = Field(pattern=r"^[A-Z]{2}$")
    business_zone: str = Field(description="IANA time zone of its working hours.")
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Goal(Entry):
    """What a metric must reach from a day on, and how much less is tolerated."""

    metric: Metric
    effective_from: dt.date
    goal: float | None = Field(gt=0, le=1, description="Null only with a reason: a debt.")
    goal_null_reason: str | None = None
    tolerance: float = Field(0.02, ge=0, lt=0.5)
    evidence_half_width: float = Field(0.10, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _null_needs_a_reason(self) -> Self:
        if (self.goal is None) != bool(self.goal_null_reason):
            raise ValueError("a goal of null needs goal_null_reason, a number must not have one")
        return self


class Sampling(Entry):
    """Inclusion probabilities of the audit draw: one rate, or one per score bin from the lowest."""

    fired: Rates
    not_fired: Rates

    @field_validator("fired", "not_fired")
    @classmethod
    def _are_probabilities(cls, rates: Rates) -> Rates:
        for rate in [rates] if isinstance(rates, float) else rates:
            if not 0 < rate <= 1:
                raise ValueError(f"{rate} is not a probability in (0, 1]")
        return rates


class Version(Entry):
    """One released state of a strategy, made by one person and approved by another."""

    number: int = Field(ge=1)
    effective_from: dt.date
    author: str = Field(min_length=2)
    approver: str = Field(min_length=2, description="Not the author; `legacy` if imported.")
    reason: str = Field(min_length=5)
    rollback_of: int | None = Field(None, ge=1)
    score_cuts: list[float] = Field(default_factory=lambda: list(DEFAULT_CUTS), max_length=4)
    sampling: Sampling | None = Field(None, description="Null where upstream draws the sample.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.approver == self.author:
            raise ValueError(f"approver {self.approver} is the author; another person must approve")
        cuts = self.score_cuts
        if any(not 0 < cut < 1 for cut in cuts) or sorted(set(cuts)) != cuts:
            raise ValueError(f"score_cuts {cuts} must rise strictly within 0 and 1")
        for side, rates in self.sampling or ():
            if isinstance(rates, list) and len(rates) != len(cuts) + 1:
                raise ValueError(
                    f"sampling.{side} has {len(rates)} rates for {len(cuts) + 1} score bins"
                )
        return self


class Scope(Entry):
    """Where a strategy applies; empty lists mean everywhere."""

    categories: list[str] = Field(default_factory=list)
    markets: list[str] = Field(default_factory=list)


class Strategy(Entry):
    """A rule or model that steers traffic, with who answers for it and what it must reach."""

    strategy_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Never changes.")
    name: str = Field(min_length=3)
    description: str = Field(min_length=20)
    channels: list[Channel] = Field(min_length=1)
    action: Action
    kind: Literal["rule", "model"]
    policy: str
    owner_team: str
    backup_owner: str
    partner_teams: list[str] = Field(default_factory=list)
    lifecycle: Lifecycle
    traffic_percent: float = Field(100, ge=0, le=100)
    since: dt.date | None = Field(None, description="On its channels since; its first version's.")
    audit_sample: Literal["pipeline", "upstream", "upstream_fixed"] = Field(
        "pipeline",
        description="Who draws: the pipeline; upstream, each unit by itself; or upstream, a fixed "
        "number per stratum.",
    )
    versions: list[Version] = Field(min_length=1)
    goals: list[Goal] = Field(min_length=1)
    expires_on: dt.date | None = None
    never_stale: str | None = Field(None, description="Why it needs no expiry.")
    sor_required: bool = Field(False, description="Whether a statement of reasons is due.")
    sor_reason: str | None = None
    scope: Scope = Field(default_factory=Scope)

    @property
    def polarity(self) -> Literal["restrictive", "boost"]:
        """Whether firing takes traffic from an item or gives it some."""
        return "boost" if self.action == "boost" else "restrictive"

    @property
    def current_version(self) -> Version:
        """The version with the highest number."""
        return max(self.versions, key=lambda version: version.number)


class Registry(Entry):
    """The whole register."""

    strategies: dict[str, Strategy]
    channels: dict[str, ChannelEntry]
    teams: dict[str, Team]
    policies: dict[str, Policy]
    markets: dict[str, Market]
    escalation_policy: EscalationPolicy = Field(default_factory=shipped_policy)
