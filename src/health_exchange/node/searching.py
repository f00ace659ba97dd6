"""Searching what this node keeps: decided by policy, entered in the log, and only then handed out.

A search, its pages and whatever it looks at on the way know only what the caller may see. The link to a next page holds
the search as it was resolved, sealed: no national ID, for identities became persons and tokens before.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from health_exchange.crypto.sealing import NONCE_BYTES
from health_exchange.fhir.outcomes import operation_outcome
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.asking import NOBODY, IdentityNotSeenHereError, asked_query, without_identities
from health_exchange.node.callers import Caller
from health_exchange.node.reading import Reading
from health_exchange.node.rights import rights
from health_exchange.node.searchsets import searchset
from health_exchange.node.seeing import Answer, asked, refused
from health_exchange.policy.decisions import Action
from health_exchange.search.candidates import TooCostlyError
from health_exchange.search.chains import followed, is_chained
from health_exchange.search.finding import FoundPage, find, pseudonyms_of, total
from health_exchange.search.links import LIFETIME, PAGE, TOKEN_CHARACTERS_MAX, BadPageError
from health_exchange.search.pages import Continuation, packed_rows, read_page_token, write_page_token
from health_exchange.search.query import asks_by_identifier
from health_exchange.search.terms import ChainTerm, Criterion, HasTerm, PersonTerm, SearchQuery
from health_exchange.store.engine import Transaction


class Searching(Reading):
    """The reading side of one node's FHIR door, with searches."""

    async def search(  # a search with its parts
        self,
        resource_type: str,
        pairs: Sequence[tuple[str, str]],
        caller: Caller,
        *,
        patient: str = "",
        lenient: bool = False,
    ) -> bytes:
        """A searchset Bundle: one page, with links to itself and to the next.

        Args:
            resource_type: What is searched; empty for all types, or those that ``_type`` names.
            pairs: Names and values. Untrusted.
            caller: Who asks.
            patient: Id of the Patient whose compartment is searched; empty for no compartment.
            lenient: Whether what is not offered is named in the Bundle instead of refused.

        Raises:
            ForbiddenError: The caller may see no resource of this type.
            IdentityNotSeenHereError: It asks by national ID at a node that sees none.
            UnknownParameterError: It asks for what this door does not offer.
            BadSearchError: A value cannot be.
            TooCostlyError: Too many resources would have to be opened, and what would narrow it is said.
            BadPageError: The link to a page is no longer good.
        """
        continuation = self._continued(resource_type, pairs, caller)
        if continuation is None:
            continuation, pairs = await self._begun(resource_type, pairs, caller, patient=patient, lenient=lenient)
        query = continuation.query
        answer = await asked(
            self._parts,
            caller,
            lambda tx: self._page(tx, caller, continuation),
            action=Action.SEARCH,
            subjects=_persons_in(query),
            summary=f"{query.type or 'resources'} by {_asked_by(query)}",
        )
        page = answer.page or FoundPage(resources=())
        base = f"{self._parts.card.fhir_url}/fhir"
        place = f"{base}/Patient/{patient}/{resource_type or '*'}" if patient else _place(base, resource_type)
        links = {"self": self._self_link(base, place, continuation, pairs, caller)}
        if not page.is_last:
            links["next"] = self._link(base, query, page, answer.total, caller)
        return searchset(
            page.resources,
            base=base,
            total=answer.total,
            links=links,
            included=page.included,
            outcome=_ignored(query.ignored) if query.ignored else None,
        )

    def _page(self, tx: Transaction, caller: Caller, continuation: Continuation) -> Answer:
        """One page of a search, or why not."""
        query = continuation.query
        held = rights(tx, self._parts, caller, Action.SEARCH, resource_type=query.type or None)
        if held.is_refused:
            return refused(held.question, held.decision, summary=query.type)
        permitted = held.permitted
        if query.type and (is_chained(query) or query.inclusions):
            permitted = rights(tx, self._parts, caller, Action.SEARCH).permitted
        page, counted, error = FoundPage(resources=()), continuation.total, None
        try:
            plain = followed(tx, query, permitted)
            page = find(tx, plain, permitted, continuation.after, continuation.rest)
            if continuation.after is None and not continuation.rest:
                counted = total(tx, plain, permitted, page)
        except TooCostlyError as too_costly:
            page, error = FoundPage(resources=()), too_costly
        kept = [*page.resources, *page.included]
        whose = {*pseudonyms_of(kept), *_persons_in(query)}
        counts = Counter(each.type for each in kept) or {query.type or "resources": 0}
        found = ", ".join(f"{number} {name}" for name, number in counts.items())
        return Answer(
            action=Action.SEARCH,
            outcome="allowed" if error is None else "failed",
            error=error,
            reason=error.code if error is not None else "",
            kept=kept,
            page=page,
            total=counted,
            policy=held.decision.digest,
            subjects=tuple(sorted(whose)),
            summary=f"{found} by {_asked_by(query)}",
        )

    def _continued(self, resource_type: str, pairs: Sequence[tuple[str, str]], caller: Caller) -> Continuation | None:
        """Where a link to a page goes on; ``None`` where the request is no such link."""
        if not any(name == PAGE for name, _value in pairs):
            return None
        if len(pairs) > 1:
            raise BadPageError("a link to a page is used as it is, without further parameters", where=PAGE)
        parts = self._parts
        continuation = read_page_token(parts.keys.tokens, pairs[0][1], caller=caller.holder, now=parts.clock.now())
        if continuation.query.type != resource_type:
            raise BadPageError("this link to a page is for another resource type", where=PAGE)
        return continuation

    async def _begun(  # a search with its parts
        self, resource_type: str, pairs: Sequence[tuple[str, str]], caller: Caller, *, patient: str, lenient: bool
    ) -> tuple[Continuation, Sequence[tuple[str, str]]]:
        """A search at its first page, without any identity left in it, and what it was made of."""
        parts = self._parts
        base = f"{parts.card.fhir_url}/fhir"
        query, taken = await asked_query(resource_type, pairs, patient=patient, base=base, lenient=lenient)
        try:
            query = await without_identities(parts, self._pseudonyms, query)
        except IdentityNotSeenHereError as error:
            refused = Answer(
                action=Action.SEARCH,
                outcome="refused",
                error=error,
                reason=error.code,
                summary=f"{resource_type} by identifier",
            )
            await self._enter(caller, refused)
            raise
        return Continuation(query=query, after=None, total=None, expires_at=parts.clock.now() + LIFETIME), taken

    def _link(self, base: str, query: SearchQuery, page: FoundPage, counted: int | None, caller: Caller) -> str:
        """The URL of the page after ``page``."""
        expires_at = self._parts.clock.now() + LIFETIME
        rows = packed_rows(page.rest)
        after = Continuation(query=query, after=page.after, total=counted, expires_at=expires_at, rows=rows)
        return self._url(base, after, caller)

    def _url(self, base: str, continuation: Continuation, caller: Caller) -> str:
        """The URL of a page."""
        parts = self._parts
        token = write_page_token(
            parts.keys.tokens, continuation, caller=caller.holder, nonce=parts.randomness(NONCE_BYTES)
        )
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TooCostlyError("the search is too long to go on with; ask for fewer types or values")
        return f"{_place(base, continuation.query.type)}?{PAGE}={token}"

    def _self_link(
        self, base: str, place: str, continuation: Continuation, pairs: Sequence[tuple[str, str]], caller: Caller
    ) -> str:
        """The URL of this page by what it was made of; sealed, where that names identifiers or a page."""
        if any(asks_by_identifier(name) or name == PAGE for name, _value in pairs):
            return self._url(base, continuation, caller)
        return f"{place}?{urlencode(pairs)}" if pairs else place


