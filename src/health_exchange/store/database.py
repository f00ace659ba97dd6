"""What differs between the databases a store may stand on, behind one port.

Both give the store the same thing: one writer at a time, whichever process it is in, and readers that see one
consistent state. SQLite has that by nature; on PostgreSQL an advisory lock makes it so. Numbers that readers of the
feed and of the log go by can therefore be given while writing, and no two writes can contradict each other.
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from health_exchange.model.errors import Category, ExchangeError, UnavailableError

READ_S = 10
"""How long a read that may take long may take; each of its statements and, between them, all of it."""
_ENDED = frozenset({"SQLITE_INTERRUPT", "QueryCanceled"})
"""What the drivers call a statement that was ended for its time."""
LIMITED = "limited"
"""Execution option of a connection whose next transaction is such a read."""
RUN = "run"
"""Node state: which run of the node may write."""


class DatabaseTakenError(ExchangeError):
    """Another process is this database's node."""

    category = Category.CONFLICT
    code = "database-taken"


class WriteConflictError(ExchangeError):
    """A row that may exist once exists already: somebody else wrote it meanwhile."""

    category = Category.BUSY
    code = "write-conflict"


class UnkeepableError(ExchangeError):
    """A value cannot be kept as the column's type: a NUL in a text, a number out of range."""

    category = Category.INCORRECT
    code = "unkeepable"


class BadDatabaseError(ExchangeError):
    """The database cannot be used as it is."""

    category = Category.INCORRECT
    code = "bad-database"


class TooSlowError(ExchangeError):
    """A read has taken as long as one may: the same one would again, so nobody is asked to send it later."""

    category = Category.INCORRECT
    code = "too-slow"

    def __init__(self) -> None:
        super().__init__(
            f"this takes longer than {READ_S} s and was ended; say more: a person, a code, a date, fewer alternatives"
        )


class Database(Protocol):
    """One database.

    Attributes:
        engine: Its connections. Those with the execution option ``writes`` may write, the others read one state; a
            statement of those with the option ``limited`` is ended after ``READ_S``.
    """

    engine: Engine

    def begin_write(self, connection: Connection) -> str | None:
        """Wait until nobody else writes; the name of the run that claimed it, where a claim can slip unnoticed."""

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert many whole rows, their values in the order of the table's columns."""

    def fetch(self, connection: Connection, text: str, values: Sequence[object]) -> Sequence[tuple[object, ...]]:
        """All rows of a SELECT, straight from the driver, whose errors come as SQLAlchemy raises them."""

    def is_aborted(self, connection: Connection) -> bool:
        """Whether a statement has failed in the transaction, so that nothing of it can be kept any more."""

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


def unavailable(error: DBAPIError, *, limited: bool = False) -> UnavailableError | TooSlowError:
    """Ours, without the statement and its values.

    Args:
        error: The driver's.
        limited: Whether we may have ended the statement; nobody else's ending it says that it took too long.
    """
    name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
    if limited and name in _ENDED:
        return TooSlowError()
    return UnavailableError(f"the database does not answer: {name}", retry_after_s=1)


def not_kept(error: IntegrityError | DataError) -> ExchangeError:
    """Of one write alone, whose values the database does not take."""
    if isinstance(error, IntegrityError):
        return WriteConflictError("another write was faster", retry_after_s=0.1)
    return UnkeepableError("a value of the request cannot be kept as its column's type")
