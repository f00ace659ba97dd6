"""A node's listeners, which take a new certificate without a request that fails.

The server reads its certificate when it starts, so another one starts beside it on the same port. The old one goes on
for as long as peers keep idle connections, answers what it still gets and asks its clients to come anew; then it ends.
"""

import asyncio
from pathlib import Path

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import Server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from health_exchange.peers.https import KEEPALIVE_S
from health_exchange.wiring.settings import Settings

LEAVE_AFTER_S = KEEPALIVE_S + 5.0


class Listener:
    """One port.

    Args:
        settings: Name certificate and key; where they name none, the port speaks plain HTTP.
        app: What it serves.
        port: Where.
        mutual: Whether clients show a certificate of the network's authority.
    """

    def __init__(self, settings: Settings, app: ASGIApp, port: int, *, mutual: bool) -> None:
        self._settings, self._app, self._port, self._mutual = settings, app, port, mutual
        self._stopped = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._present: tuple[_Door, Server] | None = None

    async def serve(self) -> None:
        """Serve until stopped."""
        async with self._tasks:
            self.renew()
            await self._stopped.wait()

    def renew(self) -> None:
        """Serve with the certificate as the files have it now, from now on."""
        door = _Door(self._app)
        server = _server(self._settings, door, self._port, mutual=self._mutual)
        self._tasks.create_task(server.serve())
        before, self._present = self._present, (door, server)
        if before is not None:
            before[0].is_leaving = True
        self._tasks.create_task(self._end(server))
        if before is not None:
            self._tasks.create_task(self._leave(before[1]))

    def stop(self) -> None:
        """End once what is under way is answered."""
        self._stopped.set()

    async def _leave(self, server: Server) -> None:
        """End a server whose place another one has taken, once its clients have had their time."""
        try:
            async with asyncio.timeout(LEAVE_AFTER_S):
                await self._stopped.wait()
        except TimeoutError:
            server.stop()  # type: ignore[no-untyped-call]  # granian's method has no annotations

    async def _end(self, server: Server) -> None:
        """End a server with the listener."""
        await self._stopped.wait()
        server.stop()  # type: ignore[no-untyped-call]  # granian's method has no annotations


class _Door:
    """An application as one server offers it; asks its clients to connect anew once the server is to end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.is_leaving = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, _closing(send) if self.is_leaving else send)


def _closing(send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return closing


def _server(settings: Settings, app: ASGIApp, port: int, *, mutual: bool) -> Server:
    """A server with the certificate as the files have it now."""
    certificate = Path(settings.certificate) if settings.certificate else None
    return Server(
        app,
        address=settings.host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        log_enabled=False,
        ssl_cert=certificate,
        ssl_key=Path(settings.certificate_key) if certificate is not None else None,
        ssl_protocol_min=SSLProtocols.tls13,
        ssl_ca=Path(settings.authority) if mutual else None,
        ssl_client_verify=mutual,
        backpressure=512,
    )
