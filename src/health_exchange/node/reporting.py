"""The report: what the process that does a node's recurring work knows of it, where every process of the node finds it.

Written when something turns for the worse or the better, and otherwise every few seconds, so that an old report says
that nobody works.
"""

from datetime import datetime, timedelta

import msgspec

from health_exchange.node.contacts import Contact, Contacts
from health_exchange.node.delivery import Delivery
from health_exchange.node.greeting import Greeted, Greeter, neighbours
from health_exchange.node.key_ages import note_keys
from health_exchange.node.parts import NodeParts
from health_exchange.node.turn_watch import TurnState, TurnWatch
from health_exchange.store import audit_log, node_state
from health_exchange.store.engine import Transaction

EVERY = timedelta(seconds=10)
OLD = 3 * EVERY
"""Nobody works where the last report is older."""
_NAME = "report"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report.

    Attributes:
        at: When it was made.
        turns: By name.
        contacts: Neighbours, by address.
        greeted: Their last hellos, by address.
        refused: Streams that the next hop does not take, and why.
        cosigned_size: How much of the log witnesses had cosigned.
        uncosigned_since: Since when entries wait for a witness; ``None`` where none do.
    """

    at: datetime
    turns: dict[str, TurnState]
    contacts: dict[str, Contact]
    greeted: dict[str, Greeted]
    refused: dict[str, str]
    cosigned_size: int = 0
    uncosigned_since: datetime | None = None


class Reporter:
    """Makes reports of what watches, contacts and delivery know."""

    def __init__(
        self, parts: NodeParts, *, watch: TurnWatch, contacts: Contacts, greeter: Greeter, carrier: Delivery
    ) -> None:
        self._parts = parts
        self._watch, self._contacts, self._greeter, self._carrier = watch, contacts, greeter, carrier
        self._last: Report | None = None

    async def report(self) -> bool:
        """Write a report if there is news, or the last one is a while old. Never counts as work: it has no end."""
        now = self._parts.clock.now()
        last = self._last
        # Neighbours only: those whom a look-up asked may be anywhere in the country.
        near = set(neighbours(self._parts))
        report = Report(
            at=now,
            turns=dict(self._watch.states),
            contacts={str(peer): contact for peer, contact in self._contacts.known.items() if peer in near},
            greeted={str(peer): greeted for peer, greeted in self._greeter.greeted.items()},
            refused={str(stream): why for stream, why in self._carrier.refused.items()},
        )
        if last is None or not timedelta() <= now - last.at < EVERY or _conditions(report) != _conditions(last):
            self._last = await self._parts.store.write(lambda tx: _keep(tx, self._parts, report))
        return False


def latest_report(tx: Transaction) -> Report | None:
    """The last report; ``None`` before the first."""
    raw = node_state.get(tx, _NAME)
    return msgspec.json.decode(raw, type=Report) if raw else None


def _keep(tx: Transaction, parts: NodeParts, report: Report) -> Report:
    """The report as it is kept, with what the database adds to it."""
    before = latest_report(tx)
    cosigned = audit_log.cosigned_size(tx)
    waits = audit_log.size(tx) > cosigned
    goes_on = before is not None and before.uncosigned_since is not None and before.cosigned_size == cosigned
    since = before.uncosigned_since if before is not None and goes_on else report.at
    report = msgspec.structs.replace(report, cosigned_size=cosigned, uncosigned_since=since if waits else None)
    node_state.put(tx, _NAME, msgspec.json.encode(report))
    note_keys(tx, parts)
    return report


def _conditions(report: Report) -> tuple[object, ...]:
    """What a change of is news: who and what fails, not when each last did well."""
    turns = {name: state.code for name, state in report.turns.items() if state.failing_since is not None}
    away = sorted(name for name, contact in report.contacts.items() if contact.failing_since is not None)
    return turns, away, sorted(report.greeted), report.refused
