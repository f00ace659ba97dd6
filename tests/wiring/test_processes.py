"""Worker processes say when nobody waits for them."""

import asyncio
import time

from health_exchange.node.workers import WORTH_BYTES
from health_exchange.wiring.processes import Processes


async def test_workers_are_quiet_once_nobody_waits_for_them() -> None:
    workers = Processes(1)
    await asyncio.wait_for(workers.quiet(60), 1)
    work = asyncio.create_task(workers.run(time.sleep, 0.05, work_bytes=WORTH_BYTES))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(workers.quiet(60))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await work
    await asyncio.wait_for(waiting, 1)
    workers.close()


async def test_small_work_is_done_here_and_keeps_nobody_waiting() -> None:
    workers = Processes(1)
    assert await workers.run(len, b"abc", work_bytes=3) == 3
    await asyncio.wait_for(workers.quiet(60), 1)
