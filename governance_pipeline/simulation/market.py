"""What is true in the simulated market: how good each strategy is, and what goes wrong when."""

from dataclasses import dataclass
from typing import Literal

from governance_pipeline.registry.models import Strategy

PREVALENCE = 0.12
DAILY_DECISIONS = 450
WEEKDAYS = (1.0, 0.96, 0.95, 0.98, 1.06, 1.12, 1.04)
PRECISION_MARGIN = 0.03
RECALL_MARGIN = 0.10
WOBBLE = 0.008
UNGOALED = 0.80
SILENT = ("draft", "paused", "retired")


@dataclass(frozen=True)
class Plant:
    """Something that goes wrong on a day, counted from 0, and what has to be said about it."""

    kind: Literal["precision", "recall", "audit_mix", "few_labels", "trust", "bad_delivery"]
    subject: str
    day: int
    size: float


PLANTS = (
    Plant("precision", "affiliate-spam-creator-block", 45, 0.22),
    Plant("precision", "video-product-mismatch-filter", 50, 0.22),
    Plant("recall", "ad-health-claim-block", 45, 0.40),
    Plant("recall", "affiliate-undisclosed-label", 48, 0.40),
    Plant("audit_mix", "ad-adult-age-gate", 45, 0.0),
    Plant("few_labels", "live-flash-sale-boost", 0, 0.0),
    Plant("trust", "lives/hb", 70, 40.0),
    Plant("bad_delivery", "shopads/decisions", 80, 0.5),
)


def planted(kind: str, subject: str | None = None) -> list[Plant]:
    """Return the plants of a kind, of one subject if it is given."""
    return [p for p in PLANTS if p.kind == kind and subject in (None, p.subject)]


def true_rate(strategy: Strategy, metric: Literal["precision", "recall"], day: int) -> float:
    """Return a strategy's true precision or recall on a day, before the day's wobble.

    Healthy strategies are a margin better than their goal; a planted drop is taken off from its
    day on.
    """
    goals = [g.goal for g in strategy.goals if g.metric == metric and g.goal is not None]
    margin = PRECISION_MARGIN if metric == "precision" else RECALL_MARGIN
    rate = min(goals[-1] + margin, 0.97) if goals else UNGOALED
    for plant in planted(metric, strategy.strategy_id):
        rate -= plant.size if day >= plant.day else 0.0
    return rate
