"""What happens to databases: somebody else holds the lock, the disk is full. And what must be true then."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from health_exchange.model.errors import UnavailableError
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.schema import METADATA

SHORT_MS = 50
SECRET = b"zhangsan"
"""Stands in what is written and never in an error."""


class SetClock:
    """Tells the time it was set to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    return store.read_now(
        lambda tx: {
            name: sorted((tuple(row) for row in tx.execute(table.select())), key=repr)
            for name, table in METADATA.tables.items()
        }
    )


@contextmanager
def locked_by_another(database: Path) -> Iterator[None]:
    """Another connection writes meanwhile."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def set_on_each_connection(store: Store, pragma: str, value: int) -> Iterator[None]:
    """A setting of SQLite's that the store's connections have for a while."""

    def _set(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.execute(f"PRAGMA {pragma} = {value}")

    event.listen(store._engine, "checkout", _set)
    try:
        yield
    finally:
        event.remove(store._engine, "checkout", _set)
        # New connections have the store's own settings.
        store._engine.dispose()


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """The database cannot grow by a page: SQLite raises so small a bound to its present size."""
    with set_on_each_connection(store, "max_page_count", 1):
        yield


def check_all_or_nothing_while_locked(store: Store, database: Path, write: Callable[[Transaction], object]) -> None:
    """A write fails, clearly and for now, while another connection writes for longer than the store waits."""
    before = contents(store)
    with (
        set_on_each_connection(store, "busy_timeout", SHORT_MS),
        locked_by_another(database),
        pytest.raises(UnavailableError) as locked,
    ):
        store.write_now(write)
    _check_told(locked.value)
    assert contents(store) == before
    store.write_now(write)
    assert contents(store) != before


def check_all_or_nothing_on_a_full_disk(store: Store, write: Callable[[Transaction], object]) -> None:
    """A write that needs more room than there is fails clearly, leaves no part, and works once there is room."""
    before = contents(store)
    with full_disk(store):
        with pytest.raises(UnavailableError) as full:
            store.write_now(write)
        _check_told(full.value)
        assert contents(store) == before
    store.write_now(write)
    assert contents(store) != before


def _check_told(error: UnavailableError) -> None:
    """The caller learns that it may try again, and nothing of what was written."""
    assert (error.code, error.retry_after_s) == ("unavailable", 1)
    assert error.detail.startswith("the database does not answer: SQLITE_")
    assert SECRET.decode() not in repr(error)
    assert error.__cause__ is None
