"""What ``node status`` and ``network status`` print for people."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.federation.network import Network
from tests.federation.records import condition, national_id, patient, transaction

from health_exchange.cli.status import draw_network, node_lines
from health_exchange.model.addresses import NodeAddress
from health_exchange.node.network import network_status
from health_exchange.node.status import status_of
from health_exchange.node.troubles import spoken

COUNTY, CITY = "cn/33/3305/330521", "cn/33/3305"


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    network = Network(tmp_path)
    await network.settle()
    network.faults.is_on = True
    network.faults.cut.add(frozenset((NodeAddress.parse(COUNTY), NodeAddress.parse(CITY))))
    held = condition("c1", "p1", "B20")
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), held), "r1")
    for _round in range(12):
        await network.round()
        network.clock.advance(seconds=10)
    return network


async def test_the_tree_is_drawn_with_who_is_away_why_and_since_when(network: Network) -> None:
    told = StringIO()
    draw_network(await network_status(network["cn"].parts), Console(file=told, width=100))

    lines = told.getvalue().splitlines()
    assert lines[0].startswith("6 nodes, 5 ok, 1 not; 2026-11-24")
    assert sum(f"{CITY} " in line and " ok " in line for line in lines) == 1
    assert sum(COUNTY in line and " away " in line for line in lines) == 1
    assert f"  away: {COUNTY} does not answer; since 2026-11-24 08:0" in told.getvalue()
    assert "(2 min)" in told.getvalue()


async def test_a_nodes_lines_say_what_waits_and_what_is_wrong(network: Network) -> None:
    lines = list(node_lines(await status_of(network[COUNTY].parts)))

    assert lines[0].startswith(f"{COUNTY} ({COUNTY}, county, release ")
    assert lines[0].endswith(": behind")
    assert any(line.startswith("  envelopes-wait: 1 envelopes wait for cn/33/3305; since ") for line in lines)
    assert "  waiting for the parent:           1 envelopes" in lines
    assert "  held back:                        1 sensitivity" in lines


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 3 + 5, "3 d")],
)
def test_a_duration_is_spoken_in_the_largest_unit_it_has_one_of(seconds: int, words: str) -> None:
    assert spoken(timedelta(seconds=seconds)) == words
