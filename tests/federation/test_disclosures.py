"""Who has seen this person, anywhere: asked by an auditor at one node, answered by all, each by its own log."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.federation.auditors import Auditor, entries_of, kinds, refused_with
from tests.federation.network import HOSPITAL, SMALL, Network
from tests.federation.prepared import prepared
from tests.federation.records import NATIONAL_ID, national_id, observation, patient, transaction

from health_exchange.audit.answers import ANSWERED, AWAY, PARTIAL, UNPROVEN
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.excerpts import LogExcerpt
from health_exchange.audit.questions import LogQuestion
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.disclosures import DISCLOSURES_PATH, LETTER, Disclosed, ask_log
from health_exchange.protocol.letters import open_letter, seal_letter
from health_exchange.protocol.lookups import Sealed, letter_about
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import audit_log

COUNTY = "cn/33/3305/330521"
SOMEBODY, ANOTHER = national_id(1), national_id(2)


async def two_persons(network: Network) -> None:
    for number, identity in enumerate((SOMEBODY, ANOTHER), start=1):
        bundle = transaction(patient(f"p{number}", identity=identity), observation(f"o{number}", f"p{number}"))
        await network.admit(COUNTY, bundle, f"r{number}")
    await network.settle()


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    return await prepared(tmp_path, two_persons)


@pytest.fixture
def auditor(tmp_path: Path, network: Network) -> Auditor:
    return Auditor(tmp_path, network)


def log_of(network: Network, address: str) -> list[AuditEntry]:
    kept = network[address].parts.store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    return [decode_entry((entry.raw or b"")[32:]) for entry in kept]


def about_in(network: Network, address: str, person: str) -> set[int]:
    """Where in a node's log entries about somebody stand now."""
    return {number for number, entry in enumerate(log_of(network, address)) if person in entry.subjects}


async def test_every_node_that_touched_a_persons_record_says_so_and_the_others_say_nothing(auditor: Auditor) -> None:
    answer = await auditor.about(SOMEBODY)

    assert answer.incomplete == []
    assert kinds(answer) == {
        "cn": {"receive"},
        "cn/33": {"receive"},
        "cn/33/3305": {"receive"},
        COUNTY: {"write", "share"},
        "cn/51": set(),
        "cn/51/5100": set(),
    }
    assert all(answer.person in entry.subjects for reply in answer.replies for entry in entries_of(reply))


async def test_the_reading_itself_stands_in_every_log_before_the_answer_leaves(
    auditor: Auditor, network: Network
) -> None:
    answer = await auditor.about(SOMEBODY)
    again = await auditor.about(SOMEBODY)

    for reply in again.replies:
        [read] = [entry for entry in entries_of(reply) if entry.kind == "log-read"]
        assert (read.principal, read.principal_kind, read.purpose) == ("auditor", "auditor", "HLEGAL")
        assert read.request_id == answer.request_id
        assert read.peer == ("" if reply.node == COUNTY else COUNTY)
        assert read.subjects == (answer.person,)
    await network.settle()
    assert network.log_failures() == []


async def test_a_national_id_leaves_no_trace_in_any_database_or_message(auditor: Auditor, network: Network) -> None:
    stranger = national_id(77)
    seen: list[bytes] = []

    def listen(_sender: NodeAddress, _to: NodeAddress, answer: PeerAnswer) -> PeerAnswer:
        seen.append(answer.body)
        return answer

    network.meddle = listen
    response = await auditor.post({"identity": {"system": NATIONAL_ID, "value": stranger}, "everywhere": True})

    assert response.status_code == 200
    assert stranger not in response.text
    assert not [body for body in seen if stranger.encode() in body]
    for address in network.nodes:
        assert stranger.encode() not in network.disk_of(address)


async def test_whoever_records_every_byte_between_nodes_learns_no_person_and_no_entry(
    auditor: Auditor, network: Network
) -> None:
    recorded: list[bytes] = []
    carry = network.wire.carry

    async def record(*arguments: Any) -> PeerAnswer:  # noqa: ANN401  # whatever the wire carries
        answer = await carry(*arguments)
        recorded.append(b"".join(part if isinstance(part, bytes) else str(part).encode() for part in arguments[3]))
        recorded.append(answer.body)
        return answer

    network.wire.carry = record  # type: ignore[method-assign, assignment]  # listens on the wire
    answer = await auditor.about(SOMEBODY)
    everything = b"\n".join(recorded)

    assert len(recorded) > 2 * len(SMALL.nodes)
    assert answer.incomplete == []
    # The request's id is there: hops carry it for those who follow requests (ADR 23).
    for told in (answer.person, SOMEBODY, "receive", "auditor", "HLEGAL", "Observation"):
        assert told.encode() not in everything, told


