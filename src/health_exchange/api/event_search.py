"""Searches for AuditEvents: the parameters of ITI-81 that a log's entries can answer, as a question to the log.

What a log keeps is asked of the log; type, subtype and action are how entries look as events, so they choose kinds of
entries first and are looked at again on the events made. Anything else is refused, never ignored.

Source: IHE ITI TF-2 3.81 (Retrieve ATNA Audit Event), FHIR R4 AuditEvent search parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from msgspec import structs

from health_exchange.audit.balp import (
    CLIENT_SYSTEM,
    KIND_SYSTEM,
    NODE_SYSTEM,
    OUTCOMES,
    PATTERNS,
    PSEUDONYM_SYSTEM,
    REQUEST_SYSTEM,
    Pattern,
)
from health_exchange.audit.questions import LogQuestion
from health_exchange.pseudonym.identities import NATIONAL_ID_SYSTEMS, looks_like_national_id
from health_exchange.search.query import UnknownParameterError
from health_exchange.search.spans import Comparator, span_of
from health_exchange.search.values import BadSearchError

COUNT_DEFAULT, COUNT_MAX = 50, 200
BEFORE = "_before"
_NUMBER_DIGITS_MAX = 15


class Offered(NamedTuple):
    """A parameter as the CapabilityStatement tells it."""

    type: str
    documentation: str


PARAMETERS: Mapping[str, Offered] = MappingProxyType(
    {
        "_id": Offered("token", ""),
        "action": Offered("token", "C, R, U, D or E."),
        "agent.identifier": Offered("token", f"Client id of who did it; system {CLIENT_SYSTEM}."),
        "date": Offered("date", "Prefixes eq, gt, ge, lt, le."),
        "entity.identifier": Offered("token", f"A person ({PSEUDONYM_SYSTEM}) or a request ({REQUEST_SYSTEM})."),
        "outcome": Offered("token", "0 allowed, 4 failed, 8 refused."),
        "patient.identifier": Offered("token", f"A person by pseudonym; system {PSEUDONYM_SYSTEM}."),
        "source.identifier": Offered("token", f"The node that keeps the log, or the other one; system {NODE_SYSTEM}."),
        "subtype": Offered("token", "Of the pattern, or the kind of entry."),
        "type": Offered("token", ""),
    }
)
_REQUEST = "request"
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "_id": "position",
        "agent.identifier": "who",
        "outcome": "outcome",
        "patient.identifier": "person",
        _REQUEST: "request_id",
        "source.identifier": "node",
    }
)
"""Which condition of a question to the log each parameter is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSearch:
    """A search for events.

    Attributes:
        question: What the log is asked.
        codes: What events must have, by parameter: any of these (system, code), an empty system standing for any.
        count: Entries a page is made of.
        before: Where the page goes on.
        pairs: As asked, without the page.
    """

    question: LogQuestion
    codes: Mapping[str, Sequence[tuple[str, str]]]
    count: int
    before: int | None
    pairs: Sequence[tuple[str, str]]

    def wants(self, pattern: Pattern, kind: str) -> bool:
        """Whether an entry of a kind that follows ``pattern`` is looked for."""
        own_subtypes = {(KIND_SYSTEM, kind)} | ({pattern.subtype} if pattern.subtype else set())
        has = {"type": {pattern.type}, "subtype": own_subtypes, "action": {("", pattern.action)}}
        return all(
            any(code == own and system in {"", where} for system, code in wanted for where, own in has[name])
            for name, wanted in self.codes.items()
        )


