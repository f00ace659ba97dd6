"""The tree at a glance: a node's own numbers and those of everyone below it, and who did not answer.

Each node asks its children over the exchange door, and they theirs; whoever is away is named, never left out.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.node.parts import NodeParts
from health_exchange.node.patience import LONGEST_S, asking
from health_exchange.node.reporting import latest_report
from health_exchange.node.status import NodeStatus, status_of
from health_exchange.node.troubles import Trouble

STATUS_PATH = "/exchange/v1/status"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A node that does not answer: what people call it, why not, and since when its parent knows that."""

    name: str
    detail: str
    since: datetime


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A subtree.

    Attributes:
        nodes: Everyone who answered, parents before children.
        away: Addresses of those who did not; what lies below them is unknown.
        silences: By their addresses, what is known of it.
    """

    nodes: list[NodeStatus]
    away: list[str]
    silences: dict[str, Silence]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRow:
    """One node's place in the tree as it is shown.

    Attributes:
        address: Its place.
        depth: How far below the top of what is shown.
        name: What people call it.
        condition: As in its status; ``away`` where it does not answer.
        status: Its numbers; ``None`` where it does not answer.
        troubles: What is wrong.
    """

    address: str
    depth: int
    name: str
    condition: str
    status: NodeStatus | None
    troubles: Sequence[Trouble]


def rows_of(network: NetworkStatus) -> list[TreeRow]:
    """Everyone in the order of the tree, whether they answer or not."""
    top = min((node.address.count("/") for node in network.nodes), default=0)
    rows = [
        TreeRow(
            address=node.address,
            depth=node.address.count("/") - top,
            name=node.name,
            condition=node.condition,
            status=node,
            troubles=node.troubles,
        )
        for node in network.nodes
    ]
    rows += [
        TreeRow(
            address=address,
            depth=address.count("/") - top,
            name=silence.name,
            condition="away",
            status=None,
            troubles=[Trouble(code="away", detail=silence.detail, since=silence.since, blocks=True)],
        )
        for address, silence in network.silences.items()
    ]
    return sorted(rows, key=lambda row: row.address.split("/"))


async def network_status(parts: NodeParts, within_s: float = LONGEST_S) -> NetworkStatus:
    """This node's numbers and those of its subtree.

    Args:
        parts: The node's.
        within_s: How long that may take.
    """
    children = sorted(address for address in parts.directory.nodes if address.parent == parts.address)
    answers = await asyncio.gather(*(_ask(parts, child, within_s) for child in children))
    report = await parts.store.read(latest_report)
    nodes, silences = [await status_of(parts)], dict[str, Silence]()
    for child, answer in zip(children, answers, strict=True):
        if isinstance(answer, NetworkStatus):
            nodes.extend(answer.nodes)
            silences |= answer.silences
        else:
            contact = report.contacts.get(str(child)) if report is not None else None
            since = contact.failing_since if contact is not None else None
            name = parts.directory.nodes[child].name
            silences[str(child)] = Silence(name=name, detail=answer, since=since or parts.clock.now())
    return NetworkStatus(nodes=nodes, away=list(silences), silences=silences)


async def _ask(parts: NodeParts, child: NodeAddress, within_s: float) -> NetworkStatus | str:
    """A child's subtree, or why it is not known."""
    try:
        answer = await parts.transport.send(child, "GET", asking(STATUS_PATH, within_s), timeout_s=within_s)
        if answer.is_ok:
            return msgspec.json.decode(answer.body, type=NetworkStatus)
    except ExchangeError as error:
        return error.detail
    except (msgspec.MsgspecError, ValueError):
        return f"{child} answers in another form: is its release another?"
    return f"{child} refuses with {answer.status}"
