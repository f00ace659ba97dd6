"""How fast the FHIR door of one node is: transactions, reads by id, a patient's newest, a mix of searches.

    python -m benchmarks.fhir_door [--postgres] [--processes 1] [--times 1] [--clients 32] [--seconds 8] [--runs 3]

A node that stands alone, in processes of its own, with policy, sealing, audit and durable commits as anywhere; on
PostgreSQL ``--processes 2`` serve its door. Client, node and database share the machine. Synthea's Bundles come first
(``--times`` over, other persons each time: 50 make some two million resources), which is the first figure;
what is asked afterwards is asked of what they left. Every answer that is no success is told of.

Beside each figure: processor time a request by who took it, because a busy machine's clock says little.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx
import uvloop
from benchmarks.connections import Taken, request, send_all
from benchmarks.databases import Databases, databases, print_sizes
from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, processor_seconds, resident_mb, yardstick_ms

from health_exchange.cli.client import RegisteredClient
from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.wiring.standalone import CLIENT, CLIENT_KEY, SETTINGS, Wish, starting

AIM_WRITES_PER_S = {True: 12_000, False: 8_000}
AIM_READS_PER_S, AIM_READ_MS = 6_000, 20
AIM_NEWEST_PER_S, AIM_NEWEST_MS = 4_000, 30
AIM_MIX_MS, AIM_BYTES = 100, 700
WRITERS = 8
PATIENTS_ASKED, READS_ASKED = 400, 5_000
LOINC = "http://loinc.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A running node, and how to ask it.

    Attributes:
        port: Of its FHIR door.
        process: Its process.
        databases: Where it keeps its records.
        token: The access token of the one client that asks.
    """

    port: int
    process: int
    databases: Databases
    token: Callable[[], str]

    def request(self, path: str, method: str = "GET", body: bytes = b"") -> Callable[[], bytes]:
        """One request to its FHIR door."""
        return request(method, f"/fhir{path}", HOST, self.token, body)

    async def load(
        self, requests: Sequence[Callable[[], bytes]], clients: int, for_s: float | None = None
    ) -> tuple[Taken, Mapping[str, float]]:
        """Send requests; beside it microseconds of a core a request, by who took them."""
        before = self._spent()
        taken = await send_all(HOST, self.port, requests, clients=clients, for_s=for_s)
        spent = {name: each - before[name] for name, each in self._spent().items()}
        return taken, {name: 1e6 * each / len(taken.latencies) for name, each in spent.items()}

    def _spent(self) -> dict[str, float]:
        return {
            "client": time.process_time(),
            "node": processor_seconds(self.process),
            "server": self.databases.server_seconds(),
        }


@contextmanager
def standing_alone(folder: Path, where: Databases, processes: int) -> Iterator[tuple[int, int]]:
    """A node that stands alone: its port, and its process."""
    port = free_ports(1)
    home = folder / "node"
    with starting(Wish(folder=home, port=port, database=where.new("alone"))):
        settings = (home / SETTINGS).read_text()
        (home / SETTINGS).write_text(settings.replace("processes = 1", f"processes = {processes}"))
    command = [sys.executable, "-m", "health_exchange", "node", "run", "--standalone"]
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [*command, "--dir", str(home), "--port", str(port)], stdout=log, stderr=log
        )
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


async def until_ready(port: int) -> None:
    """Wait for the node."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for _attempt in range(150):
            try:
                if (await http.get(f"http://{HOST}:{port}/health/ready")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise SystemExit("the node is not ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the load left, as far as it is asked for.

    Attributes:
        places: Types and ids of some resources.
        patients: Ids of some patients.
    """

    places: tuple[str, ...]
    patients: tuple[str, ...]


