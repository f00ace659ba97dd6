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

from health_exchange.model.errors import ExchangeError
from health_exchange.node.turns import Turn
from health_exchange.telemetry.events import log_event
from health_exchange.wiring.assembly import assemble
from health_exchange.wiring.bell import Bell
from health_exchange.wiring.currency import LOOK_EVERY_S, Currency
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
        ExchangeError: The settings' files cannot be used; nothing was started.
    """
    assembled = await asyncio.to_thread(assemble, settings)
    node = assembled.node
    settle_memory()
    stop = asyncio.Event()
    bells = [Bell(turn.tables) for turn in node.turns]
    node.parts.store.on_commit(partial(_announce, bells))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listeners = [
        Listener(settings, assembled.fhir_app, settings.fhir_port, mutual=False),
        Listener(settings, assembled.exchange_app, settings.exchange_port, mutual=True),
    ]
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = [tasks.create_task(listener.serve()) for listener in listeners]
            turning = [
                tasks.create_task(_take_turns(turn, bell, stop, assembled.workers))
                for turn, bell in zip(node.turns, bells, strict=True)
            ]
            tasks.create_task(_keep_current(assembled.currency, listeners, stop))
            log_event("node-started", node=str(node.parts.address), tier=node.parts.card.tier)
            await stop.wait()
            for bell in bells:
                bell.ring()
            for listener in listeners:
                listener.stop()
            await asyncio.wait([*serving, *turning], timeout=DRAIN_S)
            for task in (*serving, *turning):
                task.cancel()
    finally:
        await assembled.close()
        log_event("node-stopped", node=str(node.parts.address))


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


async def _take_turns(turn: Turn, bell: Bell, stop: asyncio.Event, workers: Processes) -> None:
    """Take one turn after another; where there was nothing to do, wait for a commit; after failures, wait longer."""
    failures = 0
    while not stop.is_set():
        if turn.gives_way:
            await workers.quiet(GIVE_WAY_S)
        bell.silence()
        try:
            did_something = await turn.take()
            failures = 0
        except ExchangeError as error:
            failures += 1
            did_something = False
            if failures == 1:
                log_event("turn-failed", turn=turn.name, code=error.code, detail=error.detail)
        except Exception as defect:  # noqa: BLE001  # one turn's defect must not end the others; it is told and retried
            failures += 1
            did_something = False
            log_event("turn-fault", turn=turn.name, code=type(defect).__name__)
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
