"""Key holders renew their shares while everybody goes on: same pseudonyms, and the old shares are of no use."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.federation.network import Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.crypto.signatures import sign
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import SHARE_LEEWAY, FormerKeyCard, KeyCard
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.refreshing import (
    CONTEXT,
    DEAL_PATH,
    TAKE_PATH,
    Dealt,
    DealtPieces,
    RefreshRequest,
    Taking,
    refresh_shares,
)
from health_exchange.protocol.directories import make_directory
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.pseudonym.dealing import deal, lagrange
from health_exchange.pseudonym.group import ORDER, decode_scalar, multiply_base

COUNTY, ATTACHED, CITY = "cn/33/3305/330521", "cn/51/5100", "cn/33/3305"
NATION, ZHEJIANG, SICHUAN = (NodeAddress.parse(address) for address in ("cn", "cn/33", "cn/51"))
OVERLAP = timedelta(hours=1)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


async def ask_as(network: Network, sender: NodeAddress, to: NodeAddress, path: str, body: bytes) -> PeerAnswer:
    return await network.nodes[sender].parts.transport.send(to, "POST", path, body)


async def renew(network: Network) -> KeyCard:
    """What the nation's command does; the new card."""
    known = network.nodes[NATION].parts.directory

    async def send(to: NodeAddress, path: str, body: bytes) -> PeerAnswer:
        return await ask_as(network, NATION, to, path, body)

    card = await refresh_shares(known.key, network.dice.randbytes(16).hex(), send)
    former = FormerKeyCard(card=known.key, until=network.clock.now() + OVERLAP)
    directory = replace(known, key=card, former_key=former, serial=known.serial + 1)
    network.put_beside("cn", make_directory(directory, network.ceremony.keys[NATION].signing))
    return card


async def admit(network: Network, number: int, *, at: str = COUNTY) -> Pseudonym:
    """One new person at a node, the network at work meanwhile; what the nation calls that person."""
    who = patient(f"p{number}", identity=national_id(number))
    before = pseudonyms(network)
    outcome = await network.admit(
        at, transaction(who, observation(f"o{number}", f"p{number}")), f"request-{at}-{number}"
    )
    assert [getattr(result, "held", None) for result in outcome.results] == ["", ""]
    await network.settle()
    (added,) = (pseudonyms(network) - before) or {Pseudonym("known before")}
    return added


def pseudonyms(network: Network) -> set[Pseudonym]:
    return {person for _origin, _version, person, _body in network.kept("cn").values() if person is not None}


async def test_shares_are_renewed_while_records_travel_and_everybody_keeps_the_pseudonym(network: Network) -> None:
    await admit(network, 1)
    card = await renew(network)
    await admit(network, 2)
    assert network[COUNTY].parts.membership.key.share_version == 1
    network.clock.advance(seconds=OVERLAP.total_seconds())
    await admit(network, 3)
    assert network[COUNTY].parts.membership.key == card

    again = [await admit(network, number, at=ATTACHED) for number in (1, 2, 3)]

    assert again == ["known before"] * 3
    assert len(pseudonyms(network)) == 3
    assert card.public == network.ceremony.directory.key.public
    assert network.log_failures() == []


async def test_an_asker_that_is_behind_and_one_that_is_ahead_are_both_answered(network: Network) -> None:
    await renew(network)
    network.clock.advance(seconds=OVERLAP.total_seconds() - 30)
    for _round in range(6):
        await network.round()
    behind = network[COUNTY].parts.directory.key_in_use(network.clock.now())
    network.clock.advance(seconds=60)

    assert behind.share_version == 1
    for version in (1, 2):
        for holder in (NATION, ZHEJIANG, SICHUAN):
            share = network.nodes[holder].parts.membership.share(1, version)
            assert share is not None
            assert share.version == version


async def test_old_and_new_shares_do_not_add_up_to_the_key(network: Network) -> None:
    old = {share.index: share for share in network.ceremony.shares.values()}
    await renew(network)
    new = {shares[0].index: shares[0] for shares in network.shares.values()}

    def joint(secrets: dict[int, int]) -> bytes:
        weights = lagrange(list(secrets))
        return multiply_base(sum(weights[index] * secret for index, secret in secrets.items()) % ORDER)

    first, second = decode_scalar(old[1].secret.raw), decode_scalar(new[2].secret.raw)
    public = network.ceremony.directory.key.public
    assert joint({1: decode_scalar(new[1].secret.raw), 2: second}) == public
    assert joint({1: first, 2: second}) != public


