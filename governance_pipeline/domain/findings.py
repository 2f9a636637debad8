"""What the pipeline or a person found: the facts an escalation is weighed and routed by."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody should act on; what does not apply is None.

    `detected_at` is when it was known, in UTC, from when on clocks run; `on` the day of data it
    was seen on. `exposure` is in impressions a day, the upper limit where it was estimated, and
    `exposure_before` the same of the day before. `requester` is a team, or a team and a person.
    `since` is the day of data on which it most likely began; `asset_owner` the team that owns
    the asset it is about. What no longer `opens` an escalation is still there for one that knows
    it, which an absence would clear.
    """

    source: str
    type: str
    title: str
    detected_at: dt.datetime
    on: dt.date
    requester: str
    channel: str | None = None
    category: str | None = None
    market: str | None = None
    policy: str | None = None
    strategy_id: str | None = None
    metric: str | None = None
    feed: str | None = None
    cause: str | None = None
    observed: float | None = None
    expected: float | None = None
    exposure: float | None = None
    exposure_before: float | None = None
    channel_impressions: float | None = None
    is_ongoing: bool = True
    is_event_running: bool = False
    needed_by: dt.date | None = None
    statutory: str | None = None
    evidence_uri: str | None = None
    details: str | None = None
    since: dt.date | None = None
    asset_owner: str | None = None
    opens: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding on an escalation: when it was seen, how often, and whether it has gone.

    `times` counts days on which it was seen.
    """

    fingerprint: str
    finding: Finding
    first_on: dt.date
    last_on: dt.date
    times: int = 1
    cleared_on: dt.date | None = None