async def known_of(node: Node) -> Known:
    """Some resources and patients, whoever they are."""
    headers = {"Authorization": f"Bearer {node.token()}"}
    types = ("Patient", "Observation", "Encounter", "Condition", "Procedure", "MedicationRequest", "Claim")
    places: dict[str, list[str]] = {}
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=60) as http:
        for each in types:
            url: str | None = f"http://{HOST}:{node.port}/fhir/{each}?_count=200"
            while url and len(places.setdefault(each, [])) < READS_ASKED // len(types):
                page = (await http.get(url)).raise_for_status().json()
                places[each] += [entry["resource"]["id"] for entry in page.get("entry", ())]
                url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    chosen = random.Random(7)
    named = [f"{name}/{each}" for name, ids in places.items() for each in ids]
    chosen.shuffle(named)
    return Known(places=tuple(named), patients=tuple(places["Patient"][:PATIENTS_ASKED]))


def newest(node: Node, known: Known) -> list[Callable[[], bytes]]:
    """The newest 20 Observations of a patient by code and date."""
    codes = ("8302-2", "29463-7", "72514-3", "85354-9", "39156-5")
    asked = [
        f"/Observation?patient=Patient/{patient}&code={quote(f'{LOINC}|{code}')}&_sort=-date&_count=20"
        for patient in known.patients
        for code in codes
    ]
    random.Random(11).shuffle(asked)
    return [node.request(each) for each in asked]


def mixes(node: Node, known: Known) -> dict[str, list[Callable[[], bytes]]]:
    """Searches by kind; each kind asks of many patients, codes and days."""
    code = quote(f"{LOINC}|8302-2")
    many = ",".join(quote(f"{LOINC}|{each}") for each in _CODES)
    paths: dict[str, list[str]] = {
        "token and date": [
            f"/Observation?code={code}&date=ge{year}-{month:02d}-01&date=lt{year}-{month:02d}-20&_count=20"
            for year in range(2012, 2020)
            for month in range(1, 13)
        ],
        "code only": [f"/Observation?code={quote(f'{LOINC}|{each}')}&_count=20" for each in _CODES],
        "two-hop chain": [f"/Observation?encounter.subject:Patient._id={each}&_count=20" for each in known.patients],
        "_has": [f"/Patient?_has:Observation:patient:code={code}&_id={each}" for each in known.patients],
        "_include": [
            f"/Observation?patient=Patient/{each}&_include=Observation:encounter&_count=20" for each in known.patients
        ],
        "count": [f"/Observation?patient=Patient/{each}&code={code}&_summary=count" for each in known.patients],
        "chain of 1": [f"/Condition?encounter.subject:Patient._id={each}&_count=20" for each in known.patients],
        "chain of 50": [
            f"/Condition?subject:Patient._id={','.join(islice(known.patients, start, start + 50))}&_count=20"
            for start in range(0, len(known.patients) - 50, 10)
        ],
        "50 codes": [f"/Observation?patient=Patient/{each}&code={many}&_count=20" for each in known.patients],
    }
    return {kind: [node.request(path) for path in each] for kind, each in paths.items()}


_CODES = (
    *("8302-2", "29463-7", "72514-3", "85354-9", "39156-5", "8867-4", "9279-1", "6690-2", "789-8", "718-7", "4544-3"),
    *("787-2", "785-6", "786-4", "21000-5", "777-3", "32207-3", "32623-1", "2339-0", "6299-2", "38483-4", "49765-1"),
)


def tell(what: str, found: Sequence[tuple[Taken, Mapping[str, float]]], aim: str) -> None:
    """Print one figure: medians over the runs."""
    micros = {name: median(spent[name] for _taken, spent in found) for name in found[0][1]}
    per_s, half_ms, most_ms = (
        median(each) for each in zip(*((taken.per_s, taken.p50_ms, taken.p99_ms) for taken, _ in found), strict=True)
    )
    print(
        f"{what:18} {per_s:8,.0f}/s, p50 {half_ms:6.1f} ms, p99 {most_ms:6.1f} ms"
        f"; aim {aim}; us of a core: " + ", ".join(f"{name} {each:,.0f}" for name, each in micros.items()),
        flush=True,
    )
    for status, body in {key: each for taken, _ in found for key, each in taken.failures.items()}.items():
        print(f"    FAILED with {status}: {body[:300].decode(errors='replace')}")


