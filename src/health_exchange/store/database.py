"""What differs between the databases a store may stand on, behind one port.

Both give the store the same thing: one writer at a time, whichever process it is in, and readers that see one
consistent state. SQLite has that by nature; on PostgreSQL an advisory lock makes it so. Numbers that readers of the
feed and of the log go by can therefore be given while writing, and no two writes can contradict each other.
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DBAPIError

from health_exchange.model.errors import Category, ExchangeError, UnavailableError

RUN = "run"
"""Node state: which run of the node may write."""


class DatabaseTakenError(ExchangeError):
    """Another process is this database's node."""

    category = Category.CONFLICT
    code = "database-taken"


class UnkeepableError(ExchangeError):
    """A value cannot be kept as the column's type: a NUL in a text, a number out of range."""

    category = Category.INCORRECT
    code = "unkeepable"


class BadDatabaseError(ExchangeError):
    """The database cannot be used as it is."""

    category = Category.INCORRECT
    code = "bad-database"


class Database(Protocol):
    """One database.

    Attributes:
        engine: Its connections. Those with the execution option ``writes`` may write, the others read one state.
    """

    engine: Engine

    def begin_write(self, connection: Connection) -> str | None:
        """Wait until nobody else writes; the name of the run that claimed it, where a claim can slip unnoticed."""

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert many whole rows, their values in the order of the table's columns."""

    def claim(self) -> None:
        """Be this database's node as long as the process lives; again after it may have slipped.

        Raises:
            DatabaseTakenError: Another living process is.
            UnavailableError: The database does not answer.
        """

    def may_have_slipped(self) -> bool:
        """Whether the claim has to be made again: its connection shows a sign of having ended."""

    def scrub(self) -> bool:
        """Overwrite what was deleted, also in the database's own log; ``False`` where something is in the way."""

    def close(self) -> None:
        """Let go of it."""


def unavailable(error: DBAPIError) -> UnavailableError:
    """Ours, without the statement and its values."""
    name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
    return UnavailableError(f"the database does not answer: {name}", retry_after_s=1)
