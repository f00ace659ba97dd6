"""How fast one admitting node takes transaction Bundles: over HTTPS, validated, sealed, audited, durable, on SQLite.

    python -m benchmarks.ingest [--clients 4] [--runs 3] [--bundles 150]

The node is a process with its workers, two key holders and this client beside it, all on the same cores. What it admits
is de-identified and sealed for its province meanwhile. Three figures a run: until every Bundle was acknowledged while
the province is away, until all had left and was signed for once the province is back, and until every Bundle was
acknowledged while province and nation do their own work on the same cores.
"""

import argparse
import asyncio
import time
import uuid

from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, median_of
from benchmarks.network import RunningNetwork, make_plan, running, until_settled

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier

AIM_PER_S = 8000
WARM = 4
"""Bundles that come first, so that every process has started and compiled what it needs."""
PROVINCE, NODE = "cn/31", "cn/31/310115"
TREE = {
    "cn": Tier.NATION,
    "cn/33": Tier.PROVINCE,
    "cn/51": Tier.PROVINCE,
    PROVINCE: Tier.PROVINCE,
    NODE: Tier.COUNTY,
}
HOLDERS = ("cn", "cn/33", "cn/51")


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


async def run_once(bundles: list[tuple[bytes, int]], clients: int, *, alone: bool) -> tuple[float, float]:
    """Resources per second until acknowledged, and until everything was sent and signed for."""
    count = sum(entries for _body, entries in bundles[WARM:])
    async with running(make_plan(TREE, HOLDERS)) as network:
        await post_all(network, bundles[:WARM], 1)
        await until_settled(network, [NODE])
        if alone:
            network.supervisor.kill(NodeAddress.parse(PROVINCE))
        began = time.perf_counter()
        elapsed = await post_all(network, bundles[WARM:], clients)
        if alone:
            network.supervisor.start(NodeAddress.parse(PROVINCE))
        await until_settled(network, [NODE])
        settled = time.perf_counter() - began
    return count / elapsed, count / settled


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bundles", type=int, default=150)
    arguments = parser.parse_args()
    bundles = synthea_bundles()[: arguments.bundles]
    settled: list[float] = []

    def alone() -> float:
        acknowledged, sent = asyncio.run(run_once(bundles, arguments.clients, alone=True))
        settled.append(sent)
        return acknowledged

    def together() -> float:
        return asyncio.run(run_once(bundles, arguments.clients, alone=False))[0]

    middle, found = median_of(alone, arguments.runs)
    beside, _found = median_of(together, arguments.runs)
    print(describe_machine())
    print(
        f"{sum(count for _body, count in bundles):,} resources in {len(bundles)} Bundles, {arguments.clients} clients"
    )
    print(
        f"{middle:,.0f} resources/s acknowledged (of {', '.join(f'{each:,.0f}' for each in found)}); aim {AIM_PER_S:,}"
    )
    print(f"{sorted(settled)[len(settled) // 2]:,.0f} resources/s until all had left and was signed for")
    print(f"{beside:,.0f} resources/s acknowledged with province and nation at work on the same cores")


if __name__ == "__main__":
    main()
