"""Looking at a node's schema and bringing it to this release, from its settings, without starting the node."""

from health_exchange.store.database import open_database
from health_exchange.store.migrations import RELEASE, Standing, standing_at, upgrade_at
from health_exchange.wiring.settings import Settings, database_password

__all__ = ["RELEASE", "Standing", "standing", "upgrade"]


def standing(settings: Settings) -> Standing:
    """Where the schema of a node's database stands against this release; changes nothing.

    Raises:
        UnavailableError: The database does not answer.
    """
    return standing_at(open_database(settings.database, password=database_password(settings)))


def upgrade(settings: Settings) -> tuple[str, ...]:
    """Bring the schema to this release; the revisions that were applied.

    Raises:
        SchemaError: It is of a later release, or the database's role may not change it.
        UnavailableError: The database does not answer, or a table was in use for too long: nothing was changed.
    """
    return upgrade_at(open_database(settings.database, password=database_password(settings)))
