"""A PostgreSQL server is lost in the middle of writing; with a base backup and received WAL nothing acknowledged is.

The steps are those of ``docs/operators/backup.md``.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.databases import NODE_ROLE, PostgresqlServer, running_server

from health_exchange.model.clock import SystemClock
from health_exchange.model.errors import ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.store import audit_log, incarnations, node_state
from health_exchange.store.engine import Store, StoreKeys

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
POSTGRES = "postgres" if os.geteuid() == 0 else None
ENOUGH = 200
"""Entries that are acknowledged before the server is lost."""


@contextmanager
def received(server: PostgresqlServer, archive: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Every commit waits until its WAL is in ``archive`` as well."""
    archive.mkdir(mode=0o700)
    if POSTGRES:
        shutil.chown(archive, POSTGRES, POSTGRES)
    command = [
        str(server.binaries / "pg_receivewal"),
        *("-D", str(archive), "--synchronous", "--no-loop", "-d", f"{server.conninfo} application_name=archive"),
    ]
    receiver = subprocess.Popen(  # noqa: S603  # our own server
        command, user=POSTGRES, group=POSTGRES, cwd="/", stderr=subprocess.DEVNULL
    )
    try:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'archive'")
        server.execute("SELECT pg_reload_conf()")
        yield receiver
    finally:
        receiver.terminate()
        receiver.wait(timeout=30)


def keep_writing(store: Store, acknowledged: list[int], stop: threading.Event) -> None:
    """Entries of the log, one after another, noted once they are acknowledged."""
    number = 0
    while not stop.is_set():
        number += 1
        raw = number.to_bytes(8)
        try:
            store.write_now(partial(audit_log.append, new=[audit_log.NewEntry(raw, raw * 4)]))
        except ExchangeError:
            return
        acknowledged.append(number)


def back_up(server: PostgresqlServer, base: Path) -> None:
    """A base backup of the server at work."""
    arguments = ("-D", str(base), "-c", "fast", "-X", "none", "-d", server.conninfo)
    subprocess.run(  # noqa: S603  # our own server
        [str(server.binaries / "pg_basebackup"), *arguments],
        check=True,
        user=POSTGRES,
        group=POSTGRES,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )


def recover(server: PostgresqlServer, base: Path, archive: Path) -> None:
    """Put the base backup in the lost folder's place and let the server replay everything that was received."""
    data = server.folder / "data"
    shutil.rmtree(data)
    shutil.move(base, data)
    for unfinished in archive.glob("*.partial"):
        unfinished.rename(unfinished.with_suffix(""))
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp \"{archive}/%f\" \"%p\"'\nsynchronous_standby_names = ''\n")
    (data / "recovery.signal").touch()
    if POSTGRES:
        shutil.chown(data / "recovery.signal", POSTGRES, POSTGRES)
    server.start()


@pytest.mark.slow
def test_with_a_base_backup_and_received_wal_nothing_acknowledged_is_lost() -> None:
    # Without a slot, a checkpoint would remove what has not been received yet.
    with running_server(settings=("wal_level=replica", "wal_keep_size=256MB")) as server:
        archive, base = server.folder / "archive", server.folder / "base"
        url = server.url(server.new_database(), NODE_ROLE)
        with received(server, archive) as receiver:
            back_up(server, base)
            assert receiver.poll() is None, "nobody receives, so no commit would return"
            acknowledged: list[int] = []
            stop = threading.Event()
            store = Store.open(url, KEYS, SystemClock(), os.urandom)
            stream = store.write_now(node_state.own_stream)
            writing = threading.Thread(target=keep_writing, args=(store, acknowledged, stop))
            writing.start()
            deadline = time.monotonic() + 120
            while len(acknowledged) < ENOUGH and time.monotonic() < deadline:
                time.sleep(0.05)
            server.stop("immediate")
            stop.set()
            writing.join(timeout=60)
            store.close()
        assert len(acknowledged) >= ENOUGH
        recover(server, base, archive)
        store = Store.open(url, KEYS, SystemClock(), os.urandom)
        kept = [
            int.from_bytes(entry.raw or b"") for entry in store.read_now(lambda tx: audit_log.entries(tx, 0, 10**6))
        ]

        # One more may have been durable without anybody having heard of it.
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) <= len(acknowledged) + 1
        # Nothing was lost, so the same life goes on.
        assert store.write_now(node_state.own_stream) == stream
        assert store.read_now(incarnations.current) == incarnations.FIRST
        store.close()
