"""What a desk does for the person who stands at it: show what is kept, who has seen it, and what the person has said.

The desk says who the person is; the identity becomes a pseudonym and goes no further. Every view is itself an entry of
the log, made before anything is shown.
"""

from dataclasses import replace

import msgspec

from health_exchange.model.errors import NotFoundError, UnavailableError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.entitlement import people_of
from health_exchange.node.everything import AT_ONCE_MAX, TooMuchError
from health_exchange.node.journal import log_each
from health_exchange.node.notices import Effect, effect_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.person_log import AskElsewhere, Disclosure, in_order, local_disclosures
from health_exchange.node.persons import consent_text
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.refusals import decision_entry, permit
from health_exchange.node.rights import most_open, question_of, rights
from health_exchange.policy.consent_words import words_of
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question
from health_exchange.pseudonym.cache import cache_tag
from health_exchange.pseudonym.identities import Identity
from health_exchange.search.finding import of_subjects
from health_exchange.store import identity_cache
from health_exchange.store.database import TooSlowError
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource

_SUMMARY = "a person's view"


class ConsentInWords(msgspec.Struct, frozen=True, kw_only=True):
    """One Consent kept here.

    Attributes:
        id: Its id here.
        version: Its version.
        changed_at: When that was made.
        status: As in the Consent; only an active one counts.
        kept_by: The organisation that keeps it, as the Consent names it.
        words: What it says; empty where it does not count.
    """

    id: str
    version: int
    changed_at: str
    status: str
    kept_by: list[str]
    words: list[str]


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """What one node tells a person of himself.

    Attributes:
        node: Which node.
        at: When.
        records: Everything kept here of the person: the originals.
        consents: What the person has said, Consent by Consent.
        sharing: What all of it comes to, a sentence each.
        consents_above: Whether those above know of it.
        disclosures: Who has seen or changed what, broken glass first, then the latest.
        not_asked: Nodes whose logs are not in ``disclosures``, or not in full, each with the reason.
    """

    node: str
    at: str
    records: list[msgspec.Raw]
    consents: list[ConsentInWords]
    sharing: list[str]
    consents_above: Effect
    disclosures: list[Disclosure]
    not_asked: list[str]


class Desks:
    """What desks ask of one admitting node.

    Args:
        parts: The node's.
        pseudonyms: Resolves identities.
        elsewhere: Asks other nodes' logs.
    """

    def __init__(self, parts: NodeParts, pseudonyms: PseudonymClient, elsewhere: AskElsewhere) -> None:
        self._parts = parts
        self._pseudonyms = pseudonyms
        self._elsewhere = elsewhere

    async def person(self, identity: Identity) -> Pseudonym:
        """Who the person is to the exchange.

        Raises:
            UnavailableError: Too few key holders answer.
        """
        known = await self._pseudonyms.resolve([identity])
        if identity not in known:
            raise UnavailableError("too few key holders answer to say who that is", retry_after_s=5.0)
        return known[identity]

    async def view(self, identity: Identity, caller: Caller) -> PersonView:
        """Everything this node can tell a person.

        Raises:
            ForbiddenError: Policy does not let the caller.
            NotFoundError: Nothing is kept here of that person.
            TooMuchError: There is more than one answer carries.
            UnavailableError: Too few key holders answer.
        """
        parts = self._parts
        question, decision = await self._permit(caller)
        person = await self.person(identity)
        try:
            view = await parts.store.read(lambda tx: self._view(tx, person, caller), asker=caller.principal.id)
        except TooSlowError as error:
            entry = decision_entry(
                parts, caller, question, decision, kind="read", outcome="failed", subjects=(person,), summary=error.code
            )
            await parts.store.write_each(log_each, entry)
            raise
        outcome = "allowed" if view is not None and len(view.records) <= AT_ONCE_MAX else "failed"
        count = len(view.records) if view is not None else 0
        summary = f"a person's view: {count} resources"
        entry = decision_entry(
            parts, caller, question, decision, kind="read", outcome=outcome, subjects=(person,), summary=summary
        )
        await parts.store.write_each(log_each, entry)
        if view is None:
            # That somebody was asked for leaves nothing here that could be asked again.
            tag = cache_tag(parts.keys.identity_cache, identity)
            await parts.store.write(lambda tx: identity_cache.forget(tx, [tag]))
            raise NotFoundError("nothing is kept here of that person")
        if count > AT_ONCE_MAX:
            raise TooMuchError(f"there are more than {AT_ONCE_MAX} resources; search by type")
        other = await self._elsewhere(person, caller)
        disclosures = in_order([*view.disclosures, *other.disclosures])
        return msgspec.structs.replace(view, disclosures=disclosures, not_asked=other.not_asked)

    async def _permit(self, caller: Caller) -> tuple[Question, Decision]:
        """Go on only where policy lets the caller, for his own purpose and for the person's request.

        Who saw a person's records is told to that person alone: who may see the records may not see this for it.
        """
        parts = self._parts
        on_behalf = replace(caller, purpose=Purpose.PATIENT_REQUEST)
        await permit(parts, on_behalf, self._question(on_behalf), summary=_SUMMARY)
        question = self._question(caller)
        decision = await permit(parts, caller, question, summary=_SUMMARY)
        return question, decision

    def _question(self, caller: Caller) -> Question:
        return question_of(caller, Action.VIEW_PERSON, most_open(self._parts, "Patient"))

    def _view(self, tx: Transaction, person: Pseudonym, caller: Caller) -> PersonView | None:
        """What is kept here, as of now; ``None`` where nothing is."""
        owners = {owner.sid: owner for owner in people_of(tx, person)}
        if not owners:
            return None
        held = rights(tx, self._parts, caller, Action.VIEW_PERSON, sids=owners)
        found = of_subjects(tx, owners, held.permitted, AT_ONCE_MAX + 1)
        consents = [kept for kept in found if kept.type == "Consent"]
        return PersonView(
            node=str(self._parts.address),
            at=self._parts.clock.now().isoformat(),
            records=[msgspec.Raw(kept.body) for kept in found if kept.body is not None],
            consents=[_in_words(tx, kept) for kept in consents],
            sharing=[
                words for text in sorted({owner.consent for owner in owners.values()}) for words in words_of(text)
            ],
            consents_above=effect_of(tx, "consent", [person]),
            disclosures=local_disclosures(tx, person),
            not_asked=[],
        )


def _in_words(tx: Transaction, kept: StoredResource) -> ConsentInWords:
    """A Consent as its person reads it."""
    decoded = msgspec.json.decode(kept.body or b"{}", type=dict[str, object])
    keepers = decoded.get("organization")
    return ConsentInWords(
        id=kept.id,
        version=kept.version,
        changed_at=kept.changed_at,
        status=str(decoded.get("status", "")),
        kept_by=[
            str(each.get("display") or each.get("reference") or "")
            for each in (keepers if isinstance(keepers, list) else ())
            if isinstance(each, dict)
        ],
        words=words_of(consent_text(tx, [decoded])),
    )
