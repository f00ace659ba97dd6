"""What a client wishes of its answer: which format, how it is laid out, which part of it, and what of a write.

Asked for by headers and by parameters that FHIR defines for every interaction; the parameters are taken out here, so
that a search sees only what narrows it.

Source: FHIR R4, sections 3.1.0.1.8 to 3.1.0.1.12 "General parameters", 3.1.0.1.5 "Content negotiation", 3.1.0.6
"Prefer"; RFC 7240.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from health_exchange.api.bodies import FHIR_JSON
from health_exchange.fhir.layout import indented
from health_exchange.model.errors import Category, ExchangeError

Pairs = Sequence[tuple[str, str]]

_FORMATS = frozenset({"json", "application/json", FHIR_JSON, "text/json", "application/json+fhir"})
_ACCEPTED = _FORMATS | {"*/*", "application/*", "text/*"}
_TRUTH: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})
_GENERAL = frozenset({"_format", "_pretty"})


class NotAcceptableError(ExchangeError):
    """The client takes no format that this door writes."""

    category = Category.UNSUPPORTED
    code = "not-acceptable"


class BadWishError(ExchangeError):
    """A general parameter has a value that it cannot have."""

    category = Category.INCORRECT
    code = "bad-parameter"


class Return(StrEnum):
    """What a client that writes wants back."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OUTCOME = "OperationOutcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How one client wants its answer.

    Attributes:
        pretty: With line ends and indentation.
        media_type: What the answer is called.
        returns: What of a write; ``None`` where it says nothing.
        pairs: The other parameters of the URL, in order.
    """

    pretty: bool
    media_type: str
    returns: Return | None
    pairs: Pairs

    @classmethod
    def of(cls, request: Request) -> "Wishes":
        """What ``request`` asks for.

        Raises:
            NotAcceptableError: No format of ours.
            BadWishError: A value that the parameter cannot have.
        """
        pairs = list(request.query_params.multi_items())
        return cls(
            pretty=_TRUTH[_one(pairs, "_pretty", _TRUTH, "false")],
            media_type=_media_type(pairs, request.headers.get("accept", "")),
            returns=_returns(request.headers.getlist("prefer")),
            pairs=[pair for pair in pairs if pair[0] not in _GENERAL],
        )

    def granted(self, request: Request, response: Response) -> Response:
        """``response`` as wished: laid out, and without its body where only the head is asked for."""
        own = response.headers.get("content-type", "").partition(";")[0]
        if own == FHIR_JSON and response.body:
            if self.pretty:
                response.body = indented(bytes(response.body))
                response.headers["content-length"] = str(len(response.body))
            response.headers["content-type"] = self.media_type
        if request.method == "HEAD":
            response.body = b""
        return response


def _one(pairs: Pairs, name: str, offered: Iterable[str], absent: str) -> str:
    """The one value of a parameter."""
    values = [value for given, value in pairs if given == name]
    if not values:
        return absent
    if len(values) > 1 or values[0] not in offered:
        raise BadWishError(f"{name} is one of {', '.join(offered)}", where=name)
    return values[0]


def _media_type(pairs: Pairs, accept: str) -> str:
    """What the answer is called; ``_format`` goes before ``Accept``."""
    # In a URL a plus sign that nobody has escaped is a space.
    formats = [value.replace(" ", "+").partition(";")[0].lower() for name, value in pairs if name == "_format"]
    if formats:
        if len(formats) > 1 or formats[0] not in _FORMATS:
            raise NotAcceptableError(f"this door writes {FHIR_JSON}", where="_format")
        return FHIR_JSON
    wanted = [kind for kind in accept.split(",") if kind.strip()]
    taken = [kind.partition(";")[0].strip().lower() for kind in wanted if not _is_refused(kind)]
    if wanted and not _ACCEPTED & set(taken):
        raise NotAcceptableError(f"this door writes {FHIR_JSON}")
    plain = "application/json" in taken and not {FHIR_JSON, "*/*", "application/*"} & set(taken)
    return "application/json" if plain else FHIR_JSON


def _is_refused(kind: str) -> bool:
    """Whether a part of ``Accept`` says that it is not wanted."""
    parameters = [parameter.strip() for parameter in kind.lower().split(";")[1:]]
    return any(each in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for each in parameters)


def _returns(headers: Iterable[str]) -> Return | None:
    """What a write gives back; a preference that is not known is passed over, as RFC 7240 has it."""
    for header in headers:
        for preference in header.replace(";", ",").split(","):
            name, _equals, value = preference.strip().partition("=")
            if name.strip().lower() == "return" and value.strip().strip('"') in set(Return):
                return Return(value.strip().strip('"'))
    return None
