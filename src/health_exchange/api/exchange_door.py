"""The exchange door: what other nodes may ask of this one, whoever carries the request.

The HTTPS server and the in-process transport both end in :class:`ExchangeDoor`, so that the federation tests exercise
the very code that runs between processes. A request is authenticated by its hop's signature before its body is read,
and its nonce is spent in the same database that its effects go to.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from time import perf_counter
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from health_exchange.api.problems import PROBLEMS
from health_exchange.api.request_log import NO_ROUTE, count_request, known_method
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, FaultError, ForbiddenError, NotFoundError
from health_exchange.node import (
    answering,
    delivery,
    directory_updates,
    disclosures,
    greeting,
    keyholding,
    locating,
    network,
    patience,
    reception,
    refreshing,
    standing,
    surveying,
    ticketing,
    witnessing,
)
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.reception import StreamGapError
from health_exchange.protocol.hops import REQUEST_ID, hop_nonce, verify_hop
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import replays
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.trace import accepted_request_id, bound

BODY_BYTES_MAX = 64 << 20
REMEMBERED = timedelta(minutes=15)
"""How long a hop's nonce is remembered: longer than any clock skew the signature check lets pass."""

Query = Mapping[str, list[str]]
Handler = Callable[[NodeParts, bytes, Query, NodeAddress], Awaitable[bytes]]


class OversizedRequestError(ExchangeError):
    """The body is larger than anything a peer has reason to send."""

    category = Category.INCORRECT
    code = "oversized-request"


