"""Look-ups at the FHIR door: one person's records from the whole country, by identity or by a Patient kept here.

``POST Patient/$match`` gives the person's Patients, ``POST Patient/$everything`` and, at a node that looks up,
``POST Patient/[id]/$everything`` all that the caller may get. Each is one look-up (``node.lookups``) with a ticket of
its own; nothing of an answer is kept, here or in a cache on the way. An identity is in the body, never in the URL.

Source: FHIR R4, OperationDefinitions Patient-match and Patient-everything; purposes of use from HL7 v3 ActReason.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from health_exchange.api.bodies import FHIR_JSON, read_body
from health_exchange.api.fhir_door import FhirDoor
from health_exchange.api.lookup_answers import lookup_bundle
from health_exchange.api.wishes import Wishes
from health_exchange.fhir.arguments import read_arguments
from health_exchange.fhir.elements import resource_types
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.purposes import Purpose
from health_exchange.node.asking import IdentityNotSeenHereError
from health_exchange.node.callers import Caller
from health_exchange.node.lookup_results import Wanted
from health_exchange.node.lookups import LookUps
from health_exchange.protocol.lookups import check_period
from health_exchange.pseudonym.identities import Identity, find_identities
from health_exchange.search.query import refuse_parameters

BODY_BYTES_MAX = 64 << 10
_VALUES: Mapping[str, str] = {
    "purpose": "valueCode",
    "reason": "valueString",
    "_type": "valueCode",
    "start": "valueDate",
    "end": "valueDate",
}
"""Parameters beside ``resource``, and where each has its value."""

_REPEATED = "_type"
PARAMETERS = ("resource", *_VALUES)
"""All that a look-up of a person may be given."""
_MATCH = ("resource", "purpose", "reason")

Endpoint = Callable[[Request, Caller], Awaitable[Response]]


class BadLookupError(ExchangeError):
    """The request does not say whom to look up, why, or what is wanted."""

    category = Category.INCORRECT
    code = "bad-look-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupDoor:
    """The operations.

    Attributes:
        door: Authenticates, and turns failures into outcomes.
        lookups: Looks up; ``None`` where the node has not the power.
    """

    door: FhirDoor
    lookups: LookUps | None

    def routes(self) -> list[Route]:
        """What the server mounts; before the door's own routes, which would take ``$match`` for an id."""
        paths: list[tuple[str, Endpoint]] = [
            ("/fhir/Patient/$match", self._match),
            ("/fhir/Patient/$everything", self._everything),
        ]
        if self.lookups is not None:
            # Where nobody is looked up elsewhere, it is what this node keeps, by POST as by GET.
            paths.append(("/fhir/Patient/{id}/$everything", self._everything_of))
        return [
            Route(path, self.door.guarded(self.door.wishful(endpoint)), methods=["POST"]) for path, endpoint in paths
        ]

    async def _match(self, request: Request, caller: Caller) -> Response:
        given = await self._given(request, _MATCH)
        return await self._answer(wanted_by(given, identity_in(given), ("Patient",)), caller)

    async def _everything(self, request: Request, caller: Caller) -> Response:
        given = await self._given(request, PARAMETERS)
        return await self._answer(wanted_by(given, identity_in(given), types_in(given)), caller)

    async def _everything_of(self, request: Request, caller: Caller) -> Response:
        given = await self._given(request, tuple(_VALUES))
        identity = await self._looking_up().identity_of(request.path_params["id"], caller)
        return await self._answer(wanted_by(given, identity, types_in(given)), caller)

    async def _given(self, request: Request, offered: Collection[str]) -> dict[str, list[Any]]:
        """What the body gives."""
        refuse_parameters(Wishes.of(request).pairs, "the URL of a look-up")
        raw = await read_body(request, BODY_BYTES_MAX)
        return await self.door.parts.workers.run(values_in, raw, offered, work_bytes=len(raw))

    async def _answer(self, wanted: Wanted, caller: Caller) -> Response:
        """The look-up as a Bundle, which nobody on the way may keep."""
        result = await self._looking_up().look_up(wanted, caller)
        bundle = lookup_bundle(result, self.door.parts.directory.nodes)
        return Response(bundle, media_type=FHIR_JSON, headers={"Cache-Control": "no-store"})

    def _looking_up(self) -> LookUps:
        """Look-ups, where this node asks the country."""
        if self.lookups is None:
            raise IdentityNotSeenHereError(
                f"{self.door.parts.address} looks nobody up elsewhere; a node that admits facilities may"
            )
        return self.lookups


def values_in(raw: bytes, offered: Collection[str]) -> dict[str, list[Any]]:
    """The values of a Parameters resource by name; a resource under ``resource``.

    Args:
        raw: The body. Untrusted.
        offered: Names of the operation's parameters.

    Raises:
        MalformedResourceError: The body is no Parameters of FHIR R4.
        BadLookupError: A parameter is unknown, given twice, or has a value of another type.
    """
    found: dict[str, list[Any]] = {}
    for name, members, _raw, where in read_arguments(raw):
        member = "resource" if name == "resource" else _VALUES.get(name)
        if member is None or name not in offered:
            raise BadLookupError("the operation has no such parameter", where=where)
        if member not in members:
            raise BadLookupError(f"this parameter has a {member}", where=where)
        if name in found and name != _REPEATED:
            raise BadLookupError("this parameter is given once", where=where)
        found.setdefault(name, []).append(members[member])
    return found


def identity_in(given: Mapping[str, list[Any]]) -> Identity:
    """The exchange-wide identity of the Patient under ``resource``.

    Raises:
        BadLookupError: There is none.
        InvalidIdentityError: It cannot be right.
    """
    patient = given.get("resource", [{}])[0]
    if patient.get("resourceType") != "Patient":
        raise BadLookupError("resource is a Patient with an identifier")
    identities = find_identities(patient.get("identifier", ()), where="Patient")
    if not identities:
        raise BadLookupError("the Patient has no identifier that the exchange knows: national ID, passport, birth")
    return identities[0]


def wanted_by(given: Mapping[str, list[Any]], identity: Identity, types: tuple[str, ...]) -> Wanted:
    """The look-up that the parameters ask for.

    Raises:
        BadLookupError: The purpose is missing or none that is known.
        BadPeriodError: A day is none.
    """
    purpose = given.get("purpose", [""])[0]
    if purpose not in set(Purpose):
        raise BadLookupError(f"purpose is one of {', '.join(Purpose)}")
    days = {name: given.get(name, [""])[0] for name in ("start", "end")}
    check_period(days["start"], days["end"])
    return Wanted(
        identity=identity,
        purpose=Purpose(purpose),
        reason=given.get("reason", [""])[0].strip(),
        types=types,
        since=days["start"],
        until=days["end"],
    )


def types_in(given: Mapping[str, list[Any]]) -> tuple[str, ...]:
    """The resource types that are wanted.

    Raises:
        BadLookupError: One is none of FHIR R4.
    """
    types = tuple(given.get("_type", ()))
    if not set(types) <= resource_types():
        raise BadLookupError("_type names a type that FHIR R4 does not have")
    return types
