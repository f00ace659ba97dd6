"""Reads that may take long: they end in time, wait their turn, and are in nobody's way."""

import asyncio
import statistics
import threading
import time
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from psycopg.errors import QueryCanceled
from sqlalchemy import BigInteger, Select, bindparam, func, literal_column, select, text
from sqlalchemy.exc import OperationalError

from health_exchange.api.problems import problem_response
from health_exchange.model.errors import Category, UnavailableError
from health_exchange.store import database, engine, lane, postgresql, sqlite
from health_exchange.store.database import TooSlowError, unavailable
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.lane import CrowdedError, Lane

NEVER_ENDS = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT count(*) FROM n"
)
ONE = text("SELECT 1")
ONE_ON_THE_DRIVER: Select[Any] = select(literal_column("1").label("one"))
_NUMBERS = select(literal_column("1").label("i")).cte("n", recursive=True)
_ALL = _NUMBERS.union_all(select(_NUMBERS.c.i + 1).where(_NUMBERS.c.i < bindparam("last", type_=BigInteger)))
NEVER_ENDS_ON_THE_DRIVER: Select[Any] = select(func.count().label("number")).select_from(_ALL)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (database, engine, postgresql, sqlite):
        monkeypatch.setattr(module, "READ_S", 0.3)


def never_ends(tx: Transaction) -> None:
    tx.execute(NEVER_ENDS).scalar_one()


def never_ends_on_the_driver(tx: Transaction) -> None:
    tx.rows(NEVER_ENDS_ON_THE_DRIVER, {"last": 2_000_000_000})


def goes_on_and_on_on_the_driver(tx: Transaction) -> None:
    while True:
        tx.rows(ONE_ON_THE_DRIVER, {})


def goes_on_and_on(tx: Transaction) -> None:
    while True:
        tx.execute(ONE).scalar_one()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("read", [never_ends, goes_on_and_on, never_ends_on_the_driver, goes_on_and_on_on_the_driver])
async def test_a_long_read_is_ended_in_one_statement_or_between_two_and_says_what_would_help(
    store: Store, read: object
) -> None:
    begun = time.monotonic()
    with pytest.raises(TooSlowError, match="say more"):
        await store.read(read, asker="a")  # type: ignore[arg-type]  # one of those above
    assert time.monotonic() - begun < 5
    assert await store.read(lambda tx: tx.execute(ONE).scalar_one(), asker="a") == 1
    assert await store.read(lambda tx: tx.execute(ONE).scalar_one()) == 1


def test_nobody_is_asked_to_send_again_what_takes_too_long() -> None:
    answer = problem_response(TooSlowError())

    assert (answer.status_code, answer.headers.get("Retry-After")) == (HTTPStatus.BAD_REQUEST, None)


@pytest.mark.parametrize(("limited", "category"), [(True, Category.INCORRECT), (False, Category.UNAVAILABLE)])
def test_a_statement_that_somebody_else_has_ended_may_be_sent_again(limited: bool, category: Category) -> None:  # noqa: FBT001  # both cases
    assert unavailable(OperationalError("", None, QueryCanceled()), limited=limited).category is category


@pytest.mark.usefixtures("impatient")
async def test_a_write_and_a_short_read_are_under_no_such_limit(store: Store) -> None:
    def slow(tx: Transaction) -> int:
        time.sleep(0.4)
        return int(tx.execute(ONE).scalar_one())

    assert [await store.write(slow), await store.read(slow)] == [1, 1]


async def test_hundreds_of_long_reads_leave_the_latency_of_short_ones_bounded(store: Store) -> None:
    def long(tx: Transaction) -> None:
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            tx.execute(ONE).scalar_one()

    crowd = [asyncio.create_task(store.read(long, asker="crowd")) for _ in range(300)]
    await asyncio.sleep(0.1)
    took = []
    for _ in range(40):
        begun = time.monotonic()
        await store.read(lambda tx: tx.execute(ONE).scalar_one())
        took.append(time.monotonic() - begun)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)

    assert statistics.median(took) < 0.2
    assert max(took) < 2


async def test_who_asks_once_is_answered_before_all_that_another_has_asked() -> None:
    narrow, order, gate = Lane(1), list[str](), threading.Event()

    async def ask(asker: str) -> None:
        await narrow.run(asker, lambda: order.append(asker))

    held = asyncio.create_task(narrow.run("many", lambda: gate.wait(5)))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(ask(asker)) for asker in [*["many"] * 20, "once", *["many"] * 20]]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(held, *waiting)
    narrow.close()

    assert order.index("once") <= 1
    assert len(order) == 41


