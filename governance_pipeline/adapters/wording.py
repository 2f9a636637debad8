"""Messages as people read them: a subject and a plain text, from what the outbox holds."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
LEADS = {
    "opened": "A new escalation is yours.",
    "assigned": "An escalation was given to you: {reason}",
    "reprioritised": "Its priority changed.",
    "reopened": "It is open again: {reason}",
    "closed": "It is closed: {reason}",
    "held": "Its clocks are paused: {reason}",
    "ended": "It ended as {status}: {reason}",
    "acknowledged": "Your request was seen by {actor}.",
    "mitigated": "The harm has stopped: {reason}",
    "cleared": "What it was about is no longer found.",
    "result": "There is a result.",
    "measured": "What came of it is known better now.",
    "reminder": "A reminder: {reason}.",
}
"""The first line of each kind of message."""

MARKS = {
    "reminder": "reminder, ",
    "result": "result, ",
    "measured": "result, ",
    "closed": "closed, ",
}


@dataclass(frozen=True)
class Text:
    """A subject, and a text that ends with the key that makes it this message."""

    subject: str
    body: str


def text_of(payloads: Sequence[Mapping[str, Any]], key: str, ui_url: str) -> Text:
    """Return a message about one escalation, or about several, the most pressing first.

    Args:
        payloads: What the outbox holds, as `domain.announcing.facts` made it; at least one.
        key: What a receiver may recognise a repetition by.
        ui_url: Where the catalog is served.
    """
    ordered = sorted(payloads, key=lambda p: (p["priority"], p["detected_at"]))
    first = ordered[0]
    said = f"{MARKS.get(first['kind'], '')}{first['priority']}"
    subject = f"[{said}] {first['title']}"
    if len(ordered) > 1:
        subject = f"[{first['priority']}] {len(ordered)} messages about escalations"
    parts = f"\n{'-' * 60}\n\n".join(_body(payload, ui_url) for payload in ordered)
    return Text(subject, f"{parts}\nKey {key}\n")


def _body(payload: Mapping[str, Any], ui_url: str) -> str:
    lead = LEADS[payload["kind"]].format_map(payload)
    link = f"{ui_url.rstrip('/')}{payload['evidence_uri'] or '/asset-groups'}"
    if "://" in (payload["evidence_uri"] or ""):
        link = payload["evidence_uri"]
    return _template().render(payload, lead=lead, link=link)


@cache
def _template() -> jinja2.Template:
    # Plain text: nothing is escaped, and a value that is not there is a fault.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["moment"] = _moment
    return environment.get_template("message.txt.j2")


def _moment(text: str) -> str:
    return f"{dt.datetime.fromisoformat(text).astimezone(dt.UTC):%a %d %b %Y, %H:%M} UTC"
