"""The operator door: is the node alive, is it ready, how is it doing. Counts only, open to whoever reaches the port.

Alive is whoever answers; ready is who can do its own work (``node.troubles``).
"""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from health_exchange.api.operator_description import DESCRIPTION_PATH, description
from health_exchange.model.errors import ExchangeError
from health_exchange.node.measuring import measure
from health_exchange.node.network import network_status
from health_exchange.node.parts import NodeParts
from health_exchange.node.readiness import readiness
from health_exchange.node.status import status_of
from health_exchange.telemetry.metrics import MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class OperatorDoor:
    """Health and status of one node."""

    parts: NodeParts

    def routes(self) -> list[Route]:
        """What the server mounts."""
        return [
            Route("/health/live", self._live, methods=["GET"]),
            Route("/health/ready", self._ready, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/operator/v1/status", self._status, methods=["GET"]),
            Route("/operator/v1/network", self._network, methods=["GET"]),
            Route(DESCRIPTION_PATH, self._description, methods=["GET"]),
        ]

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _request: Request) -> Response:
        found = await readiness(self.parts)
        status = HTTPStatus.OK if found.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(msgspec.json.encode(found), status_code=status, media_type="application/json")

    async def _metrics(self, _request: Request) -> Response:
        try:
            return Response(await measure(self.parts), headers={"Content-Type": MEDIA_TYPE})
        except ExchangeError as error:
            return Response(error.detail, status_code=HTTPStatus.SERVICE_UNAVAILABLE, media_type="text/plain")

    async def _status(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(await status_of(self.parts)), media_type="application/json")

    async def _network(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(await network_status(self.parts)), media_type="application/json")

    async def _description(self, request: Request) -> Response:
        paths = {route.path for route in request.app.routes if isinstance(route, Route)}
        return Response(description(paths), media_type="application/json")
