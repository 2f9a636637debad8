"""The log of escalations, what it adds up to, and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "escalation_events",
        sa.Column("escalation_id", sa.String(40), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("actor", sa.String(120), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("from_status", sa.String(20)),
        sa.Column("to_status", sa.String(20), nullable=False),
        sa.Column("changes", sa.Text, nullable=False),
    )
    op.create_table(
        "escalations",
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
        sa.Column("detected_at", TIME, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("due_at", TIME),
        sa.Column("due_clock", sa.String(30)),
        sa.Column("due_calendar", sa.String(80)),
        sa.Column("wake_at", TIME),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_index("escalations_by_queue", "escalations", ["is_open", "priority", "due_at"])
    op.create_index("escalations_by_wake", "escalations", ["wake_at"])
    op.create_index("escalations_by_ticket", "escalations", ["external_ref"])
    op.create_table(
        "escalation_findings",
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
    )
    op.create_index("escalation_findings_by_fingerprint", "escalation_findings", ["fingerprint"])
    op.create_table(
        "escalation_clocks",
        sa.Column("escalation_id", sa.String(40), primary_key=True),
        sa.Column("clock_id", sa.String(30), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("calendar", sa.String(80), nullable=False),
        sa.Column("target_hours", sa.Float, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("due_at", TIME),
        sa.Column("statutory_due", TIME),
        sa.Column("stopped_at", TIME),
        sa.Column("pauses", sa.Integer, nullable=False),
        sa.Column("elapsed_hours", sa.Float),
        sa.Column("outcome", sa.String(12), nullable=False),
    )
    op.create_table(
        "outbox",
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
        sa.Column("next_attempt_at", TIME),
        sa.Column("last_error", sa.Text),
        sa.Column("receipt", sa.Text),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("sent_at", TIME),
        sa.CheckConstraint(
            "state in ('pending', 'sent', 'dead', 'no_address')", name="outbox_state_is_known"
        ),
    )
    op.create_index("outbox_by_turn", "outbox", ["state", "next_attempt_at"])
    op.create_index("outbox_by_escalation", "outbox", ["escalation_id", "event_seq"])