class ReplayedRequestError(ExchangeError):
    """The very request was answered before; somebody recorded it."""

    category = Category.UNAUTHENTICATED
    code = "replayed-request"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer reads when its request failed.

    Attributes:
        category: What it should do next.
        code: Stable name of the reason.
        detail: One sentence without record content.
        expected: Of a gap, the sequence number that would be taken; 0 otherwise.
    """

    category: str
    code: str
    detail: str
    expected: int = 0


async def _receive(parts: NodeParts, body: bytes, query: Query, sender: NodeAddress) -> bytes:
    return await reception.receive(parts, body, sender, kept_from=_whole_number(query, delivery.KEPT_FROM))


async def _receipts(parts: NodeParts, _body: bytes, query: Query, sender: NodeAddress) -> bytes:
    return await delivery.receipts_for(parts, _whole_number(query, "after"), sender)


async def _evaluate(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await keyholding.answer_evaluation(parts, body, sender)


async def _ticket(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await ticketing.answer_ticket(parts, body, sender)


async def _locate(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await locating.answer_locate(parts, body, sender)


async def _witness(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await witnessing.cosign_checkpoint(parts, body, sender)


async def _disclose(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await disclosures.answer_disclosure(parts, body, sender)


async def _rejoin(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await standing.answer_rejoin(parts, body, sender)


async def _status(parts: NodeParts, _body: bytes, query: Query, sender: NodeAddress) -> bytes:
    if sender != parts.address.parent:
        raise ForbiddenError("a node tells its numbers to the node it reports to")
    within_s = patience.granted_s(_whole_number(query, patience.PARAMETER))
    return msgspec.json.encode(await network.network_status(parts, within_s))


async def _pulse(parts: NodeParts, _body: bytes, query: Query, sender: NodeAddress) -> bytes:
    if sender != parts.address.parent:
        raise ForbiddenError("a node tells its pulse to the node it reports to")
    within_s = patience.granted_s(_whole_number(query, patience.PARAMETER))
    return msgspec.json.encode(await surveying.pulse(parts, within_s))


async def _deal(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await refreshing.answer_deal(parts, body, sender)


async def _take(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
    return await refreshing.answer_take(parts, body, sender)


async def _directory(parts: NodeParts, _body: bytes, query: Query, _sender: NodeAddress) -> bytes:
    digest = query.get("digest", [""])[0]
    return directory_updates.answer_directory(parts, _whole_number(query, "have"), digest)


async def _hello(parts: NodeParts, _body: bytes, _query: Query, _sender: NodeAddress) -> bytes:
    return greeting.hello(parts)


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("POST", "/exchange/v1/envelopes"): _receive,
    ("GET", "/exchange/v1/receipts"): _receipts,
    ("POST", "/exchange/v1/evaluations"): _evaluate,
    ("POST", ticketing.TICKETS_PATH): _ticket,
    ("POST", locating.LOCATORS_PATH): _locate,
    ("POST", "/exchange/v1/witness"): _witness,
    ("GET", greeting.HELLO_PATH): _hello,
    ("GET", network.STATUS_PATH): _status,
    ("GET", surveying.PULSE_PATH): _pulse,
    ("POST", disclosures.DISCLOSURES_PATH): _disclose,
    ("POST", standing.REJOIN_PATH): _rejoin,
    ("GET", directory_updates.DIRECTORY_PATH): _directory,
    ("POST", refreshing.DEAL_PATH): _deal,
    ("POST", refreshing.TAKE_PATH): _take,
}


class ExchangeDoor:
    """Answers peers.

    Args:
        parts: The node's.
        pseudonyms: Tells whom a ticket is for; ``None`` where the node sees no identities, so answers no look-ups.
    """

    def __init__(self, parts: NodeParts, pseudonyms: PseudonymClient | None) -> None:
        self._parts = parts
        self._handlers = dict(HANDLERS)
        if pseudonyms is not None:
            self._handlers["POST", answering.LOOKUP_PATH] = _lookup_of(pseudonyms)

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> PeerAnswer:
        """Authenticate, dispatch, and turn every failure into a refusal a peer can act on.

        Args:
            method: As in HTTP.
            path: With its query string, as signed by the sender.
            headers: Lower-case names.
            body: Untrusted.
        """
        begun = perf_counter()
        answer, code, sender = PeerAnswer(status=500, body=b""), FaultError.code, None
        with bound(node=str(self._parts.address), request_id=accepted_request_id(headers.get(REQUEST_ID, ""))):
            try:
                answer, code, sender = await self._answered(method, path, headers, body)
            finally:
                self._tell(method, path, sender, answer.status, code, perf_counter() - begun)
        return answer

    def _tell(  # the fields of a line
        self, method: str, path: str, sender: NodeAddress | None, status: int, code: str, elapsed_s: float
    ) -> None:
        """Count the request, and write its line."""
        operation, known = path.partition("?")[0], known_method(method)
        route = operation if (method, operation) in self._handlers else NO_ROUTE
        count_request(self._parts.store.meters, "exchange", known, route, status, elapsed_s)
        # Peers look in every few seconds; that they did is told where it failed.
        if code or known == "POST":
            log_event(
                "hop",
                method=known,
                route=route,
                peer=str(sender) if sender is not None else "",
                status=status,
                code=code,
                elapsed_ms=round(elapsed_s * 1000, 1),
            )

    async def _answered(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[PeerAnswer, str, NodeAddress | None]:
        """The answer, the code of the failure if it is one, and who asked if that is known."""
        sender: NodeAddress | None = None
        try:
            if len(body) > BODY_BYTES_MAX:
                raise OversizedRequestError(f"a request to a peer carries at most {BODY_BYTES_MAX} bytes")
            sender = verify_hop(
                headers,
                method,
                path,
                body,
                recipient=self._parts.address,
                cards=self._parts.directory.nodes,
                now=self._parts.clock.now(),
                # Who was away while its key was replaced learns of that from the directory, and not otherwise.
                even_former=path.partition("?")[0] == directory_updates.DIRECTORY_PATH,
            )
            await self._spend_nonce(sender, headers)
            target = urlsplit(path)
            handler = self._handlers.get((method, target.path))
            if handler is None:
                raise NotFoundError(f"no exchange operation {method} {target.path}")
            answer = await handler(self._parts, body, parse_qs(target.query), sender)
            return PeerAnswer(status=200, body=answer), "", sender
        except ExchangeError as error:
            expected = error.expected if isinstance(error, StreamGapError) else 0
            refusal = Refusal(category=error.category, code=error.code, detail=error.detail, expected=expected)
            answer = msgspec.json.encode(refusal)
            return PeerAnswer(status=PROBLEMS[error.category].status, body=answer), error.code, sender

    async def _spend_nonce(self, sender: NodeAddress, headers: Mapping[str, str]) -> None:
        """Use up the hop's nonce, so that a recorded request is worth nothing."""
        key = f"{sender}|{hop_nonce(headers).hex()}"
        expires_at = self._parts.clock.now() + REMEMBERED
        if not await self._parts.store.write(lambda tx: replays.spend(tx, "hop", key, expires_at)):
            raise ReplayedRequestError("this request was made before")


def _lookup_of(pseudonyms: PseudonymClient) -> Handler:
    """Answers look-ups with what tells whom they are about."""

    async def look_up(parts: NodeParts, body: bytes, _query: Query, sender: NodeAddress) -> bytes:
        return await answering.answer_lookup(parts, pseudonyms, body, sender)

    return look_up


def exchange_routes(door: ExchangeDoor) -> list[Route]:
    """The door as Starlette routes."""

    async def endpoint(request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        answer = await door.answer(request.method, path, request.headers, await request.body())
        return Response(answer.body, status_code=answer.status, media_type="application/octet-stream")

    return [Route("/exchange/v1/{operation:path}", endpoint, methods=["GET", "POST"])]


def _whole_number(query: Query, name: str) -> int:
    """The parameter's value; 0 where it is absent."""
    text = query.get(name, ["0"])[0]
    if not text.isdecimal() or len(text) > len(str(2**63)):
        raise NotFoundError(f"{name} is not a whole number")
    return int(text)
