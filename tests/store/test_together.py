"""Writes of one kind that wait are done at once, and none of them suffers from another."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest
from sqlalchemy.exc import DBAPIError

from health_exchange.model.errors import NotFoundError, UnavailableError
from health_exchange.store import node_state, schema
from health_exchange.store.database import WriteConflictError
from health_exchange.store.engine import Store, Transaction

MANY = 40
BAD = 7


async def test_items_that_wait_share_a_call(store: Store) -> None:
    calls: list[int] = []
    go_on = threading.Event()

    def answer(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        go_on.wait()
        calls.append(len(asked))
        return [2 * each for each in asked]

    asking = [asyncio.create_task(store.write_each(answer, number)) for number in range(MANY)]
    await asyncio.sleep(0.1)
    go_on.set()

    assert await asyncio.gather(*asking) == [2 * number for number in range(MANY)]
    assert sum(calls) == MANY
    assert len(calls) <= 2


async def test_one_write_that_fails_fails_alone_and_leaves_nothing(store: Store) -> None:
    def keep(tx: Transaction, items: Sequence[int]) -> list[int]:
        for item in items:
            node_state.put(tx, f"item-{item}", b"kept")
            if item == BAD:
                raise NotFoundError("not this one")
        return list(items)

    told = await asyncio.gather(*(store.write_each(keep, each) for each in range(MANY)), return_exceptions=True)

    kept = store.read_now(lambda tx: [node_state.get(tx, f"item-{each}") for each in range(MANY)])
    assert isinstance(told[BAD], NotFoundError)
    assert [each for each in range(MANY) if kept[each] is None] == [BAD]


async def test_one_write_that_fails_takes_back_nothing_of_another_kind_in_its_transaction(store: Store) -> None:
    go_on = threading.Event()

    def keep(tx: Transaction, items: Sequence[str]) -> list[str]:
        for item in items:
            node_state.put(tx, item, b"kept")
            if item.endswith(str(BAD)):
                raise NotFoundError("not this one")
        return list(items)

    def keep_too(tx: Transaction, items: Sequence[str]) -> list[str]:
        return keep(tx, items)

    first = asyncio.create_task(store.write(lambda _tx: go_on.wait(10)))
    await asyncio.sleep(0.1)
    names = [(fn, f"{fn.__name__}-{n}") for n in range(9) for fn in (keep, keep_too)]
    asked = [asyncio.create_task(store.write_each(fn, name)) for fn, name in names]
    await asyncio.sleep(0.1)
    go_on.set()
    told = await asyncio.gather(*asked, return_exceptions=True)

    kept = store.read_now(lambda tx: [node_state.get(tx, name) for _fn, name in names])
    assert await first
    assert [isinstance(each, NotFoundError) for each in told] == [name.endswith(str(BAD)) for _fn, name in names]
    assert [value is None for value in kept] == [name.endswith(str(BAD)) for _fn, name in names]


async def test_a_write_that_hides_that_its_statement_failed_is_told_so_and_keeps_nothing(store: Store) -> None:
    def hides(tx: Transaction) -> None:
        node_state.put(tx, "hidden", b"kept")
        with suppress(DBAPIError):
            tx.connection.exec_driver_sql("SELECT no_such_column FROM node_state")

    told = await asyncio.gather(store.write(hides), return_exceptions=True)

    is_kept = store.read_now(lambda tx: node_state.get(tx, "hidden")) is not None
    assert isinstance(told[0], RuntimeError) != is_kept


async def test_one_write_that_the_database_refuses_fails_alone(store: Store) -> None:
    def keep(tx: Transaction, items: Sequence[int]) -> list[int]:
        for item in items:
            node_state.put(tx, f"item-{item}", b"kept")
            if item == BAD:
                tx.insert_many(schema.node_state, [(f"item-{item}", b"again")])
        return list(items)

    told = await asyncio.gather(*(store.write_each(keep, each) for each in range(MANY)), return_exceptions=True)

    kept = store.read_now(lambda tx: [node_state.get(tx, f"item-{each}") for each in range(MANY)])
    assert isinstance(told[BAD], WriteConflictError)
    assert [each for each in range(MANY) if kept[each] is None] == [BAD]


async def test_while_nobody_can_be_answered_each_is_told_at_once_and_an_error_of_his_own(store: Store) -> None:
    away = UnavailableError("away", retry_after_s=1)
    calls: list[int] = []

    def answer(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        calls.append(len(asked))
        raise away

    told = await asyncio.gather(*(store.write_each(answer, each) for each in range(MANY)), return_exceptions=True)

    assert all(isinstance(each, UnavailableError) for each in told)
    assert len(set(map(id, told))) == MANY
    assert sum(calls) == MANY


async def test_whoever_is_not_answered_is_told_so(store: Store) -> None:
    def too_few(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        return list(asked)[1:]

    def ends(_tx: Transaction, _asked: Sequence[int]) -> list[int]:
        raise StopIteration

    async with asyncio.timeout(10):
        assert isinstance(*await asyncio.gather(store.write_each(too_few, 1), return_exceptions=True), ValueError)
        assert isinstance(*await asyncio.gather(store.write_each(ends, 2), return_exceptions=True), RuntimeError)


async def test_nobody_waits_for_a_store_that_is_closed(store: Store) -> None:
    store.close()

    for _ in range(2):
        with pytest.raises(UnavailableError):
            await store.write_each(lambda _tx, asked: list(asked), 1)


async def test_who_asks_no_more_is_not_waited_for(store: Store) -> None:
    go_on = threading.Event()

    asked_for: list[int] = []

    def answer(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        asked_for.extend(asked)
        go_on.wait()
        return list(asked)

    first = asyncio.create_task(store.write_each(answer, 1))
    await asyncio.sleep(0.1)
    others = [asyncio.create_task(store.write_each(answer, each)) for each in (2, 4)]
    await asyncio.sleep(0)
    others[0].cancel()
    await asyncio.sleep(0)
    go_on.set()

    assert await first == 1
    assert await others[1] == 4
    with pytest.raises(asyncio.CancelledError):
        await others[0]
    assert asked_for == [1, 4]
