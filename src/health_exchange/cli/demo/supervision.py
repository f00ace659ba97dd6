"""Starting and stopping the demo's nodes: one process each, as an operator would start them."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from health_exchange.cli.demo.readiness import READY_WITHIN_S, until_ready
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.plan import PlannedNode

STOP_WITHIN_S = 10.0


def _anywhere(_address: NodeAddress) -> Sequence[str]:
    """No words: the node runs as it is started."""
    return ()


class Supervisor:
    """The processes of a network folder.

    Args:
        root: The folder.
        nodes: Which of its nodes.
        words: What goes before a node's command, for one that is to run somewhere else or under something.
    """

    def __init__(
        self,
        root: Path,
        nodes: Sequence[PlannedNode],
        words: Callable[[NodeAddress], Sequence[str]] = _anywhere,
    ) -> None:
        self._root, self._words = root, words
        self._nodes = {node.address: node for node in nodes}
        self._running: dict[NodeAddress, subprocess.Popen[bytes]] = {}

    def start(self, address: NodeAddress) -> None:
        """Start one node; its log goes to ``node.log`` in its folder."""
        folder = node_folder(self._root, address)
        with (folder / "node.log").open("ab") as log:
            self._running[address] = subprocess.Popen(  # noqa: S603  # our own interpreter and our own settings file
                [
                    *self._words(address),
                    *(sys.executable, "-m", "health_exchange", "node", "run"),
                    *("--settings", str(folder / "node.toml")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_all(self) -> None:
        """Start every node."""
        for address in self._nodes:
            self.start(address)

    def kill(self, address: NodeAddress) -> None:
        """End one node as a power cut would."""
        process = self._running.pop(address)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def process_of(self, address: NodeAddress) -> int:
        """The process number of a running node."""
        return self._running[address].pid

    def ended(self, address: NodeAddress, within_s: float) -> int | None:
        """How a node's process has ended; ``None`` if it still runs after ``within_s``."""
        try:
            return self._running[address].wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return None

    def stop_all(self) -> None:
        """Ask every node to end, and end those that do not."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for process in self._running.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    async def wait_until_healthy(self, client: httpx.AsyncClient, *, within_s: float = READY_WITHIN_S) -> None:
        """Return once every node says that it is ready.

        Raises:
            UnavailableError: One is not ready in time, or its process has ended; its log says why.
        """
        await until_ready(client, self._nodes, within_s=within_s, check_alive=self._check_alive)

    def _check_alive(self, address: NodeAddress) -> None:
        """Raise if a node's process has ended by itself."""
        process = self._running.get(address)
        if process is not None and process.poll() is not None:
            log = node_folder(self._root, address) / "node.log"
            raise UnavailableError(f"{address} has ended with {process.returncode}; see {log}")
