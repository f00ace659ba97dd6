"""Bringing a database to the schema this release works with, by alembic, from inside the program."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

import health_exchange
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.store import roles
from health_exchange.store.database import Database, unavailable

_PACKAGE = Path(health_exchange.__file__).parent

UPGRADED_BY = "upgraded-by"
"""Node state: the release that last changed the schema, for those that do not know the schema."""


class SchemaError(ExchangeError):
    """The database's schema is not the one this release works with."""

    category = Category.CONFLICT
    code = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a database's schema stands against this release.

    Attributes:
        revision: Of the database; empty for a database without any table of ours.
        wanted: What this release works with.
        pending: Revisions from the one to the other, in order; none where the database's is unknown here.
        is_known: Whether this release knows the database's revision.
        upgraded_by: The release that made the schema what it is; empty where it did not say.
    """

    revision: str
    wanted: str
    pending: tuple[str, ...]
    is_known: bool
    upgraded_by: str

    @property
    def is_current(self) -> bool:
        """Whether this release works with the database as it is."""
        return self.revision == self.wanted

    @property
    def advice(self) -> str:
        """What is to be done about a schema that is not the one this release works with."""
        if not self.is_known:
            release = f"release {self.upgraded_by}" if self.upgraded_by else "a later release"
            return (
                f"the database has schema {self.revision}, made by {release}; this is {RELEASE}, which knows up to "
                f"{self.wanted}: start {release} or a later one"
            )
        return (
            f"the database has schema {self.revision or 'none'}, this release works with {self.wanted}: run "
            "health-exchange database upgrade"
        )

    def check(self) -> None:
        """Raise ``SchemaError``, saying what to do, unless this release works with the database as it is."""
        if not self.is_current:
            raise SchemaError(self.advice)


RELEASE = version("health-exchange")


def folder() -> Path:
    """Where the migrations are: in an installed wheel or in the source tree.

    Raises:
        FileNotFoundError: This installation lacks them.
    """
    for place in (_PACKAGE / "_shipped" / "migrations", _PACKAGE.parents[1] / "migrations"):
        if (place / "env.py").is_file():
            return place
    raise FileNotFoundError("this installation of health_exchange lacks its migrations")


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at ``url`` up to ``revision``."""
    engine = create_engine(url)
    with engine.connect() as connection:
        upgrade_connection(connection, revision)
    engine.dispose()


def downgrade(url: str, revision: str = "base") -> None:
    """Take the database at ``url`` back to ``revision``."""
    engine = create_engine(url)
    with engine.connect() as connection:
        command.downgrade(_config(connection), revision)
        connection.commit()
    engine.dispose()


def upgrade_connection(connection: Connection, revision: str = "head") -> None:
    """As :func:`upgrade`, on an open connection; committed. Changes nothing where there is nothing to do.

    Raises:
        SchemaError: The database's schema is one that this release does not know, or its role may not change it.
    """
    standing = standing_of(connection)
    if not standing.is_known:
        standing.check()
    if standing.is_current:
        connection.rollback()
        return
    _change(connection, command.upgrade, revision, standing)


def _change(connection: Connection, change: Callable[[Config, str], None], revision: str, standing: Standing) -> None:
    """Go up or down and note by which release; all of it or, where the role may not, nothing."""
    problem: SchemaError | None = None
    try:
        change(_config(connection), revision)
        connection.execute(text("DELETE FROM node_state WHERE name = :name"), {"name": UPGRADED_BY})
        connection.execute(
            text("INSERT INTO node_state (name, value) VALUES (:name, :value)"),
            {"name": UPGRADED_BY, "value": RELEASE.encode()},
        )
        connection.commit()
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        problem = SchemaError(f"{standing.advice}, as the role that owns the tables")
    if problem is not None:
        raise problem


def bring_empty(connection: Connection, revision: str) -> None:
    """Bring a database without rows, or with those of an earlier revision, to ``revision``; committed.

    Raises:
        SchemaError: This release does not know the revision, or the role may not change the schema.
    """
    standing = standing_of(connection)
    known = known_revisions()
    if revision not in known:
        raise SchemaError(f"schema {revision} is of a later release than this, {RELEASE}: use that")
    if revision != standing.revision:
        is_later = standing.revision in known and known.index(standing.revision) < known.index(revision)
        _change(connection, command.downgrade if is_later else command.upgrade, revision, standing)
    connection.rollback()


def standing_at(database: Database) -> Standing:
    """As :func:`standing_of`, of a database that is let go of afterwards; raises ``UnavailableError``."""
    try:
        with database.engine.connect() as connection:
            return standing_of(connection)
    except DBAPIError as error:
        raise unavailable(error) from None
    finally:
        database.close()


def upgrade_at(database: Database, *, node: str = "", auditor: str = "") -> tuple[str, ...]:
    """As :func:`upgrade`, of a database that is let go of afterwards; the revisions that were applied.

    Args:
        database: Opened as the role that owns the tables.
        node: The role to give the node's rights; empty for a database without roles.
        auditor: The role to give the audit reader's rights.

    Raises:
        SchemaError: As :func:`upgrade_connection`.
        UnavailableError: The database does not answer, or a table was in use for too long: nothing was changed.
    """
    try:
        with database.engine.connect().execution_options(writes=True) as connection:
            pending = standing_of(connection).pending
            upgrade_connection(connection)
            if node:
                roles.grant(connection, node=node, auditor=auditor or None)
                connection.commit()
            return pending
    except DBAPIError as error:
        raise unavailable(error) from None
    finally:
        database.close()


def standing_of(connection: Connection) -> Standing:
    """Where the database's schema stands; reads only."""
    revision, known = MigrationContext.configure(connection).get_current_revision() or "", known_revisions()
    is_known = not revision or revision in known
    pending = known[: known.index(revision)] if revision in known else known if not revision else ()
    upgraded_by = b""
    if revision:
        named = text("SELECT value FROM node_state WHERE name = :name")
        upgraded_by = connection.execute(named, {"name": UPGRADED_BY}).scalar_one_or_none() or b""
    return Standing(
        revision=revision,
        wanted=known[0],
        pending=tuple(reversed(pending)),
        is_known=is_known,
        upgraded_by=bytes(upgraded_by).decode(),
    )


@cache
def known_revisions() -> tuple[str, ...]:
    """Every revision that this release knows, the latest first."""
    return tuple(script.revision for script in ScriptDirectory(str(folder())).walk_revisions())


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder()))
    config.attributes["connection"] = connection
    return config
