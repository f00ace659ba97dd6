"""What every command that asks a node shares: where it is, who asks, and an identity that is in no argument."""

import argparse
import getpass
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from health_exchange.cli.client import TIMEOUT_S, BadRequestError, RegisteredClient
from health_exchange.model.loopback import is_loopback

NATIONAL_ID_SYSTEM = "urn:oid:2.16.156.10011.1.3"
ASK = "?"
"""In place of an identity: ask for it, without showing it."""

T = TypeVar("T")


def add_connection(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the words by which a command reaches a node as a registered client."""
    group = parser.add_argument_group("the node, and who asks")
    add_door(group, required=required)
    group.add_argument("--client-id", required=required, help="as registered at the node")
    group.add_argument("--key", type=Path, required=required, help="the client's private key, PEM")


def add_door(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """Add the words that say where a node is, and who vouches that it is that."""
    parser.add_argument("--url", required=required, help="the node's FHIR door, https://host:port")
    parser.add_argument("--ca", type=Path, help="the network's certificate authority, PEM; needed for https")


def trust_of(arguments: argparse.Namespace) -> ssl.SSLContext | bool:
    """What a client of the node trusts; plain HTTP is for a node on this very machine.

    Raises:
        BadRequestError: The words name no door, or a file that cannot be used.
    """
    parts = urlsplit(arguments.url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return True
    if parts.scheme != "https":
        raise BadRequestError("--url is https://host:port: a token and an identity may go through it")
    if arguments.ca is None:
        raise BadRequestError("--ca is missing: the certificate authority that vouches for the node")
    try:
        return ssl.create_default_context(cafile=str(arguments.ca))
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "cannot be used"
    raise BadRequestError(f"{arguments.ca}: {problem}")


def typed_identity() -> str:
    """The identity, typed unseen at a terminal or read from standard input.

    Raises:
        BadRequestError: It is empty.
    """
    return read_identity_of(ASK if sys.stdin.isatty() else "-")


def read_identity_of(given: str) -> str:
    """The identity: typed unseen, read from standard input, or as given.

    Raises:
        BadRequestError: It is empty.
    """
    if given == ASK:
        value = getpass.getpass("Identity (not shown): ")
    else:
        value = sys.stdin.readline() if given == "-" else given
    if not value.strip():
        raise BadRequestError("no identity was given")
    return value.strip()


async def connected(arguments: argparse.Namespace, use: Callable[[RegisteredClient], Awaitable[T]]) -> T:
    """What ``use`` makes of a client by the command's words.

    Raises:
        BadRequestError: The authority or the key cannot be read.
    """
    context = trust_of(arguments)
    try:
        key = arguments.key.read_bytes()
    except OSError as error:
        raise BadRequestError(f"{arguments.key}: {error.strerror or 'cannot be read'}") from None
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=TIMEOUT_S) as http:
        client = RegisteredClient(
            client_id=arguments.client_id,
            private_key_pem=key,
            base_url=arguments.url.rstrip("/").removesuffix("/fhir"),
            http=http,
        )
        return await use(client)
