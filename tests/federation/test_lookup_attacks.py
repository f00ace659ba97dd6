"""Attacks on look-ups, each by its name: what the attacker does, and that he gets nothing and leaves a trace."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.federation.network import Network
from tests.federation.practitioners import (
    COUNTY,
    HOSPITALS_OF_51,
    entries_at,
    identity,
    look_up,
    practitioner,
    resources_of,
)
from tests.federation.prepared import prepared
from tests.federation.records import national_id, objection, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.model.secrecy import Secret
from health_exchange.node import answering, ticketing
from health_exchange.node.answering import LETTER, LOOKUP_PATH
from health_exchange.node.guidance import guidance_for
from health_exchange.node.letterbox import PeerRefusedError, ask_peer
from health_exchange.node.locating import LETTER as LOCATE
from health_exchange.node.locating import LOCATORS_PATH
from health_exchange.node.searchsets import with_source
from health_exchange.node.ticketing import Ticketed, obtain_ticket
from health_exchange.node.vouching import UnprovenAnswerError, check_answer
from health_exchange.protocol.instants import write_instant
from health_exchange.protocol.lookups import (
    Located,
    LocateRequest,
    LookupAnswer,
    LookupRequest,
    ProvenAnswer,
    SignedDirections,
    blinding_about,
    sign_directions,
)
from health_exchange.protocol.tickets import LogReceipt, Ticket, TicketClaims, sign_receipt
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.pseudonym.binding import seal_blinding
from health_exchange.pseudonym.threshold import Name
from health_exchange.store.resources import StoredResource

ATTACKER, VICTIM = NodeAddress.parse(HOSPITALS_OF_51), NodeAddress.parse(COUNTY)
SOMEBODY, SOMEBODY_ELSE = national_id(1), national_id(2)


async def two_persons(network: Network) -> None:
    """A country where two persons have records at the county, of one of whom the attacker has some too."""
    for number in (1, 2):
        who = patient(f"p{number}", identity=national_id(number))
        await network.admit(COUNTY, transaction(who, observation(f"o{number}", f"p{number}")), f"r{number}")
    await network.admit(HOSPITALS_OF_51, transaction(patient("q2", identity=SOMEBODY_ELSE)), "r3")
    await network.settle()


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    return await prepared(tmp_path, two_persons)


@dataclass(slots=True)
class Attack:
    """A node that runs its own program on its own keys, and asks whom it likes for what it likes."""

    network: Network
    request_id: str = "00000000-0000-4000-8000-000000000001"

    async def ticket(self, number: str, name: str = "dr-wang") -> Ticketed:
        """An honest ticket for a person."""
        node = self.network[HOSPITALS_OF_51]
        caller = replace(practitioner(HOSPITALS_OF_51, name), request_id=RequestId(self.request_id))
        return await obtain_ticket(node.parts, node.holders, identity(number), caller, "")

    async def directions(self, ticketed: Ticketed) -> SignedDirections:
        """What the nation says, against a good ticket."""
        guidance = await guidance_for(self.network[HOSPITALS_OF_51].parts, ticketed, "")
        return guidance.routes[VICTIM]

    def request(self, ticketed: Ticketed, directions: SignedDirections, **changes: Any) -> LookupRequest:  # noqa: ANN401  # fields of the request
        """What the holder would be asked by an honest node, with changes."""
        parts = self.network[HOSPITALS_OF_51].parts
        honest = LookupRequest(
            ticket=ticketed.ticket,
            pseudonym=ticketed.name.pseudonym,
            reason="",
            blinding=seal_blinding(
                ticketed.name.link,
                ticketed.blinding,
                about=blinding_about(ticketed.ticket.claims, VICTIM),
                nonce=parts.randomness(12),
            ),
            directions=directions,
        )
        return msgspec.structs.replace(honest, **changes)

    async def ask(self, request: LookupRequest, request_id: str = "") -> ProvenAnswer:
        """Ask the victim."""
        return await ask_peer(
            self.network[HOSPITALS_OF_51].parts,
            VICTIM,
            LOOKUP_PATH,
            LETTER,
            request_id or self.request_id,
            request,
            ProvenAnswer,
        )

    def alarms(self, address: str = COUNTY) -> list[str]:
        """Why the victim raised alarms."""
        return [entry.reason for entry in entries_at(self.network, address) if entry.kind == "alarm"]


@pytest.fixture
def attack(network: Network) -> Attack:
    return Attack(network)


async def test_the_honest_request_of_these_attacks_is_answered(attack: Attack) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    proven = await attack.ask(attack.request(ticketed, await attack.directions(ticketed)))

    assert len(msgspec.msgpack.decode(proven.answer, type=LookupAnswer).resources) == 2
    assert attack.alarms() == []


def _forgeries(ticket: Ticket, network: Network) -> dict[str, Ticket]:
    parts = network[HOSPITALS_OF_51].parts
    first, second = ticket.receipts
    own = sign_receipt(ticket.claims, holder=ATTACKER, leaf=bytes(32), at=network.clock.now(), seed=parts.keys.log_seed)
    in_another_name = LogReceipt(holder=second.holder, leaf=own.leaf, at=own.at, signature=own.signature)
    elsewhere = LogReceipt(holder=second.holder, leaf=bytes(32), at=second.at, signature=second.signature)
    return {
        "no receipt": Ticket(claims=ticket.claims, receipts=()),
        "one receipt": Ticket(claims=ticket.claims, receipts=(first,)),
        "one receipt twice": Ticket(claims=ticket.claims, receipts=(first, first)),
        "signed by a node that keeps no share": Ticket(claims=ticket.claims, receipts=(first, own)),
        "signed in a key holder's name": Ticket(claims=ticket.claims, receipts=(first, in_another_name)),
        "a receipt for another entry": Ticket(claims=ticket.claims, receipts=(first, elsewhere)),
        "another purpose": Ticket(
            claims=msgspec.structs.replace(ticket.claims, purpose="ETREAT"), receipts=ticket.receipts
        ),
        "a reason that nobody signed for": Ticket(
            claims=msgspec.structs.replace(ticket.claims, purpose="BTG", reason_sha256="ab" * 32),
            receipts=ticket.receipts,
        ),
        "another person's element": Ticket(
            claims=msgspec.structs.replace(ticket.claims, element=bytes(32)), receipts=ticket.receipts
        ),
    }


@pytest.mark.parametrize(
    "forgery",
    [
        "no receipt",
        "one receipt",
        "one receipt twice",
        "signed by a node that keeps no share",
        "signed in a key holder's name",
        "a receipt for another entry",
        "another purpose",
        "a reason that nobody signed for",
        "another person's element",
    ],
)
async def test_a_forged_ticket_is_refused_by_nation_and_holder(attack: Attack, forgery: str) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    directions = await attack.directions(ticketed)
    forged = _forgeries(ticketed.ticket, attack.network)[forgery]

    with pytest.raises(PeerRefusedError, match="ticket-forged"):
        await attack.ask(attack.request(ticketed, directions, ticket=forged))
    with pytest.raises(PeerRefusedError, match="ticket-forged"):
        await ask_peer(
            attack.network[HOSPITALS_OF_51].parts,
            NodeAddress.parse("cn"),
            LOCATORS_PATH,
            LOCATE,
            attack.request_id,
            LocateRequest(ticket=forged, pseudonym=ticketed.name.pseudonym, reason=""),
            Located,
        )
    assert attack.alarms() == attack.alarms("cn") == ["ticket-forged"]


@pytest.mark.parametrize("minutes", [6, -6])
async def test_a_stale_ticket_is_refused(attack: Attack, minutes: int) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    directions = await attack.directions(ticketed)
    attack.network.clock.advance(minutes=minutes)

    with pytest.raises(PeerRefusedError, match="ticket-stale"):
        await attack.ask(attack.request(ticketed, directions))
    assert attack.alarms() == ["ticket-stale"]


async def test_a_replayed_ticket_is_refused(attack: Attack) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    directions = await attack.directions(ticketed)
    await attack.ask(attack.request(ticketed, directions))

    with pytest.raises(PeerRefusedError, match="ticket-spent"):
        await attack.ask(attack.request(ticketed, directions, types=("Observation",)))
    assert attack.alarms() == ["ticket-spent"]


async def test_a_ticket_under_another_request_is_refused(attack: Attack) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    directions = await attack.directions(ticketed)

    with pytest.raises(PeerRefusedError, match="ticket-retargeted"):
        await attack.ask(attack.request(ticketed, directions), request_id="another")


async def test_a_ticket_retargeted_to_a_person_known_from_earlier_is_refused(attack: Attack) -> None:
    """The attacker keeps the other's pseudonym and link key from an honest look-up."""
    earlier = await attack.ticket(SOMEBODY_ELSE)
    attack.request_id = "00000000-0000-4000-8000-000000000002"
    ticketed = await attack.ticket(SOMEBODY)
    swapped = Ticketed(name=earlier.name, blinding=ticketed.blinding, ticket=ticketed.ticket)
    directions = await attack.directions(swapped)

    with pytest.raises(PeerRefusedError, match="ticket-retargeted"):
        await attack.ask(attack.request(swapped, directions))
    only_pseudonym = Ticketed(
        name=Name(pseudonym=earlier.name.pseudonym, link=ticketed.name.link),
        blinding=earlier.blinding,
        ticket=ticketed.ticket,
    )
    with pytest.raises(PeerRefusedError, match="ticket-retargeted"):
        await attack.ask(attack.request(only_pseudonym, directions))
    assert attack.alarms() == ["ticket-retargeted"] * 2


