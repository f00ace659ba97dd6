"""Dates as spans of time: what a date of some precision means, and how search compares two of them.

Pure. A date or time without a zone is local time of the country (UTC+8), in queries and in resources alike.

Source: FHIR R4, section 3.1.1.4.5 "Number, Date and Quantity comparisons" (search.html#prefix).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

from health_exchange.model.errors import Category, ExchangeError

LOCAL = timezone(timedelta(hours=8))
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)
_EDGE = timedelta(days=1)
_SECONDS_MAX = 59
"""A leap second (``:60``) is a valid instant, which the calendar of the library does not have."""

_PARTS = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_MICROSECONDS = 6
_MONTHS = 12


class BadDateError(ExchangeError):
    """A date that is none."""

    category = Category.INCORRECT
    code = "bad-date"


class Comparator(StrEnum):
    """The prefixes of a date, number or quantity in a query."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From ``start`` up to, not including, ``end``; both aware."""

    start: datetime
    end: datetime


def span_of(text: str) -> Span:
    """All instants that a FHIR date, dateTime or instant may mean.

    Args:
        text: ``2024``, ``2024-05``, ``2024-05-06``, or with a time. Untrusted.

    Raises:
        BadDateError: It is no date; the text is not repeated.
    """
    match = _PARTS.fullmatch(text.strip())
    if match is None:
        raise BadDateError("a date is written YYYY, YYYY-MM, YYYY-MM-DD or with a time hh:mm[:ss] and zone")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if not EARLIEST.year < int(year) < LATEST.year:
        # Years written for "since ever" and "open end": all of them are the edge of the calendar.
        return Span(EARLIEST, EARLIEST + _EDGE) if int(year) <= EARLIEST.year else Span(LATEST - _EDGE, LATEST)
    try:
        start = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            min(int(second or 0), _SECONDS_MAX),
            int((fraction or "0").ljust(_MICROSECONDS, "0")[:_MICROSECONDS]),
            tzinfo=_zone(zone),
        )
        end = _next(start, month, day, hour, second, fraction)
        return Span(start.astimezone(UTC), end.astimezone(UTC))
    except ValueError:
        pass
    raise BadDateError("there is no such date")


def period_of(start: str | None, end: str | None) -> Span:
    """A Period, whose missing ends are open.

    Raises:
        BadDateError: One of its ends is no date.
    """
    return Span(span_of(start).start if start else EARLIEST, span_of(end).end if end else LATEST)


def compare(comparator: Comparator, asked: Span, kept: Span) -> bool:
    """Whether the resource's ``kept`` span is what ``asked`` with its prefix looks for."""
    within = asked.start <= kept.start and kept.end <= asked.end
    nearly = _widened(asked) if comparator is Comparator.AP else asked
    above, below = kept.end > asked.end, kept.start < asked.start
    return {
        Comparator.EQ: within,
        Comparator.NE: not within,
        Comparator.GT: above,
        Comparator.GE: above or within,
        Comparator.LT: below,
        Comparator.LE: below or within,
        Comparator.SA: kept.start >= asked.end,
        Comparator.EB: kept.end <= asked.start,
        Comparator.AP: kept.end > nearly.start and kept.start < nearly.end,
    }[comparator]


def _widened(asked: Span) -> Span:
    """A span with as much again before and after it: what is approximately then, by how precisely it was said."""
    length = asked.end - asked.start
    start = EARLIEST if asked.start - EARLIEST < length else asked.start - length
    return Span(start, LATEST if LATEST - asked.end < length else asked.end + length)


def _zone(text: str | None) -> timezone:
    """A zone as written in a time."""
    if text is None:
        return LOCAL
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _next(  # the parts of a date, as matched
    start: datetime, month: str | None, day: str | None, hour: str | None, second: str | None, fraction: str | None
) -> datetime:
    """Where the span that begins at ``start`` ends, by the precision it was written with."""
    if month is None:
        return start.replace(year=start.year + 1)
    if day is None:
        later = start.month == _MONTHS
        return start.replace(year=start.year + later, month=1 if later else start.month + 1)
    if hour is None:
        return start + timedelta(days=1)
    if second is None:
        return start + timedelta(minutes=1)
    if fraction is None:
        return start + timedelta(seconds=1)
    return start + timedelta(microseconds=10 ** max(0, _MICROSECONDS - len(fraction)))
