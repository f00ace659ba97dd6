"""What operators see: what is wrong with a node, since when, and that the tree names whoever is silent."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import make_url
from tests.federation.faults import Faults
from tests.federation.network import SERVER, START, Network
from tests.federation.operators import Metrics, read_metrics
from tests.federation.records import condition, national_id, observation, patient, transaction

from health_exchange.api.exchange_door import HANDLERS
from health_exchange.crypto.certificates import issue, make_authority
from health_exchange.model.addresses import NodeAddress
from health_exchange.node.answering import LOOKUP_PATH
from health_exchange.node.greeting import Hello
from health_exchange.node.measuring import measure
from health_exchange.node.network import network_status, rows_of
from health_exchange.node.premises import Premises, Room
from health_exchange.node.readiness import Readiness, readiness
from health_exchange.node.status import status_of
from health_exchange.node.troubles import Trouble, state_of, troubles_of
from health_exchange.protocol.transport import PeerAnswer

COUNTY, CITY, PROVINCE = "cn/33/3305/330521", "cn/33/3305", "cn/33"
HOLDERS = ("cn", "cn/33", "cn/51")
OPERATIONS = {path for _method, path in HANDLERS} | {LOOKUP_PATH}
OF_CODE = {"door", "method", "route", "status", "operation", "kind", "action", "outcome", "turn"}
"""Labels whose values the program names."""
COARSE = ("resources", "waiting_subjects", "held_resources")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path, faults=Faults(0, rate=0, crash_rate=0))


def cut(network: Network, one: str, other: str) -> frozenset[NodeAddress]:
    """No message passes between two nodes any more."""
    wire = frozenset((NodeAddress.parse(one), NodeAddress.parse(other)))
    network.faults.cut.add(wire)
    return wire


async def work(network: Network, seconds: int) -> None:
    """Everyone works for so many seconds, a round every ten."""
    for _round in range(seconds // 10):
        await network.round()
        network.clock.advance(seconds=9)


async def admit(network: Network, number: int) -> None:
    who = patient(f"p{number}", identity=national_id(number))
    kept = [observation(f"o{number}", f"p{number}"), condition(f"c{number}", f"p{number}", "B20")]
    await network.admit(COUNTY, transaction(who, *kept), f"r{number}")


def lose_a_table(network: Network, address: str) -> None:
    """A node's database is not what it was."""
    gone, server = "ALTER TABLE node_state RENAME TO gone", SERVER.get()
    if server is None:
        network[address].parts.store.write_now(lambda tx: tx.connection.exec_driver_sql(gone))
    else:
        name = make_url(network._urls[NodeAddress.parse(address)]).database
        assert name is not None
        server.execute(gone, database=name)


async def ready(network: Network, address: str = COUNTY) -> Readiness:
    return await readiness(network[address].parts)


def by_code(troubles: list[Trouble]) -> dict[str, Trouble]:
    return {trouble.code: trouble for trouble in troubles}


async def test_a_network_at_rest_is_well_and_everyone_is_ready(network: Network) -> None:
    await admit(network, 1)
    await network.settle()

    for address in network.nodes:
        assert await ready(network, str(address)) == Readiness(status="ready", missing=[])
    tree = await network_status(network["cn"].parts)
    assert {row.condition for row in rows_of(tree)} == {"ok"}
    assert [row.address for row in rows_of(tree)] == sorted(map(str, network.nodes))


async def test_a_node_whose_parent_is_away_says_so_goes_on_and_is_behind_until_it_is_back(network: Network) -> None:
    await network.settle()
    cut(network, COUNTY, CITY)
    begun = network.clock.now()
    await admit(network, 1)
    await work(network, 90)

    status = await status_of(network[COUNTY].parts)
    found = by_code(status.troubles)
    assert (status.condition, status.undelivered) == ("behind", 1)
    assert found["parent-away"].detail == "cn/33/3305 does not answer"
    assert found["envelopes-wait"].detail == "1 envelopes wait for cn/33/3305"
    for trouble in found.values():
        assert trouble.since is not None
        assert timedelta() <= trouble.since - begun < timedelta(seconds=20)
    # It can still take what hospitals send: whoever sends requests here shall go on doing so.
    assert (await ready(network)).status == "degraded"
    assert (await ready(network)).is_ready

    network.faults.cut.clear()
    await work(network, 20)
    await network.settle()
    assert await ready(network) == Readiness(status="ready", missing=[])


