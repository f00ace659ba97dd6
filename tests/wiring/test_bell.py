"""A bell wakes its listener for the commits he waits for, and for no others."""

import asyncio

import pytest

from health_exchange.wiring.bell import Bell


@pytest.mark.parametrize(("tables", "expected"), [({"feed", "tokens"}, True), ({"tokens"}, False), (set(), False)])
async def test_a_commit_rings_only_where_it_touches_a_table_of_interest(tables: set[str], expected: bool) -> None:  # noqa: FBT001  # a row's value
    bell = Bell({"feed", "outbox"})
    bell.commit(tables)
    waiting = asyncio.create_task(bell.wait(0.05))
    await asyncio.sleep(0.01)
    assert waiting.done() is expected
    await waiting


async def test_what_rang_before_the_listener_looked_is_forgotten() -> None:
    bell = Bell({"feed"})
    bell.commit({"feed"})
    await asyncio.sleep(0)
    bell.silence()
    waiting = asyncio.create_task(bell.wait(0.05))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    bell.commit({"feed"})
    await asyncio.sleep(0.01)
    assert waiting.done()
