"""Attacks on look-ups, each by its name: what the attacker does, and that he gets nothing and leaves a trace."""

from dataclasses import dataclass, replace
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
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, RequestId
from health_exchange.node.answering import LETTER, LOOKUP_PATH
from health_exchange.node.guidance import guidance_for
from health_exchange.node.letterbox import PeerRefusedError, ask_peer
from health_exchange.node.locating import LETTER as LOCATE
from health_exchange.node.locating import LOCATORS_PATH
from health_exchange.node.ticketing import Ticketed, obtain_ticket
from health_exchange.node.vouching import UnprovenAnswerError, check_answer
from health_exchange.protocol.lookups import (
    LocateRequest,
    LookupAnswer,
    LookupRequest,
    ProvenAnswer,
    SignedDirections,
    sign_directions,
)
from health_exchange.protocol.tickets import LogReceipt, Ticket, sign_receipt
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.pseudonym.binding import seal_blinding
from health_exchange.pseudonym.threshold import Name

ATTACKER, VICTIM = NodeAddress.parse(HOSPITALS_OF_51), NodeAddress.parse(COUNTY)
SOMEBODY, SOMEBODY_ELSE = national_id(1), national_id(2)


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    """A country where two persons have records at the county, of one of whom the attacker has some too."""
    network = Network(tmp_path)
    for number in (1, 2):
        who = patient(f"p{number}", identity=national_id(number))
        await network.admit(COUNTY, transaction(who, observation(f"o{number}", f"p{number}")), f"r{number}")
    await network.admit(HOSPITALS_OF_51, transaction(patient("q2", identity=SOMEBODY_ELSE)), "r3")
    await network.settle()
    return network


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
                ticketed.name.link, ticketed.blinding, about=self.request_id.encode(), nonce=parts.randomness(12)
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
            SignedDirections,
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
    nothing = Ticket(claims=earlier.ticket.claims, receipts=())
    with pytest.raises(PeerRefusedError, match="ticket"):
        await attack.ask(attack.request(earlier, directions, ticket=nothing))


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
    parts = attack.network[HOSPITALS_OF_51].parts
    for forged in (
        sign_directions(honest, parts.keys.log_seed),
        sign_directions(msgspec.structs.replace(honest, by=HOSPITALS_OF_51), parts.keys.log_seed),
        sign_directions(
            msgspec.structs.replace(honest, by="cn/51"), attack.network["cn/51"].parts.keys.log_seed
        ),  # a province that does not lie above the holder
        sign_directions(
            msgspec.structs.replace(honest, request_id="another"), attack.network["cn"].parts.keys.log_seed
        ),
    ):
        with pytest.raises(PeerRefusedError, match="directions-forged"):
            await attack.ask(attack.request(ticketed, forged))


async def test_an_answer_without_a_proof_is_not_shown(network: Network) -> None:
    """A holder that answers without logging: whatever it sends in place of the proof."""
    ticketed = await Attack(network).ticket(SOMEBODY)
    attack = Attack(network)
    proven = await attack.ask(attack.request(ticketed, await attack.directions(ticketed)))
    card, claims = network[COUNTY].parts.card, ticketed.ticket.claims
    person = ticketed.name.pseudonym
    assert check_answer(proven, LookupAnswer, claims, person, card).resources
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
            check_answer(changed, LookupAnswer, claims, person, card)
    with pytest.raises(UnprovenAnswerError):
        check_answer(proven, LookupAnswer, claims, person, other)


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
            check_answer(proven, LookupAnswer, claims, Pseudonym(person), card)


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
