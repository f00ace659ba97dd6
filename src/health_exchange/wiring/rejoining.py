"""Having a node with a restored database rejoin the network, from its settings, before it is started."""

import asyncio
from pathlib import Path

from health_exchange.api.clients import read_registry
from health_exchange.node.comparing import Comparison, compare, renew
from health_exchange.node.making_good import RejoinReport
from health_exchange.node.rejoining import rejoin
from health_exchange.store.incarnations import Rejoining
from health_exchange.wiring.assembly import assemble
from health_exchange.wiring.settings import Settings

FACILITY = "facility"


async def rejoin_network(settings: Settings, *, without_missing: bool) -> RejoinReport:
    """As ``node.rejoining.rejoin``, over HTTPS and the node's database, for all its registered facilities."""
    registry = read_registry(await asyncio.to_thread(Path(settings.clients).read_bytes))
    facilities = [f"{each.client_id} ({each.name})" for each in registry.values() if each.kind == FACILITY]
    assembled = await asyncio.to_thread(assemble, settings, starts=False)
    try:
        return await rejoin(assembled.node.parts, facilities, without_missing=without_missing)
    finally:
        await assembled.close()


async def compare_with_network(settings: Settings) -> Comparison:
    """As ``node.comparing.compare``, over HTTPS and the node's database."""
    assembled = await asyncio.to_thread(assemble, settings, starts=False)
    try:
        return await compare(assembled.node.parts)
    finally:
        await assembled.close()


async def renew_database(settings: Settings) -> Rejoining:
    """As ``node.comparing.renew``, of the node's database."""
    assembled = await asyncio.to_thread(assemble, settings, starts=False)
    try:
        return await assembled.node.parts.store.write(renew)
    finally:
        await assembled.close()
