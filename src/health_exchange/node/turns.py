"""The recurring work of a node, as a table: what, which power it takes, how often it looks.

Every turn is idempotent and safe to lose at any point: it reads what is durable, acts, and makes its result durable in
one transaction. Wiring takes turns in loops; the federation's stories take them one by one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from health_exchange.model.powers import Power
from health_exchange.node import (
    delivery,
    housekeeping,
    reconsidering,
    rejoining,
    releasing,
    sending,
    surveying,
    witnessing,
)
from health_exchange.node.contacts import Contacts
from health_exchange.node.directory_updates import DirectoryFile, DirectoryUpdates
from health_exchange.node.greeting import Greeter
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.reporting import Reporter
from health_exchange.node.turn_watch import TurnWatch
from health_exchange.store import schema

FEED, LOG, CHECKPOINTS, OUTBOX, PENDING, TALLIES = (
    frozenset({table.name})
    for table in (
        schema.feed,
        schema.audit_entries,
        schema.checkpoints,
        schema.outbox,
        schema.pending,
        schema.tally_changes,
    )
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


def turns_of(
    parts: NodeParts, pseudonyms: PseudonymClient | None, contacts: Contacts, file: DirectoryFile
) -> tuple[Turn, ...]:
    """The turns this node takes, by its powers; what becomes of them is watched and reported.

    Args:
        parts: The node's.
        pseudonyms: Where it sees national IDs.
        contacts: Its peers as it has met them.
        file: The directory file beside it.
    """
    carrier = delivery.Delivery(parts)
    watch, greeter = TurnWatch(parts.clock, parts.address), Greeter(parts, contacts)
    reporter = Reporter(parts, watch=watch, contacts=contacts, greeter=greeter, carrier=carrier)
    turns = [
        *_work(parts, pseudonyms, carrier),
        Turn(name="directory", take=DirectoryUpdates(parts, file).take, every_s=5.0, idle_s=5.0),
        Turn(name="greet", take=greeter.greet, every_s=1.0, idle_s=1.0),
        Turn(name="report", take=reporter.report, every_s=0.5, idle_s=0.5),
    ]
    return tuple(replace(turn, take=watch.watched(turn.name, turn.take)) for turn in turns)


def _work(parts: NodeParts, pseudonyms: PseudonymClient | None, carrier: delivery.Delivery) -> list[Turn]:
    """What the node does for others."""
    turns = [
        Turn(name="checkpoint", take=lambda: housekeeping.checkpoint(parts), every_s=0.1, tables=LOG),
        Turn(name="tally", take=lambda: housekeeping.tally(parts), every_s=0.2, tables=TALLIES),
        Turn(name="rejoin", take=lambda: rejoining.ask_missing(parts), every_s=10.0, idle_s=10.0),
        Turn(name="scrub", take=lambda: housekeeping.scrub(parts), every_s=1.0),
        Turn(name="reindex", take=lambda: housekeeping.reindex(parts), every_s=1.0, idle_s=60.0, gives_way=True),
        Turn(name="forget", take=lambda: housekeeping.forget(parts), every_s=60.0, idle_s=60.0),
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
    return turns
