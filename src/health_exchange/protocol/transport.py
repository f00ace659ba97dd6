"""The port between use cases and the wire: somebody who carries a request to another node.

Two implementations ship: ``peers.https`` between processes and ``peers.in_process`` within one.
"""

from dataclasses import dataclass
from typing import Protocol

from health_exchange.model.addresses import NodeAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """What came back.

    Attributes:
        status: HTTP status code.
        body: The answer's bytes. Untrusted.
    """

    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        """Whether the peer did what was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004  # the definition of success in RFC 9110


class PeerTransport(Protocol):
    """Carries requests to peers; HTTPS between processes, direct calls within one."""

    async def send(
        self, to: NodeAddress, method: str, path: str, body: bytes = b"", *, timeout_s: float = 10.0
    ) -> PeerAnswer:
        """Carry one authenticated request and bring back the answer.

        Raises:
            UnavailableError: No answer within ``timeout_s``, or no connection.
        """
