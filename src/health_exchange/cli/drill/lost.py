"""A node that lost its database and gets it back from a backup taken under load, by the operator's own commands."""

import asyncio
import subprocess
import sys
from pathlib import Path

from health_exchange.cli.drill.network import DrillNetwork
from health_exchange.cli.drill.tree import COUNTY, HOSPITALS
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import FaultError
from health_exchange.wiring.network_folder import node_folder


async def lost_database(network: DrillNetwork) -> None:
    """What came after the backup is lost here and comes back from others; of a node that holds nobody's originals.

    What an admitting node lost, its facilities hand in again as something new: no drill can count that.
    """
    victim = network.dice.pick([address for address in network.addresses if address not in {COUNTY, HOSPITALS}])
    recovery, backups = network.root / "recovery", network.root / "backups"
    settings = node_folder(network.root, victim) / "node.toml"
    await _database(network, victim, "recovery-key", recovery)
    sealing = ("--recovery-key", Path(f"{recovery}.pub"), "--folder", backups)
    await _database(network, victim, "backup", "--settings", settings, *sealing)
    network.tell(f"the database of {victim} is backed up")
    await asyncio.sleep(network.fault_s)
    await network.kill_node(victim)
    await asyncio.to_thread(network.databases.lose, victim)
    network.tell("its database is gone; it is restored and rejoins")
    (bulk,), (keys,) = backups.glob("*.bulk"), backups.glob("*.keys")
    files = ("--recovery-key", recovery, "--bulk", bulk, "--keys", keys)
    if network.databases.serve:
        await _database(network, victim, "upgrade", "--settings", settings)
    await _database(network, victim, "restore", "--settings", settings, *files)
    told = await _database(network, victim, "rejoin", "--settings", settings)
    for line in told.splitlines():
        network.tell(line.strip())
    await network.start_node(victim)


async def _database(network: DrillNetwork, address: NodeAddress, *words: str | Path) -> str:
    """What ``health-exchange database`` says, run in the node's place.

    Raises:
        FaultError: It does not do what it was told.
    """
    command = [*network.stage.words(address), sys.executable, "-m", "health_exchange", "database", *map(str, words)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise FaultError(f"database {words[0]}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout
