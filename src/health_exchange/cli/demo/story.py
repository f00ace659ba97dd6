"""The demo's story, told on a network that runs: records go in, everything is looked at, the report comes out.

Nodes that this program started can be stopped for a while, which the story then does; of others it says what it left
out.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from rich.console import Console

from health_exchange.cli.demo.accesses import find_person, try_refused
from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.live import watch
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.report import Report, audit_report, disagreements, granted, node_reports, relay_report
from health_exchange.cli.demo.samples import Samples
from health_exchange.cli.demo.setting import AUDITOR, NATION, RESEARCHER, STRANGER, VIEWER
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.demo.way_back import WayBack, asking_node
from health_exchange.cli.demo.way_back_report import left_out, shortcomings
from health_exchange.model.powers import Tier
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.inspection import RelayInspector, verify_logs
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.settings import read_settings

CONNECTIONS = 32


def trusting(root: Path) -> httpx.AsyncClient:
    """A client of the doors of the network in ``root``."""
    trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
    limits = httpx.Limits(max_connections=CONNECTIONS)
    return httpx.AsyncClient(verify=trust, trust_env=False, timeout=30.0, limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the story needs.

    Attributes:
        root: The network's folder.
        plan: Its nodes.
        samples: What is replayed; only what the plan's nodes admit.
        keys: Private keys of the clients.
        http: Trusts the network's authority.
        console: Where progress is shown.
        supervisor: Stops and starts nodes; ``None`` where they are somebody else's to stop.
        per_s: Bundles a second; 0 is as fast as they are answered.
    """

    root: Path
    plan: NetworkPlan
    samples: Samples
    keys: Mapping[str, bytes] = field(repr=False)
    http: httpx.AsyncClient
    console: Console
    supervisor: Supervisor | None
    per_s: float = 0.0

    @property
    def nation_url(self) -> str:
        """The nation's FHIR door."""
        return next(node.fhir_url for node in self.plan.nodes if node.address == NATION)

    def client(self, client_id: str) -> FacilityClient:
        """One of the nation's clients."""
        return FacilityClient(
            client_id=client_id, private_key_pem=self.keys[client_id], base_url=self.nation_url, http=self.http
        )

    async def tell(self) -> tuple[Report, str]:
        """The report, and the id of the person it shows."""
        started = time.monotonic()
        replay = Replay(plan=self.plan, samples=self.samples, keys=self.keys, http=self.http, per_s=self.per_s)
        relays = await asyncio.to_thread(self._inspectors)
        try:
            status = await watch(replay, self.http, self.nation_url, self.console, relays)
        finally:
            for relay in relays:
                relay.close()
        return await self._report(replay, status, relays, started)

    async def _report(
        self, replay: Replay, status: NetworkStatus, relays: list[RelayInspector], started: float
    ) -> tuple[Report, str]:
        """What there is to say once the records are where they belong."""
        patient_id, person = await find_person(self.client(VIEWER))
        refused = await try_refused(
            auditor=self.client(AUDITOR),
            researcher=self.client(RESEARCHER),
            stranger=self.client(STRANGER),
            patient_id=patient_id,
        )
        nation = next(node for node in status.nodes if node.address == str(NATION))
        back = await WayBack(
            root=self.root,
            replay=replay,
            supervisor=self.supervisor,
            http=self.http,
            asking=asking_node(self.samples),
        ).act()
        logs = await asyncio.to_thread(verify_logs, self.root)
        report = Report(
            nodes=node_reports(status),
            records_in=replay.records_in,
            records_at_nation=nation.resources,
            records_granted=granted(status, str(NATION)),
            persons=nation.persons,
            persons_across_provinces=nation.persons_across_provinces,
            person=person,
            relays=[relay_report(relay) for relay in relays],
            refused=refused,
            audit=audit_report(logs),
            lookup=back.lookup,
            lookup_with_one_away=back.lookup_with_one_away,
            consent=back.consent,
            break_glass=back.break_glass,
            seen=back.seen,
            edited_log=back.edited_log,
            left_out=left_out(back),
            disagreements=[*disagreements(status, replay.failures), *shortcomings(back)],
            elapsed_s=round(time.monotonic() - started, 1),
        )
        return report, patient_id

    def _inspectors(self) -> list[RelayInspector]:
        """One for every city: what it carries for others, looked at with its own keys."""
        return [
            RelayInspector(read_settings(node_folder(self.root, node.address) / "node.toml"))
            for node in self.plan.nodes
            if node.tier is Tier.CITY
        ]
