"""The stage with real wires: a network namespace for each node, all on one bridge; Linux, as root.

A cut wire is rules of both nodes' packet filters that drop what passes between them, so connections hang as they
do when a line is dug up.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError
from health_exchange.wiring.plan import NetworkPlan

FHIR_PORT, EXCHANGE_PORT = 8443, 8444
_PROGRAMS = ("ip", "iptables")


class Namespaces:
    """A ``Stage``. Names and addresses carry the process's number: two drills at once do not meet."""

    def __init__(self) -> None:
        self._tag = os.getpid() % 10_000
        self._net = f"10.{64 + self._tag % 64}.{self._tag // 64 % 256}"
        self._bridge = f"hxd{self._tag}"
        self._places: dict[NodeAddress, int] = {}
        self._doors: dict[NodeAddress, str] = {}

    async def open(self, plan: NetworkPlan) -> NetworkPlan:
        """A bridge, and a namespace with one wire to it for each node."""
        await asyncio.to_thread(self._make_bridge)
        nodes = []
        for place, node in enumerate(plan.nodes, start=2):
            self._places[node.address] = place
            await asyncio.to_thread(self._make_namespace, place)
            host = f"{self._net}.{place}"
            self._doors[node.address] = f"https://{host}:{EXCHANGE_PORT}"
            fhir_url = f"https://{host}:{FHIR_PORT}"
            nodes.append(replace(node, host=host, fhir_url=fhir_url, exchange_url=self._doors[node.address]))
        return replace(plan, nodes=tuple(nodes))

    def door(self, sender: NodeAddress, to: NodeAddress) -> str:
        """The same for everyone."""
        del sender
        return self._doors[to]

    def words(self, address: NodeAddress) -> Sequence[str]:
        """Into the node's namespace."""
        return ("ip", "netns", "exec", self._namespace(self._places[address]))

    async def cut(self, one: NodeAddress, other: NodeAddress) -> None:
        """Drop everything at both ends, what arrives as well as what would leave."""
        for here, there in ((one, other), (other, one)):
            for chain, side in (("INPUT", "-s"), ("OUTPUT", "-d")):
                await self._filter(here, "-A", chain, side, there)

    async def join(self, one: NodeAddress, other: NodeAddress) -> None:
        """Take the rules away."""
        for here, there in ((one, other), (other, one)):
            for chain, side in (("INPUT", "-s"), ("OUTPUT", "-d")):
                await self._filter(here, "-D", chain, side, there)

    async def slow(self, one: NodeAddress, other: NodeAddress, *, delay_s: float, bytes_per_s: int) -> None:
        """Not here: what could (netem) slows a node's whole wire, and many kernels lack it."""
        del delay_s, bytes_per_s
        raise UnavailableError(f"wires between {one} and {other} cannot be slowed in namespaces")

    async def close(self) -> None:
        """Take everything away again, as far as it was made."""
        names = [self._namespace(place) for place in self._places.values()]
        # The wire first: those that go with their namespace take their time.
        for words in (
            ("link", "delete", self._bridge),
            *(("netns", "delete", name) for name in (*names, self._bridge)),
        ):
            with suppress(UnavailableError):
                await asyncio.to_thread(_run, "ip", *words)

    async def _filter(self, here: NodeAddress, change: str, chain: str, side: str, there: NodeAddress) -> None:
        target = f"{self._net}.{self._places[there]}"
        words = ("iptables", "-w", change, chain, side, target, "-j", "DROP")
        await asyncio.to_thread(_run, *self.words(here), *words)

    def _make_bridge(self) -> None:
        """In a namespace of its own: the machine's packet filter (Docker's, say) has no word on what crosses it."""
        inside = ("ip", "-n", self._bridge)
        _run("ip", "netns", "add", self._bridge)
        _run(*inside, "link", "add", "bridge", "type", "bridge")
        _run(*inside, "link", "set", "bridge", "up")
        # And a wire to where the drill itself is.
        _run("ip", "link", "add", self._bridge, "type", "veth", "peer", "name", "drill", "netns", self._bridge)
        _run(*inside, "link", "set", "drill", "master", "bridge", "up")
        _run("ip", "address", "add", f"{self._net}.1/24", "dev", self._bridge)
        _run("ip", "link", "set", self._bridge, "up")

    def _make_namespace(self, place: int) -> None:
        namespace, outer = self._namespace(place), f"node{place}"
        _run("ip", "netns", "add", namespace)
        _run("ip", "-n", namespace, "link", "add", "node", "type", "veth", "peer", "name", outer, "netns", self._bridge)
        _run("ip", "-n", self._bridge, "link", "set", outer, "master", "bridge", "up")
        _run("ip", "-n", namespace, "address", "add", f"{self._net}.{place}/24", "dev", "node")
        for link in ("node", "lo"):
            _run("ip", "-n", namespace, "link", "set", link, "up")

    def _namespace(self, place: int) -> str:
        return f"{self._bridge}-{place}"


def lacks() -> str:
    """Why there can be no namespaces here; empty if there can."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"network namespaces need Linux and {', '.join(missing)} (Debian: apt-get install iproute2 iptables)"
    return "" if os.geteuid() == 0 else "network namespaces need root"


def _run(*words: str) -> None:
    """Run one of the system's programs.

    Raises:
        UnavailableError: It does not do what it was told; its own words say why.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # names of ours only
    if done.returncode:
        raise UnavailableError(f"{' '.join(words[:4])}: {done.stderr.strip()}")
