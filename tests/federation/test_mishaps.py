"""What once went wrong, or would have: records blocked, lost, brought back or left with the wrong person."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.federation.network import HOSPITAL, START, Network
from tests.federation.records import condition, immunization, national_id, objection, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym, RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node import delivery, reception, sending
from health_exchange.node.callers import Caller
from health_exchange.node.erasing import CorrectionUnderwayError, erase_person
from health_exchange.node.outgoing import Outgoing
from health_exchange.node.outgoing import select as select_outgoing
from health_exchange.node.parts import Limits
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.protocol.receipts import Receipt, read_receipt, sign_receipt
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import audit_log, node_state, outbox, subjects
from health_exchange.store.schema import history
from health_exchange.store.schema import subjects as subjects_table

COUNTY, HOSPITALS_OF_51 = "cn/33/3305/330521", "cn/51/5100"
CALLER = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("story"))


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def above(network: Network, resource_type: str, local_id: str, origin: str = COUNTY) -> tuple[str, str]:
    return resource_type, exchange_id(network[origin].parts.keys.exchange_ids, resource_type, local_id)


def located(network: Network, address: str) -> set[Pseudonym]:
    """Persons whom a node knows to be held somewhere."""
    return {person for persons in network.located(address).values() for person in persons}


def person_at(network: Network, local_id: str) -> Pseudonym:
    subject = network[COUNTY].parts.store.read_now(lambda tx: subjects.by_anchor(tx, f"Patient/{local_id}"))
    assert subject is not None
    assert subject.pseudonym is not None
    return subject.pseudonym


def alarms(network: Network, address: str) -> list[str]:
    """Reasons of the alarms in a node's log."""
    from health_exchange.audit.entries import decode_entry

    parts = network[address].parts
    entries = parts.store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    decoded = [decode_entry(entry.raw[32:]) for entry in entries if entry.raw is not None]
    return [entry.reason for entry in decoded if entry.kind == "alarm"]


async def test_what_was_taken_back_and_shared_again_can_be_updated(network: Network) -> None:
    who = patient("p1", identity=national_id(1))
    await network.admit(COUNTY, transaction(who, observation("o1", "p1")), "r1")
    await network.settle()
    await network.admit(COUNTY, transaction(objection("c1", "p1")), "r2")
    await network.settle()
    assert network.kept("cn") == {}
    await network.admit(COUNTY, transaction(objection("c1", "p1", status="inactive")), "r3")
    await network.settle()
    await network.admit(COUNTY, transaction(observation("o1", "p1", "2.50")), "r4")
    await network.settle()

    assert b"2.50" in network.kept("cn")[above(network, "Observation", "o1")][3]


async def test_who_objects_even_to_being_found_is_forgotten_where_it_was_said(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    await network.settle()
    person = person_at(network, "p1")
    assert person in located(network, "cn") & located(network, "cn/33/3305")
    await network.admit(COUNTY, transaction(objection("c1", "p1")), "r2")
    await network.settle()

    assert person not in located(network, "cn") | located(network, "cn/33/3305")


async def test_of_somebody_who_always_objected_nothing_is_said_not_even_that_it_be_forgotten(network: Network) -> None:
    who = patient("p1", identity=national_id(1))
    await network.admit(COUNTY, transaction(who, objection("c1", "p1"), immunization("i1", "p1")), "r1")
    await network.settle()

    mentioned = network["cn"].parts.store.read_now(lambda tx: subjects.subjects_of(tx, person_at(network, "p1")))
    assert not mentioned
    assert person_at(network, "p1") not in located(network, COUNTY)


async def test_an_objection_holds_for_every_patient_that_the_person_is_at_the_node(network: Network) -> None:
    one, two = (patient(name, identity=national_id(1)) for name in ("p1", "p2"))
    await network.admit(COUNTY, transaction(one, two, observation("o2", "p2")), "r1")
    await network.settle()
    await network.admit(COUNTY, transaction(objection("c1", "p1")), "r2")
    await network.settle()
    assert network.kept("cn") == {}
    await network.admit(COUNTY, transaction(observation("o3", "p2")), "r3")
    three = patient("p3", identity=national_id(1))
    await network.admit(COUNTY, transaction(three, observation("o4", "p3")), "r4")
    await network.settle()

    assert network.kept("cn") == {}


async def test_somebody_erased_and_admitted_again_is_there_again(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()
    await erase_person(network[COUNTY].parts, person_at(network, "p1"), CALLER)
    await network.admit(COUNTY, transaction(patient("p2", identity=national_id(1)), observation("o2", "p2")), "r2")
    await network.settle()

    assert set(network.kept("cn")) == {above(network, "Patient", "p2"), above(network, "Observation", "o2")}


async def test_what_was_erased_under_a_corrected_identity_counts_its_versions_anew(network: Network) -> None:
    who = patient("p1", identity=national_id(1))
    await network.admit(COUNTY, transaction(who), "r1")
    await network.settle()
    # Corrected while no key holder answers: those above keep a tombstone of version 2 under the person it never was.
    network.faults.cut |= {frozenset(map(NodeAddress.parse, (COUNTY, holder))) for holder in ("cn", "cn/33", "cn/51")}
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(2))), "r2")
    for _round in range(20):
        await network.round()
    assert network.kept("cn") == {}
    network.faults.cut.clear()
    # The new person is known and said, and erased before anything more of it left.
    turns = {turn.name: turn for turn in network[COUNTY].turns}
    await turns["release"].take()
    await turns["send"].take()
    await erase_person(network[COUNTY].parts, person_at(network, "p1"), CALLER)
    await network.admit(COUNTY, transaction(who), "r3")
    await network.settle()

    for number in (1, 2, 3):
        assert network.kept("cn")[above(network, "Patient", "p1")][1] == number
        await network.admit(COUNTY, transaction({**who, "active": number % 2 == 0}), f"r{number + 3}")
        await network.settle()


