"""The recurring work of a node, as a table: what, which power it takes, how often it looks.

Every turn is idempotent and safe to lose at any point: it reads what is durable, acts, and makes its result durable in
one transaction. Wiring takes turns in loops; the federation's stories take them one by one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from health_exchange.model.powers import Power
from health_exchange.node import delivery, housekeeping, reconsidering, releasing, sending, surveying, witnessing
from health_exchange.node.directory_updates import DirectoryFile, DirectoryUpdates, no_file
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.store import schema

FEED, LOG, CHECKPOINTS, OUTBOX, PENDING = (
    frozenset({table.name})
    for table in (schema.feed, schema.audit_entries, schema.checkpoints, schema.outbox, schema.pending)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One kind of recurring work.

    Attributes:
        name: For logs and stories.
        take: Does what there is to do now; whether there was anything.
        every_s: How long to wait at least after a turn that found nothing.
        idle_s: How long to wait at most, where nothing was committed here meanwhile that gives it work.
        tables: Where what gives it work is written.
        gives_way: Whether it waits a little for work at the doors to be done.
    """

    name: str
    take: Callable[[], Awaitable[bool]]
    every_s: float
    idle_s: float = 1.0
    tables: frozenset[str] = frozenset()
    gives_way: bool = False


def turns_of(parts: NodeParts, pseudonyms: PseudonymClient | None, file: DirectoryFile = no_file) -> tuple[Turn, ...]:
    """The turns this node takes, by its powers; ``file`` is the directory file beside it."""
    updates = DirectoryUpdates(parts, file)
    carrier = delivery.Delivery(parts)
    turns = [
        Turn(name="integrate", take=lambda: housekeeping.integrate(parts), every_s=1.0),
        Turn(name="checkpoint", take=lambda: housekeeping.checkpoint(parts), every_s=0.1, tables=LOG),
        Turn(name="scrub", take=lambda: housekeeping.scrub(parts), every_s=1.0),
        Turn(name="forget", take=lambda: housekeeping.forget(parts), every_s=60.0, idle_s=60.0),
        Turn(name="directory", take=updates.take, every_s=5.0, idle_s=5.0),
        Turn(name="cosignatures", take=lambda: witnessing.gather_cosignatures(parts), every_s=2.0, tables=CHECKPOINTS),
        Turn(name="deliver", take=carrier.deliver, every_s=0.02, tables=OUTBOX),
        Turn(name="receipts", take=lambda: delivery.collect_receipts(parts), every_s=0.2, idle_s=0.2, tables=OUTBOX),
    ]
    if parts.card.may(Power.AGGREGATES):
        turns.append(Turn(name="survey", take=lambda: surveying.survey(parts), every_s=10.0, idle_s=10.0))
    if parts.card.may(Power.ADMITS_FACILITIES) and pseudonyms is not None:
        turns += [
            Turn(name="send", take=lambda: sending.send(parts), every_s=0.02, tables=FEED, gives_way=True),
            Turn(name="consents", take=lambda: reconsidering.reconsider(parts), every_s=1.0),
            Turn(name="release", take=lambda: releasing.release(parts, pseudonyms), every_s=0.5, tables=PENDING),
        ]
    return tuple(turns)
