"""Routes found by method and length of the path first: of the door's many, a request is tried on a few.

What a route answers goes out at once. Whatever else there is to say about a path (that there is none, that it has other
methods, that it ends with a slash too many) is said by Starlette.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Exception], Awaitable[Response]]


class Routes:
    """An application of routes that gives Starlette's answers, sooner.

    Args:
        routes: In order; the first that matches is taken. Their endpoints take a request and give an answer.
        handlers: Answers to what goes wrong. Those by status are to where there is no route or no method; whatever an
            endpoint raises, Starlette's ``HTTPException`` too, is a fault: the one for ``Exception`` answers it.
    """

    def __init__(self, routes: Sequence[Route], handlers: Mapping[int | type[Exception], Handler]) -> None:
        self.routes = routes
        self._fault = handlers[Exception]
        self._rest = Starlette(routes=routes, exception_handlers=handlers)
        self._alike: dict[tuple[str, int], list[Route]] = {}
        for route in routes:
            for method in route.methods or ():
                self._alike.setdefault((method, route.path.count("/")), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            for route in self._alike.get((scope["method"], scope["path"].count("/")), ()):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope.update(found, app=self._rest)
                    await self._answer(route.endpoint, scope, receive, send)
                    return
        await self._rest(scope, receive, send)

    async def _answer(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what an endpoint answers; what it fails with is raised once the client has an answer."""
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except Exception as error:
            response = await self._fault(request, error)
            await response(scope, receive, send)
            raise
        await response(scope, receive, send)
