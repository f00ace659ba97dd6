"""Histories: what was changed at this node, newest first, of one resource, of a type, or of all.

Policy decides on each version, together with the current one of the same resource, exactly as it does when that version
is read alone; what the caller may not see leaves no entry, no number and no page behind. A page goes on behind a place
in the order of time: however much is written meanwhile, no page repeats or skips what there was.

Source: FHIR R4, section 3.1.0.12 "history".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from health_exchange.crypto.sealing import NONCE_BYTES
from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.splicing import JsonBytes, join_array, join_object, quote
from health_exchange.model.errors import ExchangeError, NotFoundError
from health_exchange.node.callers import Caller
from health_exchange.node.parts import NodeParts
from health_exchange.node.rights import most_open, question_of, refusal, rights
from health_exchange.node.seeing import ABSENT, Answer, asked, hiding, refused
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import decision_on
from health_exchange.search.finding import page_of, pseudonyms_of
from health_exchange.search.histories import (
    BATCH,
    END,
    VERSIONS_MAX,
    Change,
    Period,
    Place,
    changes_before,
    opened,
    versions_before,
    wanted,
)
from health_exchange.search.history_pages import Bookmark, read_bookmark, write_bookmark
from health_exchange.search.links import LIFETIME, PAGE, BadPageError
from health_exchange.search.query import COUNT_MAX, UnknownParameterError
from health_exchange.search.spans import BadDateError, span_of
from health_exchange.search.terms import COUNT_DEFAULT
from health_exchange.search.values import BadSearchError
from health_exchange.store import subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.versions import short_currents

_COUNT_CHARACTERS_MAX = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A history as asked for.

    Attributes:
        type: Of this type; ``None`` for all.
        id: Of this resource; ``None`` for all of the type.
        bookmark: Where it begins or goes on.
        period: Which versions are wanted.
        is_first: Whether this is the first page.
    """

    type: str | None
    id: str | None
    bookmark: Bookmark
    period: Period
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: versions, newest first; where to go on, and how many there are in all where that was counted."""

    versions: Sequence[StoredResource]
    after: Place | None
    total: int | None = None


class Histories:
    """The histories that a node's FHIR door tells."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def history(
        self, resource_type: str | None, resource_id: str | None, pairs: Sequence[tuple[str, str]], caller: Caller
    ) -> bytes:
        """One page of a history as a Bundle.

        Args:
            resource_type: Of this type; ``None`` for the whole node.
            resource_id: Of this resource; ``None`` for the whole type.
            pairs: ``_count``, ``_since``, ``_at``, or ``_page`` alone. Untrusted.
            caller: Who asks.

        Raises:
            NotFoundError: There is no such type, or no such resource that the caller may know of.
            ForbiddenError: The caller may read nothing of the type.
            UnknownParameterError: Another parameter.
            BadSearchError: A value that its parameter cannot have.
            BadPageError: The link to a page is no longer good.
        """
        if resource_type is not None and resource_type not in resource_types():
            raise NotFoundError("there is no such resource type")
        wished = self._asked(resource_type, resource_id, pairs, caller)
        pages: list[Page] = []

        def ask(tx: Transaction) -> Answer:
            pages.clear()
            if wished.type is not None and wished.id is not None:
                return self._of_one(tx, caller, wished, wished.type, wished.id, pages)
            return self._of_many(tx, caller, wished, pages)

        await asked(self._parts, caller, ask, action=Action.READ, summary=_name_of(wished))
        return self._bundle(wished, pages[0], pairs, caller)

    def _of_one(  # a question in its parts
        self, tx: Transaction, caller: Caller, wished: Asked, resource_type: str, resource_id: str, pages: list[Page]
    ) -> Answer:
        """One resource's versions, or why not."""
        parts = self._parts
        question = question_of(caller, Action.READ, most_open(parts, resource_type))
        general = decision_on(parts.policies, question)
        name = _name_of(wished)
        place = resource_type, resource_id
        found = short_currents(tx, {place}).get(place)
        if found is None:
            if not general.allowed:
                return refused(question, general, summary=name)
            error = NotFoundError(ABSENT)
            return Answer(
                action=Action.READ,
                outcome="failed",
                error=error,
                reason=error.code,
                policy=general.digest,
                summary=name,
            )
        now = found.kept
        owners = subjects.by_sids(tx, [now.sid])
        hidden = hiding(parts, caller, owners, now, now)
        if hidden is not None:
            error_told: ExchangeError = NotFoundError(ABSENT) if general.allowed else refusal(general)
            whose = tuple(owner.pseudonym for owner in owners.values() if owner.pseudonym is not None)
            return refused(*hidden, error=error_told, subjects=whose, summary=name)
        visible = _visible(parts, caller, tx, wished, lambda before: versions_before(tx, now.rid, before), counts=True)
        pages.append(visible)
        return _told(visible, name, general.digest)

    def _of_many(self, tx: Transaction, caller: Caller, wished: Asked, pages: list[Page]) -> Answer:
        """The versions of a type, or of all."""
        parts = self._parts
        held = rights(tx, parts, caller, Action.READ, resource_type=wished.type)
        name = _name_of(wished)
        if held.is_refused:
            return refused(held.question, held.decision, summary=name)
        limit = min(BATCH, wished.bookmark.count + 1)
        page = _visible(
            parts,
            caller,
            tx,
            wished,
            lambda before: changes_before(tx, wished.type, held.permitted, wished.period, before, limit),
            counts=False,
        )
        pages.append(page)
        return _told(page, name, held.decision.digest)

    def _asked(
        self, resource_type: str | None, resource_id: str | None, pairs: Sequence[tuple[str, str]], caller: Caller
    ) -> Asked:
        """The history that parameters ask for."""
        parts = self._parts
        scope = "/".join(name for name in (resource_type, resource_id) if name is not None)
        is_first = not any(name == PAGE for name, _value in pairs)
        if is_first:
            bookmark = _begun(scope, pairs, self._parts)
        else:
            if len(pairs) > 1:
                raise BadPageError("a link to a page is used as it is, without further parameters", where=PAGE)
            bookmark = read_bookmark(parts.keys.tokens, pairs[0][1], caller=caller.holder, now=parts.clock.now())
            if bookmark.scope != scope:
                raise BadPageError("this link to a page is for another history", where=PAGE)
        return Asked(type=resource_type, id=resource_id, bookmark=bookmark, period=_period(bookmark), is_first=is_first)

    def _bundle(self, wished: Asked, page: Page, pairs: Sequence[tuple[str, str]], caller: Caller) -> bytes:
        """The page as a Bundle."""
        base = f"{self._parts.card.fhir_url}/fhir"
        own = f"{base}/{wished.bookmark.scope}/_history" if wished.bookmark.scope else f"{base}/_history"
        links = {"self": f"{own}?{urlencode(pairs)}" if pairs else own}
        if page.after is not None:
            token = write_bookmark(
                self._parts.keys.tokens,
                Bookmark(
                    scope=wished.bookmark.scope,
                    since=wished.bookmark.since,
                    at=wished.bookmark.at,
                    count=wished.bookmark.count,
                    before=page.after,
                    expires_at=self._parts.clock.now() + LIFETIME,
                ),
                caller=caller.holder,
                nonce=self._parts.randomness(NONCE_BYTES),
            )
            links["next"] = f"{own}?{PAGE}={token}"
        members: dict[str, JsonBytes] = {"resourceType": b'"Bundle"', "type": b'"history"'}
        if page.total is not None:
            members["total"] = str(page.total).encode()
        members["link"] = join_array(
            join_object({"relation": quote(relation), "url": quote(url)}) for relation, url in links.items()
        )
        if page.versions:
            members["entry"] = join_array(_entry(kept, base) for kept in page.versions)
        return join_object(members)


