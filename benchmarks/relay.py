"""From a hospital's door to the national view: the demo's ten nodes, Synthea Bundles at all four admitting nodes.

    python -m benchmarks.relay [--bundles 60] [--rate 0]

All ten processes and the client share this machine's cores. Prints resources per second from the first request until
the nation keeps and every receipt is back, and freshness: from a version's admission at its origin to its being kept
at the nation, read from both logs. ``--rate`` paces the load in resources per second; freshness under overload is
queueing.
"""

import argparse
import asyncio
import time
import uuid
from datetime import datetime
from pathlib import Path
from statistics import quantiles

from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine
from benchmarks.network import RunningNetwork, make_plan, running, until_settled

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.cli.demo.network import demo_plan
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import POWERS, Power
from health_exchange.wiring.inspection import read_entries
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.settings import read_settings

AIM_PER_S, AIM_P99_S = 2000, 1.0


async def load(network: RunningNetwork, bundles: list[tuple[bytes, int]], origins: list[str], rate: float) -> None:
    """Submit every Bundle, one client an origin, paced where ``rate`` is not 0."""
    began = time.perf_counter()
    done = 0
    waiting = list(bundles)

    async def client(origin: str) -> None:
        nonlocal done
        facility = network.facility(origin)
        while waiting:
            body, count = waiting.pop()
            if rate:
                await asyncio.sleep(max(0.0, done / rate - (time.perf_counter() - began)))
            done += count
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


async def measure(bundles: list[tuple[bytes, int]], rate: float) -> tuple[float, list[float]]:
    """Resources per second from door to nation, and the freshness of each admission."""
    demo = demo_plan()
    origins = [str(node.address) for node in demo.nodes if Power.ADMITS_FACILITIES in POWERS[node.tier]]
    plan = make_plan({str(node.address): node.tier for node in demo.nodes}, map(str, demo.holders))
    count = sum(entries for _body, entries in bundles[4:])
    async with running(plan) as network:
        await load(network, bundles[:4], origins, 0)
        await until_settled(network, origins)
        began = time.perf_counter()
        await load(network, bundles[4:], origins, rate)
        await until_settled(network, origins)
        elapsed = time.perf_counter() - began
        return count / elapsed, freshness(network.root, origins)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0, help="resources/s to offer; 0: as fast as it goes")
    arguments = parser.parse_args()
    per_s, seconds = asyncio.run(measure(synthea_bundles()[: arguments.bundles], arguments.rate))
    cuts = quantiles(seconds, n=100)
    print(describe_machine())
    print(f"{per_s:,.0f} resources/s from door to nation; aim {AIM_PER_S:,}")
    print(
        f"freshness p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s over {len(seconds)} admissions; aim p99 < {AIM_P99_S} s"
    )


if __name__ == "__main__":
    main()
