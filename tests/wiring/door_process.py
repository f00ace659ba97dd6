"""What the tests of door processes have each of them do."""

import time

from health_exchange.wiring.doors import Announce
from health_exchange.wiring.settings import Settings


def serve(settings: Settings, run: str, announce: Announce) -> None:
    """Tell of one commit to a table that is named like the settings and the run, then wait to be ended."""
    announce({str(settings), run})
    time.sleep(60)
