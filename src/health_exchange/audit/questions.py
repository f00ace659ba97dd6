"""What an auditor asks of a log: conditions that must all hold, and nothing that could not stand in a log itself.

A person is asked for by pseudonym; whoever has an identity in hand has it made into one first (``node.oversight``).
"""

import re
from datetime import UTC, datetime

import msgspec

from health_exchange.audit.entries import AuditEntry
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym

_TEXT_MAX = 200
POSITION_MAX = 2**53
_PSEUDONYM = re.compile(r"[a-z2-7]{26}")
_YEARS = (1900, 9000)


class BadQuestionError(ExchangeError):
    """A question to a log that cannot be: an unknown condition, or a value that is none."""

    category = Category.INCORRECT
    code = "bad-log-question"


class LogQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which entries are wanted; an empty condition asks nothing.

    Attributes:
        person: Pseudonym of somebody whose record was touched.
        who: The principal.
        facility: Code of the principal's organisation.
        node: The node that wrote the entry, or the other one it speaks of.
        purpose: PurposeOfUse code.
        outcome: ``allowed``, ``refused`` or ``failed``.
        kinds: Any of these kinds.
        actions: Any of these actions.
        request_id: Of this request, across all hops.
        since: First instant, ISO 8601; a date is its midnight UTC.
        until: First instant no longer wanted.
        position: Only the entry at this place.
    """

    person: Pseudonym = Pseudonym("")
    who: str = ""
    facility: str = ""
    node: str = ""
    purpose: str = ""
    outcome: str = ""
    kinds: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    request_id: str = ""
    since: str = ""
    until: str = ""
    position: int | None = None

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions it has, never their values: what stands in the log about the reading of it."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) not in ("", (), None))


def check_question(question: LogQuestion) -> LogQuestion:
    """``question``, once its values can be.

    Raises:
        BadQuestionError: An instant is none, a text is too long, or a position is negative.
    """
    for name in question.conditions:
        value = getattr(question, name)
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and len(text) > _TEXT_MAX for text in texts):
            raise BadQuestionError(f"the condition {name} is longer than {_TEXT_MAX} characters")
    if question.person and not _PSEUDONYM.fullmatch(question.person):
        raise BadQuestionError("a person is asked for by pseudonym, 26 letters and digits")
    read_bound(question.since, "since")
    read_bound(question.until, "until")
    if question.position is not None and not 0 <= question.position < POSITION_MAX:
        raise BadQuestionError("a position is a whole number from 0")
    return question


def read_bound(text: str, name: str) -> datetime | None:
    """An instant, or ``None`` for an empty text.

    Raises:
        BadQuestionError: It is neither a date nor an instant.
    """
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or not _YEARS[0] <= instant.year <= _YEARS[1]:
        raise BadQuestionError(f"{name} must be a date (2026-11-24) or an instant (2026-11-24T08:00:00Z)")
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


class Conditions:
    """A question taken apart once, to be put to many entries."""

    def __init__(self, question: LogQuestion) -> None:
        self._question = question
        self.since = read_bound(question.since, "since")
        self.until = read_bound(question.until, "until")

    def hold_for(self, entry: AuditEntry) -> bool:
        """Whether the question asks for ``entry``; its position is not looked at."""
        asked = self._question
        return (
            (not asked.person or asked.person in entry.subjects)
            and (not asked.who or asked.who == entry.principal)
            and (not asked.facility or asked.facility == entry.organization)
            and (not asked.node or asked.node in {entry.node, entry.peer})
            and (not asked.purpose or asked.purpose == entry.purpose)
            and (not asked.outcome or asked.outcome == entry.outcome)
            and (not asked.kinds or entry.kind in asked.kinds)
            and (not asked.actions or entry.action in asked.actions)
            and (not asked.request_id or asked.request_id == entry.request_id)
            and self._in_time(entry)
        )

    def _in_time(self, entry: AuditEntry) -> bool:
        """Whether it falls between the bounds; an entry without a readable instant always does."""
        if self.since is None and self.until is None:
            return True
        at = read_bound(entry.at, "at")
        return at is None or ((self.since is None or at >= self.since) and (self.until is None or at < self.until))
