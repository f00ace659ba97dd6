"""Planted misuse shows when logs are added up; ordinary days, outages and audits do not."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tests.api.door import Door
from tests.federation import practitioners
from tests.federation.network import Network
from tests.federation.prepared import prepared
from tests.federation.records import NATIONAL_ID, national_id, objection, observation, patient, transaction

from health_exchange.audit.answers import ANSWERED
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.export import export_folder
from health_exchange.audit.reconciliation import (
    KEPT_BACK,
    PROBING,
    UNFINISHED,
    UNLOGGED_ANSWER,
    UNLOGGED_LOOK_UP,
    UNLOGGED_TICKET,
    WALKING,
    Reconciliation,
    reconcile,
    render,
)
from health_exchange.cli.auditor import AuditorClient
from health_exchange.cli.client import RegisteredClient
from health_exchange.cli.reconcile import gather, read_exports
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.journal import log
from health_exchange.pseudonym.identities import Identity, read_identity
from health_exchange.wiring.inspection import log_content, write_files

COUNTY, OTHER, NATION = "cn/33/3305/330521", "cn/51/5100", "cn"
PEOPLE = range(1, 31)


def identity(number: int) -> Identity:
    found = read_identity(NATIONAL_ID, national_id(number))
    assert found is not None
    return found


async def ordinary_day(network: Network) -> None:
    """Thirty people treated at one county, a few of them elsewhere as well."""
    # The command's tokens are made by this machine's clock.
    network.clock.at = datetime.fromtimestamp(int(time.time()), UTC)
    for number in PEOPLE:
        records = (patient(f"p{number}", identity=national_id(number)), observation(f"o{number}", f"p{number}"))
        await network.admit(COUNTY, transaction(*records), f"r{number}")
        if number % 10 == 0:
            await network.admit(OTHER, transaction(*records), f"r{number}")
    await network.settle()


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    return await prepared(tmp_path, ordinary_day)


def client_of(folder: Path, network: Network, address: str = NATION) -> AuditorClient:
    """The command's own client, at one node's door."""
    network.clock.at = max(network.clock.at, datetime.fromtimestamp(int(time.time()), UTC))
    door = Door(folder, address, network)
    key = door.registrations["auditor"].private_key_pem
    return AuditorClient(RegisteredClient(client_id="auditor", private_key_pem=key, base_url=door.base, http=door.http))


async def reconciled(folder: Path, network: Network) -> tuple[Reconciliation, list[str]]:
    """What ``health-exchange audit reconcile`` finds, asked at the nation."""
    drift = (network.clock.at - datetime.now(UTC)).total_seconds()
    network.clock.advance(seconds=-max(0.0, drift))
    answer, missing = await gather(client_of(folder, network))
    logs = frozenset(reply.node for reply in answer.replies if reply.outcome == ANSWERED)
    threshold = max(1, answer.threshold - len(set(answer.holders) - logs))
    entries = [decode_entry(bytes(proven.entry)) for reply in answer.replies for proven in reply.entries]
    return reconcile(entries, logs=logs, threshold=threshold), missing


def kinds(result: Reconciliation) -> set[tuple[str, str, str]]:
    return {(each.kind, each.node, each.who) for each in result.suspicions}


async def test_an_ordinary_day_adds_up(tmp_path: Path, network: Network) -> None:
    result, missing = await reconciled(tmp_path, network)

    assert (result.suspicions, missing) == ((), [])
    [county] = [each for each in result.balances if each.node == COUNTY]
    assert (county.evaluations, county.delivered, county.unexplained) == (30, 30, 0)
    assert "Nothing stands out" in render(result)


async def test_a_county_that_probes_200_made_up_ids_is_flagged(tmp_path: Path, network: Network) -> None:
    client = network[COUNTY].pseudonyms
    assert client is not None
    await client.resolve([identity(number) for number in range(300, 500)])
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(PROBING, COUNTY, "")}
    [found] = result.suspicions
    assert "200 identities" in found.what


async def test_probing_hidden_behind_writes_that_never_leave_is_flagged_as_its_own_word(
    tmp_path: Path, network: Network
) -> None:
    """Records of people who object to all sharing look like this, too: it is a question for the node, not a verdict."""
    for number in range(300, 325):
        who = patient(f"p{number}", identity=national_id(number))
        await network.admit(COUNTY, transaction(who, objection(f"c{number}", f"p{number}")), f"r{number}")
    await network.settle()
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(KEPT_BACK, COUNTY, "")}


async def test_a_practitioner_walking_through_a_town_by_birth_date_is_flagged(tmp_path: Path, network: Network) -> None:
    door = Door(tmp_path, COUNTY, network)
    for number in range(600, 625):
        form = f"identifier={NATIONAL_ID}|{national_id(number)}".replace(":", "%3A").replace("|", "%7C").encode()
        answer = await door.send(
            "POST", "/fhir/Patient/_search", form, who="viewer", Content_Type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 200, answer.text
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(WALKING, COUNTY, "viewer"), (PROBING, COUNTY, "")}
    walk = next(each for each in result.suspicions if each.kind == WALKING)
    assert "25 persons" in walk.what


async def test_opening_the_records_of_ones_own_patients_is_no_walk(tmp_path: Path, network: Network) -> None:
    door = Door(tmp_path, COUNTY, network)
    for number in PEOPLE:
        answer = await door.send("GET", f"/fhir/Patient/p{number}", who="viewer")
        assert answer.status_code == 200
    result, _missing = await reconciled(tmp_path, network)

    assert result.suspicions == ()


def plant(network: Network, address: str, **fields: object) -> None:
    """An entry of a look-up, as the node that writes it would."""
    parts = network[address].parts
    given: dict[str, object] = {
        "at": network.clock.now().isoformat(),
        "node": address,
        "action": "look-up",
        "outcome": "allowed",
        "purpose": "TREAT",
    }
    entry = AuditEntry(**(given | fields))  # type: ignore[arg-type]  # fields by name
    parts.store.write_now(lambda tx: log(tx, entry))


def look_up(
    network: Network,
    number: int,
    *,
    logged: bool = True,
    answered: bool = True,
    holders: tuple[str, ...] = ("cn/33", "cn/51"),
) -> None:
    """A look-up as its ends log it: two key holders, the asking node, one holder of records."""
    who = {"principal": "dr-wang", "principal_kind": "clinician", "request_id": f"look-up-{number}"}
    person = (f"person{number:020d}",)
    for holder in holders:
        plant(network, holder, kind="evaluate", peer=COUNTY, summary="1 blinded element", **who)
    if answered:
        plant(network, OTHER, kind="answer", peer=COUNTY, subjects=person, summary="2 resources", **who)
    if logged:
        plant(network, COUNTY, kind="look-up", subjects=person, summary=f"2 resources; answered: {OTHER}", **who)


async def test_look_ups_as_they_are_carried_out_add_up(tmp_path: Path, network: Network) -> None:
    for number in (1, 2, 10, 999):
        await practitioners.look_up(network, national_id(number), at=OTHER)
    result, _missing = await reconciled(tmp_path, network)

    assert result.suspicions == ()
    [other] = [each for each in result.balances if each.node == OTHER]
    assert (other.look_ups, other.unexplained) == (4, 0)


async def test_a_practitioner_walking_through_a_town_by_look_ups_is_flagged(tmp_path: Path, network: Network) -> None:
    for number in [number for number in PEOPLE if number % 10][:21]:
        await practitioners.look_up(network, national_id(number), at=OTHER)
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(WALKING, OTHER, "dr-wang")}
    assert "21 persons" in result.suspicions[0].what


async def test_a_few_look_ups_that_both_ends_log_add_up(tmp_path: Path, network: Network) -> None:
    for number in range(5):
        look_up(network, number)
    result, _missing = await reconciled(tmp_path, network)

    assert result.suspicions == ()
    [county] = [each for each in result.balances if each.node == COUNTY]
    assert (county.look_ups, county.unexplained) == (5, 0)


async def test_a_walk_by_look_ups_is_flagged_with_its_practitioner(tmp_path: Path, network: Network) -> None:
    for number in range(21):
        look_up(network, number)
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(WALKING, COUNTY, "dr-wang")}


async def test_a_holder_that_answers_without_logging_is_found(tmp_path: Path, network: Network) -> None:
    look_up(network, 1)
    look_up(network, 2, answered=False)
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(UNLOGGED_ANSWER, OTHER, "")}
    assert "look-up-2" in result.suspicions[0].what


async def test_a_key_holder_that_signs_without_logging_is_found(tmp_path: Path, network: Network) -> None:
    look_up(network, 1)
    look_up(network, 2, holders=("cn/33",))
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(UNLOGGED_TICKET, COUNTY, "dr-wang")}
    assert "look-up-2" in result.suspicions[0].what


async def test_a_node_that_looks_up_without_logging_is_found(tmp_path: Path, network: Network) -> None:
    look_up(network, 3, logged=False)
    result, _missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(UNLOGGED_LOOK_UP, COUNTY, "dr-wang")}


async def test_a_holder_that_refuses_in_its_log_is_not_silent(tmp_path: Path, network: Network) -> None:
    look_up(network, 1, answered=False)
    plant(network, OTHER, kind="refuse", outcome="refused", peer=COUNTY, principal="dr-wang", request_id="look-up-1")
    result, _missing = await reconciled(tmp_path, network)

    assert result.suspicions == ()


async def test_the_silence_of_a_node_that_is_away_proves_nothing_and_is_named(tmp_path: Path, network: Network) -> None:
    look_up(network, 2, answered=False)
    network.faults.down.add(NodeAddress.parse(OTHER))
    result, missing = await reconciled(tmp_path, network)

    assert result.suspicions == ()
    assert len(missing) == 1
    assert missing[0].startswith(f"{OTHER} away")


async def test_a_key_holder_that_is_away_hides_no_probing(tmp_path: Path, network: Network) -> None:
    client = network[COUNTY].pseudonyms
    assert client is not None
    await client.resolve([identity(number) for number in range(300, 500)])
    network.faults.down.add(NodeAddress.parse("cn/51"))
    result, missing = await reconciled(tmp_path, network)

    assert kinds(result) == {(PROBING, COUNTY, "")}
    assert missing


async def test_asking_again_and_again_while_holders_are_away_is_not_taken_for_probing(
    tmp_path: Path, network: Network
) -> None:
    network.faults.down |= {NodeAddress.parse("cn/51"), NodeAddress.parse("cn")}
    for number in range(40, 43):
        await network.admit(COUNTY, transaction(patient(f"p{number}", identity=national_id(number))), f"r{number}")
    for _round in range(12):
        await network.round()
    network.faults.down.clear()
    await network.settle()
    result, _missing = await reconciled(tmp_path, network)

    assert {kind for kind, _node, _who in kinds(result)} <= {UNFINISHED}
    assert sum(each.unfinished for each in result.balances) > 0


async def test_an_auditors_own_questions_about_people_add_up(tmp_path: Path, network: Network) -> None:
    at_county = client_of(tmp_path, network, COUNTY)
    for number in range(700, 725):
        await at_county.search(
            {"identity": {"system": NATIONAL_ID, "value": national_id(number)}, "question": {}, "everywhere": True}
        )
    result, _missing = await reconciled(tmp_path, network)

    assert result.suspicions == ()
    [county] = [each for each in result.balances if each.node == COUNTY]
    assert (county.audits, county.unexplained) == (25, 0)


async def test_exported_folders_say_the_same_and_one_that_does_not_verify_is_not_believed(
    tmp_path: Path, network: Network
) -> None:
    client = network[COUNTY].pseudonyms
    assert client is not None
    await client.resolve([identity(number) for number in range(300, 500)])
    await network.settle()
    folders = []
    for address, node in network.nodes.items():
        content = node.parts.store.read_now(partial(log_content, directory=network.ceremony.directory, address=address))
        folder = tmp_path / "exports" / str(address).replace("/", "-")
        write_files(folder, export_folder(content))
        folders.append(folder)
    entries, logs, missing = read_exports(folders)

    assert missing == []
    assert kinds(reconcile(entries, logs=logs, threshold=2)) == {(PROBING, COUNTY, "")}

    path = folders[0] / "entries" / "000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"count":200', b'"count":100').replace(b"start", b"spart"))
    _entries, fewer, missing = read_exports(folders)
    assert len(fewer) == len(logs) - 1
    assert "does not verify" in missing[0]


def test_days_before_the_first_one_to_judge_are_known_and_not_judged() -> None:
    def asked(day: str, count: int) -> list[AuditEntry]:
        shared = {"kind": "evaluate", "action": "evaluate", "outcome": "allowed", "peer": COUNTY}
        return [
            AuditEntry(at=f"{day}T08:00:00+00:00", node=node, count=count, request_id=day, **shared)  # type: ignore[arg-type]  # fields by name
            for node in ("cn", "cn/33")
        ]

    entries = [*asked("2026-11-01", 100), *asked("2026-11-02", 100)]
    result = reconcile(entries, logs=frozenset(), threshold=2, since="2026-11-02")

    assert [(each.kind, each.day) for each in result.suspicions] == [(PROBING, "2026-11-02")]


def test_what_is_delivered_later_explains_the_nearest_evaluations_before_it() -> None:
    shared = {"outcome": "allowed", "peer": COUNTY}
    asked = [
        AuditEntry(
            kind="evaluate",
            action="evaluate",
            at=f"2026-11-0{day}T08:00:00+00:00",
            node="cn",
            count=30,
            request_id=str(day),
            **shared,  # type: ignore[arg-type]  # fields by name
        )
        for day in (1, 2)
    ]
    delivered = AuditEntry(
        kind="receive",
        action="receive",
        at="2026-11-03T08:00:00+00:00",
        node="cn",
        subjects=tuple(Pseudonym(f"p{number}") for number in range(30)),
        **shared,  # type: ignore[arg-type]  # fields by name
    )
    result = reconcile([*asked, delivered], logs=frozenset(), threshold=1)

    assert [(each.day, each.unexplained) for each in result.balances] == [
        ("2026-11-01", 30),
        ("2026-11-02", 0),
        ("2026-11-03", 0),
    ]


def test_the_result_can_be_written_for_programs() -> None:
    assert json.loads(json.dumps(asdict(reconcile([], logs=frozenset(), threshold=2)))) == {
        "balances": [],
        "suspicions": [],
    }
