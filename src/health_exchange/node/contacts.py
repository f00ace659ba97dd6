"""How other nodes answer this one: each peer's last answer, since when it does not, and why.

A transport around the real one, so that no use case reports anything by hand. Between requests that somebody needs,
``greeting`` says hello, so that a peer that is away is known before it is needed.
"""

from collections.abc import Mapping
from datetime import datetime
from time import perf_counter
from urllib.parse import urlsplit

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.errors import ExchangeError
from health_exchange.protocol.transport import PeerAnswer, PeerTransport
from health_exchange.store.meters import Meters
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.families import PEER_REQUESTS
from health_exchange.telemetry.metrics import counted

BUSY = frozenset({429, 503})


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One peer: when it last answered, since when it does not, and why."""

    answered_at: datetime | None = None
    failing_since: datetime | None = None
    detail: str = ""


class Contacts:
    """Carries requests, and notes what became of them; a ``PeerTransport``."""

    def __init__(self, transport: PeerTransport, clock: Clock, meters: Meters) -> None:
        self._transport = transport
        self._clock = clock
        self._meters = meters
        self._known: dict[NodeAddress, Contact] = {}

    @property
    def known(self) -> Mapping[NodeAddress, Contact]:
        """Everyone who was asked something since the process started."""
        return dict(self._known)

    async def send(
        self, to: NodeAddress, method: str, path: str, body: bytes = b"", *, timeout_s: float = 10.0
    ) -> PeerAnswer:
        """The peer's answer; raises as the transport does."""
        operation, begun = urlsplit(path).path, perf_counter()
        try:
            answer = await self._transport.send(to, method, path, body, timeout_s=timeout_s)
        except ExchangeError as error:
            elapsed_ms = round((perf_counter() - begun) * 1000, 1)
            self._note(to, operation, error.code, error.detail, elapsed_ms)
            raise
        self._meters.count({counted(PEER_REQUESTS, operation=operation, outcome=_outcome(answer)): 1})
        self._known[to] = Contact(answered_at=self._clock.now())
        return answer

    def _note(self, to: NodeAddress, operation: str, code: str, detail: str, elapsed_ms: float) -> None:
        """Note that a peer did not answer; the first time it is told."""
        before = self._known.get(to, Contact())
        if before.failing_since is None:
            log_event("peer-away", peer=str(to), route=operation, code=code, detail=detail, elapsed_ms=elapsed_ms)
        self._meters.count({counted(PEER_REQUESTS, operation=operation, outcome="away"): 1})
        self._known[to] = Contact(
            answered_at=before.answered_at, failing_since=before.failing_since or self._clock.now(), detail=detail
        )


def _outcome(answer: PeerAnswer) -> str:
    if answer.is_ok:
        return "answered"
    return "busy" if answer.status in BUSY else "refused"
