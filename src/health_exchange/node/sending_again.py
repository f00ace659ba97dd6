"""Sending again what a node above has lost with its database: the sender goes over the changes since its backup.

They go into new envelopes, for the old ones are not kept once everybody has signed; those who have them take them as
seen. What was taken back meanwhile is taken back again, from what the asker may hold and of nothing else.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.node.parts import NodeParts
from health_exchange.node.sending import CURSOR
from health_exchange.policy.consent_rules import effective
from health_exchange.policy.sharing import recipients_of
from health_exchange.protocol.rejoining import RejoinQuestion
from health_exchange.store import exports, locators, node_state, rejoining, resources, streams, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.exports import Standing
from health_exchange.store.transaction import chunks


def send_again(tx: Transaction, parts: NodeParts, question: RejoinQuestion, sender: NodeAddress) -> int:
    """Have the sender of envelopes go over what ``sender`` has lost; the last place of our stream.

    Once for each incarnation, however often it asks.
    """
    head = streams.head(tx, parts.stream)
    last, had = head.sequence if head else 0, question.heads.get(parts.stream, 0)
    once = f"rejoined:{sender}"
    if node_state.cursor(tx, once) < question.incarnation and had < last:
        number = rejoining.change_sent_with(tx, parts.stream, had) if had else 0
        told = rejoining.told_after(tx, parts.stream, had)
        for chunk in chunks(rejoining.rows_changed_around(tx, number)):
            exports.record(tx, list(_held_again(tx, parts, sender, chunk, told)))
        for person in told:
            if not locators.announced(tx, parts.address, [person]):
                # Told to forget, which the sender has forgotten: announced as far as it knows.
                locators.add(tx, parts.address, {person: ""})
        node_state.set_cursor(tx, CURSOR, min(number, node_state.cursor(tx, CURSOR)))
        node_state.set_cursor(tx, once, question.incarnation)
    return last


def _held_again(
    tx: Transaction, parts: NodeParts, sender: NodeAddress, rids: Sequence[int], told: AbstractSet[Pseudonym]
) -> Iterator[Standing]:
    """Standings of those resources that the sender may hold although it was told to give them back."""
    ever = rejoining.classes_ever(tx, set(rids))
    kept = resources.sealed_by_rids(tx, rids)
    owners = subjects.by_sids(tx, [resource.sid for resource, _body in kept.values()])
    card = [parts.directory.nodes[sender]]
    for rid, standing in exports.standings(tx, rids).items():
        if sender in standing.recipients or rid not in kept:
            continue
        resource, owner = kept[rid][0], owners.get(kept[rid][0].sid)
        if owner is not None and owner.sid != subjects.DIRECTORY_SID and owner.pseudonym is None:
            continue  # of somebody without a name above, so it never left
        # Of whom nothing was told since, the same was held back before as is now.
        said = owner.consent if owner is not None and owner.pseudonym not in told else ""
        consent = effective(
            said,
            at=parts.clock.now(),
            organization=str(parts.address),
            purpose=Purpose.TREATMENT,
            data_at=resource.instant,
        )
        if any(recipients_of(parts.policies, each, consent, card) for each in ever.get(rid, ())):
            recipients = standing.recipients | {sender}
            yield Standing(rid=rid, version=standing.version, recipients=recipients, held=standing.held)
