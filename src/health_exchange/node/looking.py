"""Looking at what is kept on behalf of a write: what fails there tells of it, so it is told as policy lets it be.

Whoever may not read a resource hears of a condition on its version what he would hear if nothing were there, and of a
place that was to be free that policy keeps it from him. He deletes nothing that he may not read, and of what a
condition finds, or an update writes over, he hears id and version only where he may read it. What fails is in the log
before he hears it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from health_exchange.fhir.elements import resource_types
from health_exchange.model.errors import ExchangeError, ForbiddenError
from health_exchange.node.callers import Caller
from health_exchange.node.conditions import Sieve
from health_exchange.node.parts import NodeParts
from health_exchange.node.resolution import Place
from health_exchange.node.seeing import Answer, enter, hiding, refused
from health_exchange.node.snapshots import (
    AlreadyThereError,
    IdTakenError,
    NothingToDeleteError,
    Planned,
    Snapshot,
    StaleReadError,
    VersionMismatchError,
    check_version,
)
from health_exchange.node.writes import WriteRequest
from health_exchange.policy.decisions import Action
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource

T = TypeVar("T")

_TELL_OF_ONE = (AlreadyThereError, IdTakenError, NothingToDeleteError, VersionMismatchError)
_TELL_IT_IS_THERE = (AlreadyThereError, IdTakenError)


async def look(
    parts: NodeParts,
    caller: Caller,
    requests: Sequence[WriteRequest],
    ask: Callable[[Transaction], T],
    *,
    whose: Collection[int],
) -> T:
    """What ``ask`` finds for ``requests``.

    Args:
        parts: The node's.
        caller: Who asks.
        requests: What he asks.
        ask: Looks for it.
        whose: Subjects of what conditions have found, once ``ask`` was at them.

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
    answer = await parts.store.read(lambda tx: _told(tx, parts, caller, requests, failed, whose))
    await enter(parts, caller, answer)
    raise answer.error or failed


def sieve_of(parts: NodeParts, caller: Caller) -> Sieve:
    """Leaves those of some resources that the caller may read."""

    def seen(tx: Transaction, found: Sequence[StoredResource]) -> list[StoredResource]:
        owners = subjects.by_sids(tx, {each.sid for each in found})
        return [each for each in found if hiding(parts, caller, owners, each, each) is None]

    return seen


async def hidden_among(
    parts: NodeParts, caller: Caller, planned: Iterable[Planned], snapshot: Snapshot
) -> frozenset[Place]:
    """Places of what conditional creates have found, or updates write over, and the caller may not read.

    Raises:
        NothingToDeleteError: He would delete what he may not read; he hears it as if nothing were there.
        VersionMismatchError: He names its version, be it the right one.
    """
    hidden = set()
    for each in planned:
        kept, owner = snapshot.standing.get(each.place), snapshot.owner_of(each.place)
        asks = each.is_found or each.request.method in {"DELETE", "PUT"} or each.request.if_match is not None
        by = hiding(parts, caller, snapshot.owners, kept, kept) if kept is not None and asks else None
        if by is None:
            continue
        hidden.add(each.place)
        failed = _failure_without(each)
        if failed is not None:
            whose = snapshot.found_of
            if owner is not None and owner.pseudonym is not None:
                whose.add(owner.pseudonym)
            said = snapshot.summary(f"1 {each.place.type}")
            await enter(parts, caller, refused(*by, error=failed, subjects=tuple(sorted(whose)), summary=said))
            raise failed
    return frozenset(hidden)


def _failure_without(planned: Planned) -> ExchangeError | None:
    """What a request would come to if nothing had ever been at its place."""
    try:
        check_version(planned, None)
    except ExchangeError as error:
        return error
    return None


def searched(requests: Sequence[WriteRequest]) -> set[str]:
    """Types that conditions look at, as far as they were written."""
    by_reference = {text.partition("?")[0] for each in requests for text in each.references if "?" in text}
    return by_reference | {each.type for each in requests if each.if_none_exist or each.condition}


def _told(  # a failure with all that it was about
    tx: Transaction,
    parts: NodeParts,
    caller: Caller,
    requests: Sequence[WriteRequest],
    error: ExchangeError,
    found: Collection[int],
) -> Answer:
    """What the caller hears of a failure, with what the log says of it."""
    by_search = searched(requests)
    names = ", ".join(sorted((by_search or {each.type for each in requests}) & resource_types()))
    summary = f"conditions: {names}" if by_search else f"what is there: {names}"
    one = next((each for each in requests if each.where == error.where), None)
    at = (one.id or one.own_id) if one is not None and isinstance(error, _TELL_OF_ONE) else None
    kept = resources.current(tx, one.type, at) if one is not None and at is not None else None
    owners = subjects.by_sids(tx, {*found, *([kept.sid] if kept is not None else ())})
    whose = tuple(sorted({owner.pseudonym for owner in owners.values() if owner.pseudonym is not None}))
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
