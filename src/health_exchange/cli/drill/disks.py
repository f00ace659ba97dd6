"""Disks that fill up: a small file system for a node's database where we may mount one, else a bound on its files.

A small file system is the real thing: the same file eats what is left, and everything else fails as it would. Where
mounting is not allowed, the processes that write the database may make no file larger than its largest one is: writes
that would need more room fail, those in place succeed, as on a disk that is full.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from health_exchange.model.addresses import NodeAddress

FILLER = "filler"
PIECE_BYTES = 1 << 20
SIZE = "256m"


class Disks(Protocol):
    """What nodes' databases lie on."""

    def fill(self, address: NodeAddress, processes: Sequence[int]) -> None:
        """Leave no room to a node's database, which ``processes`` write."""

    def free(self, address: NodeAddress, processes: Sequence[int]) -> None:
        """Give it room again."""

    def close(self) -> None:
        """Leave nothing behind."""


class SmallDisks:
    """A file system in memory for each node's database; needs root on Linux."""

    def __init__(self, places: Mapping[NodeAddress, Path]) -> None:
        self._places = places
        try:
            for folder in places.values():
                self._mount(folder)
        except BaseException:
            # Also where the drill is told to end just now: nobody else knows of those that are there already.
            self.close()
            raise

    def fill(self, address: NodeAddress, processes: Sequence[int]) -> None:
        """Write until nothing more fits."""
        del processes
        piece = bytes(PIECE_BYTES)
        descriptor = os.open(self._places[address] / FILLER, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while True:
                os.write(descriptor, piece)
        except OSError:
            # That was the last of it.
            pass
        finally:
            os.close(descriptor)

    def free(self, address: NodeAddress, processes: Sequence[int]) -> None:
        """Delete what filled it."""
        del processes
        (self._places[address] / FILLER).unlink()

    def close(self) -> None:
        """Take them away, and what lies on them."""
        for folder in filter(Path.is_mount, self._places.values()):
            subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S603, S607  # our own folder

    def _mount(self, folder: Path) -> None:
        owner = folder.stat()
        options = f"size={SIZE},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
        subprocess.run(  # noqa: S603  # our own folder
            ["mount", "-t", "tmpfs", "-o", options, "health-exchange-drill", folder],  # noqa: S607  # the system's
            check=True,
        )


class BoundedFiles:
    """A bound on files' sizes for the processes that write; needs Linux."""

    def __init__(self, places: Mapping[NodeAddress, Path]) -> None:
        self._places = places

    def fill(self, address: NodeAddress, processes: Sequence[int]) -> None:
        """Bound them by the largest file there is."""
        files = (path for path in self._places[address].rglob("*") if path.is_file())
        _bound(processes, max(path.stat().st_size for path in files))

    def free(self, address: NodeAddress, processes: Sequence[int]) -> None:
        """Lift the bound."""
        del address
        import resource

        _bound(processes, resource.RLIM_INFINITY)

    def close(self) -> None:
        """It ends with the processes."""


def _bound(processes: Sequence[int], size_bytes: int) -> None:
    """Set the bound of running processes; only the soft one, so that it can be lifted again."""
    import resource

    for process in processes:
        _soft, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size_bytes, hard))
