"""How escalations are weighed, timed, routed and told about: the typed escalation policy."""

import datetime as dt
import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from governance_pipeline.registry.conditions import Condition
from governance_pipeline.registry.entry import Entry

Severity = Literal["S1", "S2", "S3", "S4"]
Urgency = Literal["U1", "U2", "U3"]
Priority = Literal["P1", "P2", "P3", "P4"]
ClockKind = Literal["acknowledge", "mitigate", "resolve", "deliver"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
PauseReason = Literal[
    "awaiting_requester", "awaiting_external_party", "change_freeze", "legal_hold"
]
EVERY_PRIORITY: list[Priority] = ["P1", "P2", "P3", "P4"]
SYMBOLIC_TEAMS = ("strategy_owner", "strategy_backup", "channel_owner", "asset_owner", "duty")
RECIPIENTS = ("owner", "backup", "duty", "requester")
TEAM_CALENDAR = "team"
"""In place of a calendar's name: that of the team that owns the escalation."""

_HOURS = re.compile(r"PT(?=\d)(\d+H)?(\d+M)?")
_SPAN = re.compile(r"P(\d+D|\d+BD|T(?=\d)(\d+H)?(\d+M)?)")
_OPENING = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


def _is_hours(text: str) -> str:
    if not _HOURS.fullmatch(text):
        raise ValueError("is not a duration in hours and minutes such as PT4H or PT15M")
    return text


def _is_span(text: str) -> str:
    if not _SPAN.fullmatch(text):
        raise ValueError("is not a duration such as PT48H, P10D or P3BD (business days)")
    return text


def _is_opening(text: str) -> str:
    if not _OPENING.fullmatch(text):
        raise ValueError("is not a time of day such as 09:00; quote it, and end a day at 24:00")
    return text


Hours = Annotated[str, AfterValidator(_is_hours)]
Span = Annotated[str, AfterValidator(_is_span)]
Opening = Annotated[str, AfterValidator(_is_opening)]


class CalendarEntry(Entry):
    """When a team works: always, or on weekdays between two times of a zone, holidays aside."""

    zone: str = Field("UTC", description="IANA time zone in which the hours are meant.")
    days: list[Weekday] = Field(default_factory=list, description="Empty: every day, all day.")
    opens: Opening = "00:00"
    closes: Opening = "24:00"
    country: str | None = Field(None, description="Whose public holidays are off, as ISO 3166.")
    subdivision: str | None = Field(None, description="A state or province of it, e.g. BY.")
    closed_on: list[dt.date] = Field(default_factory=list, description="Further days off.")

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone} is no IANA time zone") from None
        return zone

    @model_validator(mode="after")
    def _opens_sometime(self) -> Self:
        if self.opens >= self.closes:
            raise ValueError(f"it opens at {self.opens} and closes at {self.closes}, not later")
        if not self.days and (self.country or self.closed_on or self.opens != "00:00"):
            raise ValueError("hours and holidays need days; list the weekdays it is open on")
        if self.subdivision and not self.country:
            raise ValueError("a subdivision needs its country")
        return self


class HarmRule(Entry):
    """How grave a kind of finding is; the first rule whose conditions all hold decides."""

    when: list[Condition] = Field(min_length=1)
    severity: Severity
    because: str = Field(min_length=5, description="Said beside the priority.")


class ReachRule(Entry):
    """How far a finding must reach for a severity: either number is enough."""

    severity: Severity
    exposure: float = Field(gt=0, description="Impressions affected a day, upper limit.")
    share: float = Field(gt=0, le=1, description="Of the channel's impressions.")


class Weighing(Entry):
    """Severity is the worse of harm and reach; one that is unknown leaves it to the other."""

    harm: list[HarmRule]
    reach: list[ReachRule]
    unknown: Severity = Field(description="Where neither is known: rather too high.")


class UrgencyRule(Entry):
    """When harm is urgent; days are compared with days, since data is daily."""

    growth: float = Field(gt=1, description="Exposure of a day over the day before: it grows.")
    statutory_within: Span
    needed_within: Span


