"""The exchange door: what a peer, or somebody who plays one, may send, and what it is told."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.federation.network import Network

from health_exchange.api.exchange_door import Refusal
from health_exchange.audit.entries import decode_entry
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym, StreamId
from health_exchange.model.purposes import Purpose
from health_exchange.protocol.entries import RecordEntry, encode_entries, encode_locators
from health_exchange.protocol.envelope import NO_PREVIOUS, EnvelopeHeader, SealedEnvelope, Section, seal_envelope
from health_exchange.protocol.hops import sign_hop
from health_exchange.protocol.receipts import read_receipt
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import audit_log, resources, streams

COUNTY, CITY, PROVINCE, NATION = (
    NodeAddress.parse(address) for address in ("cn/33/3305/330521", "cn/33/3305", "cn/33", "cn")
)
STREAM = StreamId("ab" * 16)
PERSON = Pseudonym("abcdefghijklmnopqrstuvwxyz")
ID = ExchangeId("zyxwvutsrqponmlkjihgfedcba")
BODY = (
    b'{"resourceType":"Immunization","id":"%s","status":"completed",'
    b'"vaccineCode":{"coding":[{"system":"http://hl7.org/fhir/sid/cvx","code":"08"}]},'
    b'"patient":{"reference":"Patient/%s"},' % (ID.encode(), ID.encode())
)
ENVELOPES = "/exchange/v1/envelopes"


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def entry(version: int = 1, body: bytes | None = None) -> RecordEntry:
    """An Immunization of level 2."""
    whole = BODY + b'"occurrenceDateTime":"2026-01-0%d"}' % version
    return RecordEntry(
        op="put",
        type="Immunization",
        id=ID,
        version=version,
        pseudonym=PERSON,
        sensitivity=2,
        category="general",
        changed_at="2026-11-24T08:00:00+00:00",
        body=whole if body is None else body,
    )


def envelope(
    network: Network,
    *,
    sequence: int = 1,
    previous: str = NO_PREVIOUS,
    signer: NodeKeys | None = None,
    origin: NodeAddress = COUNTY,
    content: RecordEntry | None = None,
    stream: StreamId = STREAM,
) -> SealedEnvelope:
    """An envelope as the county would seal it, or as a test wants it."""
    above = origin.ancestors
    records = encode_entries([content or entry(sequence)])
    return seal_envelope(
        EnvelopeHeader(
            origin=origin,
            stream=stream,
            sequence=sequence,
            previous=previous,
            created_at=network.clock.now(),
            purpose=Purpose.TREATMENT,
            recipients=above,
        ),
        [
            Section(name="records-1", recipients=above, plaintext=records),
            Section(name="locators", recipients=(NATION,), plaintext=encode_locators([])),
        ],
        boxes={address: network.ceremony.directory.nodes[address].box_key for address in above},
        signing=(signer or network.ceremony.keys[origin]).signing,
        randomness=network.dice.randbytes,
    )


async def send(
    network: Network,
    body: bytes,
    *,
    sender: NodeAddress = COUNTY,
    to: NodeAddress = CITY,
    path: str = ENVELOPES,
    late: timedelta = timedelta(),
    headers: dict[str, str] | None = None,
) -> PeerAnswer:
    """One signed request at the city's door."""
    signed = sign_hop(
        "POST",
        path,
        body,
        sender=sender,
        recipient=to,
        at=network.clock.now() - late,
        nonce=network.dice.randbytes(16),
        seed=network.ceremony.keys[sender].log_seed,
    )
    return await network.nodes[CITY].exchange.answer("POST", path, signed if headers is None else headers, body)


def code_of(answer: PeerAnswer) -> str:
    """The refusal's code; fails for an answer that is none."""
    assert not answer.is_ok
    return msgspec.json.decode(answer.body, type=Refusal).code


def kept(network: Network) -> int:
    """How many versions of the Immunization the city has seen."""
    found = network.nodes[CITY].parts.store.read_now(lambda tx: resources.current(tx, "Immunization", ID))
    return found.version if found else 0


async def test_an_envelope_is_taken_with_a_signed_receipt(network: Network) -> None:
    answer = await send(network, envelope(network).raw)

    receipt = read_receipt(answer.body)
    assert (receipt.stream, receipt.sequence, receipt.recipient, receipt.outcome) == (STREAM, 1, CITY, "accepted")
    assert kept(network) == 1


async def test_a_replayed_envelope_gets_the_same_receipt_and_changes_nothing(network: Network) -> None:
    raw = envelope(network).raw
    first, second = await send(network, raw), await send(network, raw)

    assert first.body == second.body
    assert kept(network) == 1


