"""Two processes of one identity, as scenarios."""

import asyncio
import ssl
from dataclasses import replace
from itertools import islice

import httpx

from health_exchange.audit.entries import decode_entry
from health_exchange.cli.demo.samples import SampleBundle
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.drill.load import Load
from health_exchange.cli.drill.network import DrillNetwork
from health_exchange.cli.drill.tree import COUNTY, admitting_node
from health_exchange.cli.drill.twins import Diverted, make_twin
from health_exchange.model.errors import FaultError
from health_exchange.node.witnessing import LOG_BEHIND, LOG_FORKED
from health_exchange.wiring.inspection import read_entries
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.plan import PlannedNode
from health_exchange.wiring.settings import read_settings

ENDED_WITHIN_S = 30.0
BUNDLES = 4
"""How many are handed in at the twin."""


async def two_processes(network: DrillNetwork) -> None:
    """The second, on the same database, refuses to start and says why; the first does not mind.

    Raises:
        FaultError: It started.
    """
    twins, twin = make_twin(network.root, network.node(COUNTY), network.databases, copied=False)
    network.tell(f"a second process of {COUNTY} is started on the same database")
    twins.start(twin.address)
    try:
        status = await asyncio.to_thread(twins.ended, twin.address, ENDED_WITHIN_S)
    finally:
        await asyncio.to_thread(twins.stop_all)
    if status is None:
        raise FaultError(f"a second process of {COUNTY} runs on the same database as the first")
    told = (node_folder(network.root / "twin", twin.address) / "node.log").read_text("utf-8").splitlines()
    network.tell(f"it ends with {status}: {told[-1] if told else 'without a word'}")
    if status == 0 or not told:
        raise FaultError("the second process does not say that it could not start, or why")
    await asyncio.sleep(network.fault_s)


async def two_databases(network: DrillNetwork) -> None:
    """The second, on a copy, takes records that go nowhere, until somebody sees the alarm and ends it.

    What it acknowledged was never in the original: its facilities hand that in again, which is the way back.
    """
    twins, twin = make_twin(network.root, network.node(COUNTY), network.databases, copied=True)
    network.tell(f"the database of {COUNTY} is copied")
    await asyncio.sleep(network.fault_s)
    network.tell(f"a second process of {COUNTY} is started on the copy")
    twins.start(twin.address)
    try:
        astray, bundles = await _lead_astray(network, twins, twin)
        await asyncio.sleep(network.fault_s)
    finally:
        await asyncio.to_thread(twins.stop_all)
    own = await asyncio.to_thread(read_entries, read_settings(node_folder(network.root / "twin", COUNTY) / "node.toml"))
    raised = sorted({entry.reason for entry in map(decode_entry, own) if entry.kind == "alarm"})
    network.tell(f"alarms in its own log: {', '.join(raised) or 'none'}")
    if not {LOG_FORKED, LOG_BEHIND} & set(raised):
        raise FaultError("the second process does not see that its log is not the one that witnesses know")
    network.tell(f"the second process is ended; its {BUNDLES} Bundles are handed in again at the first")
    await replace(astray, acknowledged=network.load.acknowledged).hand_in_all(bundles)


async def _lead_astray(network: DrillNetwork, twins: Supervisor, twin: PlannedNode) -> tuple[Load, list[SampleBundle]]:
    """Facilities that find the twin where they mean the original; their load, and what it acknowledged."""
    trust = ssl.create_default_context(cafile=str(network.root / "network" / "authority.pem"))
    async with httpx.AsyncClient(verify=trust, trust_env=False) as plain:
        await twins.wait_until_healthy(plain)
    # People of its own, so that its stream says something that the original's does not.
    astray = replace(network.load, seed=network.load.seed + 1, folder=network.root / "astray", acknowledged={})
    here = (bundle for bundle in astray.bundles() if admitting_node(bundle.facility.node) == COUNTY)
    bundles = list(islice(here, BUNDLES))
    async with httpx.AsyncClient(transport=Diverted(twin, trust)) as diverted:
        await replace(astray, http=diverted).hand_in_all(bundles)
    network.tell(f"{BUNDLES} Bundles are handed in at the second one")
    return astray, bundles
