"""Two processes of one identity on two databases: the network notices, says so, and loses nothing that was first."""

from collections import Counter
from pathlib import Path

import pytest
from tests.federation.network import HOSPITAL, Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.audit.entries import decode_entry
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.journal import SALT_BYTES
from health_exchange.node.witnessing import ASK_AGAIN, WITNESS_PATH
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import audit_log
from health_exchange.wiring.assembly import Node

COUNTY, CITY = "cn/33/3305/330521", "cn/33/3305"
WITNESSES = (CITY, "cn/51/5100")
HERE = NodeAddress.parse(COUNTY)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def alarms(node: Node) -> Counter[str]:
    """Reasons of the alarms in a node's log, how often each."""
    entries = node.parts.store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    decoded = [decode_entry(entry.raw[SALT_BYTES:]) for entry in entries if entry.raw is not None]
    return Counter(entry.reason for entry in decoded if entry.kind == "alarm")


async def take_turns(node: Node, times: int = 4) -> None:
    """A twin at work."""
    for _time in range(times):
        for turn in node.turns:
            try:
                await turn.take()
            except ExchangeError:
                continue


async def admit(node: Node, bundle: bytes, request_id: str) -> None:
    assert node.admission is not None
    await node.admission.admit_bundle(
        bundle, Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId(request_id))
    )


def above(network: Network, local_id: str) -> tuple[str, str]:
    return "Observation", exchange_id(network[COUNTY].parts.keys.exchange_ids, "Observation", local_id)


async def test_a_copy_of_a_nodes_database_at_work_is_noticed_by_all_who_hear_of_both(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()
    twin = network.twin(HERE)
    await network.admit(COUNTY, transaction(observation("o2", "p1")), "r2")
    await network.settle()
    for number in range(3, 9):
        await admit(twin, transaction(observation(f"o{number}", "p1")), f"r{number}")
    await take_turns(twin)
    await network.settle()

    assert alarms(network[CITY])["stream-fork"]
    for witness in WITNESSES:
        assert alarms(network[witness])["forked-log"]
    assert alarms(twin)["log-forked"] == len(WITNESSES)
    assert {above(network, "o1"), above(network, "o2")} <= network.kept("cn").keys()
    assert above(network, "o3") not in network.kept("cn")
    assert network.log_failures() == []


async def test_a_forked_log_is_not_shown_to_its_witnesses_again_and_again(network: Network) -> None:
    await network.settle()
    twin = network.twin(HERE)
    await network.admit(COUNTY, transaction(patient("p1", identity=None)), "r1")
    await network.settle()
    for number in range(5):
        await admit(twin, transaction(patient(f"t{number}", identity=None)), f"t{number}")
        await take_turns(twin)
    assert [alarms(network[witness])["forked-log"] for witness in WITNESSES] == [1, 1]
    network.clock.advance(seconds=ASK_AGAIN.total_seconds())
    await admit(twin, transaction(patient("later", identity=None)), "later")
    await take_turns(twin)

    assert [alarms(network[witness])["forked-log"] for witness in WITNESSES] == [2, 2]


async def test_an_older_copy_that_has_less_to_show_than_was_cosigned_says_so_itself(network: Network) -> None:
    await network.settle()
    twin = network.twin(HERE)
    for number in range(5):
        await network.admit(COUNTY, transaction(patient(f"p{number}", identity=None)), f"r{number}")
    await network.settle()
    await take_turns(twin)

    assert alarms(twin)["log-behind-witness"] == len(WITNESSES)
    assert alarms(network[CITY]) == Counter()


async def test_a_request_to_cosign_that_was_overtaken_by_a_later_one_is_no_fork(network: Network) -> None:
    door = network[CITY].exchange
    late: list[tuple[object, ...]] = []
    real = door.answer

    async def delay(*given: object) -> PeerAnswer:
        if WITNESS_PATH in given and not late:
            late.append(given)
            return PeerAnswer(status=503, body=b"")
        return await real(*given)  # type: ignore[arg-type]  # as the transport gave them

    await network.settle()
    door.answer = delay  # type: ignore[method-assign, assignment]  # the wire holds the first request back
    for number in range(2):
        await network.admit(COUNTY, transaction(patient(f"p{number}", identity=None)), f"r{number}")
        await network.settle()
    assert late
    answer = await real(*late[0])  # type: ignore[arg-type]  # as the transport gave them

    assert answer.is_ok
    assert alarms(network[CITY]) == Counter()
    assert alarms(network[COUNTY]) == Counter()
