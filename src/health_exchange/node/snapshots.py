"""What an admission must know of the database before it writes, from one state, and whether it still holds."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import msgspec

from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.model.identifiers import TOGETHER_BYTES, UUID_RANDOM_BYTES, Pseudonym, uuid_among
from health_exchange.model.randomness import Randomness
from health_exchange.node.conditions import Condition, Finder
from health_exchange.node.resolution import (
    DanglingReferenceError,
    Mention,
    Place,
    entry_places,
    questions,
    refuse_cycles,
    refuse_dangling,
    resolved,
    targets,
)
from health_exchange.node.writes import AmbiguousMatchError, BadRequestError, ConditionMismatchError, WriteRequest
from health_exchange.search.finding import candidate_versions
from health_exchange.search.query import parse_text
from health_exchange.search.terms import Term
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import Head, StoredResource
from health_exchange.store.subjects import Subject

Meaning = tuple[str, frozenset[tuple[str, str, frozenset[Term]]]]
"""Resource type and criteria, however they were written."""


class VersionMismatchError(ExchangeError):
    """``If-Match`` names a version that is not the current one."""

    category = Category.PRECONDITION
    code = "version-mismatch"


class AlreadyThereError(ExchangeError):
    """``If-None-Match: *`` asks for a place where something is."""

    category = Category.PRECONDITION
    code = "already-there"


class IdTakenError(ExchangeError):
    """A conditional update that finds nothing brings the id of a resource that is kept here."""

    category = Category.CONFLICT
    code = "id-taken"


class StaleReadError(ExchangeError):
    """What the request was prepared on has changed meanwhile; it is prepared again."""

    category = Category.BUSY
    code = "stale-read"


class NothingToDeleteError(ExchangeError):
    """A delete of what was never here."""

    category = Category.NOT_FOUND
    code = "not-found"


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One request with its place.

    Attributes:
        request: As asked.
        place: Where it lives.
        is_found: A conditional create that finds something: nothing is written.
        is_absent: A conditional delete that finds nothing: nothing is written, and nothing is at its place.
        is_unmatched: A conditional update that finds nothing, and creates.
    """

    request: WriteRequest
    place: Place
    is_found: bool = False
    is_absent: bool = False
    is_unmatched: bool = False

    @property
    def may_be_known(self) -> bool:
        """Whether others may know of the place: an id that was made for this request is nobody else's."""
        by_client = self.request.id is not None or self.request.condition is not None
        return (by_client or self.is_found) and not self.is_absent

    @property
    def writes(self) -> bool:
        """Whether it may make a version."""
        return not self.is_found and not self.is_absent

    @property
    def where(self) -> str:
        """Place of its resource in the request, for messages."""
        return f"{self.request.where}.resource" if self.request.where else self.place.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The database's answers.

    Attributes:
        candidates: Row and version of what each condition may find.
        standing: What the places of the request hold, not opened; absent for nothing ever.
        owners: Whose that is, and what conditions have found, by subject.
        found: Subjects of what conditions have found.
    """

    candidates: Mapping[Condition, tuple[tuple[int, int], ...]]
    standing: Mapping[Place, StoredResource]
    owners: Mapping[int, Subject]
    found: frozenset[int]

    @property
    def found_of(self) -> set[Pseudonym]:
        """Whom a failure names besides those whose records it is about: it may tell what conditions have found."""
        owners = (self.owners.get(sid) for sid in self.found)
        return {owner.pseudonym for owner in owners if owner is not None and owner.pseudonym is not None}

    def summary(self, types: str) -> str:
        """What the log says of a failure on ``types``, with what conditions have looked at."""
        asked = sorted({kind for kind, _query in self.candidates})
        return f"{types}; conditions: {', '.join(asked)}" if asked else types

    def still_holds(self, tx: Transaction) -> bool:
        """Whether every condition would find the same; versions are checked where they are written."""
        return all(
            candidate_versions(tx, resource_type, query) == before
            for (resource_type, query), before in self.candidates.items()
        )

    def version_of(self, place: Place) -> int:
        """The number of the current version at ``place``; 0 for nothing ever."""
        standing = self.standing.get(place)
        return standing.version if standing else 0

    def owner_of(self, place: Place) -> Subject | None:
        """Whose is what stands at ``place``; ``None`` where nothing does, and for somebody who is no more."""
        standing = self.standing.get(place)
        return self.owners.get(standing.sid) if standing else None

    def is_deleted_already(self, planned: Planned) -> bool:
        """Whether the request deletes what is deleted."""
        standing = self.standing.get(planned.place)
        return planned.request.method == "DELETE" and standing is not None and standing.deleted


def look_up(
    tx: Transaction, requests: Sequence[WriteRequest], randomness: Randomness, finder: Finder, *, base: str, loose: bool
) -> tuple[tuple[Planned, ...], Snapshot, dict[str, str]]:
    """Places for all requests, what they hold, and the rewriting of their references, which ``loose`` may lead nowhere.

    Args:
        tx: The transaction.
        requests: What is asked.
        randomness: For new ids.
        finder: Asks the conditions, from the start.
        base: URL that this node's own resources stand under.
        loose: Whether references may lead nowhere.

    Raises:
        ExchangeError: A condition is ambiguous, a reference leads nowhere, a version is not the one named.
    """
    finder.start_over()
    planned = _plan(tx, requests, randomness, finder)
    # What a conditional create finds stands for what it brought, of which nothing is looked at.
    written = [each.request for each in planned if not each.is_found]
    places = entry_places(requests, [each.place for each in planned])
    _refuse_overlaps(planned)
    refuse_cycles(written, places)
    asked = questions(written, places, base=base, loose=loose)
    rewriting = targets(written, places, base)
    about_to_be = {(each.place.type, each.place.id): each.request.raw for each in planned if each.writes}
    meant = finder.ids_after(tx, asked.searches, about_to_be, rewriting)
    found = {condition: _only(meant[condition], condition, mention) for condition, mention in asked.searches.items()}
    refuse_dangling(asked, _heads(tx, asked.exists))
    named = [each for each in planned if each.may_be_known]
    kept = _heads(tx, (each.place for each in named))
    for each in planned:
        check_version(each, kept.get(each.place))
    standing = resources.sealed_by_rids(tx, [head.rid for head in kept.values()])
    snapshot = Snapshot(
        candidates=finder.candidates,
        standing={Place(type=each.type, id=each.id): each for each, _body in standing.values()},
        owners=subjects.by_sids(tx, finder.whose | {head.sid for head in kept.values()}),
        found=frozenset(finder.whose),
    )
    return planned, snapshot, rewriting | resolved(found)


def patched_id(tx: Transaction, request: WriteRequest, together: Iterable[WriteRequest], finder: Finder) -> str:
    """Id of the resource that a patch is for, which stands ``together`` with others.

    Raises:
        NotFoundError: Its condition finds nothing.
        AmbiguousMatchError: It finds several.
    """
    if request.id is not None:
        return request.id
    found = _one_found(finder.ids_for(tx, request), request, _doomed(tx, together, finder))
    if found is None:
        raise NotFoundError("the condition finds nothing", where=request.where)
    return found.id


def _condition_of(request: WriteRequest) -> Condition | None:
    """What decides where a request's resource lives, where something does."""
    query = request.if_none_exist or request.condition
    return (request.type, query) if query else None


