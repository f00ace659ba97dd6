"""The tree at a glance: a node's own numbers and those of everyone below it, and who did not answer.

Each node asks its children over the exchange door, and they theirs; whoever is away is named, never left out.
"""

import asyncio

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.node.parts import NodeParts
from health_exchange.node.status import NodeStatus, status_of

STATUS_PATH = "/exchange/v1/status"
TIMEOUT_S = 2.0


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A subtree.

    Attributes:
        nodes: Everyone who answered, parents before children.
        away: Addresses of those who did not; what lies below them is unknown.
    """

    nodes: list[NodeStatus]
    away: list[str]


async def network_status(parts: NodeParts) -> NetworkStatus:
    """This node's numbers and those of its subtree."""
    children = sorted(address for address in parts.directory.nodes if address.parent == parts.address)
    answers = await asyncio.gather(*(_ask(parts, child) for child in children))
    nodes, away = [await status_of(parts)], list[str]()
    for child, answer in zip(children, answers, strict=True):
        if answer is None:
            away.append(str(child))
        else:
            nodes.extend(answer.nodes)
            away.extend(answer.away)
    return NetworkStatus(nodes=nodes, away=away)


async def _ask(parts: NodeParts, child: NodeAddress) -> NetworkStatus | None:
    """A child's subtree, or ``None``."""
    try:
        answer = await parts.transport.send(child, "GET", STATUS_PATH, timeout_s=TIMEOUT_S)
        return msgspec.json.decode(answer.body, type=NetworkStatus) if answer.is_ok else None
    except (ExchangeError, msgspec.MsgspecError, ValueError):
        return None
