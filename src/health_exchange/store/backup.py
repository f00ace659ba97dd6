"""The rows of a consistent snapshot, table by table, for a backup: bulk, and apart from it what erasures take back.

The keys part holds every subject's key and standing, audit-period keys, waiting and cached identities, kept answers and
the shred list. It is small. The bulk may be kept for long: once the key files that knew an erased person are gone, what
the bulk holds of that person opens no more.
"""

from collections.abc import Iterator

from sqlalchemy import Table, select

from health_exchange.store import schema, token_index
from health_exchange.store.archive import Frame, Part
from health_exchange.store.transaction import Transaction

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
    """The tables in one part of a backup; together they are all but those that one kind of database derives."""
    if part == "keys":
        return KEYS_TABLES
    kept = (table for table in schema.METADATA.sorted_tables if "only" not in table.info)
    return tuple(table for table in kept if table not in KEYS_TABLES)


def frames(tx: Transaction, part: Part) -> Iterator[Frame]:
    """Every row of one part as the transaction sees it, in constant memory."""
    for table in tables_of(part):
        columns = [str(column.name) for column in table.columns]
        rows: list[list[object]] = []
        size = 0
        streamed = tx.connection.execute(select(table), execution_options={"stream_results": True, "yield_per": ROWS})
        for row in streamed:
            rows.append(list(row))
            size += sum(len(value) for value in row if isinstance(value, bytes | str))
            if len(rows) == ROWS or size > FRAME_BYTES:
                yield _frame(tx, table, columns, rows)
                rows, size = [], 0
        if rows:
            yield _frame(tx, table, columns, rows)


def _frame(tx: Transaction, table: Table, columns: list[str], rows: list[list[object]]) -> Frame:
    """One frame. Search tokens that a release before this one kept apart from their row are put into it."""
    if table is schema.resources:
        rid, listed = columns.index("rid"), columns.index("tokens")
        apart = {int(str(row[rid])): row for row in rows if row[listed] is None}
        for number, tokens in token_index.unlisted(tx, apart).items():
            apart[number][listed] = tokens
    return str(table.name), columns, rows
