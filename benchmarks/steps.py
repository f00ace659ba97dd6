"""Where the processor's time goes on the way up: microseconds per resource, by node and step.

    python -m benchmarks.steps [--postgres] [--bundles 40] [--profile FILE]

An admitting node, its province and the nation in one process, on the real ports and on SQLite files or a PostgreSQL
server, everything in one thread: what is measured is work, not waiting, so the figures stay the same while other
programs want the cores. Where a real node hands work to another process, both ways are pickled here too. What the
server does is printed beside it, and what each table and index of the admitting node takes. TLS, HTTP and the client
are not in it: ``ingest.py`` and ``relay.py`` have those.
"""

import argparse
import asyncio
import cProfile
import os
import pickle
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from benchmarks.databases import Databases, databases, print_sizes
from benchmarks.ingest import HOLDERS, NODE, TREE
from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, yardstick_ms
from benchmarks.network import database_of

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import SystemClock
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.membership import Membership
from health_exchange.node.parts import NodeParts
from health_exchange.node.turns import Turn
from health_exchange.node.workers import WORTH_BYTES
from health_exchange.peers.in_process import InProcessTransport
from health_exchange.policy.decisions import Principal
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import node_state
from health_exchange.store.engine import Store, StoreKeys, Transaction
from health_exchange.wiring.assembly import Node, make_node
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.locations import shipped
from health_exchange.wiring.memory import settle_memory
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.policy_folder import read_policies

WARM = 4
"""Bundles that come first, so that everything is compiled that is compiled once."""
TOGETHER = 4
"""Bundles between two rounds of turns."""
SELDOM_S = 0.5
NO_URL = "https://127.0.0.1:1"
PEOPLE = Principal(kind="facility", id="hospital", organization="121000001000791901", address=NODE)

T = TypeVar("T")


class Steps:
    """Processor time by step; a step inside another is taken out of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = ["outside"]
        self._since = time.process_time()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count what happens inside under ``name``."""
        self._settle()
        self._open.append(name)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def _settle(self) -> None:
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now


class TimedWorkers:
    """Runs everything here, pickled there and back where a node would carry it to another process."""

    def __init__(self, steps: Steps, node: str) -> None:
        self._steps, self._node = steps, node

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:
        """What ``fn(*arguments)`` returns or raises."""
        if work_bytes < WORTH_BYTES:
            with self._steps.step(f"{self._node} {fn.__name__}"):
                return fn(*arguments)
        with self._steps.step(f"{self._node} {fn.__name__}, carried"):
            given = pickle.loads(pickle.dumps(arguments))  # noqa: S301  # our own, a line above
        with self._steps.step(f"{self._node} {fn.__name__}"):
            result = fn(*given)
        with self._steps.step(f"{self._node} {fn.__name__}, carried"):
            returned: T = pickle.loads(pickle.dumps(result))  # noqa: S301  # our own, a line above
        return returned


class TimedStore(Store):
    """Counts reads and writes under what asked for them."""

    steps: Steps
    node: str

    def write_now(self, fn: Callable[[Transaction], T]) -> T:
        """As the store's."""
        with self.steps.step(f"{self.node} {_asker(fn)}, written"):
            return super().write_now(fn)

    def read_now(self, fn: Callable[[Transaction], T], *, limited: bool = False) -> T:
        """As the store's."""
        with self.steps.step(f"{self.node} {_asker(fn)}, read"):
            return super().read_now(fn, limited=limited)


def _asker(fn: Callable[[Transaction], object]) -> str:
    """Which function of a node asks the store."""
    asked = fn.func if isinstance(fn, partial) else fn
    return f"{asked.__module__.rsplit('.', 1)[1]}.{asked.__qualname__.partition('.<locals>')[0].strip('_')}"


