"""Further processes that serve a node's doors beside its own: on PostgreSQL, one for each core it may use.

All of them listen on the same ports, and the kernel shares connections out (SO_REUSEPORT). They keep what they admit in
the node's database, under the node's claim, and tell the node what they committed, because its turns are taken in one
process. They end with their node, however that ends; one that ends by itself is started again.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from health_exchange.telemetry.events import log_event
from health_exchange.wiring.settings import Settings

RESTART_AFTER_S = 1.0
END_WITHIN_S = 5.0

Announce = Callable[[AbstractSet[str]], None]
Serve = Callable[[Settings, str, Announce], None]
"""Serves the doors of a node's run until SIGTERM, and announces its commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Door:
    """One process, and where it tells of its commits."""

    process: SpawnProcess
    commits: Connection


class Doors:
    """The further processes of one node.

    Args:
        serve: What each of them does; found again by its name.
        settings: The node's.
        run: The node's claim on its database.
        count: How many.
        announce: Is told of their commits, from a thread.
    """

    def __init__(self, serve: Serve, settings: Settings, run: str, count: int, announce: Announce) -> None:
        self._serve, self._settings, self._run, self._announce = serve, settings, run, announce
        self._stopping = threading.Event()
        self._doors = [self._start() for _ in range(count)]
        self._watcher = threading.Thread(target=self._watch, name="doors", daemon=True) if count else None
        if self._watcher is not None:
            self._watcher.start()

    def stop(self) -> None:
        """Have them end, and wait for it."""
        self._stopping.set()
        if self._watcher is not None:
            # First, so that none is started behind our back.
            self._watcher.join()
        for door in self._doors:
            door.process.terminate()
        for door in self._doors:
            door.process.join(END_WITHIN_S)
            if door.process.is_alive():
                door.process.kill()
                door.process.join()

    def _start(self) -> _Door:
        ours, theirs = connection.Pipe(duplex=False)
        context = get_context("spawn")
        process = context.Process(
            target=_run, args=(self._serve, self._settings, self._run, theirs), name="door", daemon=False
        )
        process.start()
        theirs.close()
        return _Door(process=process, commits=ours)

    def _watch(self) -> None:
        """Pass on what they tell; put a new one in the place of one that ended."""
        restart_at: dict[int, float] = {}
        while not self._stopping.is_set():
            alive = {place: door for place, door in enumerate(self._doors) if place not in restart_at}
            ready = connection.wait([door.commits for door in alive.values()], timeout=0.5)
            for place, door in alive.items():
                if door.commits in ready and not self._heard(door):
                    restart_at[place] = time.monotonic() + RESTART_AFTER_S
            for place, due in list(restart_at.items()):
                if time.monotonic() >= due and not self._stopping.is_set() and self._restart(place):
                    del restart_at[place]

    def _heard(self, door: _Door) -> bool:
        """Pass on what a door tells; ``False`` where it has ended."""
        try:
            self._announce(door.commits.recv())
        except (EOFError, OSError):
            log_event("door-process-ended", code=str(door.process.exitcode))
            return False
        return True

    def _restart(self, place: int) -> bool:
        """Whether a new door is in the place of one that ended; the machine may have no room for it just now."""
        try:
            self._doors[place] = self._start()
        except OSError as error:
            log_event("door-process-not-started", code=type(error).__name__)
            return False
        return True


def _run(serve: Serve, settings: Settings, run: str, commits: Connection) -> None:
    """What such a process does."""
    # Whoever stops a node by its terminal means the node, which tells its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_node, name="node-watch", daemon=True).start()
    os.set_blocking(commits.fileno(), False)
    telling = threading.Lock()

    def announce(tables: AbstractSet[str]) -> None:
        with telling:
            try:
                commits.send(frozenset(tables))
            except OSError:
                # Nobody reads just now, or ever again. It is a hint: the node looks by itself, a little later.
                return

    serve(settings, run, announce)


def _end_with_node() -> None:
    """End like a stopped door when the node is gone: killed nodes tell nobody."""
    node = parent_process()
    if node is not None:
        connection.wait([node.sentinel])
        signal.raise_signal(signal.SIGTERM)
        time.sleep(END_WITHIN_S)
        os._exit(1)
