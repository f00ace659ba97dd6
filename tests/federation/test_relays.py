"""Promise 2: relays cannot read. What a relay's own keys and database make of what it carries."""

from pathlib import Path

from tests.federation.network import Network
from tests.federation.records import condition, immunization, national_id, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.protocol.envelope import open_sections, read_envelope
from health_exchange.store import outbox

COUNTY, CITY = "cn/33/3305/330521", "cn/33/3305"


async def carried(tmp_path: Path, *bundles: bytes) -> tuple[Network, list[bytes]]:
    """A network whose province is away, so that envelopes stay at the city; and those envelopes."""
    network = Network(tmp_path)
    for number, bundle in enumerate(bundles):
        await network.admit(COUNTY, bundle, f"request-{number}")
    network.faults.cut.add(frozenset((NodeAddress.parse(CITY), NodeAddress.parse("cn/33"))))
    for _round in range(6):
        await network.round()
    kept = network[CITY].parts.store.read_now(outbox.kept_envelopes)
    return network, [raw for _stream, _sequence, raw in kept]


async def test_a_city_opens_its_own_sections_and_no_others(tmp_path: Path) -> None:
    who = patient("p1", identity=national_id(1))
    network, envelopes = await carried(tmp_path, transaction(who, observation("o1", "p1"), immunization("i1", "p1")))

    envelope = read_envelope(envelopes[0])
    city, province = (
        set(open_sections(envelope, address, [network.ceremony.keys[address].box]))
        for address in map(NodeAddress.parse, (CITY, "cn/33"))
    )
    names = {section.name for section in envelope.sections}
    assert city < names
    assert province - city, "the province opens something that the city carries closed"
    assert b"14771-0" not in envelopes[0]


async def test_what_lies_in_a_relays_database_is_what_it_may_open(tmp_path: Path) -> None:
    who = patient("p1", identity=national_id(1))
    network, _envelopes = await carried(
        tmp_path, transaction(who, observation("o1", "p1"), condition("c1", "p1", "I10"), immunization("i1", "p1"))
    )

    assert {kind for kind, _id in network.kept(CITY)} == {"Patient", "Immunization"}


async def test_an_envelope_looks_the_same_whatever_level_it_carries(tmp_path: Path) -> None:
    """A relay that sees sections and sizes cannot tell a routine record from a sensitive one."""
    shapes = []
    for number, resource in enumerate(
        (immunization("x1", "p1"), condition("x1", "p1", "I10"), condition("x1", "p1", "B20"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        who = patient("p1", identity=national_id(1))
        _network, envelopes = await carried(folder, transaction(who, resource))
        envelope = read_envelope(envelopes[0])
        shapes.append([(section.name, section.length) for section in envelope.sections])

    assert shapes[0] == shapes[1] == shapes[2]