async def test_a_gap_is_told_with_what_is_expected_and_changes_nothing(network: Network) -> None:
    first = envelope(network)
    third = envelope(network, sequence=3, previous="ab" * 32)
    await send(network, first.raw)

    assert code_of(await send(network, third.raw)) == "stream-gap"
    assert kept(network) == 1


async def test_reordered_envelopes_are_taken_once_they_come_in_order(network: Network) -> None:
    first = envelope(network)
    second = envelope(network, sequence=2, previous=first.digest.hex())

    assert code_of(await send(network, second.raw)) == "stream-gap"
    assert (await send(network, first.raw)).is_ok
    assert (await send(network, second.raw)).is_ok
    assert kept(network) == 2


async def test_a_forked_stream_is_refused_and_an_alarm_stands_in_the_log(network: Network) -> None:
    await send(network, envelope(network).raw)
    network.clock.advance(seconds=1)
    other = envelope(network)

    assert code_of(await send(network, other.raw)) == "stream-fork"
    await network.nodes[CITY].turns[0].take()
    store = network.nodes[CITY].parts.store
    entries = store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    assert [decode_entry(each.raw[32:]).reason for each in entries if each.raw][-1] == "stream-fork"


async def test_a_strangers_envelope_is_refused_and_consumes_no_place(network: Network) -> None:
    stranger = NodeKeys.generate(network.dice.randbytes)

    assert code_of(await send(network, envelope(network, signer=stranger).raw)) == "envelope-signature"
    assert network.nodes[CITY].parts.store.read_now(lambda tx: streams.head(tx, STREAM)) is None
    assert (await send(network, envelope(network).raw)).is_ok


async def test_an_envelope_that_belongs_elsewhere_is_refused(network: Network) -> None:
    """Of another origin's subtree, or carried by a node that is not on its way."""
    other = NodeAddress.parse("cn/51/5100")

    assert code_of(await send(network, envelope(network, origin=other, stream=StreamId("cd" * 16)).raw)) == "wrong-way"
    assert code_of(await send(network, envelope(network).raw, sender=PROVINCE)) == "wrong-way"


async def test_another_origins_resource_is_refused_by_a_receipt_and_blocks_nothing(network: Network) -> None:
    """Single writer: the place is consumed, the stream goes on."""
    bad = envelope(network, content=entry(1, body=b'{"resourceType":"Patient","id":"x"}'))
    refused = read_receipt((await send(network, bad.raw)).body)
    good = envelope(network, sequence=2, previous=bad.digest.hex())

    assert (refused.outcome, refused.code) == ("refused", "malformed-resource")
    assert read_receipt((await send(network, good.raw)).body).outcome == "accepted"
    assert kept(network) == 2


@pytest.mark.parametrize("damage", ["truncated", "garbage", "flipped", "later version"])
async def test_what_is_no_envelope_is_told_so(network: Network, damage: str) -> None:
    raw = envelope(network).raw
    outer = msgspec.msgpack.decode(raw)
    changed = {
        "truncated": raw[:-10],
        "garbage": b"\x00\xff" * 50,
        "flipped": raw[:200] + bytes((raw[200] ^ 1,)) + raw[201:],
        "later version": msgspec.msgpack.encode([2, *outer[1:]]),
    }[damage]

    code = code_of(await send(network, changed))

    assert code.startswith(("envelope-", "poison-envelope"))
    assert damage != "later version" or code == "envelope-version"
    assert kept(network) == 0


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_peer_whose_clock_is_an_hour_off_is_told(network: Network, hours: int) -> None:
    answer = await send(network, envelope(network).raw, late=timedelta(hours=hours))

    assert code_of(answer) == "clock-skew"


async def test_a_recorded_request_is_worth_nothing(network: Network) -> None:
    raw = envelope(network).raw
    headers = sign_hop(
        "POST",
        ENVELOPES,
        raw,
        sender=COUNTY,
        recipient=CITY,
        at=network.clock.now(),
        nonce=bytes(16),
        seed=network.ceremony.keys[COUNTY].log_seed,
    )

    assert (await send(network, raw, headers=headers)).is_ok
    assert code_of(await send(network, raw, headers=headers)) == "replayed-request"


async def test_a_request_for_another_node_or_an_unknown_operation_is_refused(network: Network) -> None:
    raw = envelope(network).raw

    assert code_of(await send(network, raw, to=PROVINCE)) == "hop-misdirected"
    assert code_of(await send(network, raw, path="/exchange/v1/anything")) == "not-found"
    assert code_of(await send(network, raw, headers={})) == "hop-unsigned"
