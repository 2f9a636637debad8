"""Sending what the outbox holds: mail, Slack, Teams, PagerDuty, a webhook, whatever apprise knows.

An address is a secret and comes from the environment alone; nothing here writes it anywhere.
"""

import datetime as dt
import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance_pipeline.adapters import outbox
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain.desk import Desk

KEY_HEADER = "Idempotency-Key"
DIGEST = "digest/"
ATTEMPTS = 10
FIRST_WAIT = dt.timedelta(minutes=1)
LONGEST_WAIT = dt.timedelta(hours=6)
"""Ten attempts in about fifteen hours: a tool that is down for a night is waited for."""

Row = Mapping[str, Any]
Post = Callable[[str, str, str, str], str | None]
"""Sends to an address a subject and a text under a key; returns what went wrong, or None."""


@dataclass
class Sent:
    """What became of the messages of a pass."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    unaddressed: int = 0


def send_due(
    store: OpsStore,
    desk: Desk,
    now: dt.datetime,
    addresses: Mapping[str, str],
    ui_url: str,
    post: Post | None = None,
) -> Sent:
    """Send what may leave by now, and record what became of it.

    Args:
        store: Holds the outbox.
        desk: Names the teams and their routes.
        now: In UTC.
        addresses: The environment: apprise URLs by the names that the routes give.
        ui_url: Where the catalog is served, for the links.
        post: Sends one message; apprise by default.
    """
    done = Sent()
    waiting = outbox.due(store, now)
    if not waiting:
        return done
    from governance_pipeline.adapters import wording  # jinja2, which an idle pass does not need

    broken: set[tuple[str, str | None]] = set()
    for key, rows in _letters(store, waiting, desk):
        way = rows[0]["recipient"], rows[0]["route"]
        if way in broken:
            continue
        address, why = _address(rows[0], desk, addresses)
        if address is None:
            outbox.record(store, rows, state="no_address", last_error=why)
            done.unaddressed += len(rows)
            continue
        seal = key if key.startswith(DIGEST) else None
        if not outbox.take(store, rows, now, seal):
            continue
        text = wording.text_of([json.loads(row["payload"]) for row in rows], key, ui_url)
        error = (post or by_apprise)(address, text.subject, text.body, key)
        if error is not None:
            # One that hangs or refuses costs one attempt a pass, not one for every message.
            broken.add(way)
        _record(store, key, rows, error, now, done)
    return done


def by_apprise(address: str, subject: str, text: str, key: str) -> str | None:
    """Send by apprise, with the key as a header where the service has headers."""
    import apprise  # a tenth of a second, and only who sends needs it

    plugin = apprise.Apprise.instantiate(address)
    if plugin is None:
        return "the address is none that apprise understands"
    if isinstance(headers := getattr(plugin, "headers", None), dict):
        headers[KEY_HEADER] = key
    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    try:
        is_sent = plugin.notify(title=subject, body=text, body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:
        return f"{type(error).__name__} in apprise"
    finally:
        logger.removeHandler(heard)
    return None if is_sent else heard.said(address)


class _Heard(logging.Handler):
    """Keeps what apprise says went wrong; it returns no more than that it did."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def said(self, address: str) -> str:
        """Return the first line, never with the address."""
        first = next((line for line in self.lines if line), "the service refused it")
        secret = address.partition("://")[2]
        return first.replace(address, "...").replace(secret, "...")[:200]


def back_off(key: str, attempts: int) -> dt.timedelta:
    """Return how long to wait after an attempt: twice as long each time, give or take half.

    >>> back_off("a", 1) == back_off("a", 1) != back_off("b", 1)
    True
    """
    # Seeded by the key: messages that failed together do not come back together.
    share = random.Random(f"{key} {attempts}").uniform(0.5, 1.5)
    return min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT) * share


def _letters(
    store: OpsStore, rows: Sequence[dict[str, Any]], desk: Desk
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield what leaves as one, with its key: what a digest gathers, all else by itself."""
    digests: dict[tuple[str, str], list[dict[str, Any]]] = {}
    seals = set()
    for row in rows:
        team = desk.teams.get(row["recipient"])
        route = team.routes.get(row["route"] or "") if team else None
        is_urgent = json.loads(row["payload"])["priority"] == "P1"
        if row["receipt"]:
            seals.add(row["receipt"])
        elif route is not None and route.is_digest and not is_urgent:
            digests.setdefault((row["recipient"], row["route"]), []).append(row)
        else:
            yield row["idempotency_key"], [row]
    for seal in sorted(seals):
        yield seal, outbox.sealed(store, seal)
    for gathered in digests.values():
        yield _key_of(gathered), gathered


def _address(row: Row, desk: Desk, addresses: Mapping[str, str]) -> tuple[str | None, str]:
    team = desk.teams.get(row["recipient"])
    route = team.routes.get(row["route"] or "") if team else None
    if route is None:
        return None, f"{row['recipient']} has no route {row['route'] or ''}".strip()
    return addresses.get(route.env) or None, f"{route.env} is not set"


def _key_of(rows: Sequence[Row]) -> str:
    said = "\n".join(sorted(row["idempotency_key"] for row in rows))
    return DIGEST + hashlib.sha256(said.encode()).hexdigest()[:32]


def _record(
    store: OpsStore, key: str, rows: Sequence[Row], error: str | None, now: dt.datetime, done: Sent
) -> None:
    if error is None:
        said = f"taken by route {rows[0]['route']} at {now:%F %H:%M:%S} UTC"
        outbox.record(store, rows, state="sent", sent_at=now, receipt=said, last_error=None)
        done.sent += len(rows)
        return
    attempts = rows[0]["attempts"] + 1
    if attempts >= ATTEMPTS:
        outbox.record(store, rows, state="dead", last_error=error)
        done.dead += len(rows)
    else:
        again = now + back_off(key, attempts)
        outbox.record(store, rows, next_attempt_at=again, last_error=error)
        done.failed += len(rows)
