"""What drills do to a network, as a table: one row a scenario; who and when is drawn from the seed.

Each act begins while load runs and returns once it has put everything right again; load goes on all the while.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from health_exchange.cli.drill.lost import lost_database
from health_exchange.cli.drill.network import DrillNetwork
from health_exchange.cli.drill.tree import NATION, PROVINCE
from health_exchange.cli.drill.two import two_databases, two_processes
from health_exchange.model.addresses import NodeAddress

DEAD_MIN_MS, DEAD_MAX_MS = 300, 2500
SLOW_DELAY_S, SLOW_BYTES_PER_S = 0.3, 128 << 10
HOUR_S = 3600


class Need(StrEnum):
    """What a scenario takes beside processes."""

    CLOCKS = "clocks"  # libfaketime
    DISKS = "disks"  # Linux
    SERVERS = "servers"  # databases that are processes of their own
    SLOWNESS = "slowness"  # a stage whose wires can be slowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row.

    Attributes:
        name: On the command line.
        told: What happens, in one sentence.
        act: Makes it happen, and ends it.
        fault_s: How long it lasts.
        long_s: How long with ``--long``.
        needs: What it takes.
        alarms: What the reasons of alarms say that the nodes must raise.
        may_alarm: Of those that they may raise, too; no other may be raised.
    """

    name: str
    told: str
    act: Callable[[DrillNetwork], Awaitable[None]]
    fault_s: float
    long_s: float
    needs: frozenset[Need] = field(default=frozenset())
    alarms: frozenset[str] = field(default=frozenset())
    may_alarm: frozenset[str] = field(default=frozenset())


async def kill_nodes(network: DrillNetwork) -> None:
    """Every node once, in an order and for a time of the dice."""
    victims = network.shuffled(network.addresses)
    for victim in victims:
        await network.kill_node(victim)
        await asyncio.sleep(network.dice.between(DEAD_MIN_MS, DEAD_MAX_MS) / 1000)
        await network.start_node(victim)
        await asyncio.sleep(network.fault_s / len(victims))


async def kill_databases(network: DrillNetwork) -> None:
    """Every node's database once, in an order and for a time of the dice."""
    victims = network.shuffled(network.addresses)
    for victim in victims:
        network.tell(f"the database of {victim} is killed")
        await asyncio.to_thread(network.databases.kill, victim)
        await asyncio.sleep(network.dice.between(DEAD_MIN_MS, DEAD_MAX_MS) / 1000)
        network.tell(f"the database of {victim} is started")
        await asyncio.to_thread(network.databases.start, victim)
        await asyncio.sleep(network.fault_s / len(victims))


async def partition(network: DrillNetwork) -> None:
    """Nothing passes between a province and the nation; everything else does."""
    await _cut_for_a_while(network, [(PROVINCE, NATION)], f"{PROVINCE} and {NATION}")


async def cut_off(network: DrillNetwork) -> None:
    """Nothing passes between anyone in a province and anyone outside: not enough key holders either."""
    inside = [address for address in network.addresses if PROVINCE.contains(address)]
    outside = [address for address in network.addresses if not PROVINCE.contains(address)]
    pairs = [(one, other) for one in inside for other in outside]
    await _cut_for_a_while(network, pairs, f"everyone in {PROVINCE} and everyone outside")


async def slow_link(network: DrillNetwork) -> None:
    """What passes between a province and the nation takes long."""
    network.tell(f"between {PROVINCE} and {NATION} everything takes {SLOW_DELAY_S:g} s more each way")
    await network.stage.slow(PROVINCE, NATION, delay_s=SLOW_DELAY_S, bytes_per_s=SLOW_BYTES_PER_S)
    await asyncio.sleep(network.fault_s)
    await network.stage.slow(PROVINCE, NATION, delay_s=0.0, bytes_per_s=0)
    network.tell("the link is as it was")


async def full_disk(network: DrillNetwork) -> None:
    """A node's database has no room left."""
    if network.disks is None:
        raise RuntimeError("the scenario's needs were not looked at")
    victim = network.dice.pick(network.addresses)
    network.tell(f"the disk of {victim} is full")
    await asyncio.to_thread(network.disks.fill, victim, network.database_processes(victim))
    await asyncio.sleep(network.fault_s)
    network.disks.free(victim, network.database_processes(victim))
    # A server that could not even recover has ended; with room it is started as its operator would.
    await asyncio.to_thread(network.databases.start, victim)
    network.tell(f"the disk of {victim} has room again")


async def clock_ahead(network: DrillNetwork) -> None:
    """A node's clock jumps an hour ahead, and back."""
    if network.clocks is None:
        raise RuntimeError("the scenario's needs were not looked at")
    victim = network.dice.pick(network.addresses)
    network.tell(f"the clock of {victim} jumps an hour ahead")
    network.clocks.set(victim, HOUR_S)
    await asyncio.sleep(network.fault_s)
    network.clocks.set(victim, 0)
    network.tell(f"the clock of {victim} is right again")


async def _cut_for_a_while(network: DrillNetwork, pairs: list[tuple[NodeAddress, NodeAddress]], who: str) -> None:
    network.tell(f"nothing passes between {who}")
    await network.cut(pairs)
    await asyncio.sleep(network.fault_s)
    await network.join(pairs)
    network.tell(f"everything passes again between {who}")


_ROWS = (
    Scenario(
        name="kill-nodes",
        told="each node is ended by SIGKILL under load and started again",
        act=kill_nodes,
        fault_s=6,
        long_s=120,
    ),
    Scenario(
        name="kill-databases",
        told="each node's database server is ended by SIGKILL under load and started again",
        act=kill_databases,
        fault_s=6,
        long_s=120,
        needs=frozenset({Need.SERVERS}),
    ),
    Scenario(
        name="partition",
        told="nothing passes between a province and the nation",
        act=partition,
        fault_s=10,
        long_s=600,
    ),
    Scenario(
        name="cut-off-province",
        told="nothing passes between anyone in a province and anyone outside, key holders included",
        act=cut_off,
        fault_s=8,
        long_s=600,
    ),
    Scenario(
        name="slow-link",
        told="what passes between a province and the nation takes long",
        act=slow_link,
        fault_s=8,
        long_s=600,
        needs=frozenset({Need.SLOWNESS}),
    ),
    Scenario(
        name="full-disk",
        told="the disk under a node's database fills up, and is given room again",
        act=full_disk,
        fault_s=6,
        long_s=120,
        needs=frozenset({Need.DISKS}),
    ),
    Scenario(
        name="clock-ahead",
        told="a node's clock jumps an hour ahead, and back",
        act=clock_ahead,
        fault_s=6,
        long_s=120,
        needs=frozenset({Need.CLOCKS}),
        may_alarm=frozenset({"clock-skew"}),
    ),
    Scenario(
        name="lost-database",
        told="a node loses its database and gets it back from a backup; others send again what came after",
        act=lost_database,
        fault_s=3,
        long_s=120,
    ),
    Scenario(
        name="two-processes",
        told="a second process of a node is started on the same database, and refuses",
        act=two_processes,
        fault_s=2,
        long_s=2,
    ),
    Scenario(
        name="two-databases",
        told="a second process of a node runs on a copy of its database until the network notices",
        act=two_databases,
        fault_s=3,
        long_s=30,
        alarms=frozenset({"stream-fork"}),
        may_alarm=frozenset({"forked-log", "log-forked"}),
    ),
)
SCENARIOS = {row.name: row for row in _ROWS}
