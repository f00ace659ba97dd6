"""The door for what a person is owed: a view of what is kept, what became of a consent, erasure and its report.

An identity stands in a body, never in a URL, and in no answer's headers. Only a node that admits facilities has it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from health_exchange.api.bodies import FORM_BYTES_MAX, read_body
from health_exchange.api.fhir_door import FhirDoor
from health_exchange.model.errors import MalformedResourceError
from health_exchange.node.callers import Caller
from health_exchange.node.desks import Desks
from health_exchange.node.erasures import Erasures
from health_exchange.node.notices import consent_effect
from health_exchange.pseudonym.identities import Identity, InvalidIdentityError, read_identity

T = TypeVar("T")
Endpoint = Callable[[Request, Caller], Awaitable[Response]]


class Identified(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who stands at the desk: system and value of a FHIR Identifier."""

    system: str
    value: str

    def __repr__(self) -> str:
        return "Identified(hidden)"


class ErasureRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be erased, and the reference of the case that asks for it."""

    identifier: Identified
    case: str

    def __repr__(self) -> str:
        return "ErasureRequest(hidden)"


class ViewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose view is asked for."""

    identifier: Identified

    def __repr__(self) -> str:
        return "ViewRequest(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonDoor:
    """What desks and operators ask for persons.

    Attributes:
        door: Authenticates, and turns failures into outcomes.
        desks: Views.
        erasures: Erasures.
    """

    door: FhirDoor
    desks: Desks
    erasures: Erasures

    def routes(self) -> list[Route]:
        """What the server mounts."""
        paths: list[tuple[str, str, Endpoint]] = [
            ("POST", "/operator/v1/person/view", self._view),
            ("POST", "/operator/v1/person/erasure", self._erase),
            ("GET", "/operator/v1/person/erasure/{case}", self._report),
            ("GET", "/operator/v1/consents/{id}/effect", self._effect),
        ]
        return [Route(path, self.door.guarded(endpoint), methods=[method]) for method, path, endpoint in paths]

    async def _view(self, request: Request, caller: Caller) -> Response:
        asked = await _body(request, ViewRequest)
        return _json(await self.desks.view(_identity(asked.identifier), caller))

    async def _erase(self, request: Request, caller: Caller) -> Response:
        asked = await _body(request, ErasureRequest)
        return _json(await self.erasures.erase(_identity(asked.identifier), asked.case, caller))

    async def _report(self, request: Request, caller: Caller) -> Response:
        return _json(await self.erasures.report(request.path_params["case"], caller))

    async def _effect(self, request: Request, caller: Caller) -> Response:
        return _json(await consent_effect(self.door.parts, caller, request.path_params["id"]))


async def _body(request: Request, shape: type[T]) -> T:
    """The request's body; what is wrong with it is told without quoting it."""
    raw = await read_body(request, FORM_BYTES_MAX)
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise MalformedResourceError("the body is JSON: identifier {system, value}, and for an erasure case")


def _identity(given: Identified) -> Identity:
    """The identity that was given.

    Raises:
        InvalidIdentityError: It is none by which the exchange knows persons, or it cannot be right.
    """
    identity = read_identity(given.system, given.value)
    if identity is None:
        raise InvalidIdentityError("no exchange-wide identity has that system", where="identifier.system")
    return identity


def _json(answer: msgspec.Struct) -> Response:
    """An answer that nobody on the way keeps."""
    return Response(msgspec.json.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})