async def test_under_faults_no_answer_is_ever_wrong_about_its_completeness(auditor: Auditor, network: Network) -> None:
    person = (await auditor.about(SOMEBODY)).person
    network.faults.rate = 0.3
    broken = 0
    for _ask in range(40):
        known = {address: about_in(network, str(address), person) for address in network.nodes}
        answer = await auditor.ask(question={"person": person}, everywhere=True)
        broken += bool(answer.incomplete)
        for reply in answer.replies:
            if reply.outcome == ANSWERED:
                positions = {proven.position for proven in reply.entries}
                assert positions >= known[NodeAddress.parse(reply.node)], reply.node
            else:
                assert (reply.outcome, reply.entries) == (AWAY, [])
    assert 10 < broken <= 40


async def test_a_node_that_is_away_is_named_and_nothing_pretends_to_be_complete(
    auditor: Auditor, network: Network
) -> None:
    network.faults.down.add(NodeAddress.parse("cn"))
    answer = await auditor.about(SOMEBODY)

    assert [(reply.node, reply.outcome) for reply in answer.incomplete] == [("cn", AWAY)]
    assert kinds(answer)["cn/33"] == {"receive"}


@pytest.mark.parametrize("who", ["hospital", "viewer", "researcher"])
async def test_nobody_but_an_auditor_reads_logs_and_the_refusal_is_an_entry(
    auditor: Auditor, network: Network, who: str
) -> None:
    evaluations = len([entry for entry in log_of(network, "cn/33") if entry.kind == "evaluate"])
    response = await auditor.post({"identity": {"system": NATIONAL_ID, "value": ANOTHER}, "everywhere": True}, who=who)

    assert response.status_code == 403
    assert "auditor" in refused_with(response)
    await network.settle()
    [refused] = [entry for entry in log_of(network, COUNTY) if entry.kind == "refuse"]
    assert (refused.principal, refused.action, refused.outcome) == (who, "read-log", "refused")
    # Nobody was even asked for a pseudonym.
    assert len([entry for entry in log_of(network, "cn/33") if entry.kind == "evaluate"]) == evaluations


async def test_every_node_decides_for_itself_who_reads_its_log(network: Network) -> None:
    """What the asking node claims of its caller is decided on again: a facility gets nothing anywhere."""
    caller = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("r"))
    reply = await ask_log(network[COUNTY].parts, caller, NodeAddress.parse("cn"), LogQuestion(), before=None, count=10)

    assert (reply.outcome, reply.entries) == ("refused", [])
    assert "auditor" in reply.detail
    await network.settle()
    assert [entry.peer for entry in log_of(network, "cn") if entry.kind == "refuse"] == [COUNTY]


async def test_a_node_that_sees_no_ids_says_where_to_ask(tmp_path: Path, network: Network) -> None:
    response = await Auditor(tmp_path, network, "cn/33").post(
        {"identity": {"system": NATIONAL_ID, "value": SOMEBODY}, "everywhere": True}
    )

    assert response.status_code == 403
    assert COUNTY in refused_with(response)
    assert SOMEBODY not in response.text


async def test_an_auditor_of_a_node_without_ids_asks_by_pseudonym(
    auditor: Auditor, tmp_path: Path, network: Network
) -> None:
    person = (await auditor.about(SOMEBODY)).person
    answer = await Auditor(tmp_path, network, "cn").ask(question={"person": person}, everywhere=True)

    assert answer.incomplete == []
    assert kinds(answer)[COUNTY] == {"write", "share", "log-read"}


@pytest.mark.parametrize(
    "body",
    [
        {"question": {"who": SOMEBODY}},
        {"question": {"kinds": [SOMEBODY]}},
        {"nodes": [SOMEBODY]},
        {SOMEBODY: 1},
        {"identity": {"system": NATIONAL_ID, "value": SOMEBODY[:-1] + "A"}},
        {"question": {"since": "yesterday"}},
        {"question": {"position": -1}},
        {"question": {"person": "x" * 300}},
        {"count": 0},
        {"count": 501},
        {"nodes": ["CN"]},
        {"before": "no"},
    ],
)
async def test_a_question_that_cannot_be_is_refused_without_quoting_it(
    auditor: Auditor, body: dict[str, object]
) -> None:
    response = await auditor.post(body)

    assert response.status_code == 400
    assert SOMEBODY[:17] not in response.text


async def test_an_unknown_node_is_named(auditor: Auditor) -> None:
    response = await auditor.post({"nodes": ["cn/99"]})

    assert response.status_code == 404
    assert "cn/99" in refused_with(response)


