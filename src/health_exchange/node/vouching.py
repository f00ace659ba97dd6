"""Believing an answer: only with the proof that its holder's log says what was asked, by whom, and what was given."""

from hashlib import sha256
from typing import TypeVar

import msgspec

from health_exchange.audit.checkpoints import read_checkpoint
from health_exchange.audit.entries import AuditEntry, commitment, decode_entry
from health_exchange.audit.hashing import hash_leaf
from health_exchange.audit.merkle import verify_inclusion
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.journal import SALT_BYTES
from health_exchange.protocol.lookups import ProvenAnswer
from health_exchange.protocol.tickets import TicketClaims

_M = TypeVar("_M", bound=msgspec.Struct)


class UnprovenAnswerError(ExchangeError):
    """The answer does not show that it stands in its holder's log."""

    category = Category.FORBIDDEN
    code = "answer-unproven"


def check_answer(
    proven: ProvenAnswer, want: type[_M], claims: TicketClaims, pseudonym: Pseudonym, holder: NodeCard
) -> _M:
    """The answer, once its entry is seen in the holder's log.

    Args:
        proven: Untrusted.
        want: What the answer is.
        claims: Of the look-up.
        pseudonym: The person asked for.
        holder: Who answered.

    Raises:
        UnprovenAnswerError: The proof is missing or does not hold, or the entry tells of another request, practitioner,
            person or answer.
    """
    try:
        checkpoint = read_checkpoint(proven.checkpoint, origin=holder.log_origin, public=holder.log_key)
        salt, raw = proven.entry[:SALT_BYTES], proven.entry[SALT_BYTES:]
        verify_inclusion(
            hash_leaf(commitment(raw, salt)),
            index=proven.position,
            tree_size=checkpoint.size,
            path=proven.path,
            root=checkpoint.root,
        )
        entry: AuditEntry | None = decode_entry(raw)
    except ExchangeError:
        entry = None
    if entry is None or not _tells(entry, proven, claims, pseudonym, holder):
        raise UnprovenAnswerError(f"{holder.address} does not prove that its log tells of this answer")
    try:
        return msgspec.msgpack.decode(proven.answer, type=want)
    except (msgspec.MsgspecError, ValueError):
        pass
    raise UnprovenAnswerError(f"the answer of {holder.address} cannot be read")


def _tells(
    entry: AuditEntry, proven: ProvenAnswer, claims: TicketClaims, pseudonym: Pseudonym, holder: NodeCard
) -> bool:
    """Whether the entry is about this answer to this look-up."""
    return (
        entry.node == str(holder.address)
        and entry.action == "look-up"
        and entry.request_id == claims.request_id
        and entry.principal == claims.practitioner
        and entry.purpose == claims.purpose
        and entry.peer == claims.node
        and entry.subjects == (pseudonym,)
        and entry.digest == sha256(proven.answer).hexdigest()
    )
