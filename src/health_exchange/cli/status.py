"""``node status`` and ``network status``: how one node is doing, and the tree at a glance.

Exit codes: 0 all is well, 1 something is wrong somewhere, 3 the node that is asked does not answer.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

import httpx
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from health_exchange.cli.connection import add_door, trust_of
from health_exchange.model.errors import UnavailableError
from health_exchange.node.network import NetworkStatus, TreeRow, rows_of
from health_exchange.node.status import NodeStatus
from health_exchange.node.troubles import in_words

TIMEOUT_S = 10.0
_STYLES = {"ok": "green", "degraded": "yellow", "behind": "yellow", "not ready": "bold red", "away": "bold red"}

T = TypeVar("T")


def add_node_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``status`` to the words of ``node``."""
    parser = commands.add_parser("status", help="how one node is doing, and what is wrong with it")
    _add_door(parser)
    parser.set_defaults(run=run_node)


def add_network_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``status`` to the words of ``network``."""
    parser = commands.add_parser("status", help="a node and all below it: who is behind, why, since when")
    _add_door(parser)
    parser.set_defaults(run=run_network)


def _add_door(parser: argparse.ArgumentParser) -> None:
    add_door(parser)
    parser.add_argument("--json", action="store_true", help="print the node's answer as it is")


def run_node(arguments: argparse.Namespace) -> int:
    """Print one node's status; 1 where something is wrong with it."""
    raw = _fetch(arguments, "/operator/v1/status")
    status = _decoded(raw, NodeStatus)
    if arguments.json:
        print(raw.decode())
    else:
        print("\n".join(node_lines(status)))
    return 1 if status.troubles else 0


def run_network(arguments: argparse.Namespace) -> int:
    """Print the tree; 1 where something is wrong with anyone, or somebody does not answer."""
    raw = _fetch(arguments, "/operator/v1/network")
    status = _decoded(raw, NetworkStatus)
    if arguments.json:
        print(raw.decode())
    else:
        draw_network(status, Console())
    return 1 if any(row.troubles for row in rows_of(status)) else 0


def node_lines(status: NodeStatus) -> Iterator[str]:
    """One node's status as lines for people."""
    yield f"{status.name} ({status.address}, {status.tier}, release {status.release}): {status.condition}"
    yield from (f"  {in_words(trouble, status.at)}" for trouble in status.troubles)
    held = ", ".join(f"{number} {reason}" for reason, number in sorted(status.held.items())) or "none"
    shared = ", ".join(f"{number} at {node}" for node, number in sorted(status.shared_with.items())) or "none"
    numbers: dict[str, object] = {
        "received, sent on, opened": f"{status.received}, {status.forwarded}, {status.opened}",
        "kept": f"{status.resources} resources of {status.persons} persons",
        "held back": held,
        "shared": shared,
        "waiting for the parent": f"{status.undelivered} envelopes",
        "receipts awaited": status.awaited,
        "subjects waiting for key holders": status.waiting_for_pseudonym,
        "envelopes refused here": status.refused,
        "lag of the latest envelope": f"{status.lag_s:.2f} s",
        "log": f"{status.log.size} entries, cosigned by {', '.join(status.log.cosigned_by) or 'nobody'}",
    }
    yield from (f"  {name + ':':34}{value}" for name, value in numbers.items())


def draw_network(status: NetworkStatus, console: Console) -> None:
    """The tree as a table, what is wrong under whom it is wrong with."""
    rows = rows_of(status)
    now = max((node.at for node in status.nodes), default=datetime.now(UTC))
    wrong = [row for row in rows if row.troubles]
    counts = f"{len(rows)} nodes, {len(rows) - len(wrong)} ok, {len(wrong)} not"
    console.print(f"{counts}; {now:%Y-%m-%d %H:%M:%S} UTC", highlight=False)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("node", overflow="fold")
    table.add_column("condition", no_wrap=True)
    for heading in ("waits", "lag", "kept", "held", "log"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        indent = "  " * row.depth
        table.add_row(
            Text(f"{indent}{row.name} {row.address}"),
            Text(row.condition, style=_STYLES[row.condition]),
            *_numbers(row),
        )
    console.print(table)
    for row in wrong:
        console.print(Text(f"{row.name} ({row.address})", style="bold"))
        for trouble in row.troubles:
            console.print(Text(f"  {in_words(trouble, now)}"), soft_wrap=True)


def _numbers(row: TreeRow) -> list[str]:
    """What a row of the table says beside name and condition."""
    node = row.status
    if node is None:
        return [""] * 5
    return [
        str(node.undelivered),
        f"{node.lag_s:.2f} s" if node.opened else "",
        str(node.resources),
        str(sum(node.held.values())),
        str(node.log.size),
    ]


def _fetch(arguments: argparse.Namespace, path: str) -> bytes:
    """What the node answers.

    Raises:
        BadRequestError: The words name no door, or a file that cannot be used.
        UnavailableError: The node does not answer.
    """
    context = trust_of(arguments)
    url = arguments.url.rstrip("/").removesuffix("/fhir")
    try:
        answer = httpx.get(f"{url}{path}", verify=context, timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        problem = type(error).__name__
    else:
        if answer.is_success:
            return answer.content
        problem = f"status {answer.status_code}"
    raise UnavailableError(f"{url} does not answer ({problem})")


def _decoded(raw: bytes, kind: type[T]) -> T:
    """The node's answer.

    Raises:
        UnavailableError: It is none that this release reads.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError:
        pass
    raise UnavailableError("the node answers in another form: is its release another?")
