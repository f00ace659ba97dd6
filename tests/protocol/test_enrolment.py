"""Letting nodes in and letting them change their keys: what is granted, and every way to ask for too much."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import ed25519_public
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyCard, KeyUse, NetworkDirectory, NodeCard
from health_exchange.model.errors import ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.protocol.enrolment import OpenedRequest, grant, make_request, open_request

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYS = {name: NodeKeys.generate(os.urandom) for name in ("cn", "cn/33", "cn/33/330521", "new")}
KEY_CARD = KeyCard(epoch=1, share_version=1, threshold=1, public=bytes(32), holders=())


def card(address: str, tier: Tier, keys: NodeKeys) -> NodeCard:
    return NodeCard(
        address=NodeAddress.parse(address),
        tier=tier,
        name=address,
        verifying_key=keys.signing.public.raw,
        box_key=keys.box.public_raw,
        log_key=ed25519_public(keys.log_seed),
        exchange_url="https://node.example:1",
        fhir_url="https://node.example:2",
    )


CARDS = [
    card("cn", Tier.NATION, KEYS["cn"]),
    card("cn/33", Tier.PROVINCE, KEYS["cn/33"]),
    card("cn/33/330521", Tier.COUNTY, KEYS["cn/33/330521"]),
]
DIRECTORY = NetworkDirectory(nodes={each.address: each for each in CARDS}, key=KEY_CARD, serial=7)
COUNTY = CARDS[2]


def granted(opened: OpenedRequest, *, at: datetime = NOW, directory: NetworkDirectory = DIRECTORY) -> NetworkDirectory:
    return grant(directory, opened, at=at, overlap=HOUR, witnesses=lambda _address: (CARDS[0].address,))


def asked(
    address: str, tier: Tier = Tier.COUNTY, keys: NodeKeys = KEYS["new"], field: str = "name", text: str = "A node"
) -> OpenedRequest:
    asking = card(address, tier, keys)
    raw, fingerprint = make_request(replace(asking, **{field: text}), keys)  # type: ignore[arg-type]  # a text of the card
    opened = open_request(raw)
    assert opened.fingerprint == fingerprint
    return opened


def test_a_new_node_gets_the_next_directory_its_own_keys_and_witnesses() -> None:
    directory = granted(asked("cn/33/330522"))

    new = directory.nodes[NodeAddress.parse("cn/33/330522")]
    assert directory.serial == 8
    assert new.verifying_key == KEYS["new"].signing.public.raw
    assert new.witnesses == (CARDS[0].address,)
    assert {address: directory.nodes[address] for address in DIRECTORY.nodes} == DIRECTORY.nodes


@pytest.mark.parametrize(
    ("address", "tier", "problem"),
    [
        ("cn/44/440106", Tier.COUNTY, "has no node above it that takes envelopes: cn/44"),
        ("cn/33/330521/1234", Tier.COUNTY, "has no node above it that takes envelopes: cn/33/330521"),
        ("us", Tier.COUNTY, "nothing"),
        ("cn/33/330522", Tier.NATION, "of tier nation does not lie at"),
        ("cn/33/330522", Tier.PROVINCE, "of tier province does not lie at"),
        ("cn/44", Tier.COUNTY, "of tier county does not lie at"),
    ],
)
def test_a_node_gets_no_place_that_the_tree_does_not_have(address: str, tier: Tier, problem: str) -> None:
    with pytest.raises(ExchangeError, match=problem):
        granted(asked(address, tier))


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("exchange_url", "http://node.example:1", "https://host:port"),
        ("fhir_url", "https://node.example", "https://host:port"),
        ("fhir_url", "https://node.example:2/fhir", "without a path"),
        ("fhir_url", "https://*.example:2", "without wildcards"),
        ("name", " ", "printable"),
        ("name", "x" * 101, "printable"),
        ("name", "two\nlines", "printable"),
    ],
)
def test_a_request_that_no_node_can_have_is_refused_by_what_is_wrong(field: str, text: str, problem: str) -> None:
    with pytest.raises(ExchangeError, match=problem):
        asked("cn/33/330522", field=field, text=text)


def test_a_request_that_was_changed_on_its_way_is_refused() -> None:
    raw, _fingerprint = make_request(card("cn/33/330522", Tier.COUNTY, KEYS["new"]), KEYS["new"])
    signed = msgspec.json.decode(raw)
    other, _other = make_request(card("cn/33/330523", Tier.COUNTY, KEYS["new"]), KEYS["new"])
    signed["request"] = msgspec.json.decode(other)["request"]

    with pytest.raises(ExchangeError, match="not signed by the verifying key it brings"):
        open_request(msgspec.json.encode(signed))
    for junk in (b"", b"{}", b"\xff", b"[" * 100_000):
        with pytest.raises(ExchangeError, match="no request for membership"):
            open_request(junk)


def test_nobody_gets_a_card_with_another_nodes_key() -> None:
    with pytest.raises(ExchangeError, match="another node's"):
        granted(asked("cn/33/330522", keys=KEYS["cn/33"]))
    stolen = replace(KEYS["new"], box=KEYS["cn/33"].box)
    with pytest.raises(ExchangeError, match="another node's"):
        granted(asked("cn/33/330522", keys=stolen))


def renewed(*names: str) -> tuple[NodeKeys, OpenedRequest]:
    keys = KEYS["cn/33/330521"].renewed(names, os.urandom)
    raw, _fingerprint = make_request(COUNTY, keys, in_use=KEYS["cn/33/330521"].signing)
    return keys, open_request(raw)


def test_a_known_nodes_new_keys_follow_the_present_ones_after_the_overlap() -> None:
    keys, opened = renewed("signing", "box", "log_seed")

    new = granted(opened).nodes[COUNTY.address]

    assert new.verifying_key == keys.signing.public.raw
    assert new.key_in_use(KeyUse.SIGNING, NOW) == COUNTY.verifying_key
    assert new.key_in_use(KeyUse.SIGNING, NOW + HOUR) == keys.signing.public.raw
    assert new.key_in_use(KeyUse.LOG, NOW) == COUNTY.log_key
    assert new.keys_at(KeyUse.SIGNING, NOW) == (new.verifying_key, COUNTY.verifying_key)
    assert new.keys_at(KeyUse.SIGNING, NOW + 2 * HOUR) == (new.verifying_key,)
    assert new.all_keys(KeyUse.LOG) == (new.log_key, COUNTY.log_key)


def test_a_known_nodes_request_takes_the_key_that_is_in_use() -> None:
    keys = KEYS["cn/33/330521"].renewed(["signing"], os.urandom)
    for signer in (None, keys.signing, KEYS["cn/33"].signing):
        raw, _fingerprint = make_request(COUNTY, keys, in_use=signer)
        with pytest.raises(ExchangeError, match="not signed by a key of cn/33/330521 that is in use"):
            granted(open_request(raw))


def test_what_was_granted_once_is_not_granted_twice() -> None:
    _keys, opened = renewed("signing")
    directory = granted(opened)

    assert granted(opened, directory=directory) is directory
    assert granted(asked("cn/33/330522"), directory=granted(asked("cn/33/330522"))).serial == 8


def test_keys_are_not_changed_again_before_the_last_ones_are_in_use() -> None:
    keys, opened = renewed("signing")
    directory = granted(opened)
    raw, _fingerprint = make_request(COUNTY, keys.renewed(["signing"], os.urandom), in_use=KEYS["cn/33/330521"].signing)

    with pytest.raises(ExchangeError, match="has not begun to use the keys it asked for last time"):
        granted(open_request(raw), directory=directory)


def test_a_key_that_was_replaced_does_not_come_back() -> None:
    """Also not by the old request, which was signed by the key that is still in use."""
    keys, first = renewed("box")
    directory = granted(first)
    raw, _fingerprint = make_request(COUNTY, keys.renewed(["box"], os.urandom), in_use=KEYS["cn/33/330521"].signing)
    later = NOW + 2 * HOUR
    directory = granted(open_request(raw), at=later, directory=directory)

    with pytest.raises(ExchangeError, match="brings back a key that was replaced"):
        granted(first, at=later + 2 * HOUR, directory=directory)


def test_new_keys_do_not_change_a_nodes_rank() -> None:
    keys = KEYS["cn/33/330521"].renewed(["signing"], os.urandom)
    raw, _fingerprint = make_request(replace(COUNTY, tier=Tier.CITY), keys, in_use=KEYS["cn/33/330521"].signing)

    with pytest.raises(ExchangeError, match="is of tier county, which new keys do not change"):
        granted(open_request(raw))
