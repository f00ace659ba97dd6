"""Databases for tests: SQLite files, and a PostgreSQL server that the tests start for themselves.

Every test that may run on either asks for ``new_database`` and runs twice. A server is started once a test process and
keeps in memory, where copying an empty database takes a tenth of the time; it forgets what it was told last when it is
stopped as by a power cut. What must outlive that is told in tests that start a server with settings of their own, which
keeps on the disk. A test that only needs one that is away starts another forgetful one.

A server's folder has a file that its test process holds locked: of a process that was killed, the next server stops the
one and removes the other.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine
from tests.requirements import missing

from health_exchange.store import migrations, roles

NODE_ROLE = "node"
"""Has a node's rights in every database of this schema, and no others."""
KINDS = ("sqlite", "postgresql")
NewDatabase = Callable[[], str]
_FORGETFUL = (
    *("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=300"),
    *("wal_level=minimal", "max_wal_senders=0", "max_wal_size=128MB"),
    "dynamic_shared_memory_type=mmap",  # in its folder, with which it goes
)
_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of ours in it, made by mkdtemp
_ROOM_BYTES = 2 << 30
"""A smaller folder in memory is left alone: in a container it may be 64 MB."""
_MEMORY_BYTES_MIN = 4 << 30
"""Less than this is left to the programs: of what is free on the machine, or what a container may have at all."""
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may have, by the two versions of control groups."""
_PREFIX, _ALIVE = "hx-pg-", "alive"
_PORT = 5432
"""A number in the name of a socket, each of which has a folder of its own."""
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlServer:
    """One running server, reached by its socket."""

    folder: Path
    port: int
    binaries: Path
    settings: Sequence[str] = field(default=_FORGETFUL)
    made: list[str] = field(default_factory=list)

    def url(self, database: str, role: str = "postgres") -> str:
        """Where a database is, and as whom to go there."""
        return f"postgresql+psycopg://{role}@/{database}?host={self.folder}&port={self.port}"

    @property
    def conninfo(self) -> str:
        """Where the administrator connects to."""
        return f"host={self.folder} port={self.port} user=postgres dbname=postgres connect_timeout=10"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement as the administrator."""
        with psycopg.connect(self.conninfo, dbname=database, autocommit=True) as connection:
            connection.execute(statement)

    def new_database(self, template: str = "node_template") -> str:
        """The name of a new database like ``template``."""
        name = f"node_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        self.made.append(name)
        return name

    def drop_databases(self) -> None:
        """Drop everything that :meth:`new_database` made."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            while self.made:
                connection.execute(f"DROP DATABASE {self.made.pop()} WITH (FORCE)")

    def disk_of(self, database: str) -> bytes:
        """What the server's files hold of a database, and all of its write-ahead log."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            found = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", [database]).fetchone()
        assert found is not None
        folders = (self.folder / "data" / "base" / str(found[0]), self.folder / "data" / "pg_wal")
        return b"".join(path.read_bytes() for folder in folders for path in folder.iterdir() if path.is_file())

    def run(self, *arguments: str) -> None:
        """Run ``pg_ctl`` on it."""
        _run(self.binaries / "pg_ctl", "-D", str(self.folder / "data"), "-s", "-w", *arguments)

    def start(self) -> None:
        """Start it."""
        options = [f"-k {self.folder}", f"-p {self.port}", "-c listen_addresses="]
        options += [f"-c {setting}" for setting in self.settings]
        self.run("-o", " ".join(options), "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is as bad as a power cut."""
        self.run("-m", mode, "stop")

    def remove(self) -> None:
        """Stop it if it answers, and remove all that it kept."""
        # By its socket: the number of a process that is gone may be another's by now.
        with suppress(psycopg.OperationalError, subprocess.CalledProcessError):
            self.execute("SELECT 1")
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running_server(settings: Sequence[str] = _FORGETFUL) -> Iterator[PostgresqlServer]:
    """A server of its own, with an empty database of this release's schema as ``node_template``."""
    binaries = _binaries()
    _sweep(binaries)
    place = _memory() if settings is _FORGETFUL else None
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    server = PostgresqlServer(folder=folder, port=_PORT, binaries=binaries, settings=settings)
    alive = (folder / _ALIVE).open("w")
    fcntl.flock(alive, fcntl.LOCK_EX)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        _run(
            binaries / "initdb",
            "-D",
            str(folder / "data"),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        )
        server.start()
        server.execute("CREATE DATABASE node_template TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'")
        server.execute(f"CREATE ROLE {NODE_ROLE} LOGIN")
        _prepare(server.url("node_template"))
        yield server
    finally:
        server.remove()
        alive.close()


def _sweep(binaries: Path) -> None:
    """Remove the servers of test processes that are gone, of this user's: nobody holds their file any more."""
    owners = {os.geteuid(), *(each.pw_uid for each in pwd.getpwall() if each.pw_name == "postgres")}
    for place in {_MEMORY, Path(tempfile.gettempdir())}:
        for alive in place.glob(f"{_PREFIX}*/{_ALIVE}"):
            if alive.parent.stat().st_uid in owners and not _is_held(alive):
                PostgresqlServer(folder=alive.parent, port=_PORT, binaries=binaries).remove()


def _is_held(path: Path) -> bool:
    """Whether a process has a file locked, in whatever container."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _memory() -> Path | None:
    """A folder that is kept in memory; ``None`` where there is none with room, or too little memory."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    return _MEMORY if has_room and _memory_bytes() >= _MEMORY_BYTES_MIN else None


def _memory_bytes() -> int:
    """How much memory there is at most for this run."""
    meminfo = Path("/proc/meminfo").read_text("ascii").splitlines()
    [available] = [int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable:")]
    limits = [path.read_text("ascii").strip() for path in _LIMITS if path.exists()]
    return min([available, *(int(limit) for limit in limits if limit != "max")])


def _prepare(url: str) -> None:
    """This release's schema, and the node's rights in it."""
    engine = create_engine(url)
    with engine.connect() as connection:
        migrations.upgrade_connection(connection)
        roles.grant(connection, node=NODE_ROLE)
        connection.commit()
    engine.dispose()


def _binaries() -> Path:
    """Where PostgreSQL's programs are; skips the test where they are not."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    usable = [place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()]
    if not usable:
        missing("postgresql", "PostgreSQL's server is not installed: apt-get install postgresql")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            missing("postgresql", "PostgreSQL refuses to run as root, and there is no user postgres")
    return usable[0]


def _run(program: Path, *arguments: str) -> None:
    """Run a program of PostgreSQL's, which refuse to run as root."""
    subprocess.run(  # noqa: S603  # our own server
        [str(program), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
        user="postgres" if os.geteuid() == 0 else None,
        group="postgres" if os.geteuid() == 0 else None,
    )


@pytest.fixture(scope="session")
def server_of_all() -> Iterator[PostgresqlServer]:
    """The server of this test process."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgresql(server_of_all: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """The server of this test process, whose databases are dropped after the test."""
    yield server_of_all
    server_of_all.drop_databases()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with this release's schema, to copy."""
    path = tmp_path_factory.mktemp("empty") / "node.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=KINDS)
def new_database(request: pytest.FixtureRequest, tmp_path: Path, empty_file: Path) -> Iterator[NewDatabase]:
    """Makes databases of one kind or the other, with an empty schema of this release; gives their URLs."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{shutil.copy(empty_file, tmp_path / f'node-{next(_NUMBERS)}.db')}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    yield lambda: server.url(server.new_database(), NODE_ROLE)
