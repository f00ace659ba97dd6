"""What happens to databases: somebody else holds the lock, the disk is full. And what must be true then."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from health_exchange.model.errors import UnavailableError
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.opening import open_database
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
            if table.info.get("only") in {None, tx.connection.dialect.name}
        }
    )


@contextmanager
def locked_by_another(database: str) -> Iterator[None]:
    """Another process writes meanwhile."""
    other = open_database(database)
    with other.engine.connect().execution_options(writes=True) as connection, connection.begin():
        other.begin_write(connection)
        yield
    other.close()


@contextmanager
def set_on_each_connection(store: Store, setting: str) -> Iterator[None]:
    """A setting that the store's connections have for a while."""
    engine = store._database.engine

    def _set(connection: sqlite3.Connection | psycopg.Connection[Any], _record: object, _proxy: object) -> None:
        connection.execute(setting)
        connection.commit()

    event.listen(engine, "checkout", _set)
    try:
        yield
    finally:
        event.remove(engine, "checkout", _set)
        # New connections have the store's own settings.
        engine.dispose()


def short_waits(store: Store) -> AbstractContextManager[None]:
    """The store waits for the others, but not for long."""
    settings = {"sqlite": f"PRAGMA busy_timeout = {SHORT_MS}", "postgresql": f"SET lock_timeout = {SHORT_MS}"}
    return set_on_each_connection(store, settings[store._database.engine.dialect.name])


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """The database cannot grow by a page: SQLite raises so small a bound to its present size."""
    with set_on_each_connection(store, "PRAGMA max_page_count = 1"):
        yield


def check_all_or_nothing_while_locked(store: Store, database: str, write: Callable[[Transaction], object]) -> None:
    """A write fails, clearly and for now, while another connection writes for longer than the store waits."""
    before = contents(store)
    with (
        short_waits(store),
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
    assert re.fullmatch("the database does not answer: (SQLITE_[A-Z_]+|[A-Z][A-Za-z]+)", error.detail)
    assert SECRET.decode() not in repr(error)
    assert error.__cause__ is None
