"""Newer directories: they reach every node by themselves, and nothing but the nation's next one takes their place."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.federation.network import Network
from tests.federation.test_key_holders import entries_of

from health_exchange.crypto.signatures import SigningKeys, sign
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory
from health_exchange.model.errors import ExchangeError
from health_exchange.protocol.directories import CONTEXT, SignedDirectory, make_directory

NATION, PROVINCE, CITY, COUNTY = (
    NodeAddress.parse(address) for address in ("cn", "cn/33", "cn/33/3305", "cn/33/3305/330521")
)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def next_directory(network: Network, name: str = "another name", serial: int = 2) -> SignedDirectory:
    """A directory in which a county has another name, signed by the nation."""
    known = network.ceremony.directory
    cards = dict(known.nodes) | {COUNTY: replace(known.nodes[COUNTY], name=name)}
    return make_directory(NetworkDirectory(nodes=cards, key=known.key, serial=serial), signing(network))


def signing(network: Network) -> SigningKeys:
    return network.ceremony.keys[NATION].signing


def signed_as_it_is(network: Network, raw: bytes) -> SignedDirectory:
    """Bytes that the nation signs, whatever they are."""
    return SignedDirectory(
        raw=raw, signature=sign(signing(network), raw, context=CONTEXT), directory=network.ceremony.directory
    )


def serials(network: Network) -> dict[str, int]:
    return {str(address): node.parts.directory.serial for address, node in network.nodes.items()}


async def rounds(network: Network, count: int = 6) -> None:
    for _round in range(count):
        await network.round()


async def test_a_newer_directory_reaches_every_node_and_is_used_without_a_restart(network: Network) -> None:
    network.put_beside("cn", next_directory(network))

    await rounds(network)

    assert set(serials(network).values()) == {2}
    assert network["cn/51"].parts.directory.nodes[COUNTY].name == "another name"
    assert network["cn/33/3305/330521"].parts.card.name == "another name"


async def test_a_node_that_starts_again_goes_by_the_newest_directory_it_has_seen(network: Network) -> None:
    network.put_beside("cn", next_directory(network))
    await rounds(network)

    network.faults.down |= {NATION, PROVINCE, CITY}
    network.restart(COUNTY)

    assert serials(network)[str(COUNTY)] == 2


async def test_while_the_parent_is_away_a_witness_tells_of_the_newer_directory(network: Network) -> None:
    witnesses = network[str(COUNTY)].parts.card.witnesses
    assert CITY in witnesses
    assert len(witnesses) == 2
    network.faults.down.add(CITY)
    network.put_beside("cn", next_directory(network))

    await rounds(network)

    assert serials(network)[str(COUNTY)] == 2
    assert serials(network)[str(CITY)] == 1


async def test_a_nation_put_back_from_before_its_last_directory_hears_of_it_from_a_witness(network: Network) -> None:
    assert network["cn"].parts.card.witnesses
    network.put_beside(str(PROVINCE), next_directory(network))

    await rounds(network)

    assert serials(network)[str(NATION)] == 2
    assert network["cn"].parts.directory.nodes[COUNTY].name == "another name"


async def test_two_directories_of_one_number_are_an_alarm_and_change_nothing(network: Network) -> None:
    network.put_beside("cn", next_directory(network))
    await rounds(network)
    network.put_beside("cn/33", next_directory(network, name="a fork"))

    await rounds(network)

    alarms = [entry for entry in entries_of(network, PROVINCE) if entry.kind == "alarm"]
    assert [(alarm.action, alarm.reason) for alarm in alarms] == [("directory", "forked-directory")]
    assert {node.parts.directory.nodes[COUNTY].name for node in network.nodes.values()} == {"another name"}


async def test_an_older_directory_is_passed_over(network: Network) -> None:
    network.put_beside("cn", next_directory(network, serial=3))
    await rounds(network)
    network.put_beside("cn/33", next_directory(network, name="older", serial=2))

    await rounds(network)

    assert set(serials(network).values()) == {3}
    assert not [entry for entry in entries_of(network, PROVINCE) if entry.kind == "alarm"]


@pytest.mark.parametrize("change", ["other bytes", "another signer"])
async def test_what_the_nation_did_not_sign_is_no_directory(network: Network, change: str) -> None:
    given = next_directory(network)
    if change == "other bytes":
        given = replace(given, raw=given.raw.replace(b"another name", b"another nome"))
    else:
        signature = sign(network.ceremony.keys[PROVINCE].signing, given.raw, context=CONTEXT)
        given = replace(given, signature=signature)
    network.put_beside("cn", given)

    await rounds(network)

    assert set(serials(network).values()) == {1}


async def test_a_node_that_the_directory_leaves_out_keeps_the_one_it_has(network: Network) -> None:
    known = network.ceremony.directory
    cards = {
        address: replace(card, witnesses=tuple(each for each in card.witnesses if each != COUNTY))
        for address, card in known.nodes.items()
        if address != COUNTY
    }
    given = make_directory(NetworkDirectory(nodes=cards, key=known.key, serial=2), signing(network))
    network.put_beside("cn", given)
    # To its parent it is a stranger now, so it learns of this only by its own file.
    network.put_beside(str(COUNTY), given)

    await rounds(network)

    assert serials(network)[str(COUNTY)] == 1
    assert [entry.reason for entry in entries_of(network, COUNTY) if entry.kind == "alarm"] == ["not-a-member"]
    assert {serial for address, serial in serials(network).items() if address != str(COUNTY)} == {2}


async def test_what_a_later_release_adds_is_skipped_and_passed_on(network: Network) -> None:
    content = msgspec.json.decode(next_directory(network).raw)
    content["holiday"] = True
    content["nodes"][0]["colour"] = "red"
    raw = msgspec.json.encode(content)
    network.put_beside("cn", signed_as_it_is(network, raw))

    await rounds(network)

    assert set(serials(network).values()) == {2}
    assert {node.parts.membership.signed.raw for node in network.nodes.values()} == {raw}


async def test_a_format_that_this_release_does_not_know_is_refused_by_name(network: Network) -> None:
    content = msgspec.json.decode(next_directory(network).raw)
    content["format"] = 2
    given = signed_as_it_is(network, msgspec.json.encode(content))

    with pytest.raises(ExchangeError, match="reads directories of format 1; upgrade the node"):
        network["cn"].parts.membership.open(given.raw, given.signature)


async def test_a_directory_made_before_they_had_numbers_is_the_first(network: Network) -> None:
    content = msgspec.json.decode(network.ceremony.signed.raw)
    for name in ("serial", "format"):
        del content[name]
    for node in content["nodes"]:
        del node["former"]
    given = signed_as_it_is(network, msgspec.json.encode(content))

    assert network["cn"].parts.membership.open(given.raw, given.signature).directory == network.ceremony.directory
