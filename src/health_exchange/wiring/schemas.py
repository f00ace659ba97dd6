"""Looking at a node's schema and bringing it to this release, from its settings, without starting the node."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import make_url

from health_exchange.store.database import Database
from health_exchange.store.migrations import RELEASE, Standing, standing_at, upgrade_at
from health_exchange.store.opening import open_database
from health_exchange.wiring.settings import BadSettingsError, Settings, database_password

__all__ = ["RELEASE", "Owner", "Standing", "as_owner", "standing", "upgrade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The role that owns a node's tables on PostgreSQL, the file of its password, and the audit reader's role."""

    role: str = ""
    password: Path | None = None
    auditor: str = ""


def standing(settings: Settings) -> Standing:
    """Where the schema of a node's database stands against this release; changes nothing.

    Raises:
        UnavailableError: The database does not answer.
    """
    return standing_at(_open(settings))


def upgrade(settings: Settings, owner: Owner) -> tuple[str, ...]:
    """Bring the schema to this release, and give the roles on PostgreSQL their rights; the revisions applied.

    Raises:
        SchemaError: It is of a later release, or the database's role may not change it.
        BadSettingsError: An owner is named for a database without roles.
        UnavailableError: The database does not answer, or a table was in use for too long: nothing was changed.
    """
    node = make_url(settings.database).username or "" if owner.role else ""
    return upgrade_at(_open(as_owner(settings, owner)), node=node, auditor=owner.auditor)


def as_owner(settings: Settings, owner: Owner) -> Settings:
    """The same database as the role that owns its tables; the settings as they are where no owner is named.

    Raises:
        BadSettingsError: The database has no roles.
    """
    if not owner.role:
        return settings
    if settings.database.startswith("sqlite"):
        raise BadSettingsError("database: SQLite has no roles, so nobody else owns its tables")
    return msgspec.structs.replace(
        settings,
        database=make_url(settings.database).set(username=owner.role).render_as_string(hide_password=False),
        database_password=str(owner.password) if owner.password is not None else "",
    )


def _open(settings: Settings) -> Database:
    return open_database(settings.database, password=database_password(settings))
