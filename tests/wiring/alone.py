"""A node that stands alone, put together in this process: its door without a wire, its turns one by one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from health_exchange.cli.client import RegisteredClient
from health_exchange.wiring.assembly import AssembledNode, assemble
from health_exchange.wiring.settings import Settings
from health_exchange.wiring.standalone import CLIENT, CLIENT_KEY, Wish, starting

FHIR = "application/fhir+json"
PORT = 18_080
"""Nothing listens there in these tests; it is looked whether anything does."""


@dataclass(slots=True, kw_only=True)
class Alone:
    """One node and somebody at its door.

    Attributes:
        assembled: The node.
        settings: Its settings.
        http: The door.
        client: Who was registered at the first start; asks for tokens where the node is not open.
    """

    assembled: AssembledNode
    settings: Settings
    http: httpx.AsyncClient
    client: RegisteredClient

    async def send(
        self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: str
    ) -> httpx.Response:
        """One request, with a token unless the node is open; keyword arguments are further headers, ``_`` for ``-``."""
        said = {"Content-Type": FHIR} | {name.replace("_", "-"): value for name, value in headers.items()}
        if not self.settings.open_to_anyone:
            said["Authorization"] = f"Bearer {await self.client.token()}"
        content = raw if body is None else json.dumps(body).encode()
        return await self.http.request(method, path, content=content, headers=said)

    async def take_turns(self, rounds: int = 3) -> None:
        """All of the node's recurring work, a few times."""
        for _round in range(rounds):
            for turn in self.assembled.node.turns:
                await turn.take()


@asynccontextmanager
async def alone(folder: Path, **wishes: Any) -> AsyncIterator[Alone]:  # noqa: ANN401  # the fields of a wish
    """A node in ``folder``, made where there is none."""
    with starting(Wish(folder=folder, port=PORT, **wishes)) as start:
        assembled = assemble(start.settings)
        transport = httpx.ASGITransport(app=assembled.fhir_app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=start.url) as http:
                client = RegisteredClient(
                    client_id=CLIENT,
                    private_key_pem=(folder / CLIENT_KEY).read_bytes(),
                    base_url=start.url,
                    http=http,
                )
                yield Alone(assembled=assembled, settings=start.settings, http=http, client=client)
        finally:
            await assembled.close()
