"""``health-exchange node run --standalone`` and ``node token``: a node of its own, and a way in for who tries it."""

import argparse
import asyncio
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvloop

from health_exchange.cli.client import TIMEOUT_S, BadRequestError, RegisteredClient, problem_of
from health_exchange.wiring.directory_files import read_directory_files
from health_exchange.wiring.running import run_node
from health_exchange.wiring.settings import read_named, read_settings
from health_exchange.wiring.standalone import CLIENT, CLIENT_KEY, SETTINGS, Start, Wish, starting

PORT_MAX = 65535


def run_standalone(arguments: argparse.Namespace, folder: Path) -> int:
    """Serve until stopped; say first where everything is."""
    port = arguments.port
    if port is not None and not 0 < port <= PORT_MAX:
        raise BadRequestError(f"--port is 1 to {PORT_MAX}")
    wish = Wish(
        folder=folder,
        host=arguments.host or "",
        port=port or 0,
        url=arguments.url or "",
        database=arguments.database_url or "",
        database_password=arguments.database_password,
        is_open=arguments.open,
    )
    # What the database writes beside what is written here is its owner's too.
    os.umask(0o077)
    with starting(wish) as start:
        print("\n".join(_told(start, folder)), flush=True)
        uvloop.run(run_node(start.settings))
    return 0


def _told(start: Start, folder: Path) -> Iterator[str]:
    """What to know, for whoever starts it."""
    if start.is_first:
        yield f"Made a standalone node in {folder.resolve()}"
        yield f"  settings     {SETTINGS}"
        yield "  secret keys  keys.json, share.json: without them nobody reads the database, ever; copy them elsewhere"
        yield f"  a client     {CLIENT}, its private key in {CLIENT_KEY}; who else may come stands in clients.json"
    yield f"FHIR R4 at {start.url}/fhir"
    if start.settings.open_to_anyone:
        yield "Open: anyone on this machine may do everything, without a token"
    else:
        yield f"Tokens by SMART Backend Services at {start.url}/oauth/token"
        yield f"or one to try it with: health-exchange node token --dir {folder}"
    yield "Ctrl-C stops it"


def print_token(folder: Path, authority: Path | None) -> int:
    """Print an access token of the client that was registered first.

    Raises:
        BadSettingsError: The folder holds no node.
        ExchangeError: The node does not answer, or does not know the client.
    """
    settings = read_settings(folder / SETTINGS)
    key = read_named(str(folder / CLIENT_KEY))
    url = next(iter(read_directory_files(settings).directory.nodes.values())).fhir_url
    try:
        print(asyncio.run(_token(url, key, authority)))
    except httpx.HTTPError as error:
        problem = problem_of(error, url)
    except OSError as error:
        problem = BadRequestError(f"{authority}: {error.strerror or 'cannot be used'}")
    else:
        return 0
    raise problem


async def _token(url: str, key: bytes, authority: Path | None) -> str:
    context = ssl.create_default_context(cafile=str(authority) if authority is not None else None)
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=TIMEOUT_S) as http:
        return await RegisteredClient(client_id=CLIENT, private_key_pem=key, base_url=url, http=http).token()
