"""Conditions as data: a field, an operator and a value; nothing written here is ever executed."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from governance_pipeline.registry.entry import Entry

Source = Literal[
    "drift", "trust_anomaly", "launch_guardrail", "compliance_gap", "data_quality", "conflict",
    "failed_check", "person",
]  # fmt: skip
FindingType = Literal[
    "wrong_suppression", "wrong_promotion", "missed_violation", "missed_promotion", "metric_drop",
    "coverage_gap", "strategy_conflict", "launch_blocker", "safety", "legal_notice",
    "data_quality", "pipeline_failure", "request",
]  # fmt: skip
Cause = Literal["mix", "rate"]
Operator = Literal["equals", "differs", "is_in", "is_not_in", "is_known", "is_unknown"]

FINDING_FIELDS = (
    "source", "type", "channel", "category", "market", "policy", "strategy_id", "metric", "feed",
    "cause",
)  # fmt: skip
"""What a rule may read of a finding itself."""

STRATEGY_FIELDS = ("kind", "action", "polarity", "policy", "lifecycle", "owner_team")
"""What a rule may read of the finding's strategy, as `strategy.kind`."""

CHANNEL_FIELDS = ("owner_team",)
"""What a rule may read of the finding's channel, as `channel.owner_team`."""

FIELDS = (
    *FINDING_FIELDS,
    *(f"strategy.{name}" for name in STRATEGY_FIELDS),
    *(f"channel.{name}" for name in CHANNEL_FIELDS),
)
CLOSED_SETS: dict[str, tuple[str, ...]] = {
    "source": get_args(Source),
    "type": get_args(FindingType),
    "cause": get_args(Cause),
    "strategy.kind": ("rule", "model"),
    "strategy.polarity": ("restrictive", "boost"),
}


class Condition(Entry):
    """One thing that must hold for a rule to match."""

    field: str = Field(description="A field of the finding, its strategy or its channel.")
    op: Operator = "equals"
    value: str | list[str] | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.field not in FIELDS:
            raise ValueError(f"no rule can read {self.field}; there are {', '.join(FIELDS)}")
        wanted: dict[str, Any] = {"is_in": list, "is_not_in": list, "equals": str, "differs": str}
        if not isinstance(self.value, wanted.get(self.op, type(None))):
            raise ValueError(f"{self.op} takes {_taken(self.op)}, not {self.value!r}")
        known = CLOSED_SETS.get(self.field)
        for value in self.values:
            if known and value not in known:
                raise ValueError(f"{self.field} is never {value}; it is one of {', '.join(known)}")
        return self

    @property
    def values(self) -> list[str]:
        """What the field is compared with; empty for `is_known` and `is_unknown`."""
        if self.value is None:
            return []
        return self.value if isinstance(self.value, list) else [self.value]


def _taken(op: str) -> str:
    return {
        "is_in": "a list",
        "is_not_in": "a list",
        "equals": "one value",
        "differs": "one value",
    }.get(op, "no value")