def tampered(network: Network, change: str) -> None:
    """Have the nation answer with an excerpt of its own log that it has changed, sealed as it should be."""
    nation, asker = NodeAddress.parse("cn"), NodeAddress.parse(COUNTY)
    requests: list[bytes] = []
    transport = network[COUNTY].parts.transport
    send = transport.send

    async def remember(to: NodeAddress, method: str, path: str, body: bytes = b"", **rest: float) -> PeerAnswer:
        if to == nation and path == DISCLOSURES_PATH:
            requests.append(body)
        return await send(to, method, path, body, **rest)

    object.__setattr__(transport, "send", remember)

    def lie(_sender: NodeAddress, to: NodeAddress, answer: PeerAnswer) -> PeerAnswer:
        if to != nation or not requests or not answer.is_ok:
            return answer
        name = msgspec.msgpack.decode(requests[-1], type=Sealed).request_id
        about = letter_about(f"{LETTER}/answer", sender=nation, recipient=asker, request_id=name)
        text = open_letter(network[COUNTY].parts.keys.boxes, answer.body, about=about)
        excerpt = changed(msgspec.json.decode(msgspec.msgpack.decode(text, type=Disclosed).excerpt, type=LogExcerpt))
        letter = seal_letter(
            network[COUNTY].parts.card.box_key,
            msgspec.msgpack.encode(Disclosed(excerpt=msgspec.json.encode(excerpt))),
            about=about if change != "request" else about + b"!",
            randomness=random.Random(3).randbytes,
        )
        return PeerAnswer(status=200, body=letter)

    def changed(excerpt: LogExcerpt) -> LogExcerpt:
        first = excerpt.entries[0]
        if change == "entry":
            raw = bytes(first.entry).replace(b"receive", b"deceive")
            first = msgspec.structs.replace(first, entry=msgspec.Raw(raw))
        elif change == "position":
            first = msgspec.structs.replace(first, position=first.position - 1)
        elif change == "checkpoint":
            note = excerpt.checkpoints[0].replace("example/cn\n", "example/cx\n")
            excerpt = msgspec.structs.replace(excerpt, checkpoints=[note])
        return msgspec.structs.replace(excerpt, entries=[first, *excerpt.entries[1:]])

    network.meddle = lie


@pytest.mark.parametrize("change", ["entry", "position", "checkpoint", "request"])
async def test_an_answer_that_its_log_does_not_stand_for_is_named_and_not_shown(
    auditor: Auditor, network: Network, change: str
) -> None:
    tampered(network, change)
    answer = await auditor.about(SOMEBODY)

    [reply] = answer.incomplete
    assert (reply.node, reply.outcome, reply.entries) == ("cn", UNPROVEN, [])


async def test_a_tampering_that_changes_nothing_is_believed(auditor: Auditor, network: Network) -> None:
    """The control of the test above: the same detour, the same answer."""
    tampered(network, "nothing")
    answer = await auditor.about(SOMEBODY)

    assert answer.incomplete == []
    assert kinds(answer)["cn"] == {"receive"}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"who": "hospital"}, {"write"}),
        ({"facility": "121000001000791901"}, {"write"}),
        ({"facility": "another"}, set()),
        ({"purpose": "TREAT", "kinds": ["write", "share"]}, {"write", "share"}),
        ({"outcome": "refused"}, set()),
        ({"request_id": "r2"}, {"write"}),
        ({"since": "2026-11-24", "who": "hospital"}, {"write"}),
        ({"since": "2026-12-01"}, set()),
        ({"until": "2026-11-24"}, set()),
        ({"node": "cn/51"}, set()),
        ({"actions": ["start"]}, {"start"}),
        ({"position": 0}, {"start"}),
        ({"position": 99999}, set()),
    ],
)
async def test_conditions_choose_entries_of_this_nodes_log(
    auditor: Auditor, question: dict[str, object], expected: set[str]
) -> None:
    answer = await auditor.ask(question=question)

    assert kinds(answer) == {COUNTY: expected}


async def test_a_long_log_comes_in_pages_none_of_which_pretends_to_be_all(auditor: Auditor) -> None:
    positions: list[int] = []
    before: int | None = None
    pages = 0
    while True:
        [reply] = (await auditor.ask(question={"kinds": ["write", "share", "start"]}, count=1, before=before)).replies
        positions += [proven.position for proven in reply.entries]
        pages += 1
        if reply.outcome == ANSWERED:
            break
        assert reply.outcome == PARTIAL
        before = reply.before

    assert positions == sorted(set(positions), reverse=True)
    assert len(positions) == pages or len(positions) == pages - 1
    assert positions[-1] == 0
