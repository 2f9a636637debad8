"""Business time: how long a calendar was open between two instants, and when it has been so long.

A calendar maps an instant to its position, the open time before it since 2020. Elapsed time is
a difference of positions, and a due time is the instant of a position: both hold over changes of
the clocks and holidays, because positions are counted between instants in UTC.
"""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from zoneinfo import ZoneInfo

import holidays

from governance_pipeline.registry.escalation import CalendarEntry

BASE_YEAR = 2020
EPOCH = dt.datetime(BASE_YEAR, 1, 1, tzinfo=dt.UTC)
NOTHING = dt.timedelta(0)
DAY = dt.timedelta(days=1)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"P(?:(\d+)D|(\d+)BD|T(?:(\d+)H)?(?:(\d+)M)?)")


@dataclass(frozen=True)
class Span:
    """A length of open time, or a number of business days."""

    time: dt.timedelta = NOTHING
    business_days: int = 0


@cache
def span(text: str) -> Span:
    """Return what an ISO 8601 duration says; `BD`, business days, is this project's own.

    >>> span("PT4H30M").time, span("P3BD").business_days
    (datetime.timedelta(seconds=16200), 3)
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    days, business, hours, minutes = (int(part or 0) for part in found.groups())
    return Span(dt.timedelta(days=days, hours=hours, minutes=minutes), business)


@dataclass(frozen=True)
class Calendar:
    """A calendar that is always open."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def position(self, at: dt.datetime) -> dt.timedelta:
        """Return the open time between 2020 and an instant in UTC."""
        return at - EPOCH

    def instant(self, position: dt.timedelta) -> dt.datetime:
        """Return the first instant, in UTC, with that much open time before it."""
        return EPOCH + position

    def is_working(self, day: dt.date) -> bool:
        """Return whether it opens at all on a local day."""
        return True

    def elapsed(self, start: dt.datetime, end: dt.datetime) -> dt.timedelta:
        """Return the open time in [start, end), negative if the end lies before the start.

        Friday noon to Monday one o'clock, over the start of summer time:

        >>> noon = dt.datetime(2026, 3, 6, 20, tzinfo=dt.UTC)
        >>> us = business("America/Los_Angeles", range(5), 9 * 60, 18 * 60)
        >>> str(us.elapsed(noon, noon + dt.timedelta(days=3)))
        '10:00:00'
        """
        return self.position(end) - self.position(start)

    def add(self, start: dt.datetime, length: Span) -> dt.datetime:
        """Return when a span that begins at `start` ends.

        Open time ends at the first instant by which it has passed. Business days end with the
        last of them: the day of the start is not counted, whatever its hour.

        Source:
            Regulation (EEC, Euratom) 1182/71, Article 3, for periods in days.
        """
        if length.business_days:
            return self._end_of_day(start, length.business_days)
        if not length.time:
            return start
        return self.instant(self.position(start) + length.time)

    def _end_of_day(self, start: dt.datetime, days: int) -> dt.datetime:
        day = start.astimezone(self.zone).date()
        while days:
            day += DAY
            days -= self.is_working(day)
        return _midnight(day + DAY, self.zone)


ALWAYS = Calendar()


@dataclass(frozen=True)
class BusinessCalendar(Calendar):
    """A calendar open on weekdays (0 is Monday) in [opens, closes) local minutes, holidays off."""

    weekdays: frozenset[int] = frozenset(range(5))
    opens: int = 9 * 60
    closes: int = 18 * 60
    country: str | None = None
    subdivision: str | None = None
    closed_on: frozenset[dt.date] = frozenset()
    _years: dict[int, _Year] = field(default_factory=dict, compare=False, repr=False)
    _before: dict[int, dt.timedelta] = field(default_factory=dict, compare=False, repr=False)

    def is_working(self, day: dt.date) -> bool:
        """Return whether it opens at all on a local day."""
        if day.weekday() not in self.weekdays or day in self.closed_on:
            return False
        return self.country is None or day not in _off(self.country, self.subdivision, day.year)

    def position(self, at: dt.datetime) -> dt.timedelta:
        """Return the open time between 2020 and an instant in UTC."""
        year = self._year(at.year)
        behind = bisect_right(year.opens, at) - 1
        if behind < 0:
            return self._until(at.year)
        spent = min(at, year.closes[behind]) - year.opens[behind]
        return self._until(at.year) + year.before[behind] + spent

    def instant(self, position: dt.timedelta) -> dt.datetime:
        """Return the first instant, in UTC, with that much open time before it."""
        number = BASE_YEAR
        while self._until(number + 1) < position:
            number += 1
        while self._until(number) >= position:
            number -= 1
        year, rest = self._year(number), position - self._until(number)
        behind = bisect_left(year.before, rest) - 1
        return year.opens[behind] + (rest - year.before[behind])

    def _until(self, number: int) -> dt.timedelta:
        """Return the open time between 2020 and the start of a year, in UTC."""
        known = self._before.get(number)
        if known is None:
            if number == BASE_YEAR:
                known = NOTHING
            elif number > BASE_YEAR:
                known = self._until(number - 1) + self._year(number - 1).total
            else:
                known = self._until(number + 1) - self._year(number).total
            self._before[number] = known
        return known

    def _year(self, number: int) -> _Year:
        known = self._years.get(number)
        if known is None:
            known = self._years[number] = _Year.of(self, number)
        return known


