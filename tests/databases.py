"""Databases for tests: SQLite files, and a PostgreSQL server that the tests start for themselves.

Every test that may run on either asks for ``new_database`` and runs twice. A server is started once a test process and
keeps in memory, where copying an empty database takes a tenth of the time; what a server must survive is told in tests
that start their own, with the settings of a node's.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
)
_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of ours in it, made by mkdtemp
_ROOM_BYTES = 2 << 30
"""Less memory than this is left alone: in a container it may be 64 MB."""
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
        return f"host={self.folder} port={self.port} user=postgres dbname=postgres"

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


@contextmanager
def running_server(settings: Sequence[str] = _FORGETFUL) -> Iterator[PostgresqlServer]:
    """A server of its own, with an empty database of this release's schema as ``node_template``."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="hx-pg-", dir=_memory() if settings is _FORGETFUL else None))
    server = PostgresqlServer(folder=folder, port=5432, binaries=binaries, settings=settings)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        place = ["-D", str(folder / "data")]
        _run(binaries / "initdb", *place, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N")
        server.start()
        server.execute("CREATE DATABASE node_template TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'")
        server.execute(f"CREATE ROLE {NODE_ROLE} LOGIN")
        _prepare(server.url("node_template"))
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """A folder that is kept in memory; ``None`` where there is none with room."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    return _MEMORY if has_room else None


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
def postgresql() -> Iterator[PostgresqlServer]:
    """The server of this test process."""
    with running_server() as server:
        yield server


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
    server.drop_databases()
