"""Business time against a counter that looks at every minute, over changes of the clocks."""

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_pipeline.domain.calendars import (
    ALWAYS,
    NOTHING,
    BusinessCalendar,
    Span,
    business,
    compiled,
    span,
)
from governance_pipeline.registry.escalation import CalendarEntry

MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
# Where and when clocks change: by an hour, by half an hour, at midnight, or not at all.
PLACES = [
    ("America/Los_Angeles", "US", "2026-03-08T10:00"),
    ("America/Los_Angeles", "US", "2026-11-01T09:00"),
    ("Europe/Dublin", "IE", "2026-03-29T01:00"),
    ("Europe/Dublin", "IE", "2025-10-26T01:00"),
    ("Australia/Lord_Howe", "AU", "2026-04-04T15:00"),
    ("America/Sao_Paulo", "BR", "2018-11-04T03:00"),
    ("Asia/Beirut", "LB", "2026-03-28T22:00"),
    ("Asia/Jakarta", "ID", "2026-12-24T17:00"),
]


def counted(calendar: BusinessCalendar, start: dt.datetime, minutes: int) -> dt.timedelta:
    open_minutes = 0
    for number in range(minutes):
        local = (start + number * MINUTE).astimezone(calendar.zone)
        is_open = calendar.opens <= local.hour * 60 + local.minute < calendar.closes
        open_minutes += is_open and calendar.is_working(local.date())
    return open_minutes * MINUTE


@st.composite
def calendars(draw: st.DrawFn) -> tuple[BusinessCalendar, dt.datetime]:
    """Return a calendar, and an instant up to a day and a half before its clocks change."""
    zone, country, change = draw(st.sampled_from(PLACES))
    opens = draw(st.integers(0, 1439))
    closes = draw(st.integers(opens + 1, 1440))
    days = draw(st.sampled_from([range(7), range(5), frozenset({5, 6})]))
    changes_at = dt.datetime.fromisoformat(change).replace(tzinfo=dt.UTC)
    start = changes_at - draw(st.integers(0, 2000)) * MINUTE
    return business(zone, days, opens, closes, country), start


@settings(max_examples=150, deadline=None)
@given(calendars(), st.integers(0, 4000))
def test_elapsed_time_is_what_counting_minutes_gives(
    case: tuple[BusinessCalendar, dt.datetime], minutes: int
) -> None:
    calendar, start = case
    elapsed = calendar.elapsed(start, start + minutes * MINUTE)
    assert elapsed == counted(calendar, start, minutes)


@settings(max_examples=150, deadline=None)
@given(calendars(), st.integers(1, 60_000))
def test_a_due_time_is_the_first_instant_by_which_the_time_has_passed(
    case: tuple[BusinessCalendar, dt.datetime], minutes: int
) -> None:
    calendar, start = case
    due = calendar.add(start, Span(minutes * MINUTE))
    assert calendar.elapsed(start, due) == minutes * MINUTE
    assert calendar.elapsed(start, due - dt.timedelta(microseconds=1)) < minutes * MINUTE


@settings(max_examples=150, deadline=None)
@given(calendars(), st.lists(st.integers(0, 3000), min_size=3, max_size=3))
def test_elapsed_times_of_intervals_that_touch_add_up(
    case: tuple[BusinessCalendar, dt.datetime], gaps: list[int]
) -> None:
    calendar, at = case
    times = [at]
    for gap in gaps:
        times.append(times[-1] + gap * MINUTE)
    parts = sum((calendar.elapsed(a, b) for a, b in pairwise(times)), NOTHING)
    assert parts == calendar.elapsed(times[0], times[-1]) >= NOTHING
    assert calendar.elapsed(times[-1], times[0]) == -parts


def test_intervals_are_half_open() -> None:
    us = business("America/Los_Angeles", range(5), 540, 1080)
    opens = dt.datetime(2026, 4, 10, 16, tzinfo=dt.UTC)  # 09:00 in California
    assert us.elapsed(opens - HOUR, opens) == NOTHING
    assert us.elapsed(opens, opens + MINUTE) == MINUTE
    assert us.elapsed(opens + 9 * HOUR, opens + 12 * HOUR) == NOTHING


def test_holidays_and_days_off_are_not_worked() -> None:
    entry = CalendarEntry.model_validate(
        {"zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"], "opens": "09:00",
         "closes": "17:00", "country": "DE", "subdivision": "BY", "closed_on": ["2026-12-24"]}
    )  # fmt: skip
    calendar = compiled(entry)
    assert not calendar.is_working(dt.date(2026, 1, 6))  # Epiphany, in Bavaria
    assert not calendar.is_working(dt.date(2026, 12, 24))
    assert calendar.is_working(dt.date(2026, 12, 23))
    week = dt.datetime(2026, 12, 21, tzinfo=dt.UTC)
    assert calendar.elapsed(week, week + dt.timedelta(days=7)) == 3 * 8 * HOUR


@pytest.mark.parametrize(
    ("asked", "ends"),
    [
        (dt.datetime(2026, 4, 2, 8), dt.datetime(2026, 4, 7, 23)),  # Thursday before Easter
        (dt.datetime(2026, 4, 1, 8), dt.datetime(2026, 4, 3, 23)),
        (dt.datetime(2026, 4, 4, 8), dt.datetime(2026, 4, 8, 23)),  # from a Saturday
    ],
)
def test_business_days_end_with_the_last_of_them_and_leave_out_the_first(
    asked: dt.datetime, ends: dt.datetime
) -> None:
    dublin = business("Europe/Dublin", range(5), 540, 1080, "IE")  # Good Friday is worked there
    assert dublin.add(asked.replace(tzinfo=dt.UTC), span("P2BD")) == ends.replace(tzinfo=dt.UTC)


def test_always_is_the_wall_clock() -> None:
    now = dt.datetime(2026, 3, 8, 9, tzinfo=dt.UTC)
    assert ALWAYS.add(now, span("PT48H")) == now + 48 * HOUR
    assert ALWAYS.add(now, span("P2BD")) == dt.datetime(2026, 3, 11, tzinfo=dt.UTC)
    with pytest.raises(ValueError, match="no duration"):
        span("two days")
