"""Long bodies are read after the commit that holds their entry, and large ones are opened where they hold nobody up."""

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest
from tests.node.test_reading import ANNE, COUNTY, VIEWER, Node, condition
from tests.node.test_reading import make_node as make_node  # noqa: PLC0414  # a fixture: pytest finds it by its name
from tests.tombstones import delete_resource

from health_exchange.model.powers import Tier
from health_exchange.node.reading import GoneError, Reading
from health_exchange.node.workers import WORTH_BYTES, Here
from health_exchange.store import resources, shredding
from health_exchange.store.engine import READERS, Transaction
from health_exchange.store.versions import SHORT_BYTES

T = TypeVar("T")


class Noting(Here):
    """Notes how large the work was that it was given."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:
        self.bytes.append(work_bytes)
        return await super().run(fn, *arguments, work_bytes=work_bytes)


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node(COUNTY, Tier.COUNTY, inline=False)


@contextmanager
def held_readers(node: Node) -> Iterator[None]:
    """No reader of the store has time."""
    gate = threading.Event()
    held = [asyncio.create_task(node.parts.store.read(lambda _tx: gate.wait(20))) for _ in range(READERS)]
    try:
        yield
    finally:
        gate.set()
    assert held


def long_condition() -> dict[str, object]:
    return condition("c1") | {"note": [{"text": secrets.token_hex(SHORT_BYTES)}]}


def overwrite(node: Node) -> None:
    node.keep(condition("c1"))


def delete(node: Node) -> None:
    kept = node.parts.store.read_now(lambda tx: resources.current(tx, "Condition", "c1"))
    assert kept is not None
    at = node.clock.now().isoformat()
    node.parts.store.write_now(lambda tx: delete_resource(tx, kept, version=2, changed_at=at))


def erase(node: Node) -> None:
    def shred(tx: Transaction) -> int:
        return shredding.shred(tx, ANNE)

    node.parts.store.write_now(shred)


async def read_while(node: Node, happens: Callable[[Node], None]) -> bytes:
    """What a read gives that finds its resource, and then something happens to that before its body is read."""
    node.keep(long_condition())
    before = len(node.log())
    with held_readers(node):
        await asyncio.sleep(0.05)
        reading = asyncio.create_task(node.reading.read("Condition", "c1", VIEWER))
        async with asyncio.timeout(10):
            while len(node.log()) == before:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not reading.done()
        happens(node)
    return (await reading).body


@pytest.mark.parametrize("happens", [overwrite, delete, lambda _node: None], ids=["overwritten", "deleted", "nothing"])
async def test_a_long_body_is_read_after_its_entry_and_as_it_was_found(
    node: Node, happens: Callable[[Node], None]
) -> None:
    assert len(await read_while(node, happens)) > 2 * SHORT_BYTES
    assert node.log()[-1].outcome == "allowed"


async def test_what_is_erased_before_its_long_body_is_read_is_gone(node: Node) -> None:
    with pytest.raises(GoneError):
        await read_while(node, erase)


async def test_a_large_body_that_is_kept_in_a_few_bytes_is_work_for_a_worker(node: Node) -> None:
    node.keep(condition("c1") | {"note": [{"text": "A" * 4_000_000}]})
    node.keep(condition("c2"))
    noting = Noting()
    reading = Reading(replace(node.parts, workers=noting), None)

    assert len((await reading.read("Condition", "c1", VIEWER)).body) > 4_000_000
    await reading.read("Condition", "c2", VIEWER)
    assert [each > WORTH_BYTES for each in noting.bytes] == [True, False]
    assert noting.bytes[0] > 4_000_000
