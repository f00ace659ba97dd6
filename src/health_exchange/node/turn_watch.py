"""Whether recurring work is done: when each turn was last taken, since when it fails and why.

The process that takes the turns notes it; the ``report`` turn puts it into the database, where whichever process is
asked finds it. A turn that hangs is one that was not taken for long.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.errors import ExchangeError
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.trace import bound

Take = Callable[[], Awaitable[bool]]


class TurnState(msgspec.Struct, frozen=True, kw_only=True):
    """One turn: when it last ended, well or not; since when it fails, and how."""

    ended_at: datetime
    failing_since: datetime | None = None
    code: str = ""
    detail: str = ""


class TurnWatch:
    """Notes what becomes of turns.

    Attributes:
        states: By turn; absent before it was first taken.
    """

    def __init__(self, clock: Clock, node: NodeAddress) -> None:
        self._clock = clock
        self._node = str(node)
        self._states: dict[str, TurnState] = {}

    @property
    def states(self) -> Mapping[str, TurnState]:
        """By turn."""
        return dict(self._states)

    def watched(self, name: str, take: Take) -> Take:
        """``take``, noting what becomes of it; its lines name node and turn."""

        async def watched_take() -> bool:
            with bound(node=self._node, turn=name):
                try:
                    did_something = await take()
                except ExchangeError as error:
                    self._failed(name, error.code, error.detail)
                    raise
                except Exception as defect:
                    self._failed(name, type(defect).__name__, "")
                    raise
                self._succeeded(name)
                return did_something

        return watched_take

    def _failed(self, name: str, code: str, detail: str) -> None:
        """Note a failure; the first of a row is told."""
        before, now = self._states.get(name), self._clock.now()
        since = before.failing_since if before is not None else None
        if since is None:
            log_event("turn-failed", code=code, detail=detail)
        self._states[name] = TurnState(ended_at=now, failing_since=since or now, code=code, detail=detail)

    def _succeeded(self, name: str) -> None:
        """Note a success; one after failures is told."""
        before = self._states.get(name)
        if before is not None and before.failing_since is not None:
            log_event("turn-recovered", code=before.code)
        self._states[name] = TurnState(ended_at=self._clock.now())
