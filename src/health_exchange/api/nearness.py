"""Who may come to a node that asks nobody for a token: programs on this machine, and no page of the web.

A browser on this machine runs pages of others. One may give its own name this machine's address and then read what it
asks for, or send what needs no answer: the first shows in ``Host``, the second in ``Origin``, or where a browser sends
none, as for pictures and links, in ``Sec-Fetch-Site``. Browsers of before 2023 may send neither.

Source: Fetch Metadata Request Headers (W3C), section 2.3.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from health_exchange.api.problems import problem_response
from health_exchange.model.errors import ForbiddenError
from health_exchange.model.loopback import is_loopback

Answer = Callable[[Scope, Receive, Send], Awaitable[None]]


class NearOnly:
    """An application around another one, which refuses what was not meant for this machine or comes from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer: Answer = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            asked = [f"//{headers.get('host', '')}", *headers.getlist("origin")]
            # A page of this machine may call it by its other name, which is another site; its origin is near.
            is_linked = "origin" not in headers and headers.get("sec-fetch-site") == "cross-site"
            if is_linked or not all(map(_is_near, asked)):
                answer = problem_response(ForbiddenError("an open node is for programs on its own machine"))
        await answer(scope, receive, send)


def _is_near(url: str) -> bool:
    """Whether a URL's host is this machine."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
