"""Every way an operation can fail, named once.

An :class:`ExchangeError` keeps its meaning across three borders: a function call, the peer protocol and the FHIR API.
``category`` says what the caller should do next and is the only thing code branches on; ``code`` is a stable name for
logs, tests and operators; ``detail`` is a sentence that may leave this node.

``detail`` never carries record content, names or national IDs. Quote references, counts and code systems instead:
peers, consoles and log files all show it. An error that only one module raises is defined in that module.

A refusal by policy is no error: see ``policy.decisions.Decision``.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar


class Category(StrEnum):
    """What the caller should do next."""

    INCORRECT = "incorrect"  # change the request; the same one can never succeed
    UNAUTHENTICATED = "unauthenticated"  # say who you are, provably
    FORBIDDEN = "forbidden"  # ask for other rights; the request itself is sound
    NOT_FOUND = "not-found"  # nothing here under that reference
    GONE = "gone"  # it was here and has been deleted
    PRECONDITION = "precondition"  # the state you made your condition does not hold
    TOO_LARGE = "too-large"  # send less at a time
    CONFLICT = "conflict"  # read again, then decide; someone was faster
    UNSUPPORTED = "unsupported"  # this node or version does not do that
    BUSY = "busy"  # send the same request later; we are at a limit
    UNAVAILABLE = "unavailable"  # send the same request later; a peer or disk is away
    FAULT = "fault"  # our defect; tell an operator


RETRYABLE = frozenset({Category.BUSY, Category.UNAVAILABLE})


class ExchangeError(Exception):
    """Base of all failures that cross a border.

    Attributes:
        category: What the caller should do next.
        code: Stable kebab-case name of the reason; never reused for another.
        detail: One sentence that is safe to send to a peer.
        where: FHIRPath-like location of the trouble (``Bundle.entry[3].resource.code``), empty where there is none.
        retry_after_s: Seconds to wait, where ``category`` is retryable.
    """

    category: ClassVar[Category] = Category.FAULT
    code: ClassVar[str] = "fault"

    def __init__(self, detail: str, *, where: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.where = where
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Callable[..., "ExchangeError"], tuple[object, ...]]:
        """As it crosses to another process, whatever its constructor asks for."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[ExchangeError], arguments: tuple[object, ...], state: Mapping[str, object]) -> ExchangeError:
    """The error that another process raised."""
    error = kind.__new__(kind, *arguments)
    vars(error).update(state)
    return error


class MalformedResourceError(ExchangeError):
    """The bytes are not a resource of FHIR R4."""

    category = Category.INCORRECT
    code = "malformed-resource"


class ForbiddenError(ExchangeError):
    """Policy refused; the reasons travel in ``detail`` as policy lets them."""

    category = Category.FORBIDDEN
    code = "forbidden"


class NotFoundError(ExchangeError):
    """Nothing is kept here under that reference."""

    category = Category.NOT_FOUND
    code = "not-found"


class UnavailableError(ExchangeError):
    """A peer, key holder or disk that the request needs is away."""

    category = Category.UNAVAILABLE
    code = "unavailable"


class FaultError(ExchangeError):
    """Our defect. Its cause is in the log, never in ``detail``."""

    category = Category.FAULT
    code = "fault"
