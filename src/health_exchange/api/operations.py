"""Operations on one resource or one person at the FHIR door: ``$validate``, ``$meta`` and ``Patient/[id]/$everything``.

Source: FHIR R4, section 3.2 "Operations"; OperationDefinitions Resource-validate, Resource-meta, Patient-everything.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from health_exchange.api.answers import meta_answer
from health_exchange.api.bodies import FHIR_JSON, PARAMETERS_BYTES_MAX, check_media, read_body, read_fhir
from health_exchange.api.wishes import Wishes
from health_exchange.fhir.arguments import read_arguments
from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.limits import Limits
from health_exchange.fhir.outcomes import issue_of, outcome_with
from health_exchange.model.errors import MalformedResourceError, NotFoundError
from health_exchange.node.callers import Caller
from health_exchange.node.everything import Everything
from health_exchange.node.parts import NodeParts
from health_exchange.node.reading import Reading
from health_exchange.node.validating import BadValidationError, judged
from health_exchange.node.writes import UnsupportedInteractionError
from health_exchange.search.query import refuse_parameters

_SOUND = issue_of(severity="information", code="informational", reason="sound", diagnostics="this is sound FHIR R4")
_OFFERED = frozenset({"mode", "profile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The endpoints.

    Attributes:
        parts: The node's.
        reading: Reads under policy and audit.
        limits: Bounds on bodies.
    """

    parts: NodeParts
    reading: Reading
    limits: Limits

    async def everything(self, request: Request, caller: Caller) -> Response:
        """``GET`` or ``POST Patient/id/$everything``: a page of what this node keeps of the person."""
        if request.path_params["type"] != "Patient":
            raise UnsupportedInteractionError("$everything is offered for Patient")
        pairs = [*Wishes.of(request).pairs, *(await self._posted(request) if request.method == "POST" else ())]
        bundle = await Everything(self.parts).page(request.path_params["id"], pairs, caller)
        return Response(bundle, media_type=FHIR_JSON)

    async def _posted(self, request: Request) -> list[tuple[str, str]]:
        """What the body gives; nothing where there is none.

        Raises:
            MalformedResourceError: It is no Parameters of plain values.
            UnsupportedMediaError: It is not said to be FHIR's JSON.
        """
        raw = await read_body(request, PARAMETERS_BYTES_MAX)
        if not raw.strip():
            return []
        check_media(request.headers)
        return await self.parts.workers.run(plain_pairs, raw, work_bytes=len(raw))

    async def validate(self, request: Request, caller: Caller) -> Response:  # noqa: ARG002  # every client may ask
        """``POST Type[/id]/$validate``: what is wrong with the resource in the body, all of it; nothing is kept."""
        resource_type = request.path_params["type"]
        if resource_type not in resource_types():
            raise NotFoundError("there is no such resource type")
        pairs = Wishes.of(request).pairs
        given = dict(pairs)
        if not given.keys() <= _OFFERED or len(given) < len(pairs):
            raise BadValidationError("$validate takes mode and profile, each once")
        raw = await read_fhir(request, self.limits.body_bytes)
        resource_id, mode, profile = request.path_params.get("id"), given.get("mode", ""), given.get("profile", "")
        faults = await self.parts.workers.run(
            judged, raw, resource_type, resource_id, mode, profile, work_bytes=len(raw)
        )
        issues = [
            issue_of(
                severity="error", code="invalid", reason="malformed-resource", diagnostics=each.detail, where=each.where
            )
            for each in faults
        ]
        return Response(outcome_with(issues or [_SOUND]), media_type=FHIR_JSON)

    async def meta(self, request: Request, caller: Caller) -> Response:
        """``GET`` or ``POST Type/id/$meta``: the resource's ``meta`` as it is kept; as much a read as any."""
        if "id" not in request.path_params:
            raise UnsupportedInteractionError("$meta is offered for one resource: what all have is kept as hashes only")
        refuse_parameters(Wishes.of(request).pairs, "$meta")
        return meta_answer(await self.reading.read(request.path_params["type"], request.path_params["id"], caller))


def plain_pairs(raw: bytes) -> list[tuple[str, str]]:
    """What an operation's Parameters give, each value as it would stand in a URL.

    Raises:
        MalformedResourceError: The body is no Parameters of plain values.
    """
    pairs: list[tuple[str, str]] = []
    for given in read_arguments(raw):
        value = next((given.members[name] for name in given.members if name.startswith("value")), None)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise MalformedResourceError("this parameter has a plain value", where=given.where)
        pairs.append((given.name, str(value)))
    return pairs
