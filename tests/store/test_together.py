"""Questions and writes of one kind that wait are done at once, and none of them suffers from another."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from health_exchange.model.errors import NotFoundError
from health_exchange.store import node_state
from health_exchange.store.engine import Store, Transaction

MANY = 40
BAD = 7


async def test_questions_that_wait_share_a_read(store: Store) -> None:
    calls: list[int] = []
    go_on = threading.Event()

    def answer(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        go_on.wait()
        calls.append(len(asked))
        return [2 * each for each in asked]

    asking = [asyncio.create_task(store.read_each(answer, number)) for number in range(MANY)]
    await asyncio.sleep(0.1)
    go_on.set()

    assert await asyncio.gather(*asking) == [2 * number for number in range(MANY)]
    assert sum(calls) == MANY
    assert len(calls) <= 2


async def test_one_question_that_fails_fails_alone(store: Store) -> None:
    def answer(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        if BAD in asked:
            raise NotFoundError("not this one")
        return list(asked)

    told = await asyncio.gather(*(store.read_each(answer, each) for each in range(MANY)), return_exceptions=True)

    assert isinstance(told[BAD], NotFoundError)
    assert [each for each in told if each is not told[BAD]] == [each for each in range(MANY) if each != BAD]


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


async def test_who_asks_no_more_is_not_waited_for(store: Store) -> None:
    go_on = threading.Event()

    def answer(_tx: Transaction, asked: Sequence[int]) -> list[int]:
        go_on.wait()
        return list(asked)

    first, second = (asyncio.create_task(store.read_each(answer, each)) for each in (1, 2))
    await asyncio.sleep(0.1)
    second.cancel()
    go_on.set()

    assert await first == 1
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await store.read_each(answer, 3) == 3
