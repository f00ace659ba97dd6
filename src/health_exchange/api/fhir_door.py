"""The FHIR door: HTTP in, use cases below, FHIR out.

Routes know HTTP and nothing else: parsing and validation lie in ``fhir``, meaning in ``node``. Every failure becomes an
OperationOutcome by one table (``problems``). National IDs in URLs are refused before anything else looks at the URL.

Source: FHIR R4 (4.0.1), section 3.1 "RESTful API".
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from email.utils import format_datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from health_exchange.api.answers import answer_bundle
from health_exchange.api.capability import capability_statement
from health_exchange.api.clients import Client
from health_exchange.api.problems import outcome_of, status_of
from health_exchange.api.tokens import TokenIssuer
from health_exchange.fhir.limits import Limits as FhirLimits
from health_exchange.fhir.validation import ResourceView, validate
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError, NotFoundError
from health_exchange.model.identifiers import RequestId
from health_exchange.node.admission import Admission
from health_exchange.node.asking import may_name_identity
from health_exchange.node.callers import Caller
from health_exchange.node.parts import NodeParts
from health_exchange.node.reading import Kept
from health_exchange.node.searching import Searching
from health_exchange.node.writes import UnsupportedInteractionError, WriteResult, make_request
from health_exchange.policy.decisions import Principal
from health_exchange.search.query import asks_by_identifier
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.trace import LONG_DIGITS, current_request_id

FHIR_JSON = "application/fhir+json"
FORM_BYTES_MAX = 64 << 10

Endpoint = Callable[[Request, Caller], Awaitable[Response]]


class OversizedBodyError(ExchangeError):
    """The body is larger than this door takes."""

    category = Category.TOO_LARGE
    code = "oversized-body"


class IdentityInUrlError(ExchangeError):
    """A URL that looks as if it carried a national ID: it would stand in every log on the way."""

    category = Category.INCORRECT
    code = "identity-in-url"


class UnsupportedMediaError(ExchangeError):
    """Something else than FHIR JSON is sent or asked for."""

    category = Category.UNSUPPORTED
    code = "unsupported-media"


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirDoor:
    """The door's parts; ``routes`` is what the server mounts.

    Attributes:
        parts: The node's.
        issuer: Tokens in and out.
        reading: Reads and searches under policy and audit.
        admission: Writes; ``None`` where the tier does not admit facilities.
        limits: Bounds on bodies.
    """

    parts: NodeParts
    issuer: TokenIssuer
    reading: Searching
    admission: Admission | None
    limits: FhirLimits

    def routes(self) -> list[Route]:
        """Everything under ``/fhir``, and the token endpoint."""
        by_path: list[tuple[str, str, Endpoint]] = [
            ("/fhir/_search", "POST", self._search_by_post),
            ("/fhir/{type}/_search", "POST", self._search_by_post),
            ("/fhir/{compartment}/{id}/{type}/_search", "POST", self._search_by_post),
            ("/fhir/{type}/{id}/$everything", "GET", self._everything),
            ("/fhir/{type}/{id}/_history/{version}", "GET", self._vread),
            ("/fhir/{compartment}/{id}/{type}", "GET", self._search),
            ("/fhir/{type}/{id}", "GET", self._read),
            ("/fhir/{type}/{id}", "PUT", self._update),
            ("/fhir/{type}/{id}", "DELETE", self._delete),
            ("/fhir/{type}", "GET", self._search),
            ("/fhir/{type}", "POST", self._create),
            ("/fhir", "GET", self._search),
            ("/fhir", "POST", self._bundle),
        ]
        return [
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/fhir/metadata", self._metadata, methods=["GET"]),
            Route("/.well-known/smart-configuration", self._smart, methods=["GET"]),
            *(Route(path, self.guarded(endpoint), methods=[method]) for path, method, endpoint in by_path),
        ]

    def guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """``endpoint`` behind authentication, with every failure as an OperationOutcome."""

        async def answer(request: Request) -> Response:
            request_id = current_request_id()
            try:
                refuse_identity_in_url(request)
                client = self.issuer.authenticate(request.headers.get("authorization"))
                response = await endpoint(request, caller_of(client, request_id, self.parts.address))
            except ExchangeError as error:
                if error.category is Category.FAULT:
                    log_event("fault", code=error.code)
                response = problem_response(error, request_id)
            return response

        return answer

    async def _token(self, request: Request) -> Response:
        try:
            body = await read_body(request, FORM_BYTES_MAX)
            form = dict(parse_form(body))
            return JSONResponse(await self.issuer.grant(form), headers={"Cache-Control": "no-store"})
        except ExchangeError as error:
            code = "invalid_client" if error.category is Category.UNAUTHENTICATED else "invalid_request"
            return JSONResponse({"error": code, "error_description": error.detail}, status_code=status_of(error))

    async def _smart(self, _request: Request) -> Response:
        base = self.parts.card.fhir_url
        return JSONResponse(
            {
                "token_endpoint": f"{base}/oauth/token",
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES384", "RS384"],
                "grant_types_supported": ["client_credentials"],
                "scopes_supported": ["system/*.cruds"],
                "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            }
        )

    async def _metadata(self, _request: Request) -> Response:
        statement = capability_statement(self.parts.card, writes=self.admission is not None)
        return Response(statement, media_type=FHIR_JSON)

    async def _bundle(self, request: Request, caller: Caller) -> Response:
        raw = await self._fhir_body(request)
        outcome = await self._writer().admit_bundle(raw, caller)
        return Response(answer_bundle(outcome, caller.request_id), media_type=FHIR_JSON)

    async def _create(self, request: Request, caller: Caller) -> Response:
        raw = await self._fhir_body(request)
        write = make_request(
            method="POST",
            resource_type=request.path_params["type"],
            resource_id=None,
            view=_checked(raw, request.path_params["type"]),
            if_none_exist=request.headers.get("if-none-exist"),
        )
        return self._written((await self._writer().admit([write], caller))[0])

    async def _update(self, request: Request, caller: Caller) -> Response:
        raw = await self._fhir_body(request)
        write = make_request(
            method="PUT",
            resource_type=request.path_params["type"],
            resource_id=request.path_params["id"],
            view=_checked(raw, request.path_params["type"]),
            if_match=request.headers.get("if-match"),
        )
        return self._written((await self._writer().admit([write], caller))[0])

    async def _delete(self, request: Request, caller: Caller) -> Response:
        write = make_request(
            method="DELETE",
            resource_type=request.path_params["type"],
            resource_id=request.path_params["id"],
            view=None,
            if_match=request.headers.get("if-match"),
        )
        return self._written((await self._writer().admit([write], caller))[0])

    async def _read(self, request: Request, caller: Caller) -> Response:
        kept = await self.reading.read(request.path_params["type"], request.path_params["id"], caller)
        return _resource(kept)

    async def _vread(self, request: Request, caller: Caller) -> Response:
        version = request.path_params["version"]
        if not version.isdecimal():
            raise MalformedResourceError("a version is a whole number")
        kept = await self.reading.vread(request.path_params["type"], request.path_params["id"], int(version), caller)
        return _resource(kept)

    async def _search(self, request: Request, caller: Caller) -> Response:
        pairs = list(request.query_params.multi_items())
        card = self.parts.card
        if any(asks_by_identifier(name) and may_name_identity(card, value) for name, value in pairs):
            raise IdentityInUrlError("search by identifier with POST _search: a URL stands in every log on the way")
        return await self._found(request, pairs, caller)

    async def _search_by_post(self, request: Request, caller: Caller) -> Response:
        pairs = [*request.query_params.multi_items(), *parse_form(await read_body(request, FORM_BYTES_MAX))]
        return await self._found(request, pairs, caller)

    async def _found(self, request: Request, pairs: list[tuple[str, str]], caller: Caller) -> Response:
        """The answer to a search."""
        place = request.path_params
        if place.get("compartment", "Patient") != "Patient":
            raise NotFoundError("the compartments that are searched are those of Patients")
        page = await self.reading.search(
            place.get("type", "").replace("*", ""),
            pairs,
            caller,
            patient=place["id"] if "compartment" in place else "",
            lenient=is_lenient(request.headers.getlist("prefer")),
        )
        return Response(page, media_type=FHIR_JSON)

    async def _everything(self, request: Request, caller: Caller) -> Response:
        if request.path_params["type"] != "Patient":
            raise UnsupportedInteractionError("$everything is offered for Patient")
        bundle = await self.reading.everything(request.path_params["id"], caller)
        return Response(bundle, media_type=FHIR_JSON)

    def _writer(self) -> Admission:
        """Admission, where this node has the power."""
        if self.admission is None:
            raise UnsupportedInteractionError(
                f"{self.parts.address} admits no facilities: only a resource's origin changes it"
            )
        return self.admission

    async def _fhir_body(self, request: Request) -> bytes:
        """The body, within bounds and of our media type."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in {FHIR_JSON, "application/json"}:
            raise UnsupportedMediaError(f"send {FHIR_JSON}")
        return await read_body(request, self.limits.body_bytes)

    def _written(self, result: WriteResult) -> Response:
        """The answer to one write."""
        response = Response(status_code=result.status)
        response.headers["ETag"] = f'W/"{result.version}"'
        if result.changed_at is not None:
            response.headers["Last-Modified"] = format_datetime(result.changed_at, usegmt=True)
        if result.status == HTTPStatus.CREATED:
            base = self.parts.card.fhir_url
            response.headers["Location"] = f"{base}/fhir/{result.type}/{result.id}/_history/{result.version}"
        if result.held:
            response.headers["X-Held"] = result.held
        return response


