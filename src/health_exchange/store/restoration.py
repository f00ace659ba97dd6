"""Filling an empty database from a backup, whichever database the backup was taken from.

Rows are loaded into the schema they were written under, which is then brought up to this release's: so a migration that
moves data moves theirs. What the keys part no longer has a key for is dropped.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, MetaData, distinct, func, insert, inspect, select

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.store import incarnations, node_state, schema, shredding
from health_exchange.store.archive import BadBackupError, Frame, Part
from health_exchange.store.backup import tables_of
from health_exchange.store.incarnations import Rejoining
from health_exchange.store.integrator import integrate
from health_exchange.store.subjects import SubjectState
from health_exchange.store.transaction import Transaction

_LOADING = "rejoin"
"""Node state that keeps a node from starting; ``incarnations.begin`` says more in its place."""


class NotEmptyError(ExchangeError):
    """The database to restore into holds something."""

    category = Category.CONFLICT
    code = "database-not-empty"


def check_empty(connection: Connection) -> None:
    """Refuse a database that holds rows of ours or of anybody; raises ``NotEmptyError``."""
    known = MetaData()
    known.reflect(connection)
    for table in known.sorted_tables:
        if table.name != "alembic_version" and connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise NotEmptyError(f"the database holds rows ({table.name}); restore into an empty one")


def load(connection: Connection, part: Part, frames: Iterable[Frame]) -> int:
    """Insert a part's rows into the schema they were written under; how many. The caller commits.

    Raises:
        BadBackupError: They are of tables or columns that schema does not have.
    """
    known, loaded = MetaData(), 0
    known.reflect(connection)
    allowed = {table.name for table in tables_of(part)}
    for name, columns, rows in frames:
        table = known.tables.get(name)
        if table is None or name not in allowed or not set(columns) <= set(table.columns.keys()):
            raise BadBackupError(f"the backup's {part} holds rows of {name!r} that its schema does not have")
        connection.execute(insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
        loaded += len(rows)
    return loaded


def has_table(connection: Connection, name: str) -> bool:
    """Whether the database has a table."""
    return inspect(connection).has_table(name)


def settle(tx: Transaction, taken_at: datetime) -> Rejoining:
    """Make one node's database of what was loaded, and begin its new incarnation.

    Raises:
        SealBrokenError: The node's key set does not open the keys that were loaded.
    """
    _try_a_key(tx)
    _drop_keyless(tx)
    _raise_sequences(tx)
    integrate(tx)
    return incarnations.begin(tx, taken_at)


def _try_a_key(tx: Transaction) -> None:
    """Open one key of a person or of the log, of whichever there are."""
    for table in (schema.subjects, schema.audit_periods):
        wrapped = tx.execute(
            select(table.c.key_wrapped).where(table.c.key_wrapped.is_not(None)).limit(1)
        ).scalar_one_or_none()
        if wrapped is not None:
            tx.ring.unwrap(wrapped)


def _drop_keyless(tx: Transaction) -> None:
    """Destroy what the bulk still holds of persons who were erased before the keys were taken."""
    erased = select(schema.subjects.c.sid).where(schema.subjects.c.state == SubjectState.SHREDDED.value)
    for table in (schema.resources, schema.history):
        for sid in tx.execute(select(distinct(table.c.sid)).where(table.c.sid.in_(erased))).scalars().all():
            shredding.destroy(tx, sid)
    node_state.put(tx, shredding.SCRUB, b"due")


def _raise_sequences(tx: Transaction) -> None:
    """No row number is given twice, also not one that only the younger keys part knows."""
    last = tx.execute(select(func.max(schema.subjects.c.sid))).scalar_one() or 0
    known = tx.execute(select(schema.sequences.c.last).where(schema.sequences.c.name == "subjects")).scalar_one_or_none()
    if last > (known or 0):
        tx.allocate("subjects", last - (known or 0))
