"""From a hospital's door to the national view: Synthea Bundles at every admitting node of a tree.

    python -m benchmarks.relay [--postgres] [--small] [--clients 8] [--bundles 60] [--rate 0]

The tree is the demo's ten nodes, or one node per tier (``--small``). All processes, the client and the server, where
there is one, share this machine's cores. Prints resources per second from the first request until the nation keeps and
every receipt is back, the processor time that took, and freshness: from a version's admission at its origin to its
being kept at the nation, read from both logs. ``--rate`` paces the load in resources per second; freshness under
overload is queueing.
"""

import argparse
import asyncio
import time
import uuid
from datetime import datetime
from pathlib import Path
from statistics import quantiles

from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, processor_seconds, yardstick_ms
from benchmarks.network import RunningNetwork, make_plan, running, until_settled

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.cli.demo.network import demo_plan
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import POWERS, Power, Tier
from health_exchange.wiring.inspection import read_entries
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.settings import read_settings

AIM_PER_S, AIM_SMALL_PER_S, AIM_P99_S = 2000, 4000, 1.0
WARM = 4
SMALL = {
    "cn": Tier.NATION,
    "cn/33": Tier.PROVINCE,
    "cn/33/3305": Tier.CITY,
    "cn/33/3305/330521": Tier.COUNTY,
}
SMALL_HOLDERS = ("cn", "cn/33")


async def load(network: RunningNetwork, bundles: list[tuple[bytes, int]], origins: list[str], rate: float) -> None:
    """Submit every Bundle, one client for each of ``origins``, paced where ``rate`` is not 0."""
    began = time.perf_counter()
    done = 0
    waiting = list(bundles)

    async def client(origin: str) -> None:
        nonlocal done
        facility = network.facility(origin)
        while waiting:
            body, count = waiting.pop()
            due = began + done / rate if rate else began
            done += count
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            (await facility.submit(body, request_id=str(uuid.uuid4()))).raise_for_status()

    await asyncio.gather(*(client(origin) for origin in origins))


def freshness(root: Path, origins: list[str]) -> list[float]:
    """Seconds from each admission to the nation's receipt of the envelope that carried it."""
    taken: dict[str, datetime] = {}
    for entry in entries_of(root, "cn"):
        if entry.kind == "receive":
            taken[entry.summary.split(":")[0]] = datetime.fromisoformat(entry.at)
    found = []
    for origin in origins:
        entries = entries_of(root, origin)
        shares = [
            (datetime.fromisoformat(each.at), each.summary.split(":")[0]) for each in entries if each.kind == "share"
        ]
        for entry in entries:
            if entry.kind == "write":
                at = datetime.fromisoformat(entry.at)
                name = next((name for shared_at, name in shares if shared_at >= at), None)
                if name in taken:
                    found.append((taken[name] - at).total_seconds())
    return found


def entries_of(root: Path, address: str) -> list[AuditEntry]:
    """A node's log, opened with its keys."""
    settings = read_settings(node_folder(root, NodeAddress.parse(address)) / "node.toml")
    return [decode_entry(raw) for raw in read_entries(settings)]


def planned(*, small: bool) -> tuple[dict[str, Tier], tuple[str, ...]]:
    """The tree's nodes with their tiers, and its key holders."""
    if small:
        return SMALL, SMALL_HOLDERS
    demo = demo_plan()
    return {str(node.address): node.tier for node in demo.nodes}, tuple(map(str, demo.holders))


async def measure(
    bundles: list[tuple[bytes, int]], arguments: argparse.Namespace
) -> tuple[float, dict[str, float], list[float]]:
    """Resources per second from door to nation, microseconds of a core for each, and freshness of each admission."""
    tiers, holders = planned(small=arguments.small)
    origins = [address for address, tier in tiers.items() if Power.ADMITS_FACILITIES in POWERS[tier]]
    clients = [origins[number % len(origins)] for number in range(max(arguments.clients, len(origins)))]
    count = sum(entries for _body, entries in bundles[WARM:])
    async with running(make_plan(tiers, holders), postgresql=arguments.postgres) as network:
        await load(network, bundles[:WARM], origins, 0)
        await until_settled(network, origins)
        before, began = spent(network, tiers), time.perf_counter()
        await load(network, bundles[WARM:], clients, arguments.rate)
        await until_settled(network, origins)
        elapsed = time.perf_counter() - began
        micros = {name: 1e6 * (each - before[name]) / count for name, each in spent(network, tiers).items()}
        return count / elapsed, micros, freshness(network.root, origins)


def spent(network: RunningNetwork, tiers: dict[str, Tier]) -> dict[str, float]:
    """Processor seconds so far, by who took them."""
    nodes = {each: processor_seconds(network.supervisor.process_of(NodeAddress.parse(each))) for each in tiers}
    return {"client": time.process_time(), "server": network.databases.server_seconds(), **nodes}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=60)
    parser.add_argument("--clients", type=int, default=8, help="at least one for each admitting node")
    parser.add_argument("--rate", type=float, default=0, help="resources/s to offer; 0: as fast as it goes")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    parser.add_argument("--small", action="store_true", help="one node per tier")
    arguments = parser.parse_args()
    per_s, micros, seconds = asyncio.run(measure(synthea_bundles()[: arguments.bundles], arguments))
    cuts = quantiles(seconds, n=100)
    print(describe_machine(), f"; a core does the yardstick in {yardstick_ms():.0f} ms")
    print(f"{per_s:,.0f} resources/s from door to nation; aim {AIM_SMALL_PER_S if arguments.small else AIM_PER_S:,}")
    print(f"{sum(micros.values()):.0f} us of a core per resource")
    print("    " + ", ".join(f"{name} {each:.0f}" for name, each in micros.items()))
    print(
        f"freshness p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s over {len(seconds)} admissions; aim p99 < {AIM_P99_S} s"
    )


if __name__ == "__main__":
    main()
