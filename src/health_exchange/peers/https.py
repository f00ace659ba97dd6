"""Requests to peers over HTTPS: mutual TLS 1.3 beneath, a signed hop above, connections kept alive.

TLS says that the peer belongs to the network; the hop's signature says which node speaks, and holds whoever terminates
TLS in between.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.errors import UnavailableError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.hops import REQUEST_ID, sign_hop
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.telemetry.trace import current_request_id

CONNECT_TIMEOUT_S = 3.0
KEEPALIVE_S = 20.0


def client_context(*, authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """What this node shows and demands as a TLS client: its certificate, and one issued by the network's authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


class HttpsTransport:
    """Carries this node's requests; a ``PeerTransport``.

    Args:
        address: Its own.
        url_of: Where a peer's exchange door is now.
        seed: What signs hops now.
        clock: For hops.
        randomness: For nonces.
        context: What the node shows and demands as a TLS client.
    """

    def __init__(
        self,
        *,
        address: NodeAddress,
        url_of: Callable[[NodeAddress], str],
        seed: Callable[[], Secret],
        clock: Clock,
        randomness: Randomness,
        context: ssl.SSLContext,
    ) -> None:
        self._address = address
        self._url_of = url_of
        self._seed = seed
        self._clock = clock
        self._randomness = randomness
        self._client = httpx.AsyncClient(
            verify=context,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=32, keepalive_expiry=KEEPALIVE_S),
        )

    async def send(
        self, to: NodeAddress, method: str, path: str, body: bytes = b"", *, timeout_s: float = 10.0
    ) -> PeerAnswer:
        """The peer's answer, whatever its status.

        Raises:
            UnavailableError: No connection, or no answer within ``timeout_s``.
        """
        headers = sign_hop(
            method,
            path,
            body,
            sender=self._address,
            recipient=to,
            at=self._clock.now(),
            nonce=self._randomness(16),
            seed=self._seed(),
        )
        headers[REQUEST_ID] = current_request_id()
        failure: str
        try:
            # The client's own timeouts are for each read: somebody who drips would never be cut.
            async with asyncio.timeout(timeout_s):
                response = await self._client.request(
                    method,
                    self._url_of(to) + path,
                    content=body,
                    headers=headers,
                    timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
                )
        except (httpx.TimeoutException, TimeoutError):
            failure = f"{to} did not answer within {timeout_s:g} s"
        except httpx.HTTPError as error:
            failure = f"{to} cannot be reached ({type(error).__name__})"
        else:
            return PeerAnswer(status=response.status_code, body=response.content)
        raise UnavailableError(failure, retry_after_s=1.0)

    async def close(self) -> None:
        """Give up all connections."""
        await self._client.aclose()
