"""Whose a resource is, at its origin: subjects by their local Patient, identities to pseudonyms, and what follows.

A Patient's best identity decides (national ID before passport before birth certificate). Without one the subject is
kept and waits; a changed one is a correction and tells everyone above.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.parts import NodeParts
from health_exchange.policy.consent_rules import next_change
from health_exchange.policy.periods import instant_text
from health_exchange.policy.provisions import consent_class, organization_code
from health_exchange.pseudonym.cache import cache_tag, seal_identity
from health_exchange.pseudonym.identities import Identity, find_identities
from health_exchange.store import pending, resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.subjects import Subject, SubjectState

NONCE_BYTES = 12
CONSENTS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a Patient says of who it is.

    Attributes:
        identity: Its best exchange-wide identity; ``None`` where it has none.
        pseudonym: The identity's pseudonym; ``None`` while too few key holders answer.
    """

    identity: Identity | None
    pseudonym: Pseudonym | None = None


def best_identity(decoded: Mapping[str, object], *, where: str) -> Identity | None:
    """The identity that decides who a Patient is.

    Raises:
        InvalidIdentityError: One of its exchange-wide identifiers cannot be right.
    """
    identifiers = decoded.get("identifier")
    found = find_identities(identifiers if isinstance(identifiers, Sequence) else (), where=where)
    return found[0] if found else None


def settle(tx: Transaction, parts: NodeParts, anchor: str, claim: Claim | None, was: Subject | None) -> Subject:
    """The subject behind ``anchor``, brought in line with what its Patient now says (``None``: it was not written).

    A first pseudonym releases what waited; another one than before is a correction. An identity whose pseudonym is not
    known yet waits, sealed, and nothing of the subject is sent meanwhile. An identity taken away holds what follows.

    Args:
        tx: The transaction.
        parts: The node's.
        anchor: Of the subject.
        claim: What the Patient says.
        was: The subject as it was; ``None`` for a new one.
    """
    if was is None and (claim is None or claim.identity is None or claim.pseudonym is not None):
        # Nothing is kept of him that waits, or that passes the sender again.
        return subjects.make_subject(tx, anchor, claim.pseudonym if claim is not None else None)
    subject = was or subjects.make_subject(tx, anchor)
    if claim is None:
        return subject
    if claim.identity is None:
        pending.resolved(tx, subject.sid)
        subjects.set_state(tx, subject.sid, SubjectState.NO_IDENTITY)
    elif claim.pseudonym is not None:
        pending.resolved(tx, subject.sid)
        subjects.assign_pseudonym(tx, subject.sid, claim.pseudonym)
    else:
        key = parts.keys.identity_cache
        tag = cache_tag(key, claim.identity)
        sealed = seal_identity(key, tag, claim.identity, nonce=tx.randomness(NONCE_BYTES))
        pending.add(tx, tag, subject.sid, sealed)
        subjects.set_state(tx, subject.sid, SubjectState.AWAITING_PSEUDONYM)
    return subjects.by_sids(tx, [subject.sid])[subject.sid]


def why_held(parts: NodeParts, subject: Subject) -> str:
    """Why nothing of the subject travels, in one word; empty where it does, and where nothing ever would."""
    return "" if subject.state is SubjectState.KNOWN or parts.address.parent is None else str(subject.state)


def pseudonyms_of(tx: Transaction, sids: Iterable[int]) -> list[Pseudonym]:
    """Pseudonyms of those subjects that have one."""
    return [subject.pseudonym for subject in subjects.by_sids(tx, sids).values() if subject.pseudonym is not None]


def apply_consents(tx: Transaction, sid: int) -> None:
    """Bring a person's consent class in line with the Consents kept of him; changed ones re-decide all he has.

    Whoever is several Patients here has said it for all of them.
    """
    own = subjects.by_sids(tx, [sid]).get(sid)
    if own is None:
        return
    # Whoever waits or has no identity now may be somebody else than the pseudonym it had says.
    is_known = own.state is SubjectState.KNOWN
    named = subjects.subjects_of(tx, own.pseudonym) if is_known and own.pseudonym is not None else ()
    same = {own.sid: own} | {subject.sid: subject for subject in named if subject.state is SubjectState.KNOWN}
    kept = [each for one in sorted(same) for each in resources.of_subject(tx, one, "Consent", CONSENTS_MAX)]
    decoded = [msgspec.json.decode(each.body, type=dict[str, object]) for each in kept if each.body is not None]
    said = consent_text(tx, decoded)
    changes_at = next_change(said, after=tx.clock.now())
    for subject in same.values():
        if subject.consent != said:
            subjects.set_consent(tx, subject.sid, said, instant_text(changes_at) if changes_at is not None else None)


def apply_consents_of(tx: Transaction, pseudonym: Pseudonym | None) -> None:
    """As :func:`apply_consents`, for whoever at this node still is the person."""
    left = [each for each in subjects.subjects_of(tx, pseudonym) if each.state is SubjectState.KNOWN]
    if left:
        apply_consents(tx, left[0].sid)


def consent_text(tx: Transaction, consents: Iterable[Mapping[str, object]]) -> str:
    """What decoded Consents kept here come to; organisations are those kept here."""
    return consent_class(consents, partial(_organization_code, tx))


def _organization_code(tx: Transaction, reference: str) -> str:
    """The credit code of an Organization kept here; empty where there is none."""
    name, _slash, rest = reference.partition("/")
    found = resources.current(tx, name, rest.partition("/")[0]) if name == "Organization" else None
    if found is None or found.body is None:
        return ""
    return organization_code(msgspec.json.decode(found.body, type=dict[str, object]))