async def write_all(node: Node, times: int, *, postgres: bool) -> int:
    """Send all Bundles, of other persons each time; the number of resources in them."""
    rates, micros, count = [], [], 0
    for time_over in range(times):
        bundles = synthea_bundles(time_over)
        entries = sum(each for _body, each in bundles)
        taken, spent = await node.load([node.request("", "POST", body) for body, _each in bundles], WRITERS)
        for status, body in taken.failures.items():
            print(f"    FAILED with {status}: {body[:300].decode(errors='replace')}")
        rates.append(entries / taken.seconds)
        micros.append({name: each * len(bundles) / entries for name, each in spent.items()})
        count += entries
    print(
        f"{'transactions':18} {median(rates):8,.0f} resources/s ({count:,} in all; the last {rates[-1]:,.0f}/s); aim "
        f"{AIM_WRITES_PER_S[postgres]:,}; us of a core a resource: "
        + ", ".join(f"{name} {median(each[name] for each in micros):.0f}" for name in micros[0]),
        flush=True,
    )
    return count


async def measure(node: Node, arguments: argparse.Namespace) -> None:
    """All figures, one after another."""
    print(f"idle node {resident_mb(node.process):.0f} MB")
    count = await write_all(node, arguments.times, postgres=arguments.postgres)
    known = await known_of(node)
    loads = {
        "read by id": ([node.request(f"/{each}") for each in known.places], f"{AIM_READS_PER_S:,}/s, {AIM_READ_MS} ms"),
        "newest 20": (newest(node, known), f"{AIM_NEWEST_PER_S:,}/s, {AIM_NEWEST_MS} ms"),
        **{kind: (each, f"p99 {AIM_MIX_MS} ms") for kind, each in mixes(node, known).items()},
    }
    for what, (requests, aim) in loads.items():
        if arguments.only and what not in arguments.only:
            continue
        found = [await node.load(requests, arguments.clients, arguments.seconds) for _run in range(arguments.runs)]
        tell(what, found, aim)
    sizes = node.databases.sizes("alone")
    print(f"stored bytes per resource; aim {AIM_BYTES}")
    print_sizes(sizes, count)


async def run(port: int, process: int, where: Databases, key: bytes, arguments: argparse.Namespace) -> None:
    """Wait for the node, and measure it with a token that is renewed meanwhile."""
    await until_ready(port)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        client = RegisteredClient(client_id=CLIENT, private_key_pem=key, base_url=f"http://{HOST}:{port}", http=http)
        token = [await client.token()]

        async def renew() -> None:
            while True:
                await asyncio.sleep(20)
                token[0] = await client.token()

        renewing = asyncio.create_task(renew())
        await measure(Node(port=port, process=process, databases=where, token=lambda: token[0]), arguments)
        renewing.cancel()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    parser.add_argument("--processes", type=int, default=1, help="that serve the node's door; more on PostgreSQL only")
    parser.add_argument("--times", type=int, default=1, help="that Synthea's persons are invented anew")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="some figures, by name")
    arguments = parser.parse_args()
    print(f"{describe_machine()}; a core does the yardstick in {yardstick_ms():.0f} ms")
    with (
        TemporaryDirectory(prefix="health-exchange-") as name,
        databases(Path(name), postgresql=arguments.postgres) as where,
    ):
        folder = Path(name)
        with standing_alone(folder, where, arguments.processes) as (port, process):
            key = (folder / "node" / CLIENT_KEY).read_bytes()
            uvloop.run(run(port, process, where, key, arguments))


if __name__ == "__main__":
    main()