def _meaning(condition: Condition) -> Meaning:
    """What a condition asks, without the order and the escapes of its words."""
    query = parse_text(*condition)
    return query.type, frozenset((each.name, each.modifier, frozenset(each.terms)) for each in query.criteria)


def _plan(
    tx: Transaction, requests: Sequence[WriteRequest], randomness: Randomness, finder: Finder
) -> tuple[Planned, ...]:
    """Where each request's resource lives or is to live.

    Deletes come first: what this request deletes is found by none of its other conditions.
    """
    doomed = _doomed(tx, requests, finder)
    # Two conditions that mean the same would find what the other creates, if that were kept already.
    by_meaning: dict[Meaning, Place] = {}
    planned = []
    together, random = randomness(TOGETHER_BYTES), randomness(UUID_RANDOM_BYTES * len(requests))
    for number, request in enumerate(requests):
        own = random[UUID_RANDOM_BYTES * number : UUID_RANDOM_BYTES * (number + 1)]
        fresh = Place(type=request.type, id=uuid_among(together, own))
        condition = _condition_of(request)
        if condition is None:
            place = fresh if request.id is None else Place(type=request.type, id=request.id)
            planned.append(Planned(request=request, place=place))
        elif (meaning := _meaning(condition)) in by_meaning and request.method == "POST":
            planned.append(Planned(request=request, place=by_meaning[meaning], is_found=True))
        else:
            deletes = request.method == "DELETE"
            one_found = _one_found(finder.ids_for(tx, request), request, frozenset() if deletes else doomed)
            one = _planned(request, one_found, fresh if deletes else by_meaning.get(meaning, fresh))
            if not deletes:
                by_meaning[meaning] = one.place
            planned.append(one)
    return tuple(planned)


