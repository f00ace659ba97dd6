"""FHIR Periods as instants that compare as texts: from the first instant a period names up to the first one after it.

A date without a time is the whole day, month or year, in the country's time.

Source: FHIR R4, section 2.24.0.16 "Period" (an end includes all of what it names).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
_DATE_TIME = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?")
_LOCAL_OFFSET = "+08:00"
_DECEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Instants as texts; an empty one is open."""

    since: str = ""
    until: str = ""

    def within(self, other: "Span") -> "Span":
        """What both share; it may be empty, ``since`` after ``until``."""
        ends = [end for end in (self.until, other.until) if end]
        return Span(since=max(self.since, other.since), until=min(ends, default=""))


def instant_text(at: datetime) -> str:
    """An instant in UTC with microseconds, as resources' clinical dates are kept."""
    return at.astimezone(UTC).strftime(_FORM).rjust(27, "0")


def read_instant_text(text: str) -> datetime:
    """The instant behind :func:`instant_text`; raises ``ValueError``."""
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


def read_period(value: object) -> Span | None:
    """The span of a FHIR Period; open where there is none, ``None`` where it cannot be read."""
    if value is None:
        return Span()
    if not isinstance(value, Mapping) or not value.keys() <= {"start", "end", "id"}:
        return None
    start, end = value.get("start", ""), value.get("end", "")
    try:
        return Span(
            since=instant_text(_named(str(start))[0]) if start else "",
            until=instant_text(_named(str(end))[1]) if end else "",
        )
    except (ValueError, OverflowError):
        return None


def _named(text: str) -> tuple[datetime, datetime]:
    """The first instant that a dateTime names, and the first one after it."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("no FHIR dateTime")
    year, month, day, clock, fraction, zone = match.groups()
    clock = (clock or "00:00:00").replace(":60", ":59")
    micro = ((fraction or ".")[1:] + "000000")[:6]
    first = datetime.fromisoformat(f"{year}-{month or '01'}-{day or '01'}T{clock}.{micro}{zone or _LOCAL_OFFSET}")
    if zone:
        return first, first + (timedelta(microseconds=1) if fraction else timedelta(seconds=1))
    if day:
        return first, first + timedelta(days=1)
    if month and first.month < _DECEMBER:
        return first, first.replace(month=first.month + 1)
    return first, first.replace(year=first.year + 1, month=1)
