"""What a drill runs with: a stage, databases, disks and clocks as the command line says and this machine allows."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from health_exchange.cli.drill import namespaces, servers
from health_exchange.cli.drill.clocks import Clocks, find_library
from health_exchange.cli.drill.databases import Databases, Embedded
from health_exchange.cli.drill.disks import BoundedFiles, Disks, SmallDisks
from health_exchange.cli.drill.loopback import Loopback
from health_exchange.cli.drill.namespaces import Namespaces
from health_exchange.cli.drill.scenarios import Need
from health_exchange.cli.drill.servers import Servers
from health_exchange.cli.drill.stage import Stage
from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.plan import NetworkPlan

STAGES: Mapping[str, Callable[[], Stage]] = {"processes": Loopback, "namespaces": Namespaces}
DATABASES: Mapping[str, Callable[[Path], Databases]] = {"sqlite": Embedded, "postgresql": Servers}


@dataclass(slots=True, kw_only=True)
class Place:
    """Where one network runs. ``furnish`` comes once its folders are written."""

    root: Path
    plan: NetworkPlan
    stage: Stage
    databases: Databases
    needs: AbstractSet[Need]
    disks: Disks | None = None
    clocks: Clocks | None = None

    def furnish(self) -> None:
        """Have disks and databases ready for the nodes."""
        addresses = [node.address for node in self.plan.nodes]
        if Need.DISKS in self.needs:
            places = {address: self.databases.place(address) for address in addresses}
            self.disks = SmallDisks(places) if os.geteuid() == 0 else BoundedFiles(places)
        library = find_library()
        if Need.CLOCKS in self.needs and library is not None:
            self.clocks = Clocks(self.root, library)
        for address in addresses:
            self.databases.start(address)

    def words(self, address: NodeAddress) -> Sequence[str]:
        """What goes before a node's command."""
        return [*self.stage.words(address), *(self.clocks.words(address) if self.clocks else ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The command line's choice."""

    stage_name: str
    database_name: str

    def lacks(self, needs: AbstractSet[Need]) -> str:
        """Why a scenario of these needs cannot be run here; empty if it can."""
        lacking = namespaces.lacks() if self.stage_name == "namespaces" else ""
        lacking = lacking or (servers.lacks() if self.database_name == "postgresql" else "")
        if lacking:
            return lacking
        if Need.SLOWNESS in needs and self.stage_name == "namespaces":
            return "wires are slowed on the stage of processes only"
        if Need.CLOCKS in needs and find_library() is None:
            return "needs libfaketime (Debian, Ubuntu: apt-get install faketime)"
        if Need.DISKS in needs and sys.platform != "linux":
            return "needs Linux"
        if Need.SERVERS in needs and self.database_name == "sqlite":
            return "an SQLite database ends with its node (kill-nodes); choose another --database"
        return ""

    @asynccontextmanager
    async def prepared(self, root: Path, needs: AbstractSet[Need], plan: NetworkPlan) -> AsyncIterator[Place]:
        """A place for ``plan``; afterwards nothing of it is left but files."""
        stage = STAGES[self.stage_name]()
        databases = DATABASES[self.database_name](root)
        place: Place | None = None
        try:
            place = Place(root=root, plan=await stage.open(plan), stage=stage, databases=databases, needs=needs)
            yield place
        finally:
            databases.stop_all()
            if place is not None and place.disks is not None:
                place.disks.close()
            databases.close()
            await stage.close()