async def test_the_same_person_asked_by_pseudonym_without_a_fresh_ticket_is_refused(attack: Attack) -> None:
    earlier = await attack.ticket(SOMEBODY)
    directions = await attack.directions(earlier)
    await attack.ask(attack.request(earlier, directions))
    attack.network.clock.advance(minutes=10)

    with pytest.raises(PeerRefusedError, match="ticket-stale"):
        await attack.ask(attack.request(earlier, directions))
    claims = msgspec.structs.replace(earlier.ticket.claims, at=write_instant(attack.network.clock.now()))
    with pytest.raises(PeerRefusedError, match="ticket-forged"):
        await attack.ask(attack.request(earlier, directions, ticket=Ticket(claims=claims, receipts=())))


async def test_a_ticket_made_for_another_node_is_refused(attack: Attack, network: Network) -> None:
    """Somebody who has stolen a ticket shows it as his own."""
    node = network[COUNTY]
    stolen = await obtain_ticket(node.parts, node.holders, identity(SOMEBODY), practitioner(COUNTY), "")
    attack.request_id = stolen.ticket.claims.request_id
    directions = sign_directions(
        (await attack.directions(await attack.ticket(SOMEBODY))).directions, network["cn"].parts.keys.log_seed
    )

    with pytest.raises(PeerRefusedError, match="ticket-retargeted"):
        await attack.ask(attack.request(stolen, directions))


