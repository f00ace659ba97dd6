"""Believing an answer: only with the proof that its holder's log says what was asked, by whom, and what was given."""

from datetime import datetime
from hashlib import sha256

import msgspec

from health_exchange.audit.checkpoints import read_checkpoint_of
from health_exchange.audit.entries import AuditEntry, commitment, decode_entry
from health_exchange.audit.hashing import hash_leaf
from health_exchange.audit.merkle import verify_inclusion
from health_exchange.fhir.elements import resource_types
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.journal import SALT_BYTES
from health_exchange.protocol.lookups import LookupAnswer, ProvenAnswer
from health_exchange.protocol.tickets import TicketClaims, reason_digest

KINDS = frozenset({"answer", "refuse"})


class UnprovenAnswerError(ExchangeError):
    """The answer does not show that it stands in its holder's log."""

    category = Category.FORBIDDEN
    code = "answer-unproven"


def check_answer(
    proven: ProvenAnswer, claims: TicketClaims, pseudonym: Pseudonym, holder: NodeCard, now: datetime
) -> LookupAnswer:
    """The answer, once its entry is seen in the holder's log.

    Args:
        proven: Untrusted.
        claims: Of the look-up.
        pseudonym: The person asked for.
        holder: Who answered.
        now: By our clock.

    Raises:
        UnprovenAnswerError: The proof is missing or does not hold, the entry tells of another request, practitioner,
            person, outcome or answer, or what is given is no resource that names the holder as its source.
    """
    try:
        checkpoint = read_checkpoint_of(proven.checkpoint, holder, now)
        salt, raw = proven.entry[:SALT_BYTES], proven.entry[SALT_BYTES:]
        verify_inclusion(
            hash_leaf(commitment(raw, salt)),
            index=proven.position,
            tree_size=checkpoint.size,
            path=proven.path,
            root=checkpoint.root,
        )
        entry: AuditEntry | None = decode_entry(raw)
        answer: LookupAnswer | None = msgspec.msgpack.decode(proven.answer, type=LookupAnswer)
    except (ExchangeError, msgspec.MsgspecError, ValueError, RecursionError):
        entry = answer = None
    if entry is None or answer is None or not _tells(entry, proven, claims, pseudonym, holder):
        raise UnprovenAnswerError(f"{holder.address} does not prove that its log tells of this answer")
    is_refusal = bool(answer.refusal)
    if (entry.outcome == "refused") != is_refusal or (is_refusal and answer.resources):
        raise UnprovenAnswerError(f"the log of {holder.address} tells of another outcome than its answer")
    if not all(_is_from(raw, holder) for raw in answer.resources):
        raise UnprovenAnswerError(f"{holder.address} gives what is no resource of its own")
    return answer


def _tells(
    entry: AuditEntry, proven: ProvenAnswer, claims: TicketClaims, pseudonym: Pseudonym, holder: NodeCard
) -> bool:
    """Whether the entry is about this answer to this look-up."""
    return (
        entry.node == str(holder.address)
        and entry.action == "look-up"
        and entry.request_id == claims.request_id
        and entry.kind in KINDS
        and entry.principal == claims.practitioner
        and entry.principal_kind == claims.kind
        and entry.organization == claims.organization
        and (entry.outcome == "refused" or reason_digest(entry.reason) == claims.reason_sha256)
        and entry.purpose == claims.purpose
        and entry.peer == claims.node
        and entry.subjects == (pseudonym,)
        and entry.digest == sha256(proven.answer).hexdigest()
    )


def _is_from(raw: bytes, holder: NodeCard) -> bool:
    """Whether bytes are a resource that names the holder as its source."""
    try:
        decoded = msgspec.json.decode(raw, type=_Given)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return decoded.resourceType in resource_types() and decoded.meta.source == f"urn:health-exchange:{holder.address}"


class _Meta(msgspec.Struct, frozen=True):
    """What of a resource's meta is read."""

    source: str


class _Given(msgspec.Struct, frozen=True):
    """What of a given resource is read."""

    resourceType: str  # noqa: N815  # FHIR's name
    id: str
    meta: _Meta
