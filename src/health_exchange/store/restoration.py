"""Filling an empty database from a backup, whichever database the backup was taken from.

Rows are loaded into the schema they were written under, which is then brought up to this release's: so a migration that
moves data moves theirs. What the keys part no longer has a key for is dropped.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, delete, func, insert, select
from sqlalchemy.exc import DBAPIError

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.store import incarnations, migrations, node_state, schema, shredding
from health_exchange.store.archive import BadBackupError, Frame, Part
from health_exchange.store.backup import tables_of
from health_exchange.store.database import Database, unavailable
from health_exchange.store.incarnations import LOADING, Rejoining
from health_exchange.store.opening import open_database
from health_exchange.store.subjects import SubjectState
from health_exchange.store.token_lists import TokenList
from health_exchange.store.transaction import Transaction

_SEEDED = (schema.node_state, schema.counters)
"""Tables that migrations put rows into. A node that has started has rows in others: its start is in its log."""


UNDER_WAY = timedelta(seconds=10)
"""How long before its commit, which a snapshot may have missed, an answer may have been dated."""


class NotEmptyError(ExchangeError):
    """The database to restore into holds something."""

    category = Category.CONFLICT
    code = "database-not-empty"


def open_empty(url: str, password: Secret | None) -> Database:
    """A database that holds no row of ours or of anybody.

    Raises:
        NotEmptyError: It does.
        UnavailableError: It cannot be opened.
    """
    database = open_database(url, password=password)
    try:
        with database.engine.connect() as connection:
            _check_empty(connection)
    except DBAPIError as error:
        database.close()
        raise unavailable(error) from None
    except NotEmptyError:
        database.close()
        raise
    return database


def load(database: Database, revision: str, part: Part, frames: Iterable[Frame]) -> int:
    """Bring the database to the schema that a part was written under and insert its rows; how many.

    Raises:
        BadBackupError: The rows are of tables or columns that the schema does not have.
        SchemaError: The schema is of a later release, or the database's role may not make it.
        UnavailableError: The database cannot keep them.
    """
    try:
        with database.engine.connect().execution_options(writes=True) as connection:
            migrations.bring_empty(connection, revision)
            with connection.begin():
                if part == "bulk":
                    mark = {"name": LOADING, "value": b"underway"}
                    for table in _SEEDED:
                        connection.execute(delete(table))
                    connection.execute(insert(schema.node_state), mark)
                return _insert(connection, part, frames)
    except DBAPIError as error:
        raise unavailable(error) from None


def forget_answers(database: Database, taken_at: datetime) -> None:
    """Let requests be carried out again that were answered after the bulk: what they brought is not in it.

    Raises:
        UnavailableError: The database does not answer.
    """
    since = (taken_at - UNDER_WAY).isoformat()
    try:
        with database.engine.connect().execution_options(writes=True) as connection, connection.begin():
            connection.execute(delete(schema.answered).where(schema.answered.c.kept_at >= since))
    except DBAPIError as error:
        raise unavailable(error) from None


def _check_empty(connection: Connection) -> None:
    known = MetaData()
    known.reflect(connection)
    for table in known.sorted_tables:
        if table.name in {"alembic_version", *(seeded.name for seeded in _SEEDED)}:
            continue
        if connection.execute(select(table).limit(1)).first() is not None:
            raise NotEmptyError(f"the database holds rows ({table.name}); restore into an empty one")


def _insert(connection: Connection, part: Part, frames: Iterable[Frame]) -> int:
    known, loaded = MetaData(), 0
    # The one type that no database knows by itself.
    Table(schema.resources.name, known, Column("tokens", TokenList), autoload_with=connection)
    known.reflect(connection)
    keeps_tokens_apart = connection.dialect.name == "sqlite"
    allowed = {table.name for table in tables_of(part)}
    for name, columns, rows in frames:
        table = known.tables.get(name)
        if table is None or name not in allowed or not set(columns) <= set(table.columns.keys()):
            raise BadBackupError(f"the backup's {part} holds rows of {name!r} that its schema does not have")
        given = [dict(zip(columns, row, strict=True)) for row in rows]
        connection.execute(insert(table), given)
        if keeps_tokens_apart and name == schema.resources.name:
            _index_tokens(connection, given)
        loaded += len(rows)
    return loaded


def _index_tokens(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """What SQLite finds resources by, which PostgreSQL finds in their rows."""
    pairs = [{"token": token, "rid": row["rid"]} for row in rows for token in set(row["tokens"] or ())]
    if pairs:
        connection.execute(insert(schema.tokens), pairs)


def settle(tx: Transaction, taken_at: datetime) -> Rejoining:
    """Make one node's database of what was loaded, and begin its new incarnation.

    Raises:
        SealBrokenError: The node's key set does not open the keys that were loaded.
    """
    _try_a_key(tx)
    _drop_keyless(tx)
    _raise_sequences(tx)
    node_state.drop(tx, LOADING)
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
        for sid in tx.execute(select(table.c.sid).distinct().where(table.c.sid.in_(erased))).scalars().all():
            shredding.destroy(tx, sid)
    node_state.put(tx, shredding.SCRUB, b"due")


def _raise_sequences(tx: Transaction) -> None:
    """No row number is given twice, also not one that only the younger keys part knows."""
    last = tx.execute(select(func.max(schema.subjects.c.sid))).scalar_one() or 0
    known = tx.execute(
        select(schema.sequences.c.last).where(schema.sequences.c.name == "subjects")
    ).scalar_one_or_none()
    if last > (known or 0):
        tx.allocate("subjects", last - (known or 0))