def _visible(  # where changes come from, and what is wanted of them
    parts: NodeParts,
    caller: Caller,
    tx: Transaction,
    wished: Asked,
    more: Callable[[Place], Sequence[Change]],
    *,
    counts: bool,
) -> Page:
    """The next page of what the caller may see.

    Args:
        parts: The node's.
        caller: Who asks.
        tx: The transaction.
        wished: What for.
        more: The next changes behind a place.
        counts: Whether the first page says how many there are in all.
    """
    count, before = wished.bookmark.count, wished.bookmark.before
    counts = counts and wished.is_first
    found: list[Change] = []
    looked = seen = 0
    owners = subjects.by_sids(tx, ())
    while batch := more(before):
        looked, before = looked + len(batch), batch[-1].place
        strangers = {sid for change in batch for sid in (change.kept.sid, change.now.sid)} - owners.keys()
        owners |= subjects.by_sids(tx, strangers)
        visible = [
            change
            for change in wanted(tx, batch, wished.period)
            if hiding(parts, caller, owners, change.kept, change.now) is None
        ]
        seen += len(visible)
        # What is counted only needs no place in memory.
        found += visible[: count + 1 - len(found)]
        if (len(found) > count and not counts) or looked >= VERSIONS_MAX:
            break
    versions, is_cut = page_of(opened(tx, found[:count]), count)
    is_more = is_cut or len(found) > count
    after = found[len(versions) - 1].place if is_more and versions else None
    if after is None and looked >= VERSIONS_MAX:
        after, counts = before, False
    if count == 0:
        after = None
    return Page(versions=versions, after=after, total=seen if counts and looked < VERSIONS_MAX else None)


