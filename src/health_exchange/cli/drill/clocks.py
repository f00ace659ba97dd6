"""Clocks that jump while a node runs: libfaketime before its process, reading how far from a file of the node's.

The whole process sees it, Python and what is compiled; the time that only passes (``CLOCK_MONOTONIC``) stays as it is,
as with a machine whose clock somebody sets.
"""

from collections.abc import Sequence
from pathlib import Path

from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.network_folder import node_folder

_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
SEEN_WITHIN_S = 1


class Clocks:
    """The nodes' clocks."""

    def __init__(self, root: Path, library: Path) -> None:
        self._root, self._library = root, library

    def words(self, address: NodeAddress) -> Sequence[str]:
        """What to put before a node's command."""
        self.set(address, 0)
        return (
            "env",
            f"LD_PRELOAD={self._library}",
            f"FAKETIME_TIMESTAMP_FILE={self._file(address)}",
            f"FAKETIME_CACHE_DURATION={SEEN_WITHIN_S}",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            # Without a word on this it guesses, and timed waits of threads turn into busy ones.
            "FAKETIME_FORCE_MONOTONIC_FIX=0",
        )

    def set(self, address: NodeAddress, ahead_s: int) -> None:
        """Let a node's clock be ahead from now on, within ``SEEN_WITHIN_S``."""
        new = self._file(address).with_suffix(".new")
        new.write_text(f"{ahead_s:+d}\n", "ascii")
        new.replace(self._file(address))

    def _file(self, address: NodeAddress) -> Path:
        return node_folder(self._root, address) / "clock"


def find_library() -> Path | None:
    """libfaketime, where it is installed (Debian, Ubuntu: ``apt-get install faketime``)."""
    root = Path("/")
    found = (path for place in _PLACES for path in root.glob(f"{place[1:]}/libfaketimeMT.so.1"))
    return next(found, None)