async def test_an_erasure_waits_until_a_correction_has_left(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(2))), "r2")
    with pytest.raises(CorrectionUnderwayError):
        await erase_person(network[COUNTY].parts, person_at(network, "p1"), CALLER)
    await network.settle()
    await erase_person(network[COUNTY].parts, person_at(network, "p1"), CALLER)
    await network.settle()

    assert network.kept("cn") == {}


async def test_a_correction_leaves_nothing_with_the_wrong_person(network: Network) -> None:
    who = patient("p1", identity=national_id(1))
    await network.admit(COUNTY, transaction(who, condition("x1", "p1", "B20")), "r1")
    await network.settle()
    wrong = person_at(network, "p1")
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(2))), "r2")
    await network.settle()

    assert person_at(network, "p1") != wrong
    former = select(subjects_table.c.pseudonym).join(history, history.c.sid == subjects_table.c.sid)
    for address in ("cn", "cn/33", "cn/33/3305"):
        names = network[address].parts.store.read_now(lambda tx: list(tx.execute(former).scalars()))
        assert wrong not in names
        assert wrong not in located(network, address)


async def test_two_corrections_in_a_row_lead_to_the_last_person(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(2))), "r2")
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(3))), "r3")
    await network.settle()

    assert network.kept("cn")[above(network, "Observation", "o1")][2] == person_at(network, "p1")
    assert located(network, "cn") == {person_at(network, "p1")}


async def test_an_identity_taken_away_takes_all_records_of_the_subject_back(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()
    await network.admit(COUNTY, transaction(patient("p1", identity=None)), "r2")
    await network.settle()
    assert network.kept("cn") == {}
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r3")
    await network.settle()
    await network.admit(COUNTY, transaction(observation("o1", "p1", "3.50")), "r4")
    await network.settle()

    assert b"3.50" in network.kept("cn")[above(network, "Observation", "o1")][3]


async def test_a_reference_to_a_version_of_a_patient_is_to_the_patient(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    result = observation("o1", "p1")
    result["subject"]["reference"] = "Patient/p1/_history/1"
    await network.admit(COUNTY, transaction(result), "r2")
    await network.settle()
    assert above(network, "Observation", "o1") in network.kept("cn")
    await erase_person(network[COUNTY].parts, person_at(network, "p1"), CALLER)
    await network.settle()

    assert network.kept("cn") == {}
    assert network.kept(COUNTY) == {}


async def test_changes_of_erased_records_alone_do_not_stop_the_sender(tmp_path: Path) -> None:
    network = Network(tmp_path, limits=Limits(envelope_entries=5))
    results = [observation(f"o{number}", "p1") for number in range(6)]
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), *results), "r1")
    await erase_person(network[COUNTY].parts, person_at(network, "p1"), CALLER)
    await network.admit(COUNTY, transaction(patient("p2", identity=national_id(2))), "r2")
    await network.settle()

    assert set(network.kept("cn")) == {above(network, "Patient", "p2")}


