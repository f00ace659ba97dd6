"""The auditors' door: questions to the log of this node or of all, single entries, and proofs that leave with them.

Behind the same tokens as the FHIR door; what an auditor may do is policy's to say (action ``read-log``). An identity
comes in the body of a POST and nowhere else.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from health_exchange.api.bodies import read_body
from health_exchange.api.fhir_door import FhirDoor
from health_exchange.audit.answers import REFUSED, LogAnswer
from health_exchange.audit.proofs import proof_document
from health_exchange.audit.questions import BadQuestionError, LogQuestion
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ForbiddenError, NotFoundError, UnavailableError
from health_exchange.node.callers import Caller
from health_exchange.node.log_reading import COUNT_MAX
from health_exchange.node.oversight import Oversight
from health_exchange.pseudonym.identities import holds_national_id

BODY_BYTES_MAX = 64 << 10
POSITION_DIGITS_MAX = 15

Endpoint = Callable[[Request, Caller], Awaitable[Response]]


class AskedIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose entries are wanted, as an auditor has it."""

    system: str
    value: str

    def __repr__(self) -> str:
        return "AskedIdentity(hidden)"


class AuditSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question as it comes in.

    Attributes:
        question: The conditions.
        identity: Whose entries are wanted, in place of a pseudonym in the question.
        nodes: Addresses of the nodes whose logs are asked; this one's where none is named.
        everywhere: Every node of the directory is asked.
        before: Only entries below this position; goes on where one node's answer stopped.
        count: At most so many entries of each node.
    """

    question: LogQuestion = LogQuestion()
    identity: AskedIdentity | None = None
    nodes: list[str] = []
    everywhere: bool = False
    before: int | None = None
    count: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDoor:
    """What auditors may ask of one node.

    Attributes:
        door: Authenticates, and turns failures into outcomes.
        oversight: Asks.
    """

    door: FhirDoor
    oversight: Oversight

    def routes(self) -> list[Route]:
        """What the server mounts."""
        paths: list[tuple[str, str, Endpoint]] = [
            ("/operator/v1/audit/search", "POST", self._search),
            ("/operator/v1/audit/evidence", "POST", self._evidence),
            ("/operator/v1/audit/entries/{position}", "GET", self._entry),
            ("/operator/v1/audit/entries/{position}/proof", "GET", self._proof),
        ]
        return [Route(path, self.door.guarded(endpoint), methods=[method]) for path, method, endpoint in paths]

    async def _search(self, request: Request, caller: Caller) -> Response:
        asked = _decode(await read_body(request, BODY_BYTES_MAX))
        return _json(await self.answer(asked, caller))

    async def answer(self, asked: AuditSearch, caller: Caller) -> LogAnswer:
        """What the nodes asked say."""
        question = await self._question(asked, caller)
        return await self.oversight.ask(
            caller, question, nodes=self._nodes(asked), before=asked.before, count=asked.count
        )

    async def _evidence(self, request: Request, caller: Caller) -> Response:
        asked = _decode(await read_body(request, BODY_BYTES_MAX))
        question = await self._question(asked, caller)
        files = await self.oversight.evidence(caller, question, self._nodes(asked))
        return Response(msgspec.json.encode(files), media_type="application/json")

    async def _question(self, asked: AuditSearch, caller: Caller) -> LogQuestion:
        """The question, an identity in it replaced by its pseudonym."""
        if asked.identity is None:
            return asked.question
        person = await self.oversight.person(caller, system=asked.identity.system, value=asked.identity.value)
        return msgspec.structs.replace(asked.question, person=person)

    def _nodes(self, asked: AuditSearch) -> Sequence[NodeAddress]:
        """Whose logs are asked."""
        if asked.everywhere:
            return self.oversight.everywhere()
        return [_address(text) for text in asked.nodes] or [self.door.parts.address]

    async def _entry(self, request: Request, caller: Caller) -> Response:
        return _json(await self._one(request, caller))

    async def _proof(self, request: Request, caller: Caller) -> Response:
        reply = (await self._one(request, caller)).replies[0]
        return Response(proof_document(reply, reply.entries[0]), media_type="application/json")

    async def _one(self, request: Request, caller: Caller) -> LogAnswer:
        """One entry of this node's log, or of the one that ``node`` names."""
        text = request.path_params["position"]
        if not (text.isascii() and text.isdecimal() and len(text) <= POSITION_DIGITS_MAX):
            raise BadQuestionError("a position is a whole number from 0")
        node = _address(request.query_params.get("node", str(self.door.parts.address)))
        question = LogQuestion(position=int(text))
        answer = await self.oversight.ask(caller, question, nodes=[node], before=None, count=1)
        reply = answer.replies[0]
        if reply.outcome == REFUSED:
            raise ForbiddenError(reply.detail)
        if not reply.entries and answer.incomplete:
            raise UnavailableError(f"{node} gives no entry it can prove: {reply.detail}", retry_after_s=5)
        if not reply.entries:
            raise NotFoundError("the log has no such entry, or its retention has ended")
        return answer


def _decode(raw: bytes) -> AuditSearch:
    """The question; nothing of it is quoted, since it may hold an identity.

    Raises:
        BadQuestionError: It is none, or holds an identity elsewhere than in ``identity``.
    """
    try:
        asked = msgspec.json.decode(raw, type=AuditSearch)
    except (msgspec.MsgspecError, ValueError):
        asked = None
    if asked is None:
        fields = ", ".join((*AuditSearch.__struct_fields__, *LogQuestion.__struct_fields__))
        raise BadQuestionError(f"the body is no question to a log; its fields are {fields}")
    question = asked.question
    texts = [getattr(question, name) for name in question.conditions]
    flat = [text for value in texts for text in (value if isinstance(value, tuple) else (value,))]
    if any(isinstance(text, str) and holds_national_id(text) for text in (*flat, *asked.nodes)):
        raise BadQuestionError("a national ID is asked for by identity, and nowhere else")
    if not 0 < asked.count <= COUNT_MAX:
        raise BadQuestionError(f"count is between 1 and {COUNT_MAX}")
    return asked


def _address(text: str) -> NodeAddress:
    """A node's address; raises ``BadQuestionError``."""
    try:
        return NodeAddress.parse(text)
    except ValueError:
        pass
    raise BadQuestionError("a node is named by its address, such as cn/33/3305")


def _json(answer: LogAnswer) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
