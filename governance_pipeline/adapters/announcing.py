"""Messages of events, as they wait in the outbox."""

from collections.abc import Sequence

from governance_pipeline.adapters.ops_store import Message
from governance_pipeline.domain.announcing import announcements, facts
from governance_pipeline.domain.desk import Desk, team_of
from governance_pipeline.domain.escalation import Escalation, Event


def announce(state: Escalation, events: Sequence[Event], desk: Desk) -> Sequence[Message]:
    """Return what leaves because of events, to be inserted with them."""
    return [
        Message(
            kind=told.kind,
            recipient=told.team,
            route=told.route,
            idempotency_key=told.key,
            payload={
                **facts(state, told.event, told.kind),
                "is_requester": told.team == team_of(state.requester),
            },
            event_seq=told.event.seq,
            next_attempt_at=told.at,
        )
        for told in announcements(state, events, desk)
    ]