async def test_with_a_holder_away_nothing_changes_and_the_next_attempt_succeeds(network: Network) -> None:
    network.faults.down.add(SICHUAN)
    with pytest.raises(ExchangeError, match=r"key holder cn/51 takes no part .*; nothing has changed"):
        await renew(network)
    network.faults.down.clear()
    await admit(network, 1)

    assert network.nodes[NATION].parts.directory.serial == 1
    await renew(network)
    network.clock.advance(seconds=OVERLAP.total_seconds() + SHARE_LEEWAY.total_seconds() + 1)
    await admit(network, 2)
    assert network[COUNTY].parts.membership.key.share_version == 2


async def test_nobody_but_the_nation_has_shares_renewed(network: Network) -> None:
    body = msgspec.msgpack.encode(RefreshRequest(round_id="r", epoch=1, version=1))

    for sender in (SICHUAN, NodeAddress.parse(COUNTY)):
        assert (await ask_as(network, sender, ZHEJIANG, DEAL_PATH, body)).status == 403
    assert (await ask_as(network, NATION, NodeAddress.parse(CITY), DEAL_PATH, body)).status == 501
    assert (await ask_as(network, NATION, ZHEJIANG, DEAL_PATH, b"junk")).status == 400
    stale = msgspec.msgpack.encode(RefreshRequest(round_id="r", epoch=1, version=2))
    assert (await ask_as(network, NATION, ZHEJIANG, DEAL_PATH, stale)).status == 409


class Round:
    """One round of dealings on its way to Sichuan."""

    def __init__(self, network: Network, dealings: list[Dealt], request: RefreshRequest) -> None:
        self.network, self.dealings, self.request = network, dealings, request

    @classmethod
    async def begin(cls, network: Network, round_id: str = "r") -> "Round":
        request = RefreshRequest(round_id=round_id, epoch=1, version=1)
        body = msgspec.msgpack.encode(request)
        answers = [await ask_as(network, NATION, holder, DEAL_PATH, body) for holder in (NATION, ZHEJIANG, SICHUAN)]
        return cls(network, [msgspec.msgpack.decode(answer.body, type=Dealt) for answer in answers], request)

    async def code(self) -> str:
        """How Sichuan refuses."""
        taking = msgspec.msgpack.encode(Taking(request=self.request, dealings=self.dealings))
        answer = await ask_as(self.network, NATION, SICHUAN, TAKE_PATH, taking)
        return str(msgspec.json.decode(answer.body)["code"]) if not answer.is_ok else ""

    def redealt(self, **changes: object) -> Dealt:
        """Zhejiang's dealing changed, and signed by Zhejiang."""
        pieces = msgspec.msgpack.decode(self.dealings[1].body, type=DealtPieces)
        body = msgspec.msgpack.encode(msgspec.structs.replace(pieces, **changes))
        return Dealt(body=body, signature=sign(self.network.keys[ZHEJIANG].signing, body, context=CONTEXT))


async def test_a_dealing_that_is_not_of_zero_by_its_dealer_for_this_round_is_refused(network: Network) -> None:
    fair, other = await Round.begin(network), await Round.begin(network, "another round")
    pieces = msgspec.msgpack.decode(fair.dealings[1].body, type=DealtPieces)
    shift = deal(5, threshold=2, indexes=[1, 2, 3], randomness=network.dice.randbytes)
    forged = Dealt(body=fair.redealt(index=1).body, signature=fair.redealt(index=1).signature)
    attempts = {
        "one is missing": fair.dealings[:2],
        "one is there twice": [*fair.dealings[:2], fair.dealings[1]],
        "of another round": [fair.dealings[0], other.dealings[1], fair.dealings[2]],
        "in another's name": [forged, *fair.dealings[1:]],
        "of something else than zero": [
            fair.dealings[0], fair.redealt(commitments=list(shift.commitments)), fair.dealings[2],
        ],
        "with too few commitments": [
            fair.dealings[0], fair.redealt(commitments=pieces.commitments[:1]), fair.dealings[2],
        ],
        "with a piece that does not fit": [
            fair.dealings[0],
            fair.redealt(commitments=[None, shift.commitments[1]]),
            fair.dealings[2],
        ],
    }  # fmt: skip

    for name, dealings in attempts.items():
        assert await Round(network, dealings, fair.request).code() == "false-piece", name
    swapped = dict(pieces.letters) | {3: pieces.letters[2]}
    fair_but_sealed_to_another = [fair.dealings[0], fair.redealt(letters=swapped), fair.dealings[2]]
    assert await Round(network, fair_but_sealed_to_another, fair.request).code() == "unreadable-letter"
    assert network.shares[SICHUAN] == (network.ceremony.shares[SICHUAN],)
    assert await fair.code() == ""
    assert [share.version for share in network.shares[SICHUAN]] == [2, 1]
