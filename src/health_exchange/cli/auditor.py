"""An auditor's side of a node's door: questions over HTTPS, answered with entries and with the names of who is missing.

The identity of whoever is asked about goes into the body of one request; it is in no URL, message or output.
"""

import argparse
import getpass
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from health_exchange.audit.answers import LogAnswer
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.excerpts import LogExcerpt, check_excerpt
from health_exchange.cli.client import RegisteredClient
from health_exchange.model.errors import Category, ExchangeError, ForbiddenError, NotFoundError, UnavailableError

NATIONAL_ID_SYSTEM = "urn:oid:2.16.156.10011.1.3"
TIMEOUT_S = 120.0
ASK = "?"
"""Where ``--person`` is given without a value: ask for it, without showing it."""

T = TypeVar("T")


class BadRequestError(ExchangeError):
    """The node found the question wrong, or a file that the command names cannot be used."""

    category = Category.INCORRECT
    code = "bad-request"


_BY_STATUS: dict[int, type[ExchangeError]] = {401: ForbiddenError, 403: ForbiddenError, 404: NotFoundError}


class AuditorClient:
    """One auditor at one node."""

    def __init__(self, client: RegisteredClient) -> None:
        self._client = client

    async def search(self, body: dict[str, Any]) -> LogAnswer:
        """One question, answered; raises as :meth:`fetch`."""
        return _checked(await self.fetch("POST", "/operator/v1/audit/search", body))

    async def entry(self, position: int, node: str) -> LogAnswer:
        """One entry; raises as :meth:`fetch`."""
        return _checked(await self.fetch("GET", f"/operator/v1/audit/entries/{position}{_node(node)}"))

    async def proof(self, position: int, node: str) -> bytes:
        """One entry's proof file; raises as :meth:`fetch`."""
        return await self.fetch("GET", f"/operator/v1/audit/entries/{position}/proof{_node(node)}")

    async def evidence(self, body: dict[str, Any]) -> dict[str, bytes]:
        """An evidence folder's files; raises as :meth:`fetch`."""
        raw = await self.fetch("POST", "/operator/v1/audit/evidence", body)
        return msgspec.json.decode(raw, type=dict[str, bytes])

    async def fetch(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """One answer's bytes.

        Raises:
            ExchangeError: The node refuses, does not answer, or does not know the client; its reason is in ``detail``.
        """
        refused = 0
        try:
            headers = {"Authorization": f"Bearer {await self._client.token()}", "Content-Type": "application/json"}
            answer = await self._client.http.request(
                method,
                self._client.base_url + path,
                content=msgspec.json.encode(body) if body is not None else None,
                headers=headers,
                timeout=TIMEOUT_S,
            )
        except httpx.HTTPStatusError as error:
            refused = error.response.status_code
            answer = error.response
        except httpx.HTTPError as error:
            raise UnavailableError(f"{self._client.base_url} cannot be reached ({type(error).__name__})") from None
        if refused:
            raise ForbiddenError(f"the node does not accept this client (status {refused})")
        if answer.is_success:
            return answer.content
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise UnavailableError(_said(answer))
        raise _BY_STATUS.get(answer.status_code, BadRequestError)(_said(answer))


def entries_of(answer: LogAnswer) -> list[tuple[AuditEntry, int]]:
    """All entries found, with their positions."""
    return [
        (decode_entry(bytes(proven.entry)), proven.position) for reply in answer.replies for proven in reply.entries
    ]


def add_connection(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the words by which a command reaches a node as an auditor."""
    group = parser.add_argument_group("the node, and who asks")
    group.add_argument("--url", required=required, help="the node's FHIR door, https://host:port")
    group.add_argument("--ca", type=Path, required=required, help="the network's certificate authority, PEM")
    group.add_argument("--client-id", required=required, help="as registered at the node")
    group.add_argument("--key", type=Path, required=required, help="the client's private key, PEM")


def add_question(parser: argparse.ArgumentParser) -> None:
    """Add the words of a question."""
    group = parser.add_argument_group("which entries; conditions add up")
    group.add_argument(
        "--person",
        nargs="?",
        const=ASK,
        metavar="ID",
        help="whose: without a value it is asked for unseen, '-' reads it from standard input; a value given here "
        "stays in your shell's history. Asks every node",
    )
    group.add_argument("--system", default=NATIONAL_ID_SYSTEM, help="the identity's system; the national ID by default")
    group.add_argument("--pseudonym", metavar="P", help="whose, by pseudonym; asks every node")
    group.add_argument("--who", help="client id of who did it")
    group.add_argument("--facility", metavar="CODE", help="code of that client's organisation")
    group.add_argument("--node", help="address of a node that wrote the entry or that it speaks of")
    group.add_argument("--purpose", help="PurposeOfUse code, such as TREAT or BTG")
    group.add_argument("--outcome", choices=("allowed", "refused", "failed"))
    group.add_argument("--kind", action="append", help="kind of entry, such as read or look-up; may be repeated")
    group.add_argument("--request", metavar="ID", help="one request across all hops")
    group.add_argument("--since", metavar="DATE", help="2026-11-24 or 2026-11-24T08:00:00Z")
    group.add_argument("--until", metavar="DATE", help="the first instant no longer wanted")
    group.add_argument("--everywhere", action="store_true", help="ask every node, not only this one")


def question_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The body of a question; asks for the identity where it is to be asked for.

    Raises:
        BadRequestError: No identity was given where one was announced.
    """
    named = {
        "person": arguments.pseudonym,
        "who": arguments.who,
        "facility": arguments.facility,
        "node": arguments.node,
        "purpose": arguments.purpose,
        "outcome": arguments.outcome,
        "kinds": arguments.kind,
        "request_id": arguments.request,
        "since": arguments.since,
        "until": arguments.until,
    }
    body: dict[str, Any] = {"question": {name: value for name, value in named.items() if value}}
    if arguments.person is not None:
        body["identity"] = {"system": arguments.system, "value": read_identity_of(arguments.person)}
    body["everywhere"] = bool(arguments.everywhere or arguments.person is not None or arguments.pseudonym)
    return body


def read_identity_of(given: str) -> str:
    """The identity: typed unseen, read from standard input, or as given.

    Raises:
        BadRequestError: It is empty.
    """
    if given == ASK:
        value = getpass.getpass("Whose entries (identity, not shown): ")
    else:
        value = sys.stdin.readline() if given == "-" else given
    if not value.strip():
        raise BadRequestError("no identity was given")
    return value.strip()


async def with_client(arguments: argparse.Namespace, use: Callable[[AuditorClient], Awaitable[T]]) -> T:
    """What ``use`` makes of a client by the command's words.

    Raises:
        BadRequestError: The authority or the key cannot be read.
    """
    try:
        key = arguments.key.read_bytes()
        context = ssl.create_default_context(cafile=str(arguments.ca))
    except OSError as error:
        problem = f"{arguments.key} or {arguments.ca}: {error.strerror or 'cannot be used'}"
        raise BadRequestError(problem) from None
    async with httpx.AsyncClient(verify=context, trust_env=False) as http:
        client = RegisteredClient(
            client_id=arguments.client_id,
            private_key_pem=key,
            base_url=arguments.url.rstrip("/").removesuffix("/fhir"),
            http=http,
        )
        return await use(AuditorClient(client))


def _checked(raw: bytes) -> LogAnswer:
    """The answer, every entry of it proven here once more: nobody has to believe the node that asked.

    Raises:
        UnprovenEntryError: An entry does not stand in the log it is said to be of.
    """
    answer = msgspec.json.decode(raw, type=LogAnswer)
    for reply in answer.replies:
        excerpt = LogExcerpt(
            origin=reply.keys.origin, checkpoints=reply.checkpoints, entries=reply.entries, before=reply.before
        )
        check_excerpt(excerpt, origin=reply.keys.origin, public=reply.keys.public_key)
    return answer


def _node(node: str) -> str:
    """The query that names a node."""
    return f"?{httpx.QueryParams({'node': node})}" if node else ""


def _said(answer: httpx.Response) -> str:
    """What the node says of a failure."""
    try:
        issue = msgspec.json.decode(answer.content)["issue"][0]
        return str(issue.get("diagnostics") or f"status {answer.status_code}")
    except (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return f"the node answers with status {answer.status_code}"
