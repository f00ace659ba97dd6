"""A PostgreSQL server for each node, started by the drill itself, so that its end is real.

Its own folder is thrown away afterwards: PostgreSQL does not run as root, and its user may not look into the drill's.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError

PORT = 5432
STOPPED_WITHIN_S = 10.0
STARTS = 10
ROLE, DATABASE, TEMPLATE = "node", "node", "template"
SETTINGS = (
    "listen_addresses=",
    "max_wal_size=64MB",
    "min_wal_size=32MB",
    "shared_buffers=32MB",
    "log_min_messages=error",
)
"""Durable as always; small, because six of them share a laptop."""


class Servers:
    """``Databases`` that are processes of their own."""

    name = "postgresql"
    serve = True

    def __init__(self, root: Path) -> None:
        del root
        self._binaries = find_binaries() or Path()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="hx-drill-"))
        if self._user:
            shutil.chown(self._home, self._user, self._user)

    def lines(self, address: NodeAddress) -> Sequence[str]:
        """By the server's socket."""
        return (_line(self.place(address), DATABASE),)

    def place(self, address: NodeAddress) -> Path:
        """A folder of the server's own, not its data's: that must be empty when a file system is mounted on it."""
        folder = self._home / str(address).replace("/", "-")
        if not folder.exists():
            folder.mkdir()
            if self._user:
                shutil.chown(folder, self._user, self._user)
        return folder

    def start(self, address: NodeAddress) -> None:
        """Start the server; made before where there is none."""
        folder = self.place(address)
        if not (folder / "data").exists():
            if not (self._home / TEMPLATE).exists():
                self._make_template()
            self._run("cp", "-a", str(self._home / TEMPLATE), str(folder / "data"))
        # What the killed server's last processes still hold, they let go of a moment after it: whoever supervises a
        # server tries again, too.
        for _attempt in range(STARTS):
            if self._postmaster(folder):
                return
            try:
                self._start(folder)
            except subprocess.CalledProcessError:
                time.sleep(0.5)
        raise UnavailableError(f"the database of {address} does not start; see {self._home}/{folder.name}.log")

    def kill(self, address: NodeAddress) -> None:
        """SIGKILL to the server and all of its processes."""
        for process in self.processes(address, 0):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                # It ended with the one before it.
                continue
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while self._postmaster(self.place(address)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def lose(self, address: NodeAddress) -> None:
        """Its server with everything; a new one is made from the template."""
        self.kill(address)
        shutil.rmtree(self.place(address) / "data")
        self.start(address)

    def copy(self, address: NodeAddress, folder: Path) -> Sequence[str]:
        """A second database on the same server, restored from a dump."""
        place = self.place(address)
        dump = folder / "dump.sql"
        connection = ["-h", str(place), "-p", str(PORT), "-U", "postgres"]
        with dump.open("wb") as out:
            self._run(str(self._binaries / "pg_dump"), *connection, DATABASE, out=out.fileno())
        self._sql(place, f"CREATE DATABASE copy OWNER {ROLE} TEMPLATE {DATABASE}_empty")
        with dump.open("rb") as dumped:
            self._run(str(self._binaries / "psql"), *connection, "-q", "-d", "copy", stdin=dumped.fileno())
        return (_line(place, "copy"),)

    def processes(self, address: NodeAddress, node: int) -> Sequence[int]:
        """The server's, the first one first."""
        del node
        postmaster = self._postmaster(self.place(address))
        if not postmaster:
            return ()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("ascii").split()
        return (postmaster, *map(int, children))

    def stop_all(self) -> None:
        """Stop every server."""
        for folder in self._home.iterdir():
            if self._postmaster(folder):
                self._control(folder, "-m", "immediate", "stop")

    def close(self) -> None:
        """Throw their folders away."""
        shutil.rmtree(self._home)

    def _make_template(self) -> None:
        """One database cluster with an empty database in it, to be copied."""
        made = self._home / "making"
        made.mkdir()
        if self._user:
            shutil.chown(made, self._user, self._user)
        self._run(
            str(self._binaries / "initdb"),
            *("-D", str(made / "data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"),
        )
        self._start(made)
        collation = "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        self._sql(made, f"CREATE ROLE {ROLE} LOGIN")
        for name in (DATABASE, f"{DATABASE}_empty"):
            self._sql(made, f"CREATE DATABASE {name} OWNER {ROLE} {collation}")
        self._control(made, "-m", "fast", "stop")
        (made / "data").rename(self._home / TEMPLATE)
        shutil.rmtree(made)

    def _start(self, folder: Path) -> None:
        options = [f"-k {folder}", f"-p {PORT}", *(f"-c {setting}" for setting in SETTINGS)]
        self._control(folder, "-o", " ".join(options), "-l", str(self._home / f"{folder.name}.log"), "start")

    def _control(self, folder: Path, *arguments: str) -> None:
        self._run(str(self._binaries / "pg_ctl"), "-D", str(folder / "data"), "-s", "-w", *arguments)

    def _sql(self, folder: Path, statement: str) -> None:
        self._run(
            str(self._binaries / "psql"),
            *("-h", str(folder), "-p", str(PORT), "-U", "postgres", "-q", "-c", statement),
        )

    def _run(self, *words: str, out: int = subprocess.DEVNULL, stdin: int = subprocess.DEVNULL) -> None:
        subprocess.run(  # noqa: S603  # PostgreSQL's own programs on our own server
            words,
            check=True,
            stdin=stdin,
            stdout=out,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=self._user,
            group=self._user,
        )

    def _postmaster(self, folder: Path) -> int:
        """The first process of the server in ``folder``; 0 where none runs."""
        data = folder / "data"
        try:
            process = (data / "postmaster.pid").read_text("ascii").split()[0]
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            return 0
        # One that has ended has no words left, and its number may be somebody else's by now.
        return int(process) if str(data).encode() in words else 0


def find_binaries() -> Path | None:
    """Where PostgreSQL's programs are, the newest release first."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def lacks() -> str:
    """Why no server can be run here; empty if one can."""
    if find_binaries() is None:
        return "needs PostgreSQL's server (Debian, Ubuntu: apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _line(folder: Path, database: str) -> str:
    return f'database = "postgresql+psycopg://{ROLE}@/{database}?host={folder}&port={PORT}"'
