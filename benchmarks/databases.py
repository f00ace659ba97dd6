"""Where a measurement's nodes keep their records: SQLite files, or a PostgreSQL server started for it; both durable.

One place for starting that server: Debian's binaries, user ``postgres`` when root. It forgets nothing that a server in
earnest remembers (``fsync``, ``synchronous_commit`` and ``full_page_writes`` are on).
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

import psycopg
from benchmarks.machine import processor_seconds

_SETTINGS = ("max_connections=200", "shared_buffers=2GB", "max_wal_size=4GB", "checkpoint_timeout=30min", "jit=off")
_SIZES = """
SELECT c.relname, pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
WHERE c.relkind IN ('r', 'i') ORDER BY 2 DESC
"""


class Databases(Protocol):
    """Makes databases and says what they take."""

    def new(self, name: str) -> str:
        """The URL of a new, empty database."""

    def sizes(self, name: str) -> Mapping[str, int]:
        """Bytes on disk by table and index, after a checkpoint; ``total`` is everything included."""

    def server_seconds(self) -> float:
        """Processor time that servers beside the nodes have spent; 0 where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """SQLite files in a folder."""

    folder: Path

    def new(self, name: str) -> str:
        """As ``Databases.new``."""
        return f"sqlite:///{self.folder / name}.sqlite"

    def sizes(self, name: str) -> Mapping[str, int]:
        """As ``Databases.sizes``."""
        import sqlite3

        path = self.folder / f"{name}.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            parts = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
        connection.close()
        return {"total": path.stat().st_size, **dict(parts)}

    def server_seconds(self) -> float:
        """As ``Databases.server_seconds``."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running PostgreSQL server, reached by its socket."""

    folder: Path

    def new(self, name: str) -> str:
        """As ``Databases.new``; where the server is kept, the database that it has under this name already."""
        with self._connect("postgres") as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(
                    f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
                )
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def sizes(self, name: str) -> Mapping[str, int]:
        """As ``Databases.sizes``, without the some 7 MB that an empty database takes.

        What waited to be indexed is indexed first; what was deleted leaves room that is counted.
        """
        with self._connect(name) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")
            parts = {str(name): int(str(size)) for name, size in connection.execute(_SIZES)}
        return {"total": sum(parts.values()), **parts}

    def server_seconds(self) -> float:
        """As ``Databases.server_seconds``: what of it has ended is counted too."""
        return processor_seconds(int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]))

    def _connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True)


@contextmanager
def databases(folder: Path, *, postgresql: bool, kept: bool = False) -> Iterator[Databases]:
    """Files in ``folder``, or a server of their own as long as it takes.

    Args:
        folder: Where files are.
        postgresql: Whether to start a server.
        kept: Whether the server's files, too, are in ``folder`` and stay there for the next time.

    Raises:
        SystemExit: PostgreSQL's programs are not installed.
    """
    if not postgresql:
        yield Files(folder=folder)
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not programs:
        raise SystemExit("this benchmark needs PostgreSQL's server: apt-get install postgresql")
    place = folder / "postgresql" if kept else Path(mkdtemp(prefix="hx-pg-"))
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(place, owner.pw_uid, owner.pw_gid)
    cluster = ("-D", str(place / "data"))
    options = " ".join([f"-k {place}", "-c listen_addresses=", *(f"-c {setting}" for setting in _SETTINGS)])
    try:
        if not (place / "data").exists():
            _run(programs[0] / "initdb", *cluster, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        _run(programs[0] / "pg_ctl", *cluster, "-s", "-w", "-o", options, "-l", str(place / "log"), "start")
        try:
            yield Server(folder=place)
        finally:
            _run(programs[0] / "pg_ctl", *cluster, "-s", "-w", "-m", "fast" if kept else "immediate", "stop")
    finally:
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


def print_sizes(sizes: Mapping[str, int], count: int) -> None:
    """Stored bytes per resource, by table and index; what takes less than one is left out."""
    for name, size in sizes.items():
        if (each := size / count) >= 1:
            print(f"{each:12.0f}  {name}")


def _run(program: Path, *arguments: str) -> None:
    """Run a program of PostgreSQL's, which refuse to run as root."""
    who = "postgres" if os.geteuid() == 0 else None
    subprocess.run(  # noqa: S603  # our own server
        [str(program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/", user=who, group=who
    )
