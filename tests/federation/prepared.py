"""Networks prepared once a test process; every test that begins there gets a copy of its own.

A copy is what restarting all nodes at once would leave, but for the entries of the start: its databases hold the same
bytes, and nothing that a node knew in memory alone.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.federation.network import SERVER, Network

Prepare = Callable[[Network], Awaitable[None]]

_FOLDER = TemporaryDirectory(prefix="health-exchange-")
_PREPARED: dict[tuple[Prepare, str], Network] = {}


async def prepared(folder: Path, prepare: Prepare) -> Network:
    """A network in ``folder`` to which ``prepare`` happened."""
    server = SERVER.get()
    key = prepare, server.conninfo if server is not None else ""
    if key not in _PREPARED:
        place = Path(_FOLDER.name) / str(len(_PREPARED))
        place.mkdir()
        network = Network(place)
        await prepare(network)
        _PREPARED[key] = network.rest()
    return _PREPARED[key].copied(folder)
