"""The policy door: why would this be refused, and why was that refused.

Whoever has a token may ask what policies say to a made-up question: the answer holds nothing but the question and the
policies. What was really refused is explained to auditors only, and their asking is in the log.
"""

from contextlib import suppress
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from health_exchange.api.bodies import FORM_BYTES_MAX, read_body
from health_exchange.api.fhir_door import FhirDoor
from health_exchange.model.errors import MalformedResourceError
from health_exchange.node.callers import Caller
from health_exchange.node.refusals import ExplainedRefusal, Refusals
from health_exchange.policy.explanation import explain
from health_exchange.policy.questions import Question
from health_exchange.policy.wording import read_fields, read_words


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused under a reference, the latest first."""

    reference: str
    refusals: list[ExplainedRefusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDoor:
    """Explanations.

    Attributes:
        door: Authenticates, and turns failures into outcomes.
        refusals: Finds what was refused.
    """

    door: FhirDoor
    refusals: Refusals

    def routes(self) -> list[Route]:
        """What the server mounts."""
        refusals = "/operator/v1/policy/refusals/{reference}"
        return [
            Route("/operator/v1/policy/explain", self.door.guarded(self._explain), methods=["POST"]),
            Route(refusals, self.door.guarded(self._refusals), methods=["GET"]),
        ]

    async def _explain(self, request: Request, _caller: Caller) -> Response:
        question = _question(await read_body(request, FORM_BYTES_MAX))
        return _json(explain(self.door.parts.policies, question))

    async def _refusals(self, request: Request, caller: Caller) -> Response:
        reference = request.path_params["reference"]
        return _json(Explained(reference=reference, refusals=await self.refusals.explain(reference, caller)))


def _question(raw: bytes) -> Question:
    """The question in a body: ``{"words": "..."}``, or the fields of ``wording.read_fields``.

    Raises:
        MalformedResourceError: The body is no flat JSON object.
        UnclearQuestionError: No question can be made of it.
    """
    fields: dict[str, str | int | bool | None] | None = None
    with suppress(msgspec.MsgspecError, ValueError):
        fields = msgspec.json.decode(raw, type=dict[str, str | int | bool | None])
    if fields is None:
        raise MalformedResourceError("send a JSON object: words, or the fields of a question")
    return read_words(str(fields["words"])) if fields.keys() == {"words"} else read_fields(fields)


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