async def test_who_gives_up_takes_no_thread_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "WAIT_S", 0.05)
    narrow, gate = Lane(1), threading.Event()
    held = asyncio.create_task(narrow.run("a", lambda: gate.wait(5)))
    await asyncio.sleep(0)
    with pytest.raises(CrowdedError):
        await narrow.run("b", lambda: None)
    gone = asyncio.create_task(narrow.run("c", lambda: None))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    await held

    assert await narrow.run("d", lambda: 7) == 7
    narrow.close()


async def test_one_asker_leaves_a_thread_to_the_others() -> None:
    wide, gate = Lane(3), threading.Event()
    crowd = [asyncio.create_task(wide.run("many", lambda: gate.wait(5))) for _ in range(9)]
    await asyncio.sleep(0)

    assert await asyncio.wait_for(wide.run("one", lambda: 7), 2) == 7
    gate.set()
    await asyncio.gather(*crowd)
    wide.close()


async def test_quick_reads_of_one_asker_come_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "QUICK_S", 60)
    wide, under_way, together = Lane(3), threading.Semaphore(1), list[bool]()

    def quick() -> None:
        is_alone = under_way.acquire(blocking=False)
        together.append(not is_alone)
        time.sleep(0.001)
        if is_alone:
            under_way.release()

    await asyncio.gather(*(wide.run("a", quick) for _ in range(30)))
    assert together == [False] * 30
    wide.close()


async def test_behind_a_slow_read_the_next_of_its_asker_begins_beside_it() -> None:
    wide, gate = Lane(3), threading.Event()
    slow = asyncio.create_task(wide.run("a", lambda: gate.wait(5)))
    await asyncio.sleep(0)

    # One wait for it to prove slow, and not one for each.
    async with asyncio.timeout(20 * lane.QUICK_S):
        assert [await wide.run("a", lambda: 7) for _ in range(40)] == [7] * 40
    assert not slow.done()
    gate.set()
    await slow
    wide.close()


async def test_what_was_read_before_a_slow_read_of_the_same_turn_is_told_before_it_ends() -> None:
    wide, gate, begun = Lane(3), threading.Event(), threading.Event()
    held = asyncio.create_task(wide.run("a", lambda: begun.wait(5)))
    await asyncio.sleep(0)
    quick = [asyncio.create_task(wide.run("a", lambda: 7)) for _ in range(5)]
    slow = asyncio.create_task(wide.run("a", lambda: gate.wait(5)))
    behind = asyncio.create_task(wide.run("a", lambda: 8))
    await asyncio.sleep(0)
    begun.set()

    async with asyncio.timeout(10 * lane.QUICK_S):
        assert await asyncio.gather(held, *quick, behind) == [True, 7, 7, 7, 7, 7, 8]
    assert not slow.done()
    gate.set()
    await slow
    wide.close()


async def test_what_one_asker_waits_for_is_read_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "TURN_S", 60)
    narrow, begun = Lane(1), threading.Event()

    def turn() -> lane._Turn:
        [only] = narrow._turns["a"]
        return only

    held = asyncio.create_task(narrow.run("a", lambda: begun.wait(5)))
    await asyncio.sleep(0)
    asked = [asyncio.create_task(narrow.run("a", turn)) for _ in range(20)]
    await asyncio.sleep(0)
    first = turn()
    begun.set()

    assert await asyncio.gather(*asked) == [first] * 20
    await held
    narrow.close()


async def test_who_waits_when_the_lane_is_closed_is_told_so_at_once() -> None:
    narrow, gate = Lane(1), threading.Event()
    held = asyncio.create_task(narrow.run("a", lambda: gate.wait(5)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(narrow.run("b", lambda: 7))
    await asyncio.sleep(0)
    gate.set()
    narrow.close()

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(waiting, 2)
    with pytest.raises(UnavailableError):
        await narrow.run("c", lambda: 7)
    assert await held


async def test_a_thread_is_passed_on_when_it_is_free_not_when_nobody_waits_for_it() -> None:
    narrow, gate = Lane(1), threading.Event()
    held = asyncio.create_task(narrow.run("a", lambda: gate.wait(5)))
    await asyncio.sleep(0.05)
    held.cancel()
    order: list[str] = []
    waiting = [asyncio.create_task(narrow.run(each, partial(order.append, each))) for each in ("b", "b", "c")]
    await asyncio.sleep(0.05)

    assert not order
    gate.set()
    await asyncio.gather(*waiting)
    assert order == ["b", "c", "b"]
    narrow.close()
