"""Instants on the wire: UTC to the microsecond in exactly one spelling, so that signed bytes have one form."""

from datetime import UTC, datetime

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def write_instant(instant: datetime) -> str:
    """``2026-01-01T00:00:00.000000Z``; raises ``ValueError`` for a naive instant."""
    if instant.tzinfo is None:
        raise ValueError("an instant on the wire is aware")
    return instant.astimezone(UTC).strftime(_FORM)


def read_instant(text: str) -> datetime:
    """The instant ``write_instant`` wrote; raises ``ValueError`` for any other spelling."""
    try:
        instant = datetime.strptime(text, _FORM).replace(tzinfo=UTC)
    except ValueError:
        instant = None
    if instant is None or write_instant(instant) != text:
        raise ValueError("an instant is written as 2026-01-01T00:00:00.000000Z")
    return instant
