"""A second process of one node's identity: on the same database, or on a copy of it as a restored snapshot would be."""

import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import httpx

from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.drill.databases import Databases
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.plan import PlannedNode
from health_exchange.wiring.settings import read_settings

_TRANSIENT = shutil.ignore_patterns("disk", "node.log", "clock*")


def make_twin(root: Path, node: PlannedNode, databases: Databases, *, copied: bool) -> tuple[Supervisor, PlannedNode]:
    """A twin of ``node`` on ports of its own, not started yet.

    Args:
        root: The network's folder; the twin gets one inside it.
        node: The original.
        databases: The nodes'.
        copied: Whether it has a database of its own, a copy as of now; else it is given the original's.
    """
    own_root, original = root / "twin", node_folder(root, node.address)
    folder = node_folder(own_root, node.address)
    shutil.copytree(root / "network", own_root / "network")
    shutil.copytree(original, folder, ignore=_TRANSIENT)
    base = free_ports(2)
    database = (
        "\n".join(databases.copy(node.address, folder))
        if copied
        else f'database = "{read_settings(original / "node.toml").database}"'
    )
    changes = {"database =": database, "fhir_port =": f"fhir_port = {base}"}
    changes |= {"exchange_port =": f"exchange_port = {base + 1}", "host =": f'host = "{HOST}"'}
    lines = [
        next((new for begin, new in changes.items() if line.startswith(begin)), line)
        for line in (original / "node.toml").read_text("utf-8").splitlines()
    ]
    (folder / "node.toml").write_text("\n".join(lines) + "\n", "utf-8")
    # A name that every node's certificate holds, wherever the original runs.
    twin = replace(node, fhir_url=f"https://localhost:{base}", exchange_url=f"https://localhost:{base + 1}")
    return Supervisor(own_root, [twin]), twin


class Diverted(httpx.AsyncHTTPTransport):
    """Leads a client that means the original to its twin: who asks cannot tell, as behind one address of two machines.

    Args:
        twin: Where it listens.
        trust: The network's authority.
    """

    def __init__(self, twin: PlannedNode, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._to = httpx.URL(twin.fhir_url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The twin's answer."""
        request.url = request.url.copy_with(host=self._to.host, port=self._to.port)
        return await super().handle_async_request(request)