def caller_of(client: Client, request_id: RequestId, node: NodeAddress) -> Caller:
    """The client as use cases and policy see it: registered at ``node``."""
    principal = Principal(kind=client.kind, id=client.client_id, organization=client.organization, address=str(node))
    return Caller(principal=principal, purpose=client.purpose, request_id=request_id)


def problem_response(error: ExchangeError, reference: str = "") -> Response:
    """The error as an OperationOutcome with the status its category maps to, under the request's id as reference."""
    response = Response(outcome_of(error, reference), status_code=status_of(error), media_type=FHIR_JSON)
    if error.category is Category.UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return response


def refuse_identity_in_url(request: Request) -> None:
    """Raise before a national ID in a URL goes any further.

    Raises:
        IdentityInUrlError: Path or query holds a run of digits as long as one.
    """
    if LONG_DIGITS.search(request.url.path) or LONG_DIGITS.search(request.url.query):
        raise IdentityInUrlError("a URL must not carry what may be a national ID; use POST _search")


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The request's body.

    Raises:
        OversizedBodyError: It is, or says it is, larger than ``bytes_max``; nothing of the rest is read.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise OversizedBodyError(f"a body has at most {bytes_max} bytes, this one declares {declared}")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise OversizedBodyError(f"a body has at most {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def is_lenient(preferences: Iterable[str]) -> bool:
    """Whether a caller prefers that what is not offered is left out; who says nothing prefers a refusal."""
    said = {part.strip().lower() for preference in preferences for part in re.split("[,;]", preference)}
    return "handling=lenient" in said


def parse_form(body: bytes) -> list[tuple[str, str]]:
    """Fields of an ``application/x-www-form-urlencoded`` body."""
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        pass
    raise MalformedResourceError("the body is not an URL-encoded form")


def _checked(raw: bytes, resource_type: str) -> ResourceView:
    """The body as a valid resource of the type in the URL."""
    view = validate(raw)
    if view.type != resource_type:
        raise MalformedResourceError(f"the URL says {resource_type}, the resource is a {view.type}")
    return view


def _resource(kept: Kept) -> Response:
    """One resource with its validators."""
    response = Response(kept.body, media_type=FHIR_JSON)
    response.headers["ETag"] = f'W/"{kept.version}"'
    response.headers["Last-Modified"] = format_datetime(kept.changed_at, usegmt=True)
    return response
