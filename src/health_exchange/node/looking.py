"""Looking at what is kept on behalf of a write: what fails there tells of it, so it is told as policy lets it be.

Whoever may not read a resource hears of a condition on its version what he would hear if nothing were there, and of a
place that was to be free that policy keeps it from him. Either way it is in the log before he hears it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from health_exchange.fhir.elements import resource_types
from health_exchange.model.errors import ExchangeError, ForbiddenError
from health_exchange.node.callers import Caller
from health_exchange.node.parts import NodeParts
from health_exchange.node.seeing import Answer, enter, hiding, refused
from health_exchange.node.snapshots import (
    AlreadyThereError,
    IdTakenError,
    NothingToDeleteError,
    StaleReadError,
    VersionMismatchError,
)
from health_exchange.node.writes import WriteRequest
from health_exchange.policy.decisions import Action
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Transaction

T = TypeVar("T")

_TELL_OF_ONE = (AlreadyThereError, IdTakenError, NothingToDeleteError, VersionMismatchError)
_TELL_IT_IS_THERE = (AlreadyThereError, IdTakenError)


async def look(
    parts: NodeParts, caller: Caller, requests: Sequence[WriteRequest], ask: Callable[[Transaction], T]
) -> T:
    """What ``ask`` finds for ``requests``.

    Raises:
        ExchangeError: As ``ask`` does; it is in the log before the caller hears it.
        ForbiddenError: Something is where nothing may be, and he may not know of it.
    """
    try:
        # Only what looks for others by condition may take long.
        return await parts.store.read(ask, asker=caller.principal.id if searched(requests) else None)
    except StaleReadError:
        raise
    except ExchangeError as error:
        failed = error
    answer = await parts.store.read(lambda tx: _told(tx, parts, caller, requests, failed))
    await enter(parts, caller, answer)
    raise answer.error or failed


def searched(requests: Sequence[WriteRequest]) -> set[str]:
    """Types that conditions look at, as far as they were written."""
    by_reference = {text.partition("?")[0] for each in requests for text in each.references if "?" in text}
    return by_reference | {each.type for each in requests if each.if_none_exist or each.condition}


def _told(
    tx: Transaction, parts: NodeParts, caller: Caller, requests: Sequence[WriteRequest], error: ExchangeError
) -> Answer:
    """What the caller hears of a failure, with what the log says of it."""
    by_search = searched(requests)
    names = ", ".join(sorted((by_search or {each.type for each in requests}) & resource_types()))
    summary = f"conditions: {names}" if by_search else f"what is there: {names}"
    one = next((each for each in requests if each.where == error.where), None)
    at = (one.id or one.own_id) if one is not None and isinstance(error, _TELL_OF_ONE) else None
    kept = resources.current(tx, one.type, at) if one is not None and at is not None else None
    owners = subjects.by_sids(tx, [kept.sid] if kept is not None else ())
    whose = tuple(owner.pseudonym for owner in owners.values() if owner.pseudonym is not None)
    hidden = hiding(parts, caller, owners, kept, kept) if kept is not None else None
    if hidden is not None and isinstance(error, _TELL_IT_IS_THERE):
        unsaid = ForbiddenError("policy keeps from you what is at this place", where=error.where)
        return refused(*hidden, error=unsaid, subjects=whose, summary=summary)
    return Answer(
        action=Action.SEARCH if by_search else Action.READ,
        outcome="failed",
        error=error,
        reason=error.code,
        policy=parts.policies.digest,
        subjects=whose,
        summary=summary,
    )
