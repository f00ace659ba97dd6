"""How fast one admitting node takes transaction Bundles: over HTTPS, validated, sealed, audited, durable.

    python -m benchmarks.ingest [--postgres] [--clients 8] [--processes 1] [--runs 3] [--bundles 150]

The node is a process with its workers, two key holders and this client beside it, all on the same cores; so is the
server, where there is one. What the node admits is de-identified and sealed for its province meanwhile. Three figures a
run: until every Bundle was acknowledged while the province is away, until all had left and was signed for once the
province is back, and until every Bundle was acknowledged while province and nation do their own work on the same cores.

Where other programs want the cores, the clock says little. So the processor time that everything here took until the
last acknowledgement is printed too, by who took it, and what two cores that do nothing else would make of it. Beside
it: bytes stored per resource, memory of the idle node, and how soon the tree was ready.
"""

import argparse
import asyncio
import time
import uuid
from dataclasses import dataclass, field
from statistics import median

from benchmarks.databases import print_sizes
from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, processor_seconds, resident_mb, yardstick_ms
from benchmarks.network import RunningNetwork, database_of, make_plan, running, until_settled

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier

AIM_PER_S = {True: 12_000, False: 8_000}
AIM_BYTES, AIM_MB, AIM_READY_S = 700, 200, 3
WARM = 4
"""Bundles that come first, so that every process has started and compiled what it needs."""
CORES = 2
PROVINCE, NODE = "cn/31", "cn/31/310115"
TREE = {
    "cn": Tier.NATION,
    "cn/33": Tier.PROVINCE,
    "cn/51": Tier.PROVINCE,
    PROVINCE: Tier.PROVINCE,
    NODE: Tier.COUNTY,
}
HOLDERS = ("cn", "cn/33", "cn/51")


@dataclass(kw_only=True)
class Found:
    """What the runs have found, one figure of each kind a run."""

    acknowledged: list[float] = field(default_factory=list)
    settled: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    micros: dict[str, list[float]] = field(default_factory=dict)
    sizes: list[dict[str, int]] = field(default_factory=list)
    idle_mb: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)


async def post_all(network: RunningNetwork, bundles: list[tuple[bytes, int]], clients: int) -> float:
    """Seconds until every Bundle was acknowledged."""
    facility = network.facility(NODE)
    await facility.token()
    waiting = list(bundles)

    async def client() -> None:
        while waiting:
            body, _count = waiting.pop()
            answer = await facility.submit(body, request_id=str(uuid.uuid4()))
            answer.raise_for_status()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - began


async def started_again(network: RunningNetwork) -> float:
    """Seconds from the start of the node's process, killed before, until it says that it is ready."""
    network.supervisor.kill(NodeAddress.parse(NODE))
    began = time.perf_counter()
    network.supervisor.start(NodeAddress.parse(NODE))
    await network.supervisor.wait_until_healthy(network.http)
    return time.perf_counter() - began


def spent(network: RunningNetwork) -> dict[str, float]:
    """Processor seconds so far, by who took them."""
    return {
        "client": time.process_time(),
        "server": network.databases.server_seconds(),
        "node": processor_seconds(network.supervisor.process_of(NodeAddress.parse(NODE))),
        "key holders": sum(
            processor_seconds(network.supervisor.process_of(NodeAddress.parse(each))) for each in HOLDERS
        ),
    }


async def run_once(
    found: Found, bundles: list[tuple[bytes, int]], arguments: argparse.Namespace, *, alone: bool
) -> None:
    """One run; ``alone`` with the province away."""
    count = sum(entries for _body, entries in bundles[WARM:])
    plan = make_plan(TREE, HOLDERS)
    async with running(plan, postgresql=arguments.postgres, processes={NODE: arguments.processes}) as network:
        found.ready_s.append(network.ready_s)
        process = network.supervisor.process_of(NodeAddress.parse(NODE))
        found.idle_mb.append(resident_mb(process))
        found.start_s.append(processor_seconds(process))
        found.alone_s.append(await started_again(network))
        await post_all(network, bundles[:WARM], 1)
        await until_settled(network, [NODE])
        if not alone:
            found.beside.append(count / await post_all(network, bundles[WARM:], arguments.clients))
            return
        network.supervisor.kill(NodeAddress.parse(PROVINCE))
        before, began = spent(network), time.perf_counter()
        found.acknowledged.append(count / await post_all(network, bundles[WARM:], arguments.clients))
        for name, seconds in spent(network).items():
            found.micros.setdefault(name, []).append(1e6 * (seconds - before[name]) / count)
        network.supervisor.start(NodeAddress.parse(PROVINCE))
        await until_settled(network, [NODE])
        found.settled.append(count / (time.perf_counter() - began))
        found.sizes.append(dict(network.databases.sizes(database_of(NODE))))


def tell(found: Found, bundles: list[tuple[bytes, int]], arguments: argparse.Namespace) -> None:
    """Print what was found."""
    count = sum(entries for _body, entries in bundles)
    micros = {name: median(each) for name, each in found.micros.items()}
    print(describe_machine(), f"; a core does the yardstick in {yardstick_ms():.0f} ms")
    print(
        f"{count:,} resources in {len(bundles)} Bundles, {arguments.clients} clients, {arguments.processes} processes"
    )
    print(f"{median(found.acknowledged):,.0f} resources/s acknowledged; aim {AIM_PER_S[arguments.postgres]:,}")
    print(f"{median(found.settled):,.0f} resources/s until all had left and was signed for")
    print(f"{median(found.beside):,.0f} resources/s acknowledged with province and nation at work on the same cores")
    print(f"{sum(micros.values()):.0f} us of a core per resource until acknowledged, sending meanwhile included:")
    print("    " + ", ".join(f"{name} {each:.0f}" for name, each in micros.items()))
    print(f"    that is {CORES * 1e6 / sum(micros.values()):,.0f} resources/s of {CORES} cores that do nothing else")
    print(f"idle node {median(found.idle_mb):.0f} MB, aim {AIM_MB}")
    print(
        f"ready: the node, killed and started again, after {median(found.alone_s):.1f} s, aim {AIM_READY_S} s; "
        f"it takes {median(found.start_s):.1f} s of a core; the whole tree of {len(TREE)} after "
        f"{median(found.ready_s):.1f} s"
    )
    print(f"stored bytes per resource at {NODE}; aim {AIM_BYTES}")
    print_sizes(found.sizes[-1], count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--processes", type=int, default=1, help="that serve the node's doors; more on PostgreSQL only")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bundles", type=int, default=150)
    arguments = parser.parse_args()
    bundles = synthea_bundles()[: arguments.bundles]
    found = Found()
    for alone in (True, False):
        for _run in range(arguments.runs):
            asyncio.run(run_once(found, bundles, arguments, alone=alone))
    tell(found, bundles, arguments)


if __name__ == "__main__":
    main()
