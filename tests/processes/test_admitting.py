"""A county is let into a running tree: one command on each side, no restart of anybody, and its records arrive."""

import asyncio
import re
import shutil
from pathlib import Path

import httpx
import pytest
from tests.processes.tree import COUNTY, HOSPITAL, NATION, NEWCOMER, Tree, run, running_tree

from health_exchange.cli.demo.network import HOST
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.model.powers import Tier
from health_exchange.wiring.plan import PlannedNode
from health_exchange.wiring.registration import encode_registry

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

BUNDLES = 20


async def test_a_county_joins_a_running_tree_and_its_records_reach_the_nation(tmp_path: Path) -> None:
    async with running_tree(tmp_path / "net") as tree:
        newcomer = PlannedNode(
            address=NEWCOMER,
            tier=Tier.COUNTY,
            name="Jintang",
            fhir_url=f"https://{HOST}:{tree.spare_port}",
            exchange_url=f"https://{HOST}:{tree.spare_port + 1}",
        )
        supervisor = Supervisor(tree.root, [newcomer])
        try:
            async with tree.written_to(tree.url(COUNTY)) as elsewhere:
                await let_in(tree, newcomer)
                supervisor.start(NEWCOMER)
                async with httpx.AsyncClient(verify=tree.trust, trust_env=False) as http:
                    await supervisor.wait_until_healthy(http)
                async with tree.written_to(newcomer.fhir_url) as written:
                    while written.bundles < BUNDLES and not written.failures:
                        await asyncio.sleep(0.1)
            status = await tree.settled()
        finally:
            supervisor.stop_all()

    assert (elsewhere.failures, written.failures) == ([], [])
    nodes = {node.address: node for node in status.nodes}
    assert nodes[str(NEWCOMER)].resources == 2 * written.bundles
    assert nodes["cn"].resources == 2 * (written.bundles + elsewhere.bundles)
    assert tree.log_failures() == []


async def let_in(tree: Tree, newcomer: PlannedNode) -> None:
    """What people do on both sides."""
    folder, network, answer = tree.folder(newcomer.address), tree.root / "network", tree.root / "answer"
    authority_key = tree.root / "authority" / "authority.key"
    told = await run(
        *("network", "request", str(folder), "--network", str(network), "--address", str(newcomer.address)),
        *("--tier", newcomer.tier, "--name", newcomer.name, "--host", HOST),
        *("--exchange-url", newcomer.exchange_url, "--fhir-url", newcomer.fhir_url),
    )
    fingerprint = re.findall(r"(?:[0-9a-f]{4}-){7}[0-9a-f]{4}", told)[0]
    await run(
        *("network", "admit", str(folder / "request.json"), "--settings", tree.settings(NATION)),
        *(
            "--fingerprint",
            fingerprint,
            "--authority-key",
            str(authority_key),
            "--answer",
            str(answer),
        ),
    )
    shutil.copytree(answer, folder, dirs_exist_ok=True)
    (folder / "clients.json").write_bytes(encode_registry([HOSPITAL]))
