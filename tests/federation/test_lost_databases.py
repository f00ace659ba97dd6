"""A node loses its database and comes back with a backup: what is there, what is listed, and what others make good."""

from pathlib import Path

import pytest
from tests.federation.losses import Operator
from tests.federation.network import HOSPITAL, Network
from tests.federation.records import national_id, objection, observation, patient, transaction

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.verification import verify_folder
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.comparing import compare, renew
from health_exchange.node.erasing import erase_person
from health_exchange.node.starting import NotRejoinedError
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.store import audit_log, subjects

COUNTY, CITY, PROVINCE, NATION = "cn/33/3305/330521", "cn/33/3305", "cn/33", "cn"
CALLER = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("story"))


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


@pytest.fixture
def operator(network: Network) -> Operator:
    return Operator(network)


def above(network: Network, local_id: str, resource_type: str = "Observation") -> tuple[str, str]:
    return resource_type, exchange_id(network[COUNTY].parts.keys.exchange_ids, resource_type, local_id)


def entries(network: Network, address: str) -> list[AuditEntry]:
    parts = network[address].parts
    kept = parts.store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    return [decode_entry(entry.raw[32:]) for entry in kept if entry.raw is not None]


def alarms(network: Network) -> list[str]:
    return [
        f"{address}: {entry.reason}"
        for address in network.nodes
        for entry in entries(network, str(address))
        if entry.kind == "alarm"
    ]


def person_at(network: Network, local_id: str) -> Pseudonym:
    found = network[COUNTY].parts.store.read_now(lambda tx: subjects.by_anchor(tx, f"Patient/{local_id}"))
    assert found is not None
    assert found.pseudonym is not None
    return found.pseudonym


class Disk:
    """The file of a database, of which somebody takes a snapshot and puts it back."""

    def __init__(self, path: Path) -> None:
        self._path, self._kept = path, b""

    def snapshot(self) -> None:
        self._kept = self._path.read_bytes()

    def put_back(self) -> None:
        self._path.write_bytes(self._kept)


async def before_the_backup(network: Network) -> None:
    """Five persons with an observation each."""
    for number in range(1, 6):
        who = patient(f"p{number}", identity=national_id(number))
        await network.admit(COUNTY, transaction(who, observation(f"o{number}", f"p{number}")), f"before-{number}")
    await network.settle()


async def after_the_backup(network: Network) -> None:
    """Everything that can happen to a record: new, updated, deleted, objected to, erased."""
    await network.admit(COUNTY, transaction(observation("o1", "p1", "2.50"), observation("new", "p1")), "after-1")
    await network.admit(COUNTY, transaction(delete=("Observation/o2",)), "after-2")
    await network.admit(COUNTY, transaction(objection("c3", "p3")), "after-3")
    stranger = patient("p6", identity=national_id(6))
    await network.admit(COUNTY, transaction(stranger, observation("o6", "p6")), "after-4")
    await network.settle()
    await erase_person(network[COUNTY].parts, person_at(network, "p4"), CALLER)
    await network.settle()


@pytest.mark.parametrize("address", [CITY, PROVINCE, NATION])
async def test_what_a_node_above_lost_the_origins_send_again(
    network: Network, operator: Operator, address: str
) -> None:
    await before_the_backup(network)
    files = operator.back_up(address)
    await after_the_backup(network)
    kept, located = network.kept(address), network.located(address)
    others = {other: network.kept(other) for other in (CITY, PROVINCE, NATION) if other != address}
    operator.lose(address)
    operator.restore(address, files)
    report = await operator.rejoin(address)
    forgotten_before_start = person_not_kept(network, address)
    await network.settle()

    assert forgotten_before_start
    assert report.forgotten == 1
    assert list(report.sending_again) == [COUNTY]
    assert report.entries_lost > 0
    assert network.kept(address) == kept
    assert network.located(address) == located
    assert {other: network.kept(other) for other in others} == others
    assert network.log_failures() == []
    assert alarms(network) == []


def person_not_kept(network: Network, address: str) -> bool:
    """Whether nothing of the erased person's observation is there."""
    return above(network, "o4") not in network.kept(address)


async def test_an_origin_lists_what_it_lost_and_goes_on_with_a_new_stream(network: Network, operator: Operator) -> None:
    await before_the_backup(network)
    files = operator.back_up(COUNTY)
    erased, objecting = person_at(network, "p4"), person_at(network, "p3")
    await after_the_backup(network)
    stream = network[COUNTY].parts.stream
    export, held_above = operator.export(COUNTY), network.kept(PROVINCE)
    operator.lose(COUNTY)
    operator.restore(COUNTY, files)
    with pytest.raises(NotRejoinedError, match="rejoin"):
        network.start(NodeAddress.parse(COUNTY))
    report = await operator.rejoin(COUNTY)

    # o1 updated, o2 deleted, one new, o6 and its Patient new; what was taken back for the objection.
    assert report.lost["Observation"] >= 4
    assert report.lost["Patient"] >= 1
    assert report.facilities == ["hospital (Hospital)"]
    assert (report.stream, report.envelopes_lost > 0, report.forgotten) == (stream, True, 1)
    assert report.consents >= 1
    county = network[COUNTY].parts.store
    assert county.read_now(lambda tx: subjects.subjects_of(tx, erased)) == []
    await network.settle()
    # What those above have is not taken back from them, but for nothing.
    assert network.kept(PROVINCE) == held_above
    # Who objected before the loss is not shared again, although the objection itself was lost.
    await network.admit(COUNTY, transaction(observation("o3", "p3", "3.50")), "again-1")
    await network.settle()
    assert not [key for key, kept in network.kept(NATION).items() if kept[2] == objecting]
    # The hospital sends again what it was told was kept: those above take it.
    await network.admit(COUNTY, transaction(observation("o1", "p1", "4.50"), observation("new", "p1")), "again-2")
    await network.settle()
    assert b"4.50" in network.kept(NATION)[above(network, "o1")][3]

    assert network[COUNTY].parts.stream != stream
    assert network.log_failures() == []
    assert alarms(network) == []
    assert verify_folder(export).failures == []
    (told,) = verify_folder(operator.export(COUNTY)).restores
    assert f"{report.entries_lost} lost" in told
    assert str(report.envelopes_lost) in told
    assert [entry.kind for entry in entries(network, CITY) if "follows" in entry.summary] == ["incarnation"]