def read_event_search(pairs: Sequence[tuple[str, str]]) -> EventSearch:
    """The search as asked, checked.

    Raises:
        UnknownParameterError: It asks for what this door does not offer.
        BadSearchError: A value is none, is given twice, or may be a national ID.
        BadDateError: A date is none.
    """
    question, count, before = LogQuestion(), COUNT_DEFAULT, None
    codes: dict[str, Sequence[tuple[str, str]]] = {}
    for name, value in pairs:
        if name == "_count":
            count = min(_number(name, value), COUNT_MAX)
        elif name == BEFORE:
            before = _number(name, value)
        elif name in {"type", "subtype", "action"}:
            if name in codes:
                raise BadSearchError(f"{name} is given once; separate values by commas")
            codes[name] = [_token(text) for text in value.split(",")]
        elif name in PARAMETERS:
            question = _with(question, name, value)
        else:
            raise UnknownParameterError(f"AuditEvent is not searched by {_shown(name)}")
    kinds = tuple(sorted({kind for kind, _variant in PATTERNS if _may_be(kind, codes)}) if codes else ())
    asked = [(name, value) for name, value in pairs if name != BEFORE]
    question = structs.replace(question, kinds=kinds) if codes else question
    return EventSearch(question=question, codes=codes, count=max(count, 1), before=before, pairs=asked)


def _may_be(kind: str, codes: Mapping[str, Sequence[tuple[str, str]]]) -> bool:
    """Whether an entry of a kind may become an event with these codes."""
    probe = EventSearch(question=LogQuestion(), codes=codes, count=1, before=None, pairs=())
    return any(probe.wants(pattern, kind) for (of, _variant), pattern in PATTERNS.items() if of == kind)


def _with(question: LogQuestion, name: str, value: str) -> LogQuestion:
    """The question with one more condition."""
    if name == "date":
        return _dated(question, value)
    system, code = _token(value)
    if system in NATIONAL_ID_SYSTEMS or looks_like_national_id(code):
        raise BadSearchError("a log knows persons by pseudonym; ask by identity at /operator/v1/audit/search")
    if name == "entity.identifier":
        name = "patient.identifier" if system == PSEUDONYM_SYSTEM else _REQUEST
    field = _FIELDS[name]
    if field in question.conditions:
        raise BadSearchError(f"{name} is given twice; no entry can have two values of it")
    if field == "position":
        return structs.replace(question, position=_number(name, code.partition(".")[0]))
    return structs.replace(question, **{field: _outcome(code) if field == "outcome" else code})


def _dated(question: LogQuestion, value: str) -> LogQuestion:
    """A date as the bounds it stands for."""
    prefix = value[:2] if value[:2] in set(Comparator) else ""
    comparator = Comparator(prefix or "eq")
    span = span_of(value[len(prefix) :])
    start, end = span.start.isoformat(), span.end.isoformat()
    bounds = {
        Comparator.EQ: (start, end),
        Comparator.GE: (start, ""),
        Comparator.GT: (end, ""),
        Comparator.LT: ("", start),
        Comparator.LE: ("", end),
    }.get(comparator)
    if bounds is None:
        raise BadSearchError("date takes the prefixes eq, gt, ge, lt and le")
    since, until = bounds
    return structs.replace(
        question,
        since=max(question.since, since),
        until=min((each for each in (question.until, until) if each), default=""),
    )


def _token(value: str) -> tuple[str, str]:
    """System and code; the system is empty where none is named."""
    system, bar, code = value.rpartition("|")
    if not code:
        raise BadSearchError("a value is code or system|code")
    return (system if bar else ""), code


def _outcome(code: str) -> str:
    """The word of the log for an outcome's code."""
    words = {known: word for word, known in OUTCOMES.items()}
    if code not in words:
        raise BadSearchError("outcome is 0, 4 or 8")
    return words[code]


def _number(name: str, value: str) -> int:
    """A whole number."""
    if not (value.isascii() and value.isdecimal() and len(value) <= _NUMBER_DIGITS_MAX):
        raise BadSearchError(f"{name} is a whole number")
    return int(value)


def _shown(name: str) -> str:
    """A parameter's name where it can be shown."""
    return name if name.replace("-", "").replace("_", "").replace(".", "").replace(":", "").isalpha() else "that"