async def test_the_tree_names_a_silent_node_its_reason_and_since_when(network: Network) -> None:
    await network.settle()
    cut(network, COUNTY, CITY)
    begun = network.clock.now()
    await work(network, 60)

    tree = await network_status(network["cn"].parts)
    assert tree.away == [COUNTY]
    assert tree.silences[COUNTY].detail == "cn/33/3305/330521 does not answer"
    assert tree.silences[COUNTY].since - begun < timedelta(seconds=40)
    assert [row.address for row in rows_of(tree) if row.condition == "away"] == [COUNTY]
    assert len(rows_of(tree)) == len(network.nodes)


async def test_too_few_key_holders_are_told_with_their_number(network: Network) -> None:
    await network.settle()
    for holder in HOLDERS[:2]:
        cut(network, COUNTY, holder)
    await work(network, 50)

    found = by_code((await ready(network)).missing)
    assert found["key-holders"].detail == "1 of 3 key holders answer with a share that fits, it takes 2"
    assert found["key-holders"].since is not None
    assert not found["key-holders"].blocks


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda said: msgspec.structs.replace(said, share_version=0), "key-holders"),
        (lambda said: msgspec.structs.replace(said, at=said.at + timedelta(seconds=100)), "clock"),
    ],
)
async def test_neighbours_with_another_share_or_clock_are_told(
    network: Network, change: Callable[[Hello], Hello], code: str
) -> None:
    def meddle(_sender: NodeAddress, _to: NodeAddress, answer: PeerAnswer) -> PeerAnswer:
        try:
            said = msgspec.json.decode(answer.body, type=Hello)
        except (msgspec.MsgspecError, ValueError):
            return answer
        return replace(answer, body=msgspec.json.encode(change(said)))

    network.meddle = meddle
    await work(network, 20)

    assert code in by_code((await ready(network)).missing)


async def test_a_node_whose_work_nobody_does_is_not_ready(network: Network) -> None:
    before = (await ready(network)).missing
    assert [(trouble.code, trouble.blocks) for trouble in before] == [("turns-stopped", True)]
    await network.settle()
    assert (await ready(network)).is_ready
    stopped_at = network.clock.now()

    network.clock.advance(minutes=1)

    stopped = by_code((await ready(network)).missing)["turns-stopped"]
    assert not (await ready(network)).is_ready
    assert stopped.since is not None
    assert stopped_at - stopped.since <= timedelta(seconds=11)