class Tree:
    """The nodes of ``benchmarks.ingest`` in one process."""

    def __init__(self, where: Databases) -> None:
        self.steps = Steps()
        plan = NetworkPlan(
            nodes=tuple(
                PlannedNode(
                    address=NodeAddress.parse(address), tier=tier, name=address, exchange_url=NO_URL, fhir_url=NO_URL
                )
                for address, tier in TREE.items()
            ),
            holders=tuple(map(NodeAddress.parse, HOLDERS)),
            threshold=2,
        )
        self._ceremony = hold_ceremony(plan, randomness=os.urandom)
        self._policies = read_policies(shipped("policies"))
        self.nodes: Mapping[NodeAddress, Node] = {each.address: self._start(where, each.address) for each in plan.nodes}

    def _start(self, where: Databases, address: NodeAddress) -> Node:
        keys, clock = self._ceremony.keys[address], SystemClock()
        store = TimedStore.open(
            where.new(database_of(str(address))),
            StoreKeys(at_rest=keys.at_rest, tokens=keys.tokens),
            clock,
            os.urandom,
            inline=True,
        )
        store.steps, store.node = self.steps, str(address)
        workers = TimedWorkers(self.steps, str(address))
        return make_node(
            NodeParts(
                membership=Membership(
                    address=address,
                    nation=self._ceremony.nation,
                    signed=self._ceremony.signed,
                    keys=keys,
                    clock=clock,
                    shares=[share] if (share := self._ceremony.shares.get(address)) else (),
                ),
                stream=store.write_now(node_state.own_stream),
                policies=self._policies,
                store=store,
                transport=InProcessTransport(
                    address=address, seed=lambda: keys.log_seed, clock=clock, randomness=os.urandom, doors=_Doors(self)
                ),
                clock=clock,
                randomness=os.urandom,
                workers=workers,
                background=workers,
            )
        )

    async def admit(self, bundle: bytes, request_id: str) -> None:
        """One Bundle at the admitting node, to its answer."""
        caller = Caller(principal=PEOPLE, purpose=Purpose.TREATMENT, request_id=RequestId(request_id))
        admission = self.nodes[NodeAddress.parse(NODE)].admission
        assert admission is not None
        with self.steps.step(f"{NODE} admission, the rest"):
            await admission.admit_bundle(bundle, caller)

    async def settle(self) -> None:
        """Every node's turns until none has anything to do; what looks seldom looks once."""
        turns = [(address, turn) for address, node in self.nodes.items() for turn in node.turns]
        while any([await self._take(address, turn) for address, turn in turns]):
            turns = [(address, turn) for address, turn in turns if turn.every_s < SELDOM_S]

    async def _take(self, address: NodeAddress, turn: Turn) -> bool:
        with self.steps.step(f"{address} turn: {turn.name}"):
            return await turn.take()


class _Doors:
    """Every node's door."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def get(self, address: NodeAddress, /) -> Callable[[str, str, Mapping[str, str], bytes], Awaitable[PeerAnswer]]:
        """The door of one."""
        tree = self._tree

        async def door(method: str, path: str, headers: Mapping[str, str], body: bytes) -> PeerAnswer:
            with tree.steps.step(f"{address} {path.partition('?')[0].rsplit('/', 1)[1]}, the rest"):
                return await tree.nodes[address].exchange.answer(method, path, headers, body)

        return door


async def measure(tree: Tree, bundles: list[tuple[bytes, int]]) -> None:
    """Let all Bundles travel up."""
    for number, (body, _count) in enumerate(bundles):
        await tree.admit(body, f"{id(bundles)}-{number}")
        if number % TOGETHER == TOGETHER - 1:
            await tree.settle()
    await tree.settle()


def print_steps(steps: Steps, count: int) -> None:
    """Microseconds of one core per resource, by node and step."""
    for node in TREE:
        own = {name.removeprefix(f"{node} "): s for name, s in steps.seconds.items() if name.startswith(f"{node} ")}
        print(f"{1e6 * sum(own.values()) / count:8.0f}  {node}")
        for name, seconds in sorted(own.items(), key=lambda item: -item[1]):
            if (micros := 1e6 * seconds / count) >= 0.5:
                print(f"{micros:12.1f}  {name}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=40)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    parser.add_argument("--profile", type=Path, help="also write a profile for pstats")
    arguments = parser.parse_args()
    bundles = synthea_bundles()[: arguments.bundles]
    every = sum(entries for _body, entries in bundles)
    count = sum(entries for _body, entries in bundles[WARM:])
    profile = cProfile.Profile(time.process_time)
    with TemporaryDirectory(prefix="health-exchange-") as folder, ExitStack() as ends:
        where = ends.enter_context(databases(Path(folder), postgresql=arguments.postgres))
        tree = Tree(where)
        settle_memory()
        asyncio.run(measure(tree, bundles[:WARM]))
        tree.steps.seconds.clear()
        server = where.server_seconds()
        if arguments.profile:
            profile.enable()
        asyncio.run(measure(tree, bundles[WARM:]))
        profile.disable()
        server = where.server_seconds() - server
        for node in tree.nodes.values():
            node.parts.store.close()
        sizes = where.sizes(database_of(NODE))
    if arguments.profile:
        profile.dump_stats(arguments.profile)
    print(describe_machine())
    print(f"a core does the yardstick in {yardstick_ms():.0f} ms (docs/design/performance.md: 11 ms)")
    print(f"{count:,} resources in {len(bundles) - WARM} Bundles; microseconds of one core per resource")
    print_steps(tree.steps, count)
    print(f"{1e6 * server / count:8.0f}  the database server, of all nodes together")
    print(f"stored bytes per resource at {NODE}")
    print_sizes(sizes, every)


if __name__ == "__main__":
    main()
