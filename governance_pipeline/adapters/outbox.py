"""The outbox: messages that wait, are taken, and end as sent or dead.

Decide, send, then record. A message is written with the events that cause it; who sends it takes
it first, for a while; whoever dies in between leaves it to be taken again, with the same key.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from governance_pipeline.adapters.ops_schema import outbox
from governance_pipeline.adapters.ops_store import OpsStore

AT_ONCE = 500
TAKEN_FOR = dt.timedelta(minutes=10)
"""How long who sends a message has it alone; much longer than a sending takes."""
LOST = ("dead", "no_address")
"""States of messages that nobody got and that may be tried anew."""


def due(store: OpsStore, now: dt.datetime) -> list[dict[str, Any]]:
    """Return the messages that may leave by now, the oldest first."""
    query = (
        sa.select(outbox)
        .where(outbox.c.state == "pending", outbox.c.next_attempt_at <= now)
        .order_by(outbox.c.next_attempt_at, outbox.c.created_at, outbox.c.idempotency_key)
        .limit(AT_ONCE)
    )
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def sealed(store: OpsStore, seal: str) -> list[dict[str, Any]]:
    """Return the messages that were taken together under a seal and are not sent yet."""
    query = (
        sa.select(outbox)
        .where(outbox.c.receipt == seal, outbox.c.state == "pending")
        .order_by(outbox.c.idempotency_key)
    )
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def take(
    store: OpsStore, rows: Sequence[Mapping[str, Any]], now: dt.datetime, seal: str | None = None
) -> bool:
    """Take messages for sending; False if somebody else took one of them first.

    Args:
        store: Holds the outbox.
        rows: As they were read.
        now: In UTC.
        seal: The key under which several leave as one, kept so that they do so again after a
            crash, without what came meanwhile.
    """
    with store.writing() as connection:
        for row in rows:
            same = sa.and_(
                outbox.c.message_id == row["message_id"],
                outbox.c.state == "pending",
                outbox.c.attempts == row["attempts"],
            )
            fresh = {
                "attempts": row["attempts"] + 1,
                "next_attempt_at": now + TAKEN_FOR,
                "receipt": seal,
            }
            if connection.execute(outbox.update().where(same).values(fresh)).rowcount != 1:
                connection.rollback()
                return False
    return True


def record(store: OpsStore, rows: Sequence[Mapping[str, Any]], **fields: Any) -> None:
    """Record what became of messages."""
    ids = [row["message_id"] for row in rows]
    with store.writing() as connection:
        connection.execute(outbox.update().where(outbox.c.message_id.in_(ids)).values(fields))


def counts(store: OpsStore) -> dict[str, int]:
    """Return how many messages are pending, sent, dead and without an address."""
    query = sa.select(outbox.c.state, sa.func.count()).group_by(outbox.c.state)
    with store.engine.connect() as connection:
        return {"pending": 0, "sent": 0, "dead": 0, "no_address": 0} | {
            str(state): int(n) for state, n in connection.execute(query)
        }


def dead(store: OpsStore) -> list[dict[str, Any]]:
    """Return the messages that were tried and nobody got, the newest first."""
    query = sa.select(outbox).where(outbox.c.state == "dead").order_by(outbox.c.created_at.desc())
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def lost(store: OpsStore) -> list[dict[str, Any]]:
    """Return the messages that nobody got, tried in vain or without an address, newest first."""
    query = sa.select(outbox).where(outbox.c.state.in_(LOST)).order_by(outbox.c.created_at.desc())
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def retry_lost(store: OpsStore, now: dt.datetime) -> int:
    """Let what nobody got be tried anew, say after its address was set or mended."""
    fresh = {"state": "pending", "attempts": 0, "next_attempt_at": now}
    with store.writing() as connection:
        dead_ones = outbox.update().where(outbox.c.state.in_(LOST))
        return int(connection.execute(dead_ones.values(fresh)).rowcount)