async def test_a_relay_that_lost_its_database_is_sent_again_what_is_still_kept_below(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    province = NodeAddress.parse("cn/33")
    network.faults.cut.add(frozenset((province, NodeAddress.parse("cn"))))
    for _round in range(6):
        await network.round()
    network.lose_database(province)
    network.faults.cut.clear()
    await network.admit(COUNTY, transaction(observation("o2", "p1")), "r3")
    for _round in range(40):
        await network.round()

    assert set(network.kept("cn")) == {above(network, "Patient", "p1"), above(network, "Observation", "o2")}


async def test_a_stream_that_the_next_hop_refuses_holds_up_no_other(network: Network) -> None:
    stream = network[COUNTY].parts.stream
    network[HOSPITALS_OF_51].parts.store.write_now(lambda tx: node_state.put(tx, "stream", stream.encode()))
    network.restart(NodeAddress.parse(HOSPITALS_OF_51))
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    await network.settle()
    await network.admit(HOSPITALS_OF_51, transaction(patient("q", identity=national_id(2))), "r1")
    for _round in range(20):
        await network.round()
    assert any("stream-fork" in reason for reason in alarms(network, "cn/51"))
    own = network["cn/51"].parts.store.read_now(outbox.undelivered_count)
    network[HOSPITALS_OF_51].parts.store.write_now(lambda tx: node_state.put(tx, "stream", b"f" * 32))
    network.restart(NodeAddress.parse(HOSPITALS_OF_51))
    await network.admit(HOSPITALS_OF_51, transaction(patient("r", identity=national_id(3))), "r2")
    for _round in range(20):
        await network.round()

    assert own == 1
    assert above(network, "Patient", "r", HOSPITALS_OF_51) in network.kept("cn")


async def test_a_stream_refused_while_the_clock_was_ahead_does_not_rest_until_that_hour_comes(network: Network) -> None:
    parent = NodeAddress.parse(COUNTY).parent

    def refuse(_sender: NodeAddress, to: NodeAddress, answer: PeerAnswer) -> PeerAnswer:
        is_skewed = to == parent and network.clock.at > START + timedelta(minutes=30)
        return PeerAnswer(status=401, body=b'{"code":"clock-skew"}') if is_skewed else answer

    network.meddle = refuse
    network.clock.advance(hours=1)
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    for _round in range(4):
        await network.round()
    assert any("clock-skew" in reason for reason in alarms(network, COUNTY))
    network.clock.advance(hours=-1)
    for _round in range(10):
        await network.round()

    assert network[COUNTY].parts.store.read_now(outbox.undelivered_count) == 0


async def test_content_that_errs_is_refused_with_a_signature_and_blocks_nothing(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = select_outgoing

    def spoil(*arguments: Any) -> Outgoing:  # noqa: ANN401  # as they came
        outgoing = real(*arguments)
        for entries in outgoing.shared.values():
            entries[:] = [replaced(entry, category="") for entry in entries]
        return outgoing

    monkeypatch.setattr(sending, "select", spoil)
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    await network.settle()
    monkeypatch.undo()
    await network.admit(COUNTY, transaction(observation("o1", "p1")), "r2")
    await network.settle()

    assert set(network.kept("cn")) == {above(network, "Observation", "o1")}
    assert any(reason.startswith("refused-above") for reason in alarms(network, COUNTY))


async def test_what_an_origin_should_not_have_sent_is_refused(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = frozenset({NodeAddress.parse("cn"), NodeAddress.parse("cn/33")})
    monkeypatch.setattr(sending, "recipients_of", lambda *_arguments: everyone)
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), condition("x1", "p1", "B20")), "r1")
    await network.settle()

    assert network.kept("cn") == {}
    assert any("not-granted" in reason for reason in alarms(network, COUNTY))


async def test_a_node_that_admits_no_facilities_has_no_records_of_its_own(network: Network) -> None:
    city = network["cn/33/3305"].parts
    envelope = sending._seal(city, Outgoing(), None)  # what a dishonest city would do
    with pytest.raises(reception.WrongWayError):
        await reception.receive(network["cn/33"].parts, envelope.raw, city.address)


async def test_a_receipt_for_other_bytes_settles_nothing_and_alarms(network: Network) -> None:
    network.faults.cut.add(frozenset((NodeAddress.parse("cn/33/3305"), NodeAddress.parse("cn/33"))))
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    for _round in range(6):
        await network.round()
    parts = network[COUNTY].parts
    stream, sequence, _raw = parts.store.read_now(outbox.kept_envelopes)[0]
    nation = network["cn"].parts
    receipt = Receipt(
        stream=stream,
        sequence=sequence,
        digest=b"\x07" * 32,
        recipient=nation.address,
        outcome="accepted",
        code="",
        checkpoint="",
        received_at=nation.clock.now(),
    )
    raw = sign_receipt(receipt, nation.keys.signing)
    before = parts.store.read_now(outbox.awaited_counts)
    parts.store.write_now(lambda tx: delivery._collect(tx, parts, [(read_receipt(raw), raw)], 1))  # as if fetched

    assert parts.store.read_now(outbox.awaited_counts) == before
    await network[COUNTY].turns[0].take()
    assert "receipt-contradicts" in alarms(network, COUNTY)


async def test_a_request_id_used_twice_at_once_for_different_bodies_is_told_so(network: Network) -> None:
    admission = network[COUNTY].admission
    assert admission is not None
    caller = replace(CALLER, request_id=RequestId("same"))
    first, second = (transaction(patient(name, identity=None)) for name in ("p1", "p2"))
    one = admission.admit_bundle(first, caller)
    parts = network[COUNTY].parts
    real = parts.store.write
    raced = False

    async def race(fn: Any) -> Any:  # noqa: ANN401  # whatever is written
        nonlocal raced
        if not raced:
            raced = True
            await admission.admit_bundle(second, caller)
        return await real(fn)

    parts.store.write = race  # type: ignore[method-assign]  # the other request is faster
    with pytest.raises(ExchangeError) as refusal:
        await one
    assert refusal.value.code == "request-id-reused"


def replaced(entry: Any, **changes: Any) -> Any:  # noqa: ANN401  # an entry as no honest origin makes it
    import msgspec

    return msgspec.structs.replace(entry, **changes)