async def test_a_ticket_of_one_practitioner_used_by_another_is_refused(attack: Attack) -> None:
    ticketed = await attack.ticket(SOMEBODY, "dr-wang")
    directions = await attack.directions(ticketed)
    lent = Ticket(
        claims=msgspec.structs.replace(ticketed.ticket.claims, practitioner="dr-li"), receipts=ticketed.ticket.receipts
    )

    with pytest.raises(PeerRefusedError, match="ticket-forged"):
        await attack.ask(attack.request(ticketed, directions, ticket=lent))


async def test_directions_that_hide_an_objection_are_refused(attack: Attack) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    honest = (await attack.directions(ticketed)).directions
    keys = {address: node.parts.keys.log_seed for address, node in attack.network.nodes.items()}
    own, nation = keys[ATTACKER], keys[NodeAddress.parse("cn")]
    forgeries = {
        "signed by the attacker": sign_directions(honest, own),
        "in the attacker's name": sign_directions(msgspec.structs.replace(honest, by=HOSPITALS_OF_51), own),
        "of a province that does not lie above the holder": sign_directions(
            msgspec.structs.replace(honest, by="cn/51"), keys[NodeAddress.parse("cn/51")]
        ),
        "of a city": sign_directions(
            msgspec.structs.replace(honest, by="cn/33/3305"), keys[NodeAddress.parse("cn/33/3305")]
        ),
        "of another look-up": sign_directions(msgspec.structs.replace(honest, ticket_sha256="ab" * 32), nation),
        "to another holder": sign_directions(msgspec.structs.replace(honest, holder=HOSPITALS_OF_51), nation),
    }
    for forged in forgeries.values():
        with pytest.raises(PeerRefusedError, match="directions-forged"):
            await attack.ask(attack.request(ticketed, forged))
    assert attack.alarms() == ["directions-forged"] * len(forgeries)


