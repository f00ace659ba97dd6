"""Everything of one person that a caller may see, from all sources: in pages for clients, at once for views made here.

As much a read as any: decided by policy, entered in the log, and only then handed out, page by page. The link to a next
page is sealed (``search.links``) and goes on in the order in which the resources came.

Source: FHIR R4, OperationDefinition Patient-everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from urllib.parse import urlencode

import msgspec

from health_exchange.crypto.sealing import NONCE_BYTES
from health_exchange.fhir.elements import resource_types
from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.node.callers import Caller
from health_exchange.node.parts import NodeParts
from health_exchange.node.rights import Rights, consent_for, question_of, rights
from health_exchange.node.searchsets import searchset, with_source
from health_exchange.node.seeing import ABSENT, Answer, asked, refused
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import Question, decision_on
from health_exchange.search.belongings import LAST, Belonging, Filter, belongings, opened_in_order
from health_exchange.search.finding import FoundPage, page_of
from health_exchange.search.links import LIFETIME, PAGE, BadPageError, open_link, seal_link
from health_exchange.search.query import refuse_parameters
from health_exchange.search.spans import BadDateError, Span, span_of
from health_exchange.search.values import BadSearchError
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject

PAGE_MAX = 1_000
"""Most resources of a page, and as many where nobody says how many: most persons have fewer."""
AT_ONCE_MAX = 20_000
"""Most resources of a view that is made of all of them."""
_SUMMARY = "everything"
ABOUT = b"everything-pages"
_ACTION = Action.VIEW_PERSON
_OFFERED = ("_type", "_since", "_count", "start", "end")
_ROW_BYTES = 8
_DIGITS_MAX = 9


class TooMuchError(ExchangeError):
    """More than one answer carries."""

    category = Category.TOO_LARGE
    code = "too-much"


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything of a person goes on, as a link holds it.

    Attributes:
        person: As in the URL.
        types: Wanted; all where empty.
        since: As asked, and so are ``start`` and ``end``.
        count: Most resources of a page.
        total: As counted for the first page; ``None`` on it.
        last: Row of the last resource of all pages, as wide as any: it grows with what others have.
        expires_at: When the link ends.
        after: The page begins behind this row.
    """

    person: str
    types: tuple[str, ...]
    since: str
    start: str
    end: str
    count: int
    total: int | None
    last: bytes
    expires_at: datetime
    after: int = 0

    @classmethod
    def begun(cls, person: str, pairs: Sequence[tuple[str, str]], now: datetime) -> Self:
        """The first page.

        Raises:
            UnknownParameterError: A parameter that the operation does not have.
            BadSearchError: A value that it cannot have.
        """
        given: dict[str, str] = {}
        for name, value in pairs:
            if name not in _OFFERED:
                refuse_parameters([(name, value)], f"$everything, which takes {', '.join(_OFFERED)}")
            if name in given and name != "_type":
                raise BadSearchError(f"{name} is given more than once", where=name)
            given[name] = f"{given[name]},{value}" if name in given else value
        count = given.get("_count", str(PAGE_MAX))
        if not (count.isascii() and count.isdigit() and len(count) <= _DIGITS_MAX):
            raise BadSearchError("_count is a whole number", where="_count")
        types = tuple(dict.fromkeys(given["_type"].split(","))) if "_type" in given else ()
        if not set(types) <= resource_types():
            raise BadSearchError("_type names a type that FHIR R4 does not have", where="_type")
        # In a URL a plus sign that nobody has escaped is a space; no date has one.
        said = {name: given.get(name, "").replace(" ", "+") for name in ("_since", "start", "end")}
        return cls(
            person=person,
            types=types,
            since=said["_since"],
            start=said["start"],
            end=said["end"],
            count=min(int(count), PAGE_MAX),
            total=None,
            last=LAST.to_bytes(_ROW_BYTES, "big"),
            expires_at=now + LIFETIME,
        )

    @property
    def filter(self) -> Filter:
        """Which resources are wanted.

        Raises:
            BadSearchError: A date is none.
        """
        spans = {name: _span(name, text) for name, text in (("_since", self.since), ("start", self.start))}
        return Filter(
            types=frozenset(self.types), since=spans["_since"], start=spans["start"], end=_span("end", self.end)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """One person as a caller may know of him.

    Attributes:
        owners: The subjects, by row.
        pseudonyms: Who that is.
        held: What may be seen of them.
        is_named: Whether the caller may know whom the name means.
        by_name: What was asked about that; ``None`` where a pseudonym says it.
    """

    owners: Mapping[int, Subject]
    pseudonyms: tuple[Pseudonym, ...]
    held: Rights
    is_named: bool
    by_name: Question | None

    @property
    def is_open(self) -> bool:
        """Whether the caller may ask for the person by this name."""
        return self.is_named and self.held.decision.allowed


class Everything:
    """What a node keeps of a person."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def page(self, person: str, pairs: Sequence[tuple[str, str]], caller: Caller) -> bytes:
        """A Bundle with a page of what the caller may see, in the order in which it came, and a link to the next.

        Args:
            person: A pseudonym, or the id of a Patient kept here.
            pairs: ``_type``, ``_since``, ``_count``, ``start`` and ``end``, or a link's token. Untrusted.
            caller: Who asks.

        Raises:
            NotFoundError: Nobody is known here by that name, or nothing of him may be seen.
            ForbiddenError: The caller may see no person.
            UnknownParameterError: A parameter that the operation does not have.
            BadSearchError: A value that it cannot have.
            BadPageError: The link to a page is no longer good.
        """
        wished = self._wished(person, pairs, caller)
        wanted = wished.filter
        answer = await asked(
            self._parts, caller, lambda tx: self._page(tx, caller, wished, wanted), action=_ACTION, summary=_SUMMARY
        )
        base, here = f"{self._parts.card.fhir_url}/fhir", str(self._parts.address)
        own = f"{base}/Patient/{person}/$everything"
        links = {"self": f"{own}?{urlencode(pairs)}" if pairs else own}
        rest = answer.page.rest if answer.page is not None and wished.count else ()
        if rest:
            going_on = msgspec.structs.replace(
                wished,
                total=answer.total,
                after=rest[0] - 1,
                last=rest[-1].to_bytes(_ROW_BYTES, "big"),
                expires_at=self._parts.clock.now() + LIFETIME,
            )
            links["next"] = f"{own}?{PAGE}={self._token(going_on, caller)}"
        # What was admitted here comes as a read of it gives it: its source is the facility's to say.
        sourced = [
            kept if kept.origin == here else msgspec.structs.replace(kept, body=with_source(kept, here=here))
            for kept in answer.kept
        ]
        return searchset(sourced, base=base, total=answer.total, links=links, mode="match")

    async def records_of(self, person: str, caller: Caller) -> Sequence[StoredResource]:
        """All of it, latest clinical date first, for views that are made inside the node; logged alike.

        Raises:
            TooMuchError: There is more than one view is made of.
            ExchangeError: As :meth:`page`.
        """
        answer = await asked(
            self._parts, caller, lambda tx: self._all(tx, caller, person), action=_ACTION, summary=_SUMMARY
        )
        return sorted(answer.kept, key=lambda kept: (kept.instant or "", kept.rid), reverse=True)

    def _wished(self, person: str, pairs: Sequence[tuple[str, str]], caller: Caller) -> Continuation:
        """What is asked for, at whatever page."""
        now = self._parts.clock.now()
        if not any(name == PAGE for name, _value in pairs):
            return Continuation.begun(person, pairs, now)
        if len(pairs) > 1:
            raise BadPageError("a link to a page is used as it is, without further parameters", where=PAGE)
        return read_continuation(self._parts.keys.tokens, pairs[0][1], person=person, caller=caller.holder, now=now)

    def _token(self, wished: Continuation, caller: Caller) -> str:
        """A page as a token in a URL."""
        rest = msgspec.msgpack.encode(msgspec.structs.replace(wished, after=0))
        parts = self._parts
        nonce = parts.randomness(NONCE_BYTES)
        return seal_link(parts.keys.tokens, wished.after, rest, about=ABOUT, caller=caller.holder, nonce=nonce)

    def _page(self, tx: Transaction, caller: Caller, wished: Continuation, wanted: Filter) -> Answer:
        """One page, or why not."""
        person = self._person(tx, caller, wished.person)
        seen = self._belongings(tx, person, after=wished.after, up_to=int.from_bytes(wished.last, "big"))
        if not seen and (wished.total is None or not person.is_open):
            return self._nothing(tx, caller, person)
        rows = [one for one in seen if wanted.takes(one)]
        found, _more = page_of(opened_in_order(tx, rows[: wished.count]), wished.count)
        page = FoundPage(resources=found, rest=tuple(one.rid for one in rows[len(found) :]))
        return self._answer(person, found, page=page, total=len(rows) if wished.total is None else wished.total)

    def _all(self, tx: Transaction, caller: Caller, name: str) -> Answer:
        """Everything, or why not."""
        person = self._person(tx, caller, name)
        seen = self._belongings(tx, person)
        if not seen:
            return self._nothing(tx, caller, person)
        if len(seen) > AT_ONCE_MAX:
            error = TooMuchError(f"there are more than {AT_ONCE_MAX} resources; search by type")
            return self._answer(person, (), error=error)
        return self._answer(person, list(opened_in_order(tx, seen)))

    def _belongings(
        self, tx: Transaction, person: _Person, *, after: int = 0, up_to: int = LAST
    ) -> Sequence[Belonging]:
        """What the caller may see, where he may name the person."""
        permitted = person.held.permitted
        return belongings(tx, person.owners, permitted, after=after, up_to=up_to) if person.is_open else ()

    def _person(self, tx: Transaction, caller: Caller, name: str) -> _Person:
        """Who is meant, as far as the caller may know.

        An id names a person only to those who may see the Patient with that id; else it would tell whose it is.
        """
        owners, patient = _named(tx, name)
        by_name = self._on_kept(caller, owners, patient)
        return _Person(
            owners=owners,
            pseudonyms=tuple(sorted({owner.pseudonym for owner in owners.values() if owner.pseudonym is not None})),
            held=rights(tx, self._parts, caller, _ACTION, sids=owners),
            is_named=by_name is None or decision_on(self._parts.policies, by_name).allowed,
            by_name=by_name,
        )

    def _nothing(self, tx: Transaction, caller: Caller, person: _Person) -> Answer:
        """Why nothing is seen."""
        held = person.held
        if not held.decision.allowed:
            return refused(held.question, held.decision, subjects=person.pseudonyms)
        hidden = person.by_name
        if person.is_named:
            example = next((kept for sid in person.owners for kept in resources.of_subject(tx, sid, limit=1)), None)
            hidden = self._on_kept(caller, person.owners, example)
        decision = decision_on(self._parts.policies, hidden) if hidden is not None else held.decision
        if hidden is not None and not decision.allowed:
            return refused(hidden, decision, error=NotFoundError(ABSENT), subjects=person.pseudonyms)
        return self._answer(person, (), error=NotFoundError(ABSENT))

    def _answer(
        self,
        person: _Person,
        kept: Sequence[StoredResource],
        *,
        page: FoundPage | None = None,
        total: int | None = None,
        error: ExchangeError | None = None,
    ) -> Answer:
        """An answer that policy allows."""
        return Answer(
            action=_ACTION,
            outcome="allowed" if error is None else "failed",
            error=error,
            kept=kept,
            page=page,
            total=total,
            reason=error.code if error is not None else "",
            policy=person.held.decision.digest,
            subjects=person.pseudonyms,
            summary=f"{_SUMMARY}: {len(kept)} resources",
        )

    def _on_kept(self, caller: Caller, owners: Mapping[int, Subject], kept: StoredResource | None) -> Question | None:
        """What policy is asked about one resource of a person, where there is one."""
        if kept is None or kept.sid not in owners:
            return None
        plain = consent_for(self._parts, caller, owners[kept.sid].consent, data_at=kept.instant)
        return question_of(caller, _ACTION, kept.resource_class, plain)


_DECODER = msgspec.msgpack.Decoder(Continuation)


def read_continuation(key: Secret, token: str, *, person: str, caller: str, now: datetime) -> Continuation:
    """Where a link's token goes on.

    Args:
        key: Of the node's links.
        token: Untrusted.
        person: As in the URL.
        caller: Whose link it must be.
        now: This instant.

    Raises:
        BadPageError: The link is for another, or no longer good.
    """
    row, rest = open_link(key, token, about=ABOUT, caller=caller)
    try:
        wished = _DECODER.decode(rest)
    except (msgspec.MsgspecError, ValueError):
        wished = None
    if wished is None or wished.expires_at <= now or wished.person != person:
        raise BadPageError("this link to a page is for another person, or has expired; ask again", where=PAGE)
    return msgspec.structs.replace(wished, after=row)


def _span(name: str, text: str) -> Span | None:
    """All instants that a parameter's date may mean."""
    try:
        return span_of(text) if text else None
    except BadDateError as error:
        detail = error.detail
    raise BadSearchError(detail, where=name)


def _named(tx: Transaction, person: str) -> tuple[dict[int, Subject], StoredResource | None]:
    """The subjects that a pseudonym or the id of a Patient names, and that Patient."""
    owners = {owner.sid: owner for owner in subjects.subjects_of(tx, Pseudonym(person))}
    patient = None if owners else resources.current(tx, "Patient", person)
    if patient is not None and patient.sid != subjects.DIRECTORY_SID:
        owners = subjects.by_sids(tx, [patient.sid])
        for name in {owner.pseudonym for owner in owners.values() if owner.pseudonym is not None}:
            owners = {owner.sid: owner for owner in subjects.subjects_of(tx, name)}
    return owners, patient
