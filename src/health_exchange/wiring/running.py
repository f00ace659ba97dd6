"""A node at work: two servers and its recurring turns in one task group, until it is told to stop.

The FHIR door speaks TLS to everyone; the exchange door demands a certificate of the network's authority. Recurring work
runs as turns (``node.turns``): each does what there is to do and says whether it did anything, so that a turn that
failed is simply taken again later.
"""

import asyncio
import signal
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial

import uvloop

from health_exchange.node.turns import Turn
from health_exchange.store.database import DatabaseTakenError
from health_exchange.telemetry.events import log_event
from health_exchange.wiring.assembly import AssembledNode, assemble
from health_exchange.wiring.bell import Bell
from health_exchange.wiring.currency import LOOK_EVERY_S, Currency
from health_exchange.wiring.doors import Announce, Doors
from health_exchange.wiring.listeners import Listener
from health_exchange.wiring.memory import settle_memory
from health_exchange.wiring.processes import Processes
from health_exchange.wiring.settings import Settings

BACKOFF_MAX_S = 5.0
DRAIN_S = 3.0
GIVE_WAY_S = 0.3
"""How long what travels up waits at most for what is being admitted."""


async def run_node(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ExchangeError: The settings' files cannot be used, nothing was started.
        DatabaseTakenError: Another process has become this node meanwhile.
    """
    assembled = await asyncio.to_thread(assemble, settings)
    node = assembled.node
    settle_memory()
    stop = asyncio.Event()
    displaced: list[DatabaseTakenError] = []
    bells = [Bell(turn.tables) for turn in node.turns]
    node.parts.store.on_commit(partial(_announce, bells))
    _stop_on_signal(stop)
    doors = Doors(serve_doors, settings, assembled.run, settings.processes - 1, partial(_announce, bells))
    listeners = _listeners(settings, assembled)
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = [tasks.create_task(listener.serve()) for listener in listeners]
            turning = [
                tasks.create_task(_take_turns(turn, bell, stop, assembled.workers, displaced))
                for turn, bell in zip(node.turns, bells, strict=True)
            ]
            tasks.create_task(_keep_current(assembled.currency, listeners, stop))
            log_event("node-started", node=str(node.parts.address), tier=node.parts.card.tier)
            await stop.wait()
            for bell in bells:
                bell.ring()
            await _drain(listeners, [*serving, *turning])
    finally:
        await asyncio.to_thread(doors.stop)
        await assembled.close()
        log_event("node-stopped", node=str(node.parts.address))
    if displaced:
        raise displaced[0]


def serve_doors(settings: Settings, run: str, announce: Announce) -> None:
    """Serve the doors of a node that runs in another process, until SIGTERM; ``wiring.doors`` calls it."""
    uvloop.run(_serve_doors(settings, run, announce))


async def _serve_doors(settings: Settings, run: str, announce: Announce) -> None:
    assembled = await asyncio.to_thread(assemble, settings, run)
    settle_memory()
    stop = asyncio.Event()
    assembled.node.parts.store.on_commit(announce)
    _stop_on_signal(stop)
    listeners = _listeners(settings, assembled)
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = [tasks.create_task(listener.serve()) for listener in listeners]
            tasks.create_task(_keep_current(assembled.currency, listeners, stop))
            await stop.wait()
            await _drain(listeners, serving)
    finally:
        await assembled.close()


def _stop_on_signal(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def _listeners(settings: Settings, assembled: AssembledNode) -> list[Listener]:
    """The FHIR door, and where the node has peers the exchange door."""
    listeners = [Listener(settings, assembled.fhir_app, settings.fhir_port, mutual=False)]
    if settings.exchange_port:
        listeners.append(Listener(settings, assembled.exchange_app, settings.exchange_port, mutual=True))
    return listeners


async def _drain(listeners: Sequence[Listener], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let what is under way end, for a while."""
    for listener in listeners:
        listener.stop()
    await asyncio.wait(tasks, timeout=DRAIN_S)
    for task in tasks:
        task.cancel()


def _announce(bells: Sequence[Bell], tables: AbstractSet[str]) -> None:
    """Tell everyone of a commit."""
    for bell in bells:
        bell.commit(tables)


async def _keep_current(currency: Currency, listeners: Sequence[Listener], stop: asyncio.Event) -> None:
    """Go by what files and database say now, until told to stop."""
    while not stop.is_set():
        await _sleep_until(stop, LOOK_EVERY_S)
        if await currency.look():
            for listener in listeners:
                listener.renew()


async def _take_turns(
    turn: Turn, bell: Bell, stop: asyncio.Event, workers: Processes, displaced: list[DatabaseTakenError]
) -> None:
    """Take one turn after another; where there was nothing to do, wait for a commit; after failures, wait longer."""
    failures = 0
    while not stop.is_set():
        if turn.gives_way:
            await workers.quiet(GIVE_WAY_S)
        bell.silence()
        try:
            did_something = await turn.take()
            failures = 0
        except DatabaseTakenError as error:
            # The node is another process by now: whatever this one does is not the node's any more.
            displaced.append(error)
            stop.set()
            return
        except Exception:  # noqa: BLE001  # one turn's failure must not end the others; its watch tells of it
            failures += 1
            did_something = False
        if failures:
            await _sleep_until(stop, min(turn.every_s * 2 ** min(failures, 10), max(BACKOFF_MAX_S, turn.every_s)))
        elif not did_something:
            await _sleep_until(stop, turn.every_s)
            await bell.wait(turn.idle_s)


async def _sleep_until(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, or return early once told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