async def test_a_turn_that_fails_is_told_with_its_reason_and_until_it_does_not(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    await network.settle()

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("health_exchange.store.replays.forget_expired", broken)
        for _round in range(45):
            network.clock.advance(seconds=1)
            for turn in network[COUNTY].turns:
                try:
                    await turn.take()
                except ZeroDivisionError:
                    assert turn.name == "forget"
        assert by_code((await ready(network)).missing)["turn-fails"].detail == "forget: ZeroDivisionError"

    await work(network, 20)
    assert (await ready(network)).missing == []


async def test_a_database_that_does_not_answer_is_told_and_is_no_fault(network: Network) -> None:
    await network.settle()
    lose_a_table(network, COUNTY)

    found = await ready(network)

    assert not found.is_ready
    assert [(trouble.code, trouble.blocks) for trouble in found.missing] == [("database", True)]


@pytest.mark.parametrize(
    ("days", "code", "blocks"),
    [(400, None, False), (10, "certificate-expires", False), (-1, "certificate-expired", True)],
)
async def test_certificates_that_end_are_told_before_they_do(
    network: Network, tmp_path: Path, days: int, code: str | None, *, blocks: bool
) -> None:
    await network.settle()
    authority = make_authority("test", now=START)
    path = tmp_path / "certificate.pem"
    path.write_bytes(issue(authority, "cn", ["localhost"], now=START - timedelta(days=2), days=days + 2).certificate)
    parts = replace(network[COUNTY].parts, premises=Premises(certificates={"node": path}))

    found = (await readiness(parts)).missing

    assert [(trouble.code, trouble.blocks) for trouble in found] == ([(code, blocks)] if code else [])


@pytest.mark.parametrize(
    ("free", "code", "blocks"),
    [(200 << 30, None, False), (1 << 30, "disk-low", False), (10 << 20, "disk-full", True)],
)
async def test_a_disk_that_fills_up_is_told_before_it_is_full(
    network: Network, free: int, code: str | None, *, blocks: bool
) -> None:
    await network.settle()
    parts = network[COUNTY].parts
    state = parts.store.read_now(lambda tx: state_of(tx, parts))

    found = troubles_of(replace(state, room=Room(free_bytes=free, total_bytes=1 << 40)))

    assert [(trouble.code, trouble.blocks) for trouble in found] == ([(code, blocks)] if code else [])


def test_the_room_of_a_database_file_is_that_of_its_disk(tmp_path: Path) -> None:
    for name, size in (("node.db", 100_000), ("node.db-wal", 20_000)):
        (tmp_path / name).write_bytes(b"x" * size)
    premises = Premises(certificates={}, database=tmp_path / "node.db")

    room = premises.room()

    assert room is not None
    assert 0 < room.free_bytes < room.total_bytes
    assert premises.database_bytes() == 120_000


async def metrics(network: Network, address: str = COUNTY) -> Metrics:
    return read_metrics(await measure(network[address].parts))


def of(found: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of one name, by labels."""
    return {labels: value for (sample, labels), value in found.items() if sample == f"health_exchange_{name}"}


async def test_metrics_come_to_what_status_and_log_say(network: Network) -> None:
    for number in range(3):
        await admit(network, number)
    await network.settle()

    for address in map(str, network.nodes):
        found, status = await metrics(network, address), await status_of(network[address].parts)
        assert of(found, "ready") == {(): 1}
        assert sum(of(found, "decisions_total").values()) == status.log.size
        assert of(found, "log_entries") == {(): status.log.size}
        assert sum(of(found, "envelope_lag_seconds_count").values()) == (
            status.received if of(found, "envelope_lag_seconds_count") else 0
        )
        assert of(found, "commit_seconds_count")[()] > 0
        assert all(value % 10 == 0 for name in COARSE for value in of(found, name).values())
    above = await metrics(network, CITY)
    assert of(above, "envelope_lag_seconds_count") == {(("child", COUNTY),): 1}
    written = (("kind", "write"), ("action", "write"), ("outcome", "allowed"))
    assert of(await metrics(network), "decisions_total")[written] == 3


async def test_metrics_name_no_person_and_have_as_many_series_for_many_persons_as_for_one(network: Network) -> None:
    await admit(network, 1)
    await network.settle()
    few = {address: await metrics(network, address) for address in ("cn", COUNTY)}
    for number in range(2, 12):
        await admit(network, number)
    await network.settle()
    many = {address: await metrics(network, address) for address in ("cn", COUNTY)}

    for address, found in few.items():
        new = many[address].keys() - found.keys()
        # What was asked and logged by then is a matter of time; each of it is something that there is.
        assert {name for _sample, labels in new for name, _value in labels} <= OF_CODE
        told = [dict(labels) for _sample, labels in new]
        assert {each[name] for each in told for name in ("route", "operation") if name in each} <= OPERATIONS
        assert found.keys() <= many[address].keys()
    persons = {str(person) for _o, _v, person, _b in network.kept("cn").values() if person}
    text = await measure(network["cn"].parts)
    assert persons
    assert not [person for person in persons if person in text]


async def test_counts_go_on_after_a_restart_and_never_fall(network: Network) -> None:
    await admit(network, 1)
    await network.settle()
    before = await metrics(network)
    network.restart(NodeAddress.parse(COUNTY))
    await admit(network, 2)
    await network.settle()
    after = await metrics(network)

    for (name, labels), value in before.items():
        if name.endswith(("_total", "_bucket", "_count")):
            assert after[name, labels] >= value, (name, labels)
    starts = (("kind", "start"), ("action", "start"), ("outcome", "allowed"))
    assert of(after, "decisions_total")[starts] == 2


async def test_a_holder_tells_how_near_its_askers_are_to_their_quota_and_names_none(network: Network) -> None:
    for number in range(4):
        await admit(network, number)
    await network.settle()

    used = [of(await metrics(network, holder), "evaluation_quota_use_ratio")[()] for holder in HOLDERS]
    # Of 133,334 that each grants, four persons' evaluations are two of three holders' work.
    assert sum(used) == pytest.approx(8 / 133_334, abs=1e-4)
    assert of(await metrics(network), "evaluation_quota_use_ratio") == {}


async def test_ages_of_keys_begin_with_their_use_and_go_on_over_restarts(network: Network) -> None:
    network.clock.advance(days=3)
    network.restart(NodeAddress.parse(COUNTY))
    await work(network, 10)

    ages = of(await metrics(network), "key_age_seconds")

    assert {age // 86400 for age in ages.values()} == {3}
    assert {dict(labels)["key"] for labels in ages} >= {"signing", "box", "log", "at-rest"}
    assert (("key", "share"),) in of(await metrics(network, "cn"), "key_age_seconds")


async def test_a_clock_that_is_set_back_keeps_nobody_from_being_noticed(network: Network) -> None:
    await network.settle()
    network.clock.advance(hours=-1)
    for holder in HOLDERS[:2]:
        cut(network, COUNTY, holder)
    await work(network, 20)

    assert "key-holders" in by_code((await ready(network)).missing)
    assert (await ready(network)).is_ready
