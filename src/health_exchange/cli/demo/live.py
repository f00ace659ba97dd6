"""The tree while records move: one line a node, redrawn as the numbers change."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import httpx
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from health_exchange.cli.demo.replay import Replay
from health_exchange.model.errors import UnavailableError
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.inspection import RelayInspector

REFRESH_S = 0.5
SETTLED_LOOKS = 2
"""How many looks in a row must find nothing under way."""
SETTLE_WITHIN_S = 120.0


async def fetch_network(http: httpx.AsyncClient, nation_url: str) -> NetworkStatus:
    """The whole tree's numbers, from the nation's operator door."""
    answer = await http.get(f"{nation_url}/operator/v1/network", timeout=10.0)
    answer.raise_for_status()
    return msgspec.json.decode(answer.content, type=NetworkStatus)


async def watch(
    replay: Replay, http: httpx.AsyncClient, nation_url: str, console: Console, relays: Sequence[RelayInspector]
) -> NetworkStatus:
    """Replay, show the tree meanwhile, and return its numbers once nothing moves any more.

    Args:
        replay: What to replay.
        http: For the nodes' doors.
        nation_url: Whose numbers tell of all.
        console: Where to draw.
        relays: Look at what passes through the cities at the same time.

    Raises:
        TimeoutError: Something was still under way long after the last Bundle.
    """
    replaying = asyncio.create_task(replay.run())
    status = await fetch_network(http, nation_url)
    looks = 0
    with Live(draw(status, replay), console=console, refresh_per_second=4) as live:
        while not replaying.done():
            await asyncio.wait([replaying], timeout=REFRESH_S)
            for relay in relays:
                # While a relay's database is away nothing passes through it.
                with suppress(UnavailableError):
                    await asyncio.to_thread(relay.look)
            status = await _look(http, nation_url) or status
            live.update(draw(status, replay))
        await replaying
        async with asyncio.timeout(SETTLE_WITHIN_S):
            while looks < SETTLED_LOOKS:
                await asyncio.sleep(REFRESH_S)
                seen = await _look(http, nation_url)
                status = seen or status
                live.update(draw(status, replay))
                # Numbers of before say nothing of now.
                looks = looks + 1 if seen and _is_settled(seen) else 0
    return status


def _is_settled(status: NetworkStatus) -> bool:
    """Whether nothing is under way anywhere, nor waits for key holders that were away."""
    return not status.away and all(node.is_settled and not node.waiting_for_pseudonym for node in status.nodes)


async def _look(http: httpx.AsyncClient, nation_url: str) -> NetworkStatus | None:
    """The numbers now; ``None`` where the nation does not answer just now."""
    try:
        return await fetch_network(http, nation_url)
    except httpx.HTTPError:
        return None


def draw(status: NetworkStatus, replay: Replay) -> Table:
    """The tree as a table."""
    done = sum(replay.sent.values())
    title = f"{done} of {replay.samples.count} Bundles admitted, {replay.records_in} records"
    # Fits 80 columns: numbers keep their room, a long name gives way.
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("node", no_wrap=True, overflow="ellipsis", max_width=24)
    for heading in ("in", "sent", "opened", "kept", "held", "moving", "lag", "log"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=5)
    for node in status.nodes:
        table.add_row(
            "  " * node.address.count("/") + node.name,
            str(node.received),
            str(node.forwarded),
            str(node.opened),
            str(node.resources),
            str(sum(node.held.values())),
            str(node.undelivered + node.awaited),
            f"{node.lag_s:.2f} s" if node.opened else "",
            str(node.log.size),
        )
    for address in status.away:
        table.add_row("  " * address.count("/") + address, *["away"] * 8, style="red")
    return table
