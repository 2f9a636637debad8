"""A team's ticket tool by HTTP: transitions are posted to one address and asked of another.

Nothing listens here. An address may hold a secret, so no sentence says more of it than its host.
"""

import datetime as dt
import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from itertools import islice
from urllib.parse import urlsplit

from governance_pipeline.adapters.escalating import Announce, in_silence
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.transitions import Taken, exported, parsed, take_rows
from governance_pipeline.domain.desk import Desk
from governance_pipeline.errors import InputError

BY_NAME = "env:"
WAIT_SECONDS = 30
AT_ONCE = 500
"""Transitions in one request."""

LARGEST = 2**26
"""Bytes of an answer; more is no list of what people did."""


def address_of(place: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the address that a place is, or that its `env:NAME` holds; None for a file's name.

    Raises:
        InputError: If the variable is not set or holds no address.

    >>> address_of("env:TICKETS", {"TICKETS": "https://tool.example/hook?key=1"})
    'https://tool.example/hook?key=1'
    >>> address_of("transitions.csv") is None
    True
    """
    name = place.removeprefix(BY_NAME)
    is_named = name != place
    address = environment.get(name, "") if is_named else place
    if address.startswith(("https://", "http://")):
        return address
    if is_named:
        raise InputError(f"{name} holds no address; set it to one that begins with https://")
    return None


def host_of(address: str) -> str:
    """Return what may be said of an address.

    >>> host_of("https://user:secret@tool.example/hook?key=1")
    'tool.example'
    """
    return urlsplit(address).hostname or "nowhere"


def post_transitions(store: OpsStore, address: str, since: dt.datetime | None = None) -> int:
    """Post the log as JSON lines, oldest first, and return how many rows were taken.

    Each request has an `Idempotency-Key` of what it says, and each row its id and number.

    Raises:
        InputError: If the tool does not take them; what it took before stays taken.
    """
    count = 0
    rows = (json.dumps(row, ensure_ascii=False) for row in exported(store, since))
    while some := list(islice(rows, AT_ONCE)):
        body = "".join(f"{line}\n" for line in some).encode()
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": hashlib.sha256(body).hexdigest()[:32],
        }
        _ask(urllib.request.Request(address, data=body, headers=headers, method="POST"))
        count += len(some)
    return count


def pull_transitions(
    store: OpsStore, desk: Desk, address: str, now: dt.datetime, announce: Announce = in_silence
) -> Taken:
    """Act on every row that an address answers with, CSV or JSON, as on those of a file.

    Raises:
        InputError: If it does not answer, or with what is neither.
    """
    answer = _ask(urllib.request.Request(address, headers={"Accept": "application/json, text/csv"}))
    name = host_of(address)
    return take_rows(store, desk, parsed(answer, name), name, now, announce)


def _ask(request: urllib.request.Request) -> bytes:
    host = host_of(request.full_url)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            said: bytes = answer.read(LARGEST + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{host} answered {error.code} {error.reason}; see its log") from None
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise InputError(f"{host} does not answer: {why}; try again") from None
    if len(said) > LARGEST:
        raise InputError(f"{host} answers with over {LARGEST >> 20} MB; let it say what is new")
    return said
