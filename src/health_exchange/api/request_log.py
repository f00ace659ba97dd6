"""One line a request at the node's own listener: its id, its route, what came of it, how long it took.

Outermost, so that what fails anywhere inside is told under the same id, and every answer carries that id. A path as
asked stands in no line: it may name a record, or somebody.
"""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from health_exchange.model.addresses import NodeAddress
from health_exchange.store.meters import Meters
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.families import REQUEST_SECONDS, REQUESTS
from health_exchange.telemetry.metrics import counted, observed
from health_exchange.telemetry.trace import accepted_request_id, bound

HEADER = b"x-request-id"
QUIET = frozenset({"/health/live", "/health/ready", "/metrics", "/status"})
"""Asked every few seconds by machines; told only where they fail."""
NO_ROUTE = "none"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class RequestLog:
    """An ASGI application around another one.

    Args:
        app: Answers.
        routes: Its routes, whose paths the lines tell.
        node: Whose listener it is.
        meters: Counts requests.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[Route], node: NodeAddress, meters: Meters) -> None:
        self._app = app
        self._node = str(node)
        self._meters = meters
        self.routes = tuple(routes)
        # By identity, because an endpoint of a door with mappings in it has no hash.
        self._routes = {id(route.endpoint): route.path for route in self.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and tell of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        request_id = accepted_request_id(given.decode("latin-1"))
        named = (HEADER, request_id.encode())
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), named]
            await send(message)

        begun, broken_off = perf_counter(), ""
        with bound(node=self._node, request_id=request_id):
            try:
                await self._app(scope, receive, answered)
            except BaseException as error:
                # Also what is no Exception: the server answers 500 for it, and nobody else says why.
                broken_off = type(error).__name__
                raise
            finally:
                self._tell(scope, status, perf_counter() - begun, broken_off)

    def _tell(self, scope: Scope, status: int, elapsed_s: float, broken_off: str) -> None:
        """Write the line."""
        route = self._routes.get(id(scope.get("endpoint")), NO_ROUTE)
        method = known_method(scope["method"])
        count_request(self._meters, "fhir", method, route, status, elapsed_s)
        if route in QUIET and status < HTTPStatus.BAD_REQUEST:
            return
        log_event(
            "request",
            method=method,
            route=route,
            status=status,
            elapsed_ms=round(elapsed_s * 1000, 1),
            **({"code": broken_off} if broken_off else {}),
        )


def known_method(method: str) -> str:
    """The method, where it is one that we know: it may be any text."""
    return method if method in METHODS else "other"


def count_request(meters: Meters, door: str, method: str, route: str, status: int, elapsed_s: float) -> None:
    """Count a request and what it took."""
    meters.count({_request(door, method, route, status): 1, **observed(REQUEST_SECONDS, elapsed_s, door=door)})


@lru_cache(maxsize=4096)
def _request(door: str, method: str, route: str, status: int) -> str:
    """Under which name a request is counted."""
    return counted(REQUESTS, door=door, method=method, route=route, status=str(status))
