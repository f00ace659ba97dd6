"""The drill: any node loses its database under load and faults, from a seed; no acknowledged record goes unnoticed."""

import random
from datetime import datetime
from pathlib import Path

import pytest
from tests.federation.faults import Faults
from tests.federation.losses import Operator
from tests.federation.network import SMALL, Network
from tests.federation.records import national_id, objection, observation, patient, transaction

from health_exchange.audit.verification import verify_folder
from health_exchange.model.errors import ExchangeError
from health_exchange.node.making_good import RejoinReport
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.store.resources import CURRENT

ORIGINS = ("cn/33/3305/330521", "cn/51/5100")
ABOVE = {"cn/33/3305": ORIGINS[:1], "cn/33": ORIGINS[:1], "cn/51": ORIGINS[1:], "cn": ORIGINS}
SEEDS = range(6)
"""One for each node of the small network."""


class Hospital:
    """Sends records to one origin and remembers what was acknowledged first when, by local id."""

    def __init__(self, network: Network, origin: str, dice: random.Random) -> None:
        self.network, self.origin, self.dice = network, origin, dice
        self.acknowledged: dict[str, datetime] = {}
        self._count = 0

    async def work(self) -> None:
        """One transaction of the kinds hospitals send."""
        self._count += 1
        who = self.dice.randrange(1, 8)
        person = patient(f"p{who}", identity=national_id(who + 10 * ORIGINS.index(self.origin)))
        name = f"o{who}-{self.dice.randrange(4)}"
        if self.dice.random() < 0.1:
            bundle, name = transaction(person, objection(f"c{who}", f"p{who}")), ""
        else:
            bundle = transaction(person, observation(name, f"p{who}", f"{self._count}.50"))
        await self.network.admit(self.origin, bundle, f"{self.origin}-{self._count}")
        if name:
            self.acknowledged.setdefault(name, self.network.clock.now())

    def missing(self) -> set[str]:
        """What was acknowledged and is not there."""
        rows = self.network[self.origin].parts.store.read_now(lambda tx: list(tx.execute(CURRENT)))
        return self.acknowledged.keys() - {row.id for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_whichever_database_is_lost_every_acknowledged_record_is_there_or_listed(
    tmp_path: Path, seed: int
) -> None:
    network = Network(tmp_path, SMALL, Faults(seed, rate=0.05, crash_rate=0.002))
    operator, dice = Operator(network), random.Random(seed)
    hospitals = [Hospital(network, origin, dice) for origin in ORIGINS]
    lost = sorted(map(str, network.nodes))[seed % len(network.nodes)]

    async def work(rounds: int, without: str = "") -> None:
        for _round in range(rounds):
            await dice.choice([each for each in hospitals if each.origin != without]).work()
            await network.round()

    await work(12)
    taken_at, files = network.clock.now(), operator.back_up(lost)
    await work(12)
    logs = [operator.export(str(address)) for address in network.nodes]
    operator.lose(lost)
    await work(4, without=lost)
    operator.restore(lost, files)
    report = await _rejoin(operator, lost)
    gone = {each.origin: each.missing() for each in hospitals}
    await work(6)
    network.faults.stop()
    await network.settle()

    for each in hospitals:
        _check_listed(network, each, gone[each.origin], taken_at, report)
    for address, origins in ABOVE.items():
        assert network.granted(address) <= set(network.kept(address))
        if lost not in origins:
            assert network.granted(address) == set(network.kept(address))
    assert network.log_failures() == []
    assert [verify_folder(folder).failures for folder in logs] == [[]] * len(logs)


def _check_listed(
    network: Network, hospital: Hospital, gone: set[str], taken_at: datetime, report: RejoinReport
) -> None:
    """What is missing is of the node that lost its database, from after its backup; the report counts what is known."""
    assert not gone or hospital.origin == report.node
    assert all(hospital.acknowledged[name] >= taken_at for name in gone)
    key = network[hospital.origin].parts.keys.exchange_ids
    known = network.kept(hospital.origin.rsplit("/", 1)[0])
    assert sum(("Observation", exchange_id(key, "Observation", name)) in known for name in gone) <= report.lost.get(
        "Observation", 0
    )


async def _rejoin(operator: Operator, lost: str) -> RejoinReport:
    """Wires drop messages, so an operator asks until everybody has answered."""
    for _attempt in range(100):
        try:
            return await operator.rejoin(lost)
        except ExchangeError as error:
            assert "no answer from" in error.detail  # noqa: PT017  # anything else is a defect
    raise AssertionError("they never all answer")
