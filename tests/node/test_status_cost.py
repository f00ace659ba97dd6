"""Telling how a node is doing costs the same however much it keeps."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from tests.federation.network import Network

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, StreamId
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.node.measuring import measure
from health_exchange.node.status import status_of
from health_exchange.store import audit_log, exports, feed, node_state, outbox, resources, subjects, tallies
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Transaction
from health_exchange.store.exports import Standing

COUNTY = "cn/33/3305/330521"
ABOVE = NodeAddress.parse("cn")
STEPS = 50
"""Instructions of the database's machine that are counted as one."""


class Steps:
    """Counts what SQLite does."""

    def __init__(self) -> None:
        self.taken = 0

    def watch(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(self._step, STEPS)

    def _step(self) -> int:
        self.taken += 1
        return 0


@pytest.fixture
def steps() -> Iterator[Steps]:
    counting = Steps()
    event.listen(Engine, "connect", counting.watch)
    yield counting
    event.remove(Engine, "connect", counting.watch)


def keep(tx: Transaction, first: int, count: int) -> None:
    """So many more persons with ten records each, sent, signed for and logged."""
    for number in range(first, first + count):
        owner = subjects.find_or_make_subject(tx, anchor=f"Patient/{number}", pseudonym=Pseudonym(f"{number:026d}"))
        versions = [
            resources.NewVersion(
                type="Observation",
                id=f"o{number}-{place}",
                sid=owner.sid,
                origin=COUNTY,
                version=1,
                resource_class=ResourceClass(
                    type="Observation",
                    sensitivity=Sensitivity.CLINICAL,
                    category=SensitiveCategory.GENERAL,
                    jurisdiction=COUNTY,
                ),
                changed_at="2026-01-01T00:00:00Z",
                instant="2026-01-01",
                packed=pack_body("Observation", b"{}"),
            )
            for place in range(10)
        ]
        rids = resources.put_many(tx, versions)
        sent = [Standing(rid=rid, version=1, recipients=frozenset({ABOVE}), held="") for rid in rids[1:]]
        exports.record(tx, [*sent, Standing(rid=rids[0], version=1, recipients=frozenset(), held="sensitivity")])
        stream = StreamId("s")
        outbox.enqueue(tx, raw=b"x", stream=stream, sequence=number, digest=b"d", recipients=[ABOVE])
        outbox.mark_delivered(tx, stream, number)
        outbox.record_receipt(tx, stream, number, ABOVE, outcome="accepted", code="", raw=b"r")
        audit_log.append(tx, [audit_log.NewEntry(b"entry", b"0" * 32)])
        audit_log.save_checkpoint(tx, number, b"note")
        audit_log.save_cosignature(tx, number, "cn", b"line")
    tallies.fold(tx)


async def test_status_and_metrics_cost_the_same_however_much_is_kept(steps: Steps, tmp_path: Path) -> None:
    network = Network(tmp_path)
    await network.round()
    parts = network[COUNTY].parts
    taken = []
    for first, count in ((1, 10), (11, 290)):
        parts.store.write_now(lambda tx, first=first, count=count: keep(tx, first, count))  # type: ignore[misc]  # bound as defaults
        parts.store.write_now(lambda tx: node_state.set_cursor(tx, "sent", feed.last_number(tx)))
        await measure(parts)  # what is counted once only
        steps.taken = 0
        await status_of(parts)
        await measure(parts)
        taken.append(steps.taken)

    status = await status_of(parts)
    assert (status.resources, status.persons, status.held) == (3000, 300, {"sensitivity": 300})
    assert status.shared_with == {"cn": 2700}
    few, many = taken
    assert many <= 2 * few  # of thirty times as much
