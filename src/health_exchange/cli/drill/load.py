"""The load of a drill: facilities that hand in the samples' visits at a steady pace, each in order, until answered.

A facility that finds its node away keeps what it has and goes on asking with the same bytes and the same request id, as
hospitals do; so what happens in between piles up there, too.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import httpx
import msgspec

from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.samples import SampleBundle, read_samples
from health_exchange.cli.drill.tree import admitting_node
from health_exchange.cli.samples.facilities import FACILITIES
from health_exchange.cli.samples.writer import make_files
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError

PEOPLE = 28
"""Told at a time; their visits are handed in before the next ones' are made."""

Version = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """One Bundle that a facility was told is kept: its request id, when, and the versions it was told of."""

    request_id: str
    at: float
    versions: tuple[Version, ...]


@dataclass(slots=True, kw_only=True)
class Load:
    """Facilities at work.

    Attributes:
        seed: Of the people.
        folder: Where their records are written.
        urls: FHIR doors of the admitting nodes.
        keys: The facilities' private keys.
        http: Trusts the network.
        per_s: Bundles a second, all facilities together.
        acknowledged: What they were told is kept, by node.
        refused: Bundles that were refused for good, by name, with the status and why.
    """

    seed: int
    folder: Path
    urls: Mapping[NodeAddress, str]
    keys: Mapping[str, bytes] = field(repr=False)
    http: httpx.AsyncClient
    per_s: float
    acknowledged: dict[NodeAddress, list[Acknowledged]] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Hand in until told to stop; returns when everything that was begun is answered."""
        queues: dict[str, asyncio.Queue[SampleBundle | None]] = {}
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as facilities:
            for bundle in self.bundles():
                client_id = bundle.facility.client_id
                if client_id not in queues:
                    queues[client_id] = asyncio.Queue()
                    facilities.create_task(self._hand_in(client_id, queues[client_id]))
                queues[client_id].put_nowait(bundle)
                number += 1
                if await _told(stop, until=began + number / self.per_s):
                    break
            for queue in queues.values():
                queue.put_nowait(None)

    def bundles(self) -> Iterator[SampleBundle]:
        """Everybody's visits, ever more people."""
        generation = 0
        while True:
            folder = self.folder / str(generation)
            # Seeds of one drill never meet those of another one nearby.
            for path, raw in make_files(seed=self.seed * 1_000_003 + generation, people=PEOPLE).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(raw)
            samples = read_samples(folder)
            everything = [bundle for bundles in samples.bundles.values() for bundle in bundles]
            yield from sorted(everything, key=lambda bundle: bundle.path.name)
            generation += 1

    async def hand_in_all(self, bundles: Iterable[SampleBundle]) -> None:
        """Hand in ``bundles``, each facility's in order."""
        by_facility: dict[str, asyncio.Queue[SampleBundle | None]] = {}
        for bundle in bundles:
            by_facility.setdefault(bundle.facility.client_id, asyncio.Queue()).put_nowait(bundle)
        for queue in by_facility.values():
            queue.put_nowait(None)
        await asyncio.gather(*(self._hand_in(client_id, queue) for client_id, queue in by_facility.items()))

    async def _hand_in(self, client_id: str, queue: "asyncio.Queue[SampleBundle | None]") -> None:
        """One facility hands in what is in its queue, in order, to the end."""
        address = admitting_node(FACILITIES[client_id].node)
        client = FacilityClient(
            client_id=client_id, private_key_pem=self.keys[client_id], base_url=self.urls[address], http=self.http
        )
        while (bundle := await queue.get()) is not None:
            # The generation is part of the name: each has a first Bundle.
            request_id = str(uuid5(NAMESPACE_URL, f"drill/{self.seed}/{bundle.path.relative_to(self.folder)}"))
            answer = await _until_answered(client, bundle.path.read_bytes(), request_id)
            if not answer.is_success:
                self.refused.append((bundle.name, f"{answer.status_code} {_reason(answer.content)}"))
                continue
            self.acknowledged.setdefault(address, []).append(
                Acknowledged(request_id=request_id, at=time.time(), versions=_versions(answer.content))
            )


async def _told(stop: asyncio.Event, *, until: float) -> bool:
    """Whether one was told to stop, once it is time for the next."""
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            await stop.wait()
    except TimeoutError:
        pass
    return stop.is_set()


async def _until_answered(client: FacilityClient, bundle: bytes, request_id: str) -> httpx.Response:
    """The node's word, however long it is away."""
    while True:
        try:
            return await client.submit(bundle, request_id=request_id)
        except UnavailableError:
            continue


def _reason(answer: bytes) -> str:
    """The outcome's code and words, which never hold anybody's data; empty where there is no outcome."""
    try:
        issue = msgspec.json.decode(answer)["issue"][0]
        return f"{issue.get('details', {}).get('text', '')} {issue.get('diagnostics', '')}"
    except (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError):
        return ""


def _versions(answer: bytes) -> tuple[Version, ...]:
    """What a transaction's answer says is kept."""
    found = []
    for entry in msgspec.json.decode(answer)["entry"]:
        kind, name, _history, version = entry["response"]["location"].split("/")
        found.append((kind, name, int(version)))
    return tuple(found)
