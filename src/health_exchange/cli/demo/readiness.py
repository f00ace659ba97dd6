"""Waiting until every node of a network says that it is ready, whoever started it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError
from health_exchange.wiring.plan import PlannedNode

READY_WITHIN_S: Final = 60.0


def nobody_ended(_address: NodeAddress) -> None:
    """Where nodes run elsewhere, nobody here sees one end."""


async def until_ready(
    client: httpx.AsyncClient,
    nodes: Mapping[NodeAddress, PlannedNode],
    *,
    within_s: float = READY_WITHIN_S,
    check_alive: Callable[[NodeAddress], None] = nobody_ended,
) -> None:
    """Return once every node says that it is ready.

    Args:
        client: Trusts the network's authority.
        nodes: Who is waited for.
        within_s: How long at most.
        check_alive: Asked about a node that is not ready; raises if it never will be.

    Raises:
        UnavailableError: One is not ready in time, or ``check_alive`` says that it has ended.
    """
    async with asyncio.timeout(within_s + 5):
        deadline = time.monotonic() + within_s
        waiting = set(nodes)
        while waiting:
            for address in sorted(waiting):
                if await _is_ready(client, nodes[address]):
                    waiting.discard(address)
                else:
                    check_alive(address)
            if waiting and time.monotonic() > deadline:
                raise UnavailableError(f"not ready after {within_s:g} s: {', '.join(map(str, sorted(waiting)))}")
            await asyncio.sleep(0.1 if waiting else 0)


async def _is_ready(client: httpx.AsyncClient, node: PlannedNode) -> bool:
    """Whether the node's health check says so."""
    try:
        answer = await client.get(f"{node.fhir_url}/health/ready", timeout=2.0)
    except httpx.HTTPError:
        return False
    return answer.is_success
