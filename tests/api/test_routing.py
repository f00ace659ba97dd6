"""Routes found quickly are those that Starlette's own router finds, whatever is asked."""

import json
import re
from itertools import product
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message
from tests.api.door import COUNTY, Door
from tests.federation.network import Network

from health_exchange.api.routing import Routes
from health_exchange.wiring.assembly import _HANDLERS, fhir_app

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get", "")
OF_ODD_PATHS = ("GET", "POST", "OPTIONS")
NAMES = ("p1", "$meta", "_history", "_search", "metadata", "*", "a/b", "%2F", "李", "..", "\n", "")
ODD = ("", "/", "//", "/fhir//", "//fhir", "/fhir/ ", "/FHIR", "fhir", "/fhir/\0", "/nowhere", "/fhir/{type}")


def recording(routes: list[Route]) -> list[Route]:
    """The same routes, which tell which of them was taken, and with what."""

    def telling(number: int) -> Route:
        async def tell(request: Request) -> Response:
            return JSONResponse([number, request.path_params], headers={"X-Method": request.method})

        return Route(routes[number].path, tell, methods=sorted(routes[number].methods or ()))

    return [telling(number) for number in range(len(routes))]


def questions(routes: list[Route]) -> set[tuple[str, str]]:
    """Methods and paths: those that routes have, and some that look like them."""
    ordinary = {re.sub(r"\{\w+\}", "Patient", route.path) for route in routes}
    odd = {*ODD, *(re.sub(r"\{\w+\}", name, route.path) for route in routes for name in NAMES)}
    for route, name in product(routes, NAMES):
        # The others are as ordinary as can be, so that the one says what becomes of it.
        odd.add(re.sub(r"\{\w+\}", "Patient", re.sub(r"\{\w+\}", name, route.path, count=1)))
    for path in ordinary:
        odd |= {f"{path}/", f"{path}//", f"/{path}", f"{path}/more", path.replace("/", "//", 2)}
        odd |= {f"{path[:cut]}/{path[cut:]}" for cut, letter in enumerate(path) if letter == "/"}
    return {*product(METHODS, ordinary), *product(OF_ODD_PATHS, odd)}


async def answer_of(app: ASGIApp, method: str, path: str) -> tuple[int, object, bytes]:
    """Status, headers and body of an answer."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"_count=1",
        "scheme": "http",
        "headers": [(b"host", b"node.example")],
        "server": ("node.example", 80),
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
    }
    await app(scope, receive, send)
    return (sent[0]["status"], sorted(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:]))


async def test_every_path_and_method_is_answered_as_starlette_answers_it(tmp_path: Path) -> None:
    routes = recording(list(fhir_app(Door(tmp_path, COUNTY, Network(tmp_path)).node, {}).routes))
    quick, plain = Routes(routes, _HANDLERS), Starlette(routes=routes, exception_handlers=_HANDLERS)

    taken = set()
    for method, path in sorted(questions(routes)):
        told = await answer_of(quick, method, path)
        assert told == await answer_of(plain, method, path), (method, path)
        if told[0] == 200 and method != "HEAD":
            taken.add(json.loads(told[2])[0])

    assert taken == set(range(len(routes)))


async def test_what_fails_is_told_as_starlette_tells_it_and_raised() -> None:
    async def fail(_request: Request) -> Response:
        raise ZeroDivisionError

    routes = [Route("/fhir/{type}", fail, methods=["GET"])]
    sent = []
    for app in (Routes(routes, _HANDLERS), Starlette(routes=routes, exception_handlers=_HANDLERS)):
        messages: list[Message] = []
        sent.append(messages)

        async def send(message: Message, messages: list[Message] = messages) -> None:
            messages.append(message)

        scope = {"type": "http", "method": "GET", "path": "/fhir/Patient", "query_string": b"", "headers": []}
        with pytest.raises(ZeroDivisionError):
            await app(scope, None, send)  # type: ignore[arg-type]  # nothing is received

    assert sent[0] == sent[1]
    assert sent[0][0]["status"] == 500


@pytest.mark.parametrize("error", [HTTPException(413), HTTPException(404), ValueError()])
async def test_whatever_an_endpoint_raises_is_a_fault(error: Exception) -> None:
    async def failing(_request: Request) -> Response:
        raise error

    heard: list[Exception] = []

    async def fault(_request: Request, raised: Exception) -> Response:
        heard.append(raised)
        return Response(status_code=500)

    app = Routes([Route("/fails", failing)], {**_HANDLERS, Exception: fault})
    with pytest.raises(type(error)):
        await answer_of(app, "GET", "/fails")

    assert heard == [error]
