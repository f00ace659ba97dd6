"""Long bodies are read after the commit that holds their entry, and large ones are opened where they hold nobody up."""

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest
from tests.node.test_reading import ANNE, COUNTY, FACILITY, VIEWER, Node, condition
from tests.node.test_reading import make_node as make_node  # noqa: PLC0414  # a fixture: pytest finds it by its name
from tests.tombstones import delete_resource

from health_exchange.model.powers import Tier
from health_exchange.node.callers import Caller
from health_exchange.node.reading import GoneError, Reading
from health_exchange.node.workers import WORTH_BYTES, Here
from health_exchange.store import lane, resources, shredding
from health_exchange.store.bodies import SealedBody
from health_exchange.store.engine import Transaction
from health_exchange.store.lane import THREADS, CrowdedError
from health_exchange.store.versions import SHORT_BYTES

T = TypeVar("T")
OTHERS = [f"other-{number}" for number in range(THREADS)]


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
def held(node: Node) -> Iterator[None]:
    """All turns are others'."""
    gate = threading.Event()
    waiting = [asyncio.create_task(node.parts.store.read(lambda _tx: gate.wait(20), asker=asker)) for asker in OTHERS]
    try:
        yield
    finally:
        gate.set()
    assert waiting


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


async def read_while(node: Node, happens: Callable[[Node], None], *, version: int | None = None) -> bytes:
    """What a read gives that finds its resource, and then something happens to that before its body is read."""
    node.keep(long_condition())
    before = len(node.log())
    with held(node):
        await asyncio.sleep(0.05)
        reading = asyncio.create_task(
            node.reading.read("Condition", "c1", VIEWER)
            if version is None
            else node.reading.vread("Condition", "c1", version, VIEWER)
        )
        async with asyncio.timeout(10):
            while len(node.log()) == before:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not reading.done()
        happens(node)
    return (await reading).body


@pytest.mark.parametrize("version", [None, 1], ids=["read", "by-version"])
@pytest.mark.parametrize("happens", [overwrite, delete, lambda _node: None], ids=["overwritten", "deleted", "nothing"])
async def test_a_long_body_is_read_after_its_entry_and_as_it_was_found(
    node: Node, happens: Callable[[Node], None], version: int | None
) -> None:
    assert len(await read_while(node, happens, version=version)) > 2 * SHORT_BYTES
    assert node.log()[-1].outcome == "allowed"


@pytest.mark.parametrize("version", [None, 1], ids=["read", "by-version"])
async def test_what_is_erased_before_its_long_body_is_read_is_gone(node: Node, version: int | None) -> None:
    with pytest.raises(GoneError):
        await read_while(node, erase, version=version)


@pytest.mark.parametrize("former", [True, False], ids=["former", "current"])
async def test_to_read_a_short_version_by_its_number_no_long_one_is_opened_beside_it(
    node: Node, monkeypatch: pytest.MonkeyPatch, *, former: bool
) -> None:
    for resource in [condition("c1"), long_condition()] if former else [long_condition(), condition("c1")]:
        node.keep(resource)
    opened = list[int]()
    unsealed = SealedBody.unsealed

    def noting(body: SealedBody) -> bytes:
        opened.append(body.version)
        return unsealed(body)

    monkeypatch.setattr(SealedBody, "unsealed", noting)
    number = 1 if former else 2
    # All turns are others': what is short waits for none.
    with held(node):
        async with asyncio.timeout(10):
            kept = await node.reading.vread("Condition", "c1", number, VIEWER)

    assert len(kept.body) < SHORT_BYTES
    assert opened == [number]


@pytest.mark.parametrize("by_version", [False, True], ids=["read", "by-version"])
async def test_long_bodies_are_read_in_turn_and_no_quick_read_waits_for_them(node: Node, *, by_version: bool) -> None:
    node.keep(long_condition())
    node.keep(condition("c2"))
    done = list[str]()

    async def read(by: Caller) -> None:
        if by_version:
            await node.reading.vread("Condition", "c1", 1, by)
        else:
            await node.reading.read("Condition", "c1", by)
        done.append(by.principal.id)

    before = len(node.log())
    with held(node):
        await asyncio.sleep(0.05)
        many = [asyncio.create_task(read(VIEWER)) for _ in range(60)]
        async with asyncio.timeout(10):
            while len(node.log()) < before + len(many):
                await asyncio.sleep(0.01)
        once = asyncio.create_task(read(FACILITY))
        async with asyncio.timeout(10):
            while len(node.log()) <= before + len(many):
                await asyncio.sleep(0.01)
            await node.reading.vread("Condition", "c2", 1, VIEWER)
        assert not done
    await asyncio.gather(once, *many)

    assert done.index(FACILITY.principal.id) < len(many) / 2


async def test_whose_turn_does_not_come_for_a_long_body_hears_of_it_and_the_log_says_what_was_decided(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "WAIT_S", 0.3)
    node.keep(long_condition())
    with held(node):
        await asyncio.sleep(0.05)
        with pytest.raises(CrowdedError):
            await node.reading.read("Condition", "c1", VIEWER)
        with pytest.raises(CrowdedError):
            await node.reading.vread("Condition", "c1", 1, VIEWER)
    assert [entry.outcome for entry in node.log()[-2:]] == ["allowed"] * 2


async def test_a_large_body_that_is_kept_in_a_few_bytes_is_work_for_a_worker(node: Node) -> None:
    node.keep(condition("c1") | {"note": [{"text": "A" * 4_000_000}]})
    node.keep(condition("c2"))
    noting = Noting()
    reading = Reading(replace(node.parts, workers=noting), None)

    assert len((await reading.read("Condition", "c1", VIEWER)).body) > 4_000_000
    await reading.read("Condition", "c2", VIEWER)
    assert [each > WORTH_BYTES for each in noting.bytes] == [True, False]
    assert noting.bytes[0] > 4_000_000
