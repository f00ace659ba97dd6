"""Whether those above know: which of them have signed for the envelopes that told of a consent or an erasure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from health_exchange.model.errors import NotFoundError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.callers import Caller
from health_exchange.node.journal import log
from health_exchange.node.parts import NodeParts
from health_exchange.node.refusals import decision_entry
from health_exchange.node.rights import consent_for, most_open, question_of, refusal
from health_exchange.node.sending import CURSOR
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import decision_on
from health_exchange.store import feed, node_state, notices, resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.notices import Kind

ALWAYS = "0001-01-01T00:00:00+00:00"


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient's signed answer to a notice.

    Attributes:
        node: Its address.
        outcome: ``accepted`` or ``refused``.
        receipt: The signed receipt, as ``protocol.receipts`` verifies it.
    """

    node: str
    outcome: str
    receipt: bytes


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One envelope that told those above.

    Attributes:
        stream: Its stream.
        sequence: Its place there.
        sealed_at: When it was sealed.
        taken_back: How many entries in it take a record back.
        signed: Who has signed for it.
        waiting: Who has not yet.
    """

    stream: str
    sequence: int
    sealed_at: str
    taken_back: int
    signed: list[Signed]
    waiting: list[str]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change that those above have to know.

    Attributes:
        complete: Everything was sealed, and everybody has accepted it.
        unsent: Whether some of it still waits to be sealed.
        waiting: Who has still to sign for something.
        notices: The envelopes, the latest first; none where nobody above had anything to be told.
    """

    complete: bool
    unsent: bool
    waiting: list[str]
    notices: list[Notice]


async def consent_effect(parts: NodeParts, caller: Caller, consent_id: str) -> Effect:
    """What became of a Consent's latest version above.

    Raises:
        ForbiddenError: The caller may see no Consent.
        NotFoundError: There is no such Consent, or the caller may not see it.
    """
    effect, refused = await parts.store.write(lambda tx: _consent_effect(tx, parts, caller, consent_id))
    if effect is None:
        raise refused or NotFoundError("nothing is kept here under that reference")
    return effect


def _consent_effect(
    tx: Transaction, parts: NodeParts, caller: Caller, consent_id: str
) -> tuple[Effect | None, Exception | None]:
    """The effect, or the refusal, and its entry in the log."""
    question = question_of(caller, Action.READ, most_open(parts, "Consent"))
    general = decision_on(parts.policies, question)
    kept = resources.current(tx, "Consent", consent_id)
    owner = subjects.by_sids(tx, [kept.sid]).get(kept.sid) if kept is not None else None
    decision = general
    if kept is not None and owner is not None and general.allowed:
        plain = consent_for(parts, caller, owner.consent)
        question = question_of(caller, Action.READ, kept.resource_class, plain)
        decision = decision_on(parts.policies, question)
    whose = [owner.pseudonym] if owner is not None and owner.pseudonym is not None else []
    effect = None
    if kept is not None and decision.allowed:
        effect = effect_of(tx, "consent", whose, since=kept.changed_at)
    entry = decision_entry(
        parts,
        caller,
        question,
        decision,
        kind="read",
        outcome="allowed" if effect is not None else "failed",
        subjects=whose,
        summary="effect of 1 Consent",
    )
    log(tx, entry)
    return effect, None if general.allowed else refusal(general)


def effect_of(tx: Transaction, kind: Kind, persons: Sequence[Pseudonym], *, since: str = ALWAYS) -> Effect:
    """What became of what was told of ``kind`` about persons since an instant."""
    told = [
        Notice(
            stream=each.stream,
            sequence=each.sequence,
            sealed_at=each.sealed_at,
            taken_back=each.entries,
            signed=[
                Signed(node=str(signature.node), outcome=signature.outcome, receipt=signature.raw)
                for signature in each.signatures
                if signature.raw is not None
            ],
            waiting=[str(signature.node) for signature in each.signatures if signature.raw is None],
        )
        for person in persons
        for each in notices.about(tx, kind, person)
        if datetime.fromisoformat(each.sealed_at) >= datetime.fromisoformat(since)
    ]
    unsent = any(feed.waits(tx, person, node_state.cursor(tx, CURSOR)) for person in persons)
    waiting = sorted({node for notice in told for node in notice.waiting})
    refused = any(signed.outcome != "accepted" for notice in told for signed in notice.signed)
    return Effect(complete=not (unsent or waiting or refused), unsent=unsent, waiting=waiting, notices=told)
