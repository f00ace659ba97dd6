"""The operator door: is the node alive, is it ready, how is it doing. Counts only, open to whoever reaches the port."""

from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from health_exchange.model.errors import ExchangeError
from health_exchange.node.network import network_status
from health_exchange.node.parts import NodeParts
from health_exchange.node.status import status_of


@dataclass(frozen=True, slots=True)
class OperatorDoor:
    """Health and status of one node."""

    parts: NodeParts

    def routes(self) -> list[Route]:
        """What the server mounts."""
        return [
            Route("/health/live", self._live, methods=["GET"]),
            Route("/health/ready", self._ready, methods=["GET"]),
            Route("/operator/v1/status", self._status, methods=["GET"]),
            Route("/operator/v1/network", self._network, methods=["GET"]),
        ]

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _request: Request) -> Response:
        try:
            await self.parts.store.read(lambda _tx: None)
        except ExchangeError as error:
            return JSONResponse({"status": "not ready", "missing": error.detail}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def _status(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(await status_of(self.parts)), media_type="application/json")

    async def _network(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(await network_status(self.parts)), media_type="application/json")
