"""The escalation policy of a register that has none of its own: the example market's."""

from functools import cache
from pathlib import Path

import yaml

from governance_pipeline.registry.escalation import EscalationPolicy

SHIPPED = Path(__file__).with_name("example") / "escalation_policy.yaml"


@cache
def shipped_policy() -> EscalationPolicy:
    """Return the policy shipped with the program; teams it names may be unknown to a register."""
    said = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return EscalationPolicy.model_validate(said | {"is_shipped": True})