def _place(base: str, resource_type: str) -> str:
    """The URL that a type, or all of them, are searched at."""
    return f"{base}/{resource_type}" if resource_type else base


def _ignored(names: Sequence[str]) -> bytes:
    """Says what was left out of a search."""
    return operation_outcome(
        severity="warning",
        code="not-supported",
        reason="unknown-parameter",
        diagnostics=f"left out, because it is not offered here: {', '.join(names)}",
    )


def _persons_in(query: SearchQuery) -> set[Pseudonym]:
    """Persons whom a query names: asking for someone is logged even where nothing is found."""
    terms = (term for branch in query.each for criterion in _leaves(branch.criteria) for term in criterion.terms)
    return {Pseudonym(term.pseudonym) for term in terms if isinstance(term, PersonTerm)} - {NOBODY}


def _leaves(criteria: Sequence[Criterion]) -> Iterator[Criterion]:
    """Every criterion, those at the ends of chains, too."""
    for criterion in criteria:
        yield criterion
        yield from _leaves([term.criterion for term in criterion.terms if isinstance(term, ChainTerm | HasTerm)])


def _asked_by(query: SearchQuery) -> str:
    """Names of the parameters, for the log; never their values."""
    names = {criterion.name for branch in query.each for criterion in _leaves(branch.criteria)}
    return ", ".join(sorted(names)) or "type"