async def test_directions_got_for_treatment_are_not_good_for_breaking_the_glass(attack: Attack) -> None:
    """A second ticket under the same request id, of another practitioner, with the directions of the first."""
    directions = await attack.directions(await attack.ticket(SOMEBODY))
    node = attack.network[HOSPITALS_OF_51]
    caller = replace(
        practitioner(HOSPITALS_OF_51, "dr-li"),
        purpose=Purpose.BREAK_THE_GLASS,
        request_id=RequestId(attack.request_id),
    )
    second = await obtain_ticket(node.parts, node.holders, identity(SOMEBODY), caller, "made up")

    with pytest.raises(PeerRefusedError, match="directions-forged"):
        await attack.ask(attack.request(second, directions, reason="made up"))


async def test_who_objects_to_all_sharing_is_not_found_by_asking_a_holder_that_nobody_named(attack: Attack) -> None:
    await attack.network.admit(COUNTY, transaction(objection("n1", "p1")), "r9")
    await attack.network.settle()
    ticketed = await attack.ticket(SOMEBODY)
    guidance = await guidance_for(attack.network[HOSPITALS_OF_51].parts, ticketed, "")
    assert VICTIM not in guidance.routes
    other = await attack.ticket(SOMEBODY_ELSE)
    attack.request_id = "00000000-0000-4000-8000-000000000003"
    elsewhere = await attack.directions(await attack.ticket(SOMEBODY_ELSE))

    for directions in (elsewhere, sign_directions(elsewhere.directions, attack.network["cn"].parts.keys.log_seed)):
        with pytest.raises(PeerRefusedError):
            await attack.ask(attack.request(ticketed, directions), request_id=ticketed.ticket.claims.request_id)
    assert other.name != ticketed.name


async def test_the_asking_node_does_not_learn_what_the_person_objects_to(attack: Attack) -> None:
    labelled = objection("n1", "p1")
    labelled.pop("policyRule")
    act = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    await attack.network.admit(
        COUNTY, transaction({**labelled, "provision": {"type": "deny", "securityLabel": [act]}}), "r9"
    )
    await attack.network.settle()
    ticketed = await attack.ticket(SOMEBODY)
    directions = await attack.directions(ticketed)
    proven = await attack.ask(attack.request(ticketed, directions))

    told = msgspec.msgpack.encode(directions) + msgspec.msgpack.encode(proven)
    assert b"PSY" not in told
    assert b"deny" not in told


@pytest.mark.parametrize("period", [{"until": "9999-12-31"}, {"since": "0001-01-01"}])
async def test_a_period_at_the_calendars_edge_is_answered(attack: Attack, period: dict[str, str]) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    proven = await attack.ask(attack.request(ticketed, await attack.directions(ticketed), **period))

    assert len(msgspec.msgpack.decode(proven.answer, type=LookupAnswer).resources) == 2


async def test_forty_thousand_receipts_are_no_ticket(attack: Attack) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    directions = await attack.directions(ticketed)
    many = Ticket(claims=ticketed.ticket.claims, receipts=(ticketed.ticket.receipts[0],) * 40_000)

    with pytest.raises(PeerRefusedError, match="unreadable-letter"):
        await attack.ask(attack.request(ticketed, directions, ticket=many))


