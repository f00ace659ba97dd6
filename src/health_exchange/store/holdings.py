"""Everything a database holds, by name and version and unopened: for whoever counts it afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from health_exchange.model.addresses import NodeAddress
from health_exchange.store.exports import standings
from health_exchange.store.schema import history, resources
from health_exchange.store.transaction import Transaction

Place = tuple[str, str]
"""Type and id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a node holds.

    Attributes:
        current: By place, whose resource it is and in which version it stands; tombstones left out.
        versions: Every version there ever was, as often as it is kept, tombstones left out.
        shared: By recipient, the places of which it was sent what stands there now.
        held: Places that nobody above has, for a reason.
    """

    current: Mapping[Place, tuple[str, int]]
    versions: list[tuple[str, str, int]]
    shared: Mapping[NodeAddress, frozenset[Place]]
    held: frozenset[Place]


def holdings(tx: Transaction) -> Holdings:
    """Everything, from one consistent state."""
    of = resources.c
    rows = list(tx.execute(select(of.rid, of.type, of.id, of.origin, of.version, of.deleted)))
    former = tx.execute(select(history.c.type, history.c.id, history.c.version).where(history.c.deleted.is_(False)))
    places: dict[int, Place] = {row.rid: (row.type, row.id) for row in rows if not row.deleted}
    shared: dict[NodeAddress, set[Place]] = {}
    stood = standings(tx, places)
    for rid, standing in stood.items():
        for recipient in standing.recipients:
            shared.setdefault(recipient, set()).add(places[rid])
    return Holdings(
        current={(row.type, row.id): (row.origin, row.version) for row in rows if not row.deleted},
        versions=[
            *((row.type, row.id, row.version) for row in rows if not row.deleted),
            *((row.type, row.id, row.version) for row in former),
        ],
        shared={recipient: frozenset(found) for recipient, found in shared.items()},
        held=frozenset(places[rid] for rid, standing in stood.items() if standing.held),
    )
