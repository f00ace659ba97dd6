"""Look-ups across provinces: how long a practitioner waits.

    python -m benchmarks.lookup [--times 200]

The demo's ten nodes with the sample records, on real processes and TLS; a physician in Jintang looks up one person
after another who has records in other provinces. Two figures: everything up, and with one holder that hangs, so that it
is cut at its deadline (``Limits.holder_deadline_s``), which is then the least that a look-up takes.
"""

import argparse
import asyncio
import os
import signal
import ssl
import time
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import httpx
import msgspec
from benchmarks.machine import describe_machine

from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.network import demo_plan
from health_exchange.cli.demo.people import SamplePerson, sample_people
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.samples import read_samples
from health_exchange.cli.demo.setting import clinician_at, make_setting
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.demo.way_back import ASKING, WayBack
from health_exchange.cli.lookup import look_up, lookup_parameters
from health_exchange.model.addresses import NodeAddress
from health_exchange.pseudonym.identities import NATIONAL_ID_SYSTEMS

AIM, AIM_CUT = "p50 < 300 ms, p99 < 1,000 ms", "p99 < 1,000 ms"
WARM = 10
SLOW = NodeAddress.parse("cn/31/310115")


async def timed(client: FacilityClient, people: list[SamplePerson], times: int) -> list[float]:
    """Seconds of each look-up, one after another."""
    found = []
    for turn in range(times):
        person = people[turn % len(people)]
        parameters = lookup_parameters(person.identity, system=min(NATIONAL_ID_SYSTEMS), purpose="TREAT", types=[])
        await client.token()
        began = time.perf_counter()
        bundle = msgspec.json.decode(await look_up(client, parameters))
        found.append(time.perf_counter() - began)
        assert bundle["entry"]
    return found


def tell(what: str, seconds: list[float], aim: str) -> None:
    """Print one figure."""
    print(
        f"{what}: p50 {median(seconds) * 1000:,.0f} ms, p99 {quantiles(seconds, n=100)[98] * 1000:,.0f} ms over "
        f"{len(seconds)} look-ups; aim {aim}"
    )


async def measure(root: Path, times: int) -> None:
    """Run the demo's network, fill it, look up."""
    plan, samples = demo_plan(), read_samples()
    keys = make_setting(root, plan, samples)
    supervisor = Supervisor(root, plan.nodes)
    supervisor.start_all()
    trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30.0) as http:
            await supervisor.wait_until_healthy(http)
            replay = Replay(plan=plan, samples=samples, keys=keys, http=http)
            await replay.run()
            await WayBack(root=root, replay=replay, supervisor=supervisor, http=http).settled()
            people = [each for each in sample_people(samples) if SLOW in each.patients and ASKING not in each.patients]
            client = FacilityClient(
                client_id=clinician_at(ASKING),
                private_key_pem=keys[clinician_at(ASKING)],
                base_url=next(node.fhir_url for node in plan.nodes if node.address == ASKING),
                http=http,
            )
            await timed(client, people, WARM)
            tell("everything up", await timed(client, people, times), AIM)
            process = supervisor.process_of(SLOW)
            os.kill(process, signal.SIGSTOP)
            try:
                tell(f"{SLOW} cut at its deadline", await timed(client, people, times), AIM_CUT)
            finally:
                os.kill(process, signal.SIGCONT)
    finally:
        supervisor.stop_all()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    arguments = parser.parse_args()
    print(describe_machine())
    with TemporaryDirectory(prefix="health-exchange-") as folder:
        asyncio.run(measure(Path(folder) / "demo", arguments.times))


if __name__ == "__main__":
    main()
