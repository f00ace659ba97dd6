"""Key holders: one away, two away, one that lies, one that is asked too much; and what each of them writes down."""

from pathlib import Path

import pytest
from tests.federation.network import Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.model.addresses import NodeAddress
from health_exchange.node.parts import Limits
from health_exchange.node.writes import WriteResult
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.pseudonym.threshold import decode_response, encode_response
from health_exchange.store import audit_log

COUNTY = "cn/33/3305/330521"
NATION, ZHEJIANG, SICHUAN = (NodeAddress.parse(address) for address in ("cn", "cn/33", "cn/51"))


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


async def admit(network: Network, number: int) -> set[str]:
    """Admit one person with one result; why it is held, if it is."""
    who = patient(f"p{number}", identity=national_id(number))
    bundle = transaction(who, observation(f"o{number}", f"p{number}"))
    outcome = await network.admit(COUNTY, bundle, f"request-{number}")
    return {result.held for result in outcome.results if isinstance(result, WriteResult)}


def entries_of(network: Network, address: NodeAddress) -> list[AuditEntry]:
    """The node's log, opened."""
    store = network.nodes[address].parts.store
    raws = store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    return [decode_entry(entry.raw[32:]) for entry in raws if entry.raw]


@pytest.mark.parametrize("away", [NATION, ZHEJIANG, SICHUAN])
async def test_with_one_of_three_holders_away_everything_goes_on(network: Network, away: NodeAddress) -> None:
    network.faults.down.add(away)

    for number in range(4):
        assert await admit(network, number) == {""}
    network.faults.down.clear()
    await network.settle()

    assert len(network.kept("cn")) == 8


async def test_with_two_away_known_persons_go_on_and_new_ones_wait(network: Network) -> None:
    assert await admit(network, 1) == {""}
    network.faults.down |= {ZHEJIANG, SICHUAN}

    known = await network.admit(COUNTY, transaction(observation("o-more", "p1")), "more")
    waiting = await admit(network, 2)
    assert {result.held for result in known.results if isinstance(result, WriteResult)} == {""}
    assert waiting == {"awaiting-pseudonym"}

    # The queue survives the node.
    network.restart(NodeAddress.parse(COUNTY))
    network.faults.down.clear()
    await network.settle()
    assert len(network.kept("cn")) == 5


async def test_a_holder_that_lies_is_named_and_another_is_asked(network: Network) -> None:
    def lie(sender: NodeAddress, answerer: NodeAddress, answer: PeerAnswer) -> PeerAnswer:
        if answerer != ZHEJIANG or sender != NodeAddress.parse(COUNTY) or not answer.is_ok:
            return answer
        try:
            response = decode_response(answer.body)
        except Exception:  # noqa: BLE001  # an answer to another kind of request
            return answer
        return PeerAnswer(
            status=200,
            body=encode_response(
                type(response)(
                    index=response.index,
                    epoch=response.epoch,
                    version=response.version,
                    elements=response.elements[::-1] if len(response.elements) > 1 else [b"\x01" * 32],
                    proof=response.proof,
                )
            ),
        )

    network.meddle = lie
    for number in range(6):
        assert await admit(network, number) == {""}

    suspects = network[COUNTY].holders.suspects
    assert set(suspects) == {2}
    assert "cn/33" in suspects[2]


async def test_a_holder_logs_before_it_answers_and_never_learns_whom_it_helped(network: Network) -> None:
    await admit(network, 7)
    await network.settle()

    evaluated = [
        entry
        for address in (NATION, ZHEJIANG, SICHUAN)
        for entry in entries_of(network, address)
        if entry.kind == "evaluate"
    ]
    assert len(evaluated) == 2
    assert {entry.peer for entry in evaluated} == {COUNTY}
    assert all(entry.subjects == () for entry in evaluated)


async def test_beyond_its_quota_a_node_is_refused_and_an_alarm_stands_in_the_log(tmp_path: Path) -> None:
    network = Network(tmp_path, limits=Limits(evaluations_per_day=3))

    held = [await admit(network, number) for number in range(8)]
    await network.round()
    await network.round()

    assert held[0] == {""}
    assert held[-1] == {"awaiting-pseudonym"}
    alarms = [
        entry
        for address in (NATION, ZHEJIANG, SICHUAN)
        for entry in entries_of(network, address)
        if entry.kind == "alarm"
    ]
    assert alarms
    assert {entry.reason for entry in alarms} == {"quota-exceeded"}
