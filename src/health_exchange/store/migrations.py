"""Bringing a database to the schema this release works with, by alembic, from inside the program."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine

import health_exchange

_PACKAGE = Path(health_exchange.__file__).parent


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
    """As :func:`upgrade`, on an open connection; committed."""
    command.upgrade(_config(connection), revision)
    connection.commit()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder()))
    config.attributes["connection"] = connection
    return config
