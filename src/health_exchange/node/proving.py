"""Proofs that an entry stands in this node's log, made as soon as they can be: for whoever waits for one."""

from dataclasses import dataclass

from health_exchange.audit import tiles
from health_exchange.audit.checkpoints import parse_checkpoint
from health_exchange.audit.merkle import prove_inclusion
from health_exchange.model.errors import FaultError
from health_exchange.node import housekeeping
from health_exchange.node.parts import NodeParts
from health_exchange.store import audit_log
from health_exchange.store.engine import Transaction

ATTEMPTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """That an entry stands in a log.

    Attributes:
        position: Where.
        path: Inclusion proof up to the checkpoint's root.
        checkpoint: Signed note.
    """

    position: int
    path: tuple[bytes, ...]
    checkpoint: str


async def prove_entry(parts: NodeParts, number: int) -> LogProof:
    """The proof of an entry that was just written.

    Does at once what the recurring turns would do within a tenth of a second.

    Raises:
        FaultError: The log does not come to hold it.
    """
    for _attempt in range(ATTEMPTS):
        proof = await parts.store.read(lambda tx: _proof(tx, number))
        if proof is not None:
            return proof
        await housekeeping.checkpoint(parts)
    raise FaultError("the log does not come to hold its entry")


def _proof(tx: Transaction, number: int) -> LogProof | None:
    """The proof under the latest checkpoint, where that includes the entry."""
    position, note = audit_log.position_of(number), audit_log.latest_checkpoint(tx)
    if note is None:
        return None
    size = parse_checkpoint(note.decode()).size
    if position >= size:
        return None
    path = prove_inclusion(position, size, tiles.subtree_reader(lambda name: audit_log.tile(tx, name)))
    return LogProof(position=position, path=tuple(path), checkpoint=note.decode())
