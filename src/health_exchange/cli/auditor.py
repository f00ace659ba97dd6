"""An auditor's side of a node's door: questions over HTTPS, answered with entries and with the names of who is missing.

The identity of whoever is asked about goes into the body of one request; it is in no URL, message or output.
"""

import argparse
from typing import Any

import httpx
import msgspec

from health_exchange.audit.answers import LogAnswer
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.excerpts import LogExcerpt, check_excerpt
from health_exchange.cli.client import RegisteredClient
from health_exchange.cli.connection import ASK, NATIONAL_ID_SYSTEM, read_identity_of


class AuditorClient:
    """One auditor at one node."""

    def __init__(self, client: RegisteredClient) -> None:
        self._client = client

    async def search(self, body: dict[str, Any]) -> LogAnswer:
        """One question, answered; raises as ``RegisteredClient.fetch``."""
        return _checked(await self._client.fetch("POST", "/operator/v1/audit/search", msgspec.json.encode(body)))

    async def entry(self, position: int, node: str) -> LogAnswer:
        """One entry; raises as ``RegisteredClient.fetch``."""
        return _checked(await self._client.fetch("GET", f"/operator/v1/audit/entries/{position}{_node(node)}"))

    async def proof(self, position: int, node: str) -> bytes:
        """One entry's proof file; raises as ``RegisteredClient.fetch``."""
        return await self._client.fetch("GET", f"/operator/v1/audit/entries/{position}/proof{_node(node)}")

    async def evidence(self, body: dict[str, Any]) -> dict[str, bytes]:
        """An evidence folder's files; raises as ``RegisteredClient.fetch``."""
        raw = await self._client.fetch("POST", "/operator/v1/audit/evidence", msgspec.json.encode(body))
        return msgspec.json.decode(raw, type=dict[str, bytes])


def entries_of(answer: LogAnswer) -> list[tuple[AuditEntry, int]]:
    """All entries found, with their positions."""
    return [
        (decode_entry(bytes(proven.entry)), proven.position) for reply in answer.replies for proven in reply.entries
    ]


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
        check_excerpt(excerpt, origin=reply.keys.origin, publics=reply.keys.publics)
    return answer


def _node(node: str) -> str:
    """The query that names a node."""
    return f"?{httpx.QueryParams({'node': node})}" if node else ""
