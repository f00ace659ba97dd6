"""From a URL to a database: the one place that knows which kinds there are."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from health_exchange.model.secrecy import Secret
from health_exchange.store.database import BadDatabaseError, Database
from health_exchange.store.postgresql import PostgresqlDatabase
from health_exchange.store.sqlite import SqliteDatabase


def open_database(url: str, *, password: Secret | None = None, durable: bool = True) -> Database:
    """The database at ``url``.

    Args:
        url: ``sqlite:////path/to/file``, ``sqlite://`` (in memory) or ``postgresql+psycopg://user@host:port/name``.
        password: For PostgreSQL, where it asks for one.
        durable: ``False`` skips waiting for the disk: stories only.

    Raises:
        BadDatabaseError: A database of another kind.
    """
    try:
        name = make_url(url).drivername
    except ArgumentError:
        raise BadDatabaseError("the database is named by no URL") from None
    if name == "sqlite":
        return SqliteDatabase(url, durable=durable)
    if name == "postgresql+psycopg":
        return PostgresqlDatabase(url, password=password, durable=durable)
    raise BadDatabaseError(f"a node keeps its records in sqlite or postgresql+psycopg, not in {name}")