class Target(Entry):
    """What a priority promises, in hours that the calendar is open."""

    calendar: str
    acknowledge: Hours
    mitigate: Hours | None
    resolve: Hours
    deliver: Hours
    pause_allowed: bool


class StatutoryClock(Entry):
    """A cap that a law sets, from the notice on; nothing pauses it."""

    trigger: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    standard: str = Field(min_length=2)
    limit: Span
    calendar: str


class Pauses(Entry):
    """For what, and for how long, an owner may stop the clocks."""

    reasons: list[PauseReason]
    max_single: Span
    max_share_of_target: float = Field(gt=0, le=4)


class RoutingRule(Entry):
    """Who owns a finding; the first rule whose conditions all hold decides."""

    when: list[Condition] = Field(default_factory=list)
    team: str
    fallback: str = Field(description="Who owns it where `team` is unknown.")
    notify: list[str] = Field(default_factory=list, description="Teams that are told the result.")


class Inhibition(Entry):
    """An open escalation that explains a finding: the finding joins it instead of opening one."""

    name: str
    cause: list[Condition] = Field(min_length=1, description="Of the open escalation.")
    priorities: list[Priority] = Field(min_length=1)
    inhibits: list[Condition] = Field(min_length=1, description="Of the new finding.")
    same: list[str] = Field(min_length=1, description="Fields that both have alike.")


class Dedupe(Entry):
    """What counts as the same finding again, and what belongs together."""

    group_by: list[Literal["strategy_id", "policy", "channel", "category", "market", "type"]]
    inhibitions: list[Inhibition] = Field(default_factory=list)


class Step(Entry):
    """Who is told when a share of a clock's target is used up."""

    at: float = Field(gt=0, le=10)
    notify: list[str] = Field(min_length=1)
    priorities: list[Priority] = Field(default_factory=lambda: EVERY_PRIORITY)


class Closing(Entry):
    """How an escalation ends, and how long it may come back."""

    silence_accepts_after: Span
    reopen_within: Span
    reopen_share_of_target: float = Field(gt=0, le=1)


class Roles(Entry):
    """Which teams may triage and review; owners and requesters follow from the escalation."""

    triager: list[str] = Field(min_length=1)
    reviewer: list[str] = Field(min_length=1)


class EscalationPolicy(Entry):
    """The whole policy. States and transitions are code: a guard that no test sees is a hole."""

    duty_team: str = Field(description="Who decides where nobody else does.")
    roles: Roles
    severity: Weighing
    urgency: UrgencyRule
    priorities: dict[Severity, dict[Urgency, Priority]]
    calendars: dict[str, CalendarEntry]
    targets: dict[Priority, Target]
    statutory: list[StatutoryClock] = Field(default_factory=list)
    pauses: Pauses
    routing: list[RoutingRule] = Field(min_length=1)
    dedupe: Dedupe
    ladder: list[Step] = Field(min_length=1)
    closing: Closing
    is_shipped: bool = Field(False, description="Whether the register has none of its own.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        matrix = {(s, u) for s, row in self.priorities.items() for u in row}
        if len(matrix) != 12:
            raise ValueError("priorities must name a priority for each of S1-S4 at each of U1-U3")
        if set(self.targets) != set(EVERY_PRIORITY):
            raise ValueError("targets must name P1, P2, P3 and P4")
        if self.targets["P1"].pause_allowed:
            raise ValueError("targets.P1 may not be paused")
        known = {*self.calendars, TEAM_CALENDAR}
        for name in [t.calendar for t in self.targets.values()]:
            if name not in known:
                raise ValueError(f"calendar {name} is not among calendars; add it or name another")
        for cap in self.statutory:
            if cap.calendar not in self.calendars:
                raise ValueError(f"calendar {cap.calendar} of {cap.trigger} is not among calendars")
        if self.routing[-1].when:
            raise ValueError("the last routing rule must match everything; leave out its `when`")
        if any(not rule.when for rule in self.routing[:-1]):
            raise ValueError("a routing rule without `when` hides those after it; put it last")
        steps = [step.at for step in self.ladder]
        if sorted(set(steps)) != steps:
            raise ValueError(f"ladder steps {steps} must rise")
        return self
