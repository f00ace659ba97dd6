"""What a client sends: bodies within bounds and of a media type that is read here, forms, and entity tags.

Source: FHIR R4, section 3.1.0.1 "RESTful API"; RFC 9110, sections 8.8 and 13.1.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request

from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError

FHIR_JSON = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
FORM_BYTES_MAX = 64 << 10
PARAMETERS_BYTES_MAX = 64 << 10
"""Of an operation's Parameters where they hold no resource."""
FORM_FIELDS_MAX = 100
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SECOND = timedelta(seconds=1)
_JSON = frozenset({FHIR_JSON, "application/json", "text/json", "application/json+fhir"})


class OversizedBodyError(ExchangeError):
    """The body is larger than this door takes."""

    category = Category.TOO_LARGE
    code = "oversized-body"


class UnsupportedMediaError(ExchangeError):
    """Something else than what the interaction takes is sent."""

    category = Category.UNSUPPORTED
    code = "unsupported-media"


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The request's body.

    Raises:
        OversizedBodyError: It is, or says it is, larger than ``bytes_max``; nothing of the rest is read.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise OversizedBodyError(f"a body has at most {bytes_max} bytes, this one declares {declared}")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise OversizedBodyError(f"a body has at most {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_fhir(request: Request, bytes_max: int) -> bytes:
    """The body of a request that carries a resource.

    Raises:
        UnsupportedMediaError: It is not said to be FHIR's JSON.
        OversizedBodyError: As :func:`read_body`.
    """
    check_media(request.headers)
    return await read_body(request, bytes_max)


def check_media(headers: Headers) -> None:
    """Raise ``UnsupportedMediaError`` unless a body is said to be FHIR's JSON."""
    if media_type(headers) not in _JSON:
        raise UnsupportedMediaError(f"send {FHIR_JSON}")


async def read_patch(request: Request, bytes_max: int) -> bytes:
    """The body of a request that carries a JSON Patch.

    Raises:
        UnsupportedMediaError: It is another kind of patch, or none.
        OversizedBodyError: As :func:`read_body`.
    """
    if media_type(request.headers) != JSON_PATCH:
        raise UnsupportedMediaError(f"send {JSON_PATCH}: other patches are not read here")
    return await read_body(request, bytes_max)


def media_type(headers: Headers) -> str:
    """What the body is said to be, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_form(body: bytes) -> list[tuple[str, str]]:
    """Fields of an ``application/x-www-form-urlencoded`` body."""
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        pass
    raise MalformedResourceError("the body is not an URL-encoded form")


def is_known_to_client(
    if_none_match: str, known_before: datetime | None, *, version: int, changed_at: datetime
) -> bool:
    """Whether the client has this very version already.

    Args:
        if_none_match: Entity tags, or ``*``; where there are any, the time is not looked at.
        known_before: It has what was made before this.
        version: What it would get.
        changed_at: When that was made.
    """
    if if_none_match.strip():
        tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        return "*" in tags or f'"{version}"' in tags
    return known_before is not None and changed_at < known_before


def date_of(instant: datetime) -> str:
    """An instant as a date of HTTP."""
    at = instant.astimezone(UTC)
    # Every answer has one, and the library writes it several times as slowly.
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"


def end_of(date: str) -> datetime | None:
    """The end of the second that a date of HTTP means; one that is none counts as absent."""
    try:
        second = parsedate_to_datetime(date)
        return (second if second.tzinfo is not None else second.replace(tzinfo=UTC)) + _SECOND
    # A zone may be so far away that no clock has it.
    except (ValueError, OverflowError):
        return None
