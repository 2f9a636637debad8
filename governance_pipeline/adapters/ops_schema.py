"""The tables of the escalations' store: the log, what it adds up to, and the outbox.

`escalation_events` is the record; it is only appended to. The other `escalation*` tables follow
from it and can be rebuilt. `outbox` gets its rows in the transaction that appends the events.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

HEAD = "0001"
"""The newest migration; a store that is there already costs no look at the migrations."""

metadata = sa.MetaData()


class UtcTime(sa.types.TypeDecorator[dt.datetime]):
    """An instant: aware and in UTC here, whatever the database keeps."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> Any:
        """Return what the database is given."""
        if value is None:
            return None
        moment = value.astimezone(dt.UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.datetime | None:
        """Return what the database gave, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


events = sa.Table(
    "escalation_events",
    metadata,
    sa.Column("escalation_id", sa.String(40), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("actor", sa.String(120), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("from_status", sa.String(20)),
    sa.Column("to_status", sa.String(20), nullable=False),
    sa.Column("changes", sa.Text, nullable=False),
)

escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("escalation_id", sa.String(40), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("priority", sa.String(2), nullable=False),
    sa.Column("severity", sa.String(2), nullable=False),
    sa.Column("urgency", sa.String(2), nullable=False),
    sa.Column("source", sa.String(30), nullable=False),
    sa.Column("type", sa.String(30), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("strategy_id", sa.String(200)),
    sa.Column("channel", sa.String(30)),
    sa.Column("category", sa.String(200)),
    sa.Column("market", sa.String(10)),
    sa.Column("owner_team", sa.String(80)),
    sa.Column("assignee", sa.String(120)),
    sa.Column("requester", sa.String(120), nullable=False),
    sa.Column("external_ref", sa.String(400)),
    sa.Column("occurrences", sa.Integer, nullable=False),
    sa.Column("reopened", sa.Integer, nullable=False),
    sa.Column("result_code", sa.String(40)),
    sa.Column("verdict", sa.String(20)),
    sa.Column("end_code", sa.String(80)),
    sa.Column("detected_at", UtcTime, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Column("due_clock", sa.String(30)),
    sa.Column("due_calendar", sa.String(80)),
    sa.Column("wake_at", UtcTime),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("escalations_by_queue", "is_open", "priority", "due_at"),
    sa.Index("escalations_by_wake", "wake_at"),
    sa.Index("escalations_by_ticket", "external_ref"),
)

findings = sa.Table(
    "escalation_findings",
    metadata,
    sa.Column("escalation_id", sa.String(40), primary_key=True),
    sa.Column("fingerprint", sa.String(16), primary_key=True),
    sa.Column("source", sa.String(30), nullable=False),
    sa.Column("type", sa.String(30), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("strategy_id", sa.String(200)),
    sa.Column("channel", sa.String(30)),
    sa.Column("category", sa.String(200)),
    sa.Column("market", sa.String(10)),
    sa.Column("metric", sa.String(80)),
    sa.Column("observed", sa.Float),
    sa.Column("expected", sa.Float),
    sa.Column("exposure", sa.Float),
    sa.Column("first_on", sa.Date, nullable=False),
    sa.Column("last_on", sa.Date, nullable=False),
    sa.Column("days_seen", sa.Integer, nullable=False),
    sa.Column("cleared_on", sa.Date),
    sa.Index("escalation_findings_by_fingerprint", "fingerprint"),
)

clocks = sa.Table(
    "escalation_clocks",
    metadata,
    sa.Column("escalation_id", sa.String(40), primary_key=True),
    sa.Column("clock_id", sa.String(30), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("calendar", sa.String(80), nullable=False),
    sa.Column("target_hours", sa.Float, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Column("statutory_due", UtcTime),
    sa.Column("stopped_at", UtcTime),
    sa.Column("pauses", sa.Integer, nullable=False),
    sa.Column("elapsed_hours", sa.Float),
    sa.Column("outcome", sa.String(12), nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("message_id", sa.String(40), primary_key=True),
    sa.Column("escalation_id", sa.String(40), nullable=False),
    sa.Column("event_seq", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("recipient", sa.String(120), nullable=False),
    sa.Column("route", sa.String(120)),
    sa.Column("idempotency_key", sa.String(200), nullable=False, unique=True),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", UtcTime),
    sa.Column("last_error", sa.Text),
    sa.Column("receipt", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("sent_at", UtcTime),
    sa.CheckConstraint(
        "state in ('pending', 'sent', 'dead', 'no_address')", name="outbox_state_is_known"
    ),
    sa.Index("outbox_by_turn", "state", "next_attempt_at"),
    sa.Index("outbox_by_escalation", "escalation_id", "event_seq"),
)
