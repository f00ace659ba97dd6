"""Looking at a node's schema and bringing it to this release, from its settings, without starting the node."""

from sqlalchemy.exc import DBAPIError

from health_exchange.store import migrations
from health_exchange.store.engine import make_engine, unavailable
from health_exchange.store.migrations import RELEASE, Standing
from health_exchange.wiring.settings import Settings

__all__ = ["RELEASE", "Standing", "standing", "upgrade"]


def standing(settings: Settings) -> Standing:
    """Where the schema of a node's database stands against this release; changes nothing.

    Raises:
        UnavailableError: The database does not answer.
    """
    engine = make_engine(settings.database)
    try:
        with engine.connect() as connection:
            return migrations.standing_of(connection)
    except DBAPIError as error:
        raise unavailable(error) from None
    finally:
        engine.dispose()


def upgrade(settings: Settings) -> tuple[str, ...]:
    """Bring the schema to this release; the revisions that were applied.

    Raises:
        SchemaError: It is of a later release.
        UnavailableError: The database does not answer, or a table was in use for too long: nothing was changed.
    """
    engine = make_engine(settings.database)
    try:
        with engine.connect() as connection:
            pending = migrations.standing_of(connection).pending
            migrations.upgrade_connection(connection)
            return pending
    except DBAPIError as error:
        raise unavailable(error) from None
    finally:
        engine.dispose()