def _doomed(tx: Transaction, requests: Iterable[WriteRequest], finder: Finder) -> set[Place]:
    """What a request deletes."""
    doomed: set[Place] = set()
    for request in requests:
        if request.method == "DELETE" and request.id is not None:
            doomed.add(Place(type=request.type, id=request.id))
        elif request.method == "DELETE":
            doomed |= {Place(type=request.type, id=each) for each in finder.ids_for(tx, request)}
    return doomed


def _one_found(ids: Iterable[str], request: WriteRequest, passed_over: AbstractSet[Place]) -> Place | None:
    """The one resource that a request's condition finds, if it finds one."""
    places = [place for each in ids if (place := Place(type=request.type, id=each)) not in passed_over]
    if len(places) > 1:
        raise AmbiguousMatchError("the condition finds more than one resource", where=request.where)
    return places[0] if places else None


def _planned(request: WriteRequest, found: Place | None, fresh: Place) -> Planned:
    """A request whose condition was asked."""
    if request.patched is not None and (found is None or found.id != request.id):
        raise StaleReadError("another request was faster", retry_after_s=0.1)
    if request.method == "DELETE":
        return Planned(request=request, place=found or fresh, is_absent=found is None)
    if request.method == "POST":
        return Planned(request=request, place=found or fresh, is_found=found is not None)
    if found is not None and request.own_id not in {None, found.id}:
        raise ConditionMismatchError("the condition finds another resource than the id names", where=request.where)
    own = Place(type=request.type, id=request.own_id) if request.own_id is not None else fresh
    return Planned(request=request, place=found or own, is_unmatched=found is None)


def _refuse_overlaps(planned: Iterable[Planned]) -> None:
    """Check that no two write one resource; a conditional create that finds something writes nothing."""
    places: set[Place] = set()
    for each in planned:
        if each.place in places and not each.is_found:
            raise BadRequestError(f"two entries write one {each.place.type}", where=each.request.where)
        places |= set() if each.is_found else {each.place}


def _only(ids: Sequence[str], condition: Condition, mention: Mention) -> Place:
    """The one resource that a conditional reference finds."""
    if not ids:
        raise DanglingReferenceError("the conditional reference finds nothing", where=mention.where)
    if len(ids) > 1:
        raise AmbiguousMatchError("the conditional reference finds more than one resource", where=mention.where)
    return Place(type=condition[0], id=ids[0])


def _heads(tx: Transaction, places: Iterable[Place]) -> dict[Place, Head]:
    """What is current at ``places``."""
    found = resources.heads(tx, {(place.type, place.id) for place in places})
    return {Place(type=resource_type, id=resource_id): head for (resource_type, resource_id), head in found.items()}


def check_version(planned: Planned, kept: Head | None) -> None:
    """Check ``If-Match`` and ``If-None-Match``, and that there is something to delete, by what is ``kept`` there."""
    request = planned.request
    if request.patched is not None and request.patched != (kept.version if kept else 0):
        raise StaleReadError("another request was faster", retry_after_s=0.1)
    if request.if_match is not None and (kept is None or request.if_match != kept.version):
        raise VersionMismatchError("If-Match does not name the current version", where=request.where)
    if request.is_new and kept is not None and not kept.deleted:
        raise AlreadyThereError("If-None-Match: * finds a resource", where=request.where)
    if planned.is_unmatched and kept is not None and not kept.deleted:
        raise IdTakenError("the condition finds nothing, and the resource's id is another's", where=request.where)
    if request.method == "DELETE" and kept is None and not planned.is_absent:
        raise NothingToDeleteError("nothing is kept here under that reference", where=request.where)
