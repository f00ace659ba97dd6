"""Releasing those who wait: identities that came while too few key holders answered are asked again.

The queue is durable; each identity waits sealed beside its subject. What the subject had meanwhile passes the sender
once the pseudonym is known.
"""

from health_exchange.model.identifiers import Pseudonym
from health_exchange.node import persons
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.pseudonym.cache import open_identity
from health_exchange.store import pending, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.pending import PendingIdentity

BATCH = 100


async def release(parts: NodeParts, pseudonyms: PseudonymClient) -> bool:
    """Ask again for those who wait; whether any was released."""
    waiting = await parts.store.read(lambda tx: pending.waiting(tx, BATCH))
    if not waiting:
        return False
    key = parts.keys.identity_cache
    identities = {each.sid: open_identity(key, each.tag, each.sealed) for each in waiting}
    known = await pseudonyms.resolve(list(identities.values()))
    released = {each: known[identities[each.sid]] for each in waiting if identities[each.sid] in known}
    if released:
        await parts.store.write(lambda tx: _assign(tx, released))
    return bool(released)


def _assign(tx: Transaction, released: dict[PendingIdentity, Pseudonym]) -> None:
    """Give each its pseudonym, unless it waits for another identity by now."""
    still = {(each.sid, each.tag) for each in pending.waiting(tx, 10 * BATCH)}
    for each, pseudonym in released.items():
        if (each.sid, each.tag) in still:
            before = subjects.by_sids(tx, [each.sid]).get(each.sid)
            subjects.assign_pseudonym(tx, each.sid, pseudonym)
            pending.resolved(tx, each.sid)
            # What the person said as another Patient here holds for this one, and the other way round.
            persons.apply_consents(tx, each.sid)
            persons.apply_consents_of(tx, before.pseudonym if before is not None else None)
