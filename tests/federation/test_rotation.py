"""A node changes its public keys: others learn of the new ones first, nothing is lost, and nothing old is void."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.federation.network import Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import LEEWAY, KeyUse
from health_exchange.protocol.directories import make_directory
from health_exchange.protocol.enrolment import grant, make_request, open_request
from health_exchange.protocol.hops import sign_hop

COUNTY, CITY, PROVINCE, NATION = "cn/33/3305/330521", "cn/33/3305", "cn/33", "cn"
OVERLAP = timedelta(hours=1)
SIGNING, SEALING = ("signing", "log_seed"), ("box",)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def rotate(network: Network, address: str, names: tuple[str, ...]) -> tuple[NodeKeys, NodeKeys]:
    """What the commands on both sides do; the node's keys before and after."""
    place, parts = NodeAddress.parse(address), network[address].parts
    before = network.keys[place]
    after = network.keys[place] = before.renewed(names, network.dice.randbytes)
    raw, _fingerprint = make_request(parts.card, after, in_use=parts.keys.signing)
    directory = grant(
        network[NATION].parts.directory,
        open_request(raw),
        at=network.clock.now(),
        overlap=OVERLAP,
        witnesses=lambda _address: (),
    )
    network.put_beside(NATION, make_directory(directory, network.ceremony.keys[NodeAddress.parse(NATION)].signing))
    return before, after


async def admit(network: Network, numbers: range) -> None:
    """One Bundle a round, the network at work meanwhile."""
    for number in numbers:
        who = patient(f"p{number}", identity=national_id(number))
        outcome = await network.admit(
            COUNTY, transaction(who, observation(f"o{number}", f"p{number}")), f"request-{number}"
        )
        assert len(outcome.results) == 2
        await network.round()


async def check_whole(network: Network, people: int) -> None:
    """All that was admitted is at the nation, every node has the newest directory, and every log verifies offline."""
    await network.settle()
    assert len(network.kept(NATION)) == 2 * people
    assert len({node.parts.directory.serial for node in network.nodes.values()}) == 1
    assert network.log_failures() == []


@pytest.mark.parametrize(
    ("address", "names"),
    [(COUNTY, SIGNING), (CITY, SEALING), (PROVINCE, SIGNING + SEALING), (NATION, SIGNING + SEALING)],
)
async def test_a_node_changes_its_keys_while_records_travel_and_nothing_is_lost(
    network: Network, address: str, names: tuple[str, ...]
) -> None:
    await admit(network, range(3))
    before, after = rotate(network, address, names)
    await admit(network, range(3, 8))
    assert network[address].parts.keys.signing is before.signing
    network.clock.advance(seconds=OVERLAP.total_seconds())
    await admit(network, range(8, 12))

    await check_whole(network, 12)

    parts = network[address].parts
    assert parts.keys.signing is after.signing
    assert parts.keys.log_seed is after.log_seed
    assert parts.keys.box is after.box
    assert network[COUNTY].parts.directory.nodes[parts.address].verifying_key == after.signing.public.raw


async def test_what_was_signed_and_sealed_before_arrives_long_after(network: Network) -> None:
    network.faults.down.add(NodeAddress.parse(CITY))
    await admit(network, range(3))
    for address in (COUNTY, NATION):
        rotate(network, address, SIGNING + SEALING)
        await network.round()
    network.clock.advance(days=3)
    await network.round()
    network.faults.down.clear()

    await check_whole(network, 3)


async def test_while_some_have_not_heard_of_the_new_keys_the_present_ones_are_used(network: Network) -> None:
    network.faults.down |= {NodeAddress.parse(PROVINCE), NodeAddress.parse(CITY)}
    _before, after = rotate(network, NATION, SIGNING)
    await network.round()
    assert network[NATION].parts.directory.serial == 2
    assert network[CITY].parts.directory.serial == 1

    assert network[NATION].parts.keys.signing is not after.signing
    network.faults.down.clear()
    await admit(network, range(3))
    await check_whole(network, 3)


async def test_a_former_key_opens_no_door_once_its_time_is_over(network: Network) -> None:
    before, after = rotate(network, COUNTY, SIGNING)
    for _round in range(6):
        await network.round()
    statuses = []
    for wait in (timedelta(), OVERLAP, LEEWAY):
        network.clock.advance(seconds=wait.total_seconds() + 1)
        await network.round()
        statuses += [await status_of_hop(network, keys) for keys in (before, after)]

    assert statuses == [200, 200, 200, 200, 401, 200]


async def status_of_hop(network: Network, keys: NodeKeys) -> int:
    """How the city answers a hop that the county signs with ``keys``."""
    path, nonce = "/exchange/v1/receipts?after=0", network.dice.randbytes(16)
    headers = sign_hop(
        "GET",
        path,
        b"",
        sender=NodeAddress.parse(COUNTY),
        recipient=NodeAddress.parse(CITY),
        at=network.clock.now(),
        nonce=nonce,
        seed=keys.log_seed,
    )
    return (await network[CITY].exchange.answer("GET", path, headers, b"")).status


async def test_a_node_that_starts_again_amid_the_overlap_goes_on(network: Network) -> None:
    await admit(network, range(2))
    rotate(network, COUNTY, SIGNING + SEALING)
    await admit(network, range(2, 4))
    network.restart(NodeAddress.parse(COUNTY))
    await admit(network, range(4, 6))
    network.clock.advance(seconds=OVERLAP.total_seconds())
    network.restart(NodeAddress.parse(COUNTY))
    await admit(network, range(6, 8))

    await check_whole(network, 8)
    card = network[COUNTY].parts.card
    assert network[COUNTY].parts.keys.signing.public.raw == card.key_in_use(KeyUse.SIGNING, network.clock.now())