def _name_of(wished: Asked) -> str:
    """What the log calls it."""
    return f"history of {'1 ' if wished.id is not None else ''}{wished.type or 'all types'}"


def _told(page: Page, name: str, policy: str) -> Answer:
    """What the log says of a page."""
    return Answer(
        action=Action.READ,
        outcome="allowed",
        policy=policy,
        subjects=pseudonyms_of(page.versions),
        summary=f"{name}: {len(page.versions)} versions",
    )


def _begun(scope: str, pairs: Sequence[tuple[str, str]], parts: NodeParts) -> Bookmark:
    """A history at its beginning."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in {"_count", "_since", "_at"}:
            raise UnknownParameterError("a history takes _count, _since and _at")
        if name in given:
            raise BadSearchError(f"{name} is given more than once", where=name)
        given[name] = value
    count = given.get("_count", str(COUNT_DEFAULT))
    if not (count.isascii() and count.isdigit() and len(count) <= _COUNT_CHARACTERS_MAX):
        raise BadSearchError("_count is a whole number", where="_count")
    return Bookmark(
        scope=scope,
        since=given.get("_since", ""),
        at=given.get("_at", ""),
        count=min(int(count), COUNT_MAX),
        before=END,
        expires_at=parts.clock.now() + LIFETIME,
    )


def _period(bookmark: Bookmark) -> Period:
    """When wanted versions were made or current."""
    found = {}
    for name, value in (("_since", bookmark.since), ("_at", bookmark.at)):
        try:
            # In a URL a plus sign that nobody has escaped is a space; no instant has one.
            found[name] = span_of(value.replace(" ", "+")) if value else None
        except BadDateError as error:
            raise BadSearchError(error.detail, where=name) from None
    since, at = found["_since"], found["_at"]
    return Period(since=since.start if since is not None else None, current_in=at)


def _entry(kept: StoredResource, base: str) -> bytes:
    """One version: what it is, and the request that would make it again."""
    place = f"{kept.type}/{kept.id}"
    status = "204 No Content" if kept.body is None else "201 Created" if kept.version == 1 else "200 OK"
    members: dict[str, JsonBytes] = {"fullUrl": quote(f"{base}/{place}")}
    if kept.body is not None:
        members["resource"] = kept.body
    method = b'"DELETE"' if kept.body is None else b'"PUT"'
    members["request"] = join_object({"method": method, "url": quote(place)})
    etag = quote(f'W/"{kept.version}"')
    members["response"] = join_object({"status": quote(status), "etag": etag, "lastModified": quote(kept.changed_at)})
    return join_object(members)