@dataclass(frozen=True)
class _Year:
    """The open intervals of a calendar in one year of UTC, and the open time before each."""

    opens: list[dt.datetime]
    closes: list[dt.datetime]
    before: list[dt.timedelta]
    total: dt.timedelta

    @classmethod
    def of(cls, calendar: BusinessCalendar, number: int) -> _Year:
        first, end = (dt.datetime(n, 1, 1, tzinfo=dt.UTC) for n in (number, number + 1))
        year = cls([], [], [], NOTHING)
        total, day = NOTHING, dt.date(number, 1, 1) - DAY
        while day <= dt.date(number + 1, 1, 1):
            for opens, closes in _intervals(calendar, day):
                since, until = max(opens, first), min(closes, end)
                if since < until:
                    year.opens.append(since)
                    year.closes.append(until)
                    year.before.append(total)
                    total += until - since
            day += DAY
        return cls(year.opens, year.closes, year.before, total)


def _intervals(
    calendar: BusinessCalendar, day: dt.date
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield when it is open on a local day, in UTC: twice where the clocks change meanwhile."""
    if not calendar.is_working(day):
        return
    start, end = _midnight(day, calendar.zone), _midnight(day + DAY, calendar.zone)
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    opens, closes = (dt.timedelta(minutes=m) for m in (calendar.opens, calendar.closes))
    for since, until in _pieces(start, end, calendar.zone):
        offset = _offset(since, calendar.zone)
        piece = max(midnight + opens - offset, since), min(midnight + closes - offset, until)
        if piece[0] < piece[1]:
            yield piece


def _pieces(
    start: dt.datetime, end: dt.datetime, zone: ZoneInfo
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield the parts of a day in which the zone's offset is one."""
    last = end - dt.timedelta(microseconds=1)
    if _offset(start, zone) == _offset(last, zone):
        yield start, end
        return
    before, after = start, last
    while after - before > dt.timedelta(microseconds=1):
        middle = before + (after - before) / 2
        if _offset(middle, zone) == _offset(start, zone):
            before = middle
        else:
            after = middle
    yield start, after
    yield after, end


def _offset(at: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    return at.astimezone(zone).utcoffset() or NOTHING


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


@cache
def _off(country: str, subdivision: str | None, year: int) -> frozenset[dt.date]:
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))


def business(
    zone: str,
    weekdays: Collection[int],
    opens: int,
    closes: int,
    country: str | None = None,
    subdivision: str | None = None,
    closed_on: frozenset[dt.date] = frozenset(),
) -> BusinessCalendar:
    """Return a calendar open on weekdays (0 is Monday) between two local minutes of the day."""
    return BusinessCalendar(
        ZoneInfo(zone), frozenset(weekdays), opens, closes, country, subdivision, closed_on
    )


def compiled(entry: CalendarEntry) -> Calendar:
    """Return the calendar that the register describes."""
    if not entry.days:
        return Calendar(ZoneInfo(entry.zone))
    return business(
        entry.zone,
        frozenset(WEEKDAYS.index(day) for day in entry.days),
        _minutes(entry.opens),
        _minutes(entry.closes),
        entry.country,
        entry.subdivision,
        frozenset(entry.closed_on),
    )


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return 60 * int(hours) + int(minutes)
