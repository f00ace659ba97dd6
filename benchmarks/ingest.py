"""How fast one admitting node takes transaction Bundles: over HTTPS, validated, sealed, audited, durable, on SQLite.

    python -m benchmarks.ingest [--clients 4] [--runs 3] [--bundles 150]

The node is a process of its own; two key holders and its province run beside it, and so does this client, all on the
same cores. Two figures: until every Bundle was acknowledged, and with the sender's work (de-identifying and sealing
what travels up) that runs at the same time until nothing is under way.
"""

import argparse
import asyncio
import time
import uuid

import msgspec
from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, median_of
from benchmarks.network import RunningNetwork, make_plan, running

from health_exchange.model.powers import Tier

AIM_PER_S = 8000
NODE = "cn/33/330521"
TREE = {"cn": Tier.NATION, "cn/33": Tier.PROVINCE, "cn/51": Tier.PROVINCE, NODE: Tier.COUNTY}
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


async def run_once(bundles: list[tuple[bytes, int]], clients: int) -> tuple[float, float]:
    """Resources per second until acknowledged, and until everything was sent and signed for."""
    count = sum(entries for _body, entries in bundles)
    async with running(make_plan(TREE, HOLDERS)) as network:
        await post_all(network, bundles[:2], 1)
        began = time.perf_counter()
        elapsed = await post_all(network, bundles[2:], clients)
        while True:
            answer = await network.http.get(f"{network.url(NODE)}/operator/v1/status")
            if msgspec.json.decode(answer.content)["is_settled"]:
                break
            await asyncio.sleep(0.2)
        settled = time.perf_counter() - began
    warm = sum(entries for _body, entries in bundles[:2])
    return (count - warm) / elapsed, (count - warm) / settled


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bundles", type=int, default=150)
    arguments = parser.parse_args()
    bundles = synthea_bundles()[: arguments.bundles]
    settled: list[float] = []

    def measure() -> float:
        acknowledged, sent = asyncio.run(run_once(bundles, arguments.clients))
        settled.append(sent)
        return acknowledged

    middle, found = median_of(measure, arguments.runs)
    print(describe_machine())
    print(
        f"{sum(count for _body, count in bundles):,} resources in {len(bundles)} Bundles, {arguments.clients} clients"
    )
    print(
        f"{middle:,.0f} resources/s acknowledged (of {', '.join(f'{each:,.0f}' for each in found)}); aim {AIM_PER_S:,}"
    )
    print(f"{sorted(settled)[len(settled) // 2]:,.0f} resources/s until everything had left and was signed for")


if __name__ == "__main__":
    main()
