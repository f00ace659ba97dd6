"""The rows of a consistent snapshot, table by table, for a backup: bulk, and apart from it what erasures take back.

The keys part holds every subject's key and standing, audit-period keys, waiting and cached identities, kept answers and
the shred list. It is small. The bulk may be kept for long: once the key files that knew an erased person are gone, what
the bulk holds of that person opens no more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Table, select

from health_exchange.store import schema
from health_exchange.store.archive import Frame, Part

ROWS = 500
FRAME_BYTES = 1 << 20
"""Roughly where a frame ends that has not reached its rows."""

KEYS_TABLES = (
    schema.subjects,
    schema.audit_periods,
    schema.pending,
    schema.identity_cache,
    schema.answered,
    schema.erasures,
    schema.shreds,
)


def tables_of(part: Part) -> tuple[Table, ...]:
    """The tables in one part of a backup; together they are all tables."""
    if part == "keys":
        return KEYS_TABLES
    return tuple(table for table in schema.METADATA.sorted_tables if table not in KEYS_TABLES)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the database, however long it reads and whoever writes."""
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def frames(connection: Connection, part: Part) -> Iterator[Frame]:
    """Every row of one part, in constant memory."""
    for table in tables_of(part):
        columns = [column.name for column in table.columns]
        rows: list[list[object]] = []
        size = 0
        streamed = connection.execution_options(stream_results=True, yield_per=ROWS).execute(select(table))
        for row in streamed:
            rows.append(list(row))
            size += sum(len(value) for value in row if isinstance(value, bytes | str))
            if len(rows) == ROWS or size > FRAME_BYTES:
                yield table.name, columns, rows
                rows, size = [], 0
        if rows:
            yield table.name, columns, rows
