"""Replaying the samples through the admitting nodes' FHIR doors, one facility after another at each node."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

import httpx
import msgspec

from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.samples import SampleBundle, Samples
from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.plan import NetworkPlan


@dataclass(slots=True)
class Replay:
    """One replay under way.

    Attributes:
        per_s: Bundles a second, all nodes together, each node's spread evenly; 0 is as fast as they are answered.
        records_in: Entries of Bundles that were acknowledged.
        sent: Bundles acknowledged so far, by node.
        failures: Bundles that were refused for good, with status and the outcome's code.
    """

    plan: NetworkPlan
    samples: Samples
    keys: Mapping[str, bytes] = field(repr=False)
    http: httpx.AsyncClient
    per_s: float = 0.0
    records_in: int = 0
    sent: Counter[NodeAddress] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)

    async def run(self) -> None:
        """Replay everything; nodes side by side, each node's Bundles in order."""
        lasts_s = self.samples.count / self.per_s if self.per_s else 0.0
        await asyncio.gather(
            *(self._at(address, bundles, lasts_s) for address, bundles in self.samples.bundles.items())
        )

    async def _at(self, address: NodeAddress, bundles: list[SampleBundle], lasts_s: float) -> None:
        base_url = next(node.fhir_url for node in self.plan.nodes if node.address == address)
        clients: dict[str, FacilityClient] = {}
        began = time.monotonic()
        for number, bundle in enumerate(bundles):
            # Whoever is late, because its node was away, has piled up and does not wait.
            await asyncio.sleep(began + number * lasts_s / len(bundles) - time.monotonic())
            client_id = bundle.facility.client_id
            client = clients.setdefault(
                client_id,
                FacilityClient(
                    client_id=client_id, private_key_pem=self.keys[client_id], base_url=base_url, http=self.http
                ),
            )
            raw = bundle.path.read_bytes()
            # The same Bundle has the same request id whenever it is sent, so that a second replay is no second record;
            # other samples have Bundles of the same name.
            request_id = str(uuid5(NAMESPACE_URL, f"{bundle.name}/{hashlib.sha256(raw).hexdigest()}"))
            answer = await client.submit(raw, request_id=request_id)
            if not answer.is_success:
                self.failures.append((bundle.name, f"{answer.status_code} {_reason(answer.content)}"))
                continue
            self.sent[address] += 1
            self.records_in += len(msgspec.json.decode(answer.content)["entry"])


def _reason(body: bytes) -> str:
    """The outcome's own words, which never hold anybody's data."""
    try:
        issue = msgspec.json.decode(body)["issue"][0]
        return (
            f"{issue.get('details', {}).get('text', '')} {issue.get('diagnostics', '')} {issue.get('expression', '')}"
        )
    except (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError):
        return "without an OperationOutcome"
