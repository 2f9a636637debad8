"""A desk to test with: the example register, and findings for it."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

from governance_pipeline.domain.commands import Command, Open
from governance_pipeline.domain.deciding import act
from governance_pipeline.domain.desk import PIPELINE, Desk, desk_of
from governance_pipeline.domain.escalation import Escalation, Event
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import new_id
from governance_pipeline.registry import loader
from governance_pipeline.registry.loader import load_registry

EXAMPLE = Path(loader.__file__).parent / "example"
REGISTRY = load_registry(EXAMPLE)
DESK: Desk = desk_of(REGISTRY)
NOW = dt.datetime(2026, 4, 10, 6, tzinfo=dt.UTC)  # a Friday
HOUR = dt.timedelta(hours=1)
OWNER, OTHER_OWNER = "moderation/ines", "moderation/omar"
TRIAGER, REQUESTER, REVIEWER = "governance/gwen", "search_recommendation/rui", "product/pia"

DROP = Finding(
    source="drift",
    type="missed_violation",
    title="Recall of Block counterfeit listings fell to 52%",
    detected_at=NOW,
    on=NOW.date(),
    requester="search_recommendation",
    channel="shoptab",
    strategy_id="counterfeit-listing-block",
    metric="recall",
    exposure=6_000.0,
    channel_impressions=5_000_000.0,
)


def finding(**changes: object) -> Finding:
    return replace(DROP, **changes)  # type: ignore[arg-type]


class Case:
    """An escalation with its log, acted on through the rules alone."""

    def __init__(self, found: Finding = DROP, desk: Desk = DESK, now: dt.datetime = NOW) -> None:
        self.desk = desk
        self.now = now
        command = Open(
            actor=PIPELINE, reason="it was found", escalation_id=new_id(found), finding=found
        )
        self.state, events = act(None, command, desk, now)
        self.log: list[Event] = list(events)

    def do(self, command: Command, after: dt.timedelta = HOUR) -> Escalation:
        self.now += after
        self.state, events = act(self.state, command, self.desk, self.now)
        self.log += events
        return self.state