async def test_who_only_those_above_still_know_can_be_erased(network: Network, operator: Operator) -> None:
    files = operator.back_up(COUNTY)
    await before_the_backup(network)
    person = person_at(network, "p1")
    operator.lose(COUNTY)
    operator.restore(COUNTY, files)
    report = await operator.rejoin(COUNTY)
    assert report.persons == 5
    assert above(network, "o1") in network.kept(NATION)
    await erase_person(network[COUNTY].parts, person, CALLER)
    await network.settle()

    assert above(network, "o1") not in network.kept(NATION)
    assert above(network, "o2") in network.kept(NATION)


async def test_nobody_is_left_out_unless_the_operator_says_so(network: Network, operator: Operator) -> None:
    await before_the_backup(network)
    files = operator.back_up(PROVINCE)
    await after_the_backup(network)
    kept = network.kept(PROVINCE)
    operator.lose(PROVINCE)
    operator.restore(PROVINCE, files)
    network.faults.down.add(NodeAddress.parse(COUNTY))
    with pytest.raises(Exception, match="no answer from cn/33/3305/330521"):
        await operator.rejoin(PROVINCE)
    with pytest.raises(NotRejoinedError):
        network.start(NodeAddress.parse(PROVINCE))
    report = await operator.rejoin(PROVINCE, without_missing=True)
    assert report.missing == [COUNTY]
    network.faults.down.clear()
    await network.settle()

    assert network.kept(PROVINCE) == kept
    assert network.log_failures() == []


async def test_a_database_put_back_without_its_end_is_told_from_a_whole_one_and_renewed(
    network: Network, operator: Operator, kind_of_database: str
) -> None:
    if kind_of_database != "sqlite":
        pytest.skip("a file is put back by copying it")
    await before_the_backup(network)
    where = NodeAddress.parse(COUNTY)
    disk = Disk(Path(network.url(where).removeprefix("sqlite:///")))
    network[COUNTY].parts.store.scrub()  # all of it is in the file
    whole = await compare(network[COUNTY].parts)
    disk.snapshot()
    await after_the_backup(network)
    held_above = network.kept(NATION)
    operator.lose(COUNTY)
    disk.put_back()
    network.put_together(where)
    behind = await compare(network[COUNTY].parts)
    network[COUNTY].parts.store.write_now(renew)
    network.nodes.pop(where).parts.store.close()
    report = await operator.rejoin(COUNTY)
    await network.settle()

    assert (whole.is_behind, whole.missing) == (False, [])
    assert behind.is_behind
    assert behind.entries_seen - behind.entries >= report.entries_lost > 0
    assert report.envelopes_lost == behind.envelopes_seen - behind.envelopes > 0
    assert network.kept(NATION) == held_above
    assert network.log_failures() == []
    assert alarms(network) == []


async def test_of_what_was_never_shared_nothing_is_taken_back(network: Network, operator: Operator) -> None:
    who = patient("p1", identity=national_id(1))
    await network.admit(COUNTY, transaction(who, objection("c1", "p1"), observation("o1", "p1")), "r1")
    await before_the_backup_of(network, "p2")
    files = operator.back_up(PROVINCE)
    await network.admit(COUNTY, transaction(observation("o1", "p1", "2.50"), observation("new", "p1")), "r2")
    await network.admit(COUNTY, transaction(delete=("Observation/o1",)), "r3")
    await network.admit(COUNTY, transaction(observation("o2", "p2", "2.50")), "r4")
    await network.settle()
    operator.lose(PROVINCE)
    operator.restore(PROVINCE, files)
    await operator.rejoin(PROVINCE)
    said = person_at(network, "p1")
    await network.settle()

    assert b"2.50" in network.kept(PROVINCE)[above(network, "o2")][3]
    told = [entry for address in (CITY, PROVINCE, NATION) for entry in entries(network, address)]
    assert not [entry for entry in told if said in entry.subjects]


async def before_the_backup_of(network: Network, local_id: str) -> None:
    """One person with an observation."""
    who = patient(local_id, identity=national_id(9))
    await network.admit(COUNTY, transaction(who, observation(f"o{local_id[1:]}", local_id)), f"before-{local_id}")
    await network.settle()


async def test_a_log_that_was_followed_by_another_is_cosigned_no_more(
    network: Network, operator: Operator, kind_of_database: str
) -> None:
    if kind_of_database != "sqlite":
        pytest.skip("a file is put back by copying it")
    await before_the_backup(network)
    where = NodeAddress.parse(CITY)
    disk = Disk(Path(network.url(where).removeprefix("sqlite:///")))
    files = operator.back_up(CITY)
    network[CITY].parts.store.scrub()  # all of it is in the file
    disk.snapshot()
    operator.lose(CITY)
    operator.restore(CITY, files)
    await operator.rejoin(CITY)
    await network.settle()
    assert alarms(network) == []
    operator.lose(CITY)
    disk.put_back()
    network.start(where)
    await network.settle()

    assert "cn/33: forked-log" in alarms(network)
    assert [entry for entry in entries(network, PROVINCE) if "goes on after" in entry.summary]
