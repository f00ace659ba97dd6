"""The databases of a drill's nodes, as a port: SQLite in the nodes' own processes, or a PostgreSQL server each."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from health_exchange.cli.drill.tree import DATABASE_FOLDER
from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.network_folder import node_folder

FILE = "node.sqlite"


class Databases(Protocol):
    """Every node's database.

    Attributes:
        name: For the command line and the report.
        serve: Whether they are processes of their own, which can end without their nodes.
    """

    name: str
    serve: bool

    def lines(self, address: NodeAddress) -> Sequence[str]:
        """What a node's settings say about its database."""

    def place(self, address: NodeAddress) -> Path:
        """The folder that a node's database lies in, alone."""

    def start(self, address: NodeAddress) -> None:
        """Have a node's database answer, unless it does."""

    def kill(self, address: NodeAddress) -> None:
        """End a node's database as a power cut would."""

    def lose(self, address: NodeAddress) -> None:
        """Put an empty database in the place of one that nobody uses."""

    def copy(self, address: NodeAddress, folder: Path) -> Sequence[str]:
        """Copy a node's database, while it is in use, as a snapshot of its machine would; the copy's lines.

        Args:
            address: Whose.
            folder: Of the node that gets the copy.
        """

    def processes(self, address: NodeAddress, node: int) -> Sequence[int]:
        """Which processes write a node's database; ``node`` is the node's own."""

    def stop_all(self) -> None:
        """End whatever runs."""

    def close(self) -> None:
        """Leave nothing behind but what lies in the drill's folder."""


class Embedded:
    """SQLite: nothing runs beside the nodes."""

    name = "sqlite"
    serve = False

    def __init__(self, root: Path) -> None:
        self._root = root

    def lines(self, address: NodeAddress) -> Sequence[str]:
        """A file in a folder of its own."""
        del address
        return (f'database = "sqlite:///{DATABASE_FOLDER}/{FILE}"',)

    def place(self, address: NodeAddress) -> Path:
        """In the node's."""
        return node_folder(self._root, address) / DATABASE_FOLDER

    def start(self, address: NodeAddress) -> None:
        """It starts with its node."""

    def kill(self, address: NodeAddress) -> None:
        """It ends with its node only."""
        raise NotImplementedError(f"the database of {address} has no process of its own")

    def lose(self, address: NodeAddress) -> None:
        """Delete its files; the next to open it makes a new one."""
        for path in self.place(address).glob(f"{FILE}*"):
            path.unlink()

    def copy(self, address: NodeAddress, folder: Path) -> Sequence[str]:
        """By SQLite's own online backup."""
        source = self.place(address) / FILE
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(folder / FILE)) as copied:
            original.backup(copied)
        return (f'database = "sqlite:///{FILE}"',)

    def processes(self, address: NodeAddress, node: int) -> Sequence[int]:
        """The node itself."""
        del address
        return (node,)

    def stop_all(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Everything lies in the drill's folder."""
