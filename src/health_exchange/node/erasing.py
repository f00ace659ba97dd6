"""Erasing a person on a lawful request: here at once, above by a ``shred`` that travels like any other change."""

from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.callers import Caller
from health_exchange.node.journal import journal, log
from health_exchange.node.parts import NodeParts
from health_exchange.store import shredding
from health_exchange.store.engine import Transaction


async def erase_person(parts: NodeParts, pseudonym: Pseudonym, caller: Caller) -> int:
    """Destroy everything this node keeps of a person; how many resources there were."""
    return await parts.store.write(lambda tx: _erase(tx, parts, pseudonym, caller))


def _erase(tx: Transaction, parts: NodeParts, pseudonym: Pseudonym, caller: Caller) -> int:
    """Destruction and its entry in one transaction."""
    count = shredding.shred(tx, pseudonym)
    entry = journal(
        parts,
        caller,
        kind="shred",
        action="shred",
        outcome="allowed",
        subjects=[pseudonym],
        summary=f"{count} resources",
    )
    log(tx, entry)
    return count