async def test_a_key_holder_whose_receipts_are_worth_nothing_is_named_and_another_is_asked(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def yesterday(claims: TicketClaims, *, holder: NodeAddress, leaf: bytes, at: datetime, seed: Secret) -> LogReceipt:
        signed_at = at - timedelta(days=1) if str(holder) == "cn/33" else at
        return sign_receipt(claims, holder=holder, leaf=leaf, at=signed_at, seed=seed)

    monkeypatch.setattr(ticketing, "sign_receipt", yesterday)
    for _turn in range(6):
        result = await look_up(network, SOMEBODY)
        assert set(result.ticket_holders) == {"cn", "cn/51"}
    assert set(network[HOSPITALS_OF_51].holders.suspects) == {2}
    assert attackless(network)


def attackless(network: Network) -> bool:
    """Whether nobody was accused of anything."""
    return not [entry for address in ("cn", COUNTY) for entry in entries_at(network, address) if entry.kind == "alarm"]


@pytest.mark.parametrize(
    "resource",
    [b"{}", b"[]", b"nope", b'{"resourceType":"Patient"}', b"[" * 50_000, b'{"resourceType":"Horoscope","id":"a"}'],
)
async def test_a_holder_that_gives_nonsense_is_named_and_the_others_are_shown(
    network: Network, resource: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nonsense(kept: StoredResource, *, here: str) -> bytes:
        return resource if here == COUNTY else with_source(kept, here=here)

    monkeypatch.setattr(answering, "with_source", nonsense)
    result = await look_up(network, SOMEBODY_ELSE)

    outcomes = {str(outcome.node): outcome for outcome in result.outcomes}
    assert outcomes[COUNTY].problem
    assert not outcomes[COUNTY].resources
    assert {each["id"] for each in resources_of(result)} == {"q2"}
    assert entries_at(network, HOSPITALS_OF_51)[-1].kind == "look-up"


async def test_an_answer_without_a_proof_is_not_shown(network: Network) -> None:
    """A holder that answers without logging: whatever it sends in place of the proof."""
    ticketed = await Attack(network).ticket(SOMEBODY)
    attack = Attack(network)
    proven = await attack.ask(attack.request(ticketed, await attack.directions(ticketed)))
    card, claims = network[COUNTY].parts.card, ticketed.ticket.claims
    person = ticketed.name.pseudonym
    assert check_answer(proven, claims, person, card, network.clock.now()).resources
    other = network["cn/33"].parts.card
    richer = msgspec.msgpack.encode(LookupAnswer(resources=[b"{}"]))
    for changed in (
        msgspec.structs.replace(proven, path=[]),
        msgspec.structs.replace(proven, position=proven.position + 1),
        msgspec.structs.replace(proven, checkpoint=""),
        msgspec.structs.replace(proven, entry=b""),
        msgspec.structs.replace(proven, entry=proven.entry[:-2] + b" }"),
        msgspec.structs.replace(proven, answer=richer),
    ):
        with pytest.raises(UnprovenAnswerError):
            check_answer(changed, claims, person, card, network.clock.now())
    with pytest.raises(UnprovenAnswerError):
        check_answer(proven, claims, person, other, network.clock.now())


async def test_an_answer_swapped_between_two_persons_is_not_shown(attack: Attack, network: Network) -> None:
    ticketed = await attack.ticket(SOMEBODY)
    proven = await attack.ask(attack.request(ticketed, await attack.directions(ticketed)))
    attack.request_id = "00000000-0000-4000-8000-000000000002"
    other = await attack.ticket(SOMEBODY_ELSE)
    card = network[COUNTY].parts.card

    for claims, person in (
        (other.ticket.claims, other.name.pseudonym),
        (ticketed.ticket.claims, other.name.pseudonym),
        (other.ticket.claims, ticketed.name.pseudonym),
    ):
        with pytest.raises(UnprovenAnswerError):
            check_answer(proven, claims, Pseudonym(person), card, network.clock.now())


async def test_whoever_records_every_byte_between_nodes_learns_no_person_type_or_facility(network: Network) -> None:
    recorded: list[bytes] = []
    carry = network.wire.carry

    async def record(*arguments: Any) -> PeerAnswer:  # noqa: ANN401  # whatever the wire carries
        answer = await carry(*arguments)
        recorded.append(b"".join(part if isinstance(part, bytes) else str(part).encode() for part in arguments[3]))
        recorded.append(answer.body)
        return answer

    network.wire.carry = record  # type: ignore[method-assign, assignment]  # a tap on the wire
    result = await look_up(network, SOMEBODY)
    everything = b"\n".join(recorded)

    assert len(resources_of(result)) == 2
    assert len(recorded) >= 8
    person = entries_at(network, COUNTY)[-1].subjects[0]
    for told in (person, SOMEBODY, "Observation", "Patient", "14771-0", "dr-wang", "121000001000791901", "TREAT"):
        assert told.encode() not in everything, told
