"""The FHIR door: HTTP in, use cases below, FHIR out.

Routes know HTTP and nothing else: parsing and validation lie in ``fhir``, meaning in ``node``. Every failure becomes an
OperationOutcome by one table (``problems``). National IDs in URLs are refused before a route is looked for (``urls``).

Source: FHIR R4 (4.0.1), section 3.1 "RESTful API".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from health_exchange.api.answers import not_modified, resource_answer
from health_exchange.api.bodies import FHIR_JSON, FORM_BYTES_MAX, end_of, is_known_to_client, parse_form, read_body
from health_exchange.api.capability import capability_statement
from health_exchange.api.clients import Client
from health_exchange.api.history import History
from health_exchange.api.operations import Operations
from health_exchange.api.problems import problem_response, status_of
from health_exchange.api.tokens import TokenIssuer
from health_exchange.api.urls import refuse_identities
from health_exchange.api.wishes import Wishes
from health_exchange.api.writing import Writing
from health_exchange.fhir.limits import Limits as FhirLimits
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError, NotFoundError
from health_exchange.model.identifiers import RequestId
from health_exchange.node.admission import Admission
from health_exchange.node.bundle_reads import BundleReads
from health_exchange.node.callers import Caller
from health_exchange.node.histories import Histories
from health_exchange.node.parts import NodeParts
from health_exchange.node.reading import Kept
from health_exchange.node.reading_bundles import ReadingBundles
from health_exchange.node.searching import Searching
from health_exchange.policy.decisions import Principal
from health_exchange.search.query import refuse_parameters
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.trace import current_request_id

SEARCHED_BY_POST = ("/fhir/_search", "/fhir/{type}/_search", "/fhir/{compartment}/{id}/{type}/_search")

VERSION_DIGITS_MAX = 18
"""What a database's whole numbers hold."""
_MODES = frozenset({("mode", "full"), ("mode", "normative")})

Endpoint = Callable[[Request, Caller], Awaitable[Response]]


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
        histories = Histories(self.parts)
        history = History(histories=histories).history
        writing = Writing(
            parts=self.parts,
            reading=self.reading,
            admission=self.admission,
            bundles=ReadingBundles(self.parts, BundleReads(self.reading, histories)),
            limits=self.limits,
        )
        operations = Operations(parts=self.parts, reading=self.reading, limits=self.limits)
        by_path: list[tuple[str, str, Endpoint]] = [
            ("/fhir/{type}/$validate", "POST", operations.validate),
            ("/fhir/{type}/{id}/$validate", "POST", operations.validate),
            ("/fhir/$meta", "GET", operations.meta),
            ("/fhir/{type}/$meta", "GET", operations.meta),
            ("/fhir/{type}/{id}/$meta", "GET", operations.meta),
            ("/fhir/{type}/{id}/$meta", "POST", operations.meta),
            ("/fhir/{type}/{id}/$meta-add", "POST", writing.change_meta),
            ("/fhir/{type}/{id}/$meta-delete", "POST", writing.change_meta),
            ("/fhir/_history", "GET", history),
            ("/fhir/{type}/_history", "GET", history),
            ("/fhir/{type}/{id}/_history", "GET", history),
            ("/fhir/{type}/{id}/$everything", "GET", operations.everything),
            ("/fhir/{type}/{id}/$everything", "POST", operations.everything),
            ("/fhir/{type}/{id}/_history/{version}", "GET", self._vread),
            ("/fhir/{compartment}/{id}/{type}", "GET", self._search),
            ("/fhir/{type}/{id}", "GET", self._read),
            ("/fhir/{type}/{id}", "PUT", writing.update),
            ("/fhir/{type}/{id}", "PATCH", writing.patch),
            ("/fhir/{type}/{id}", "DELETE", writing.delete),
            ("/fhir/{type}", "GET", self._search),
            ("/fhir/{type}", "POST", writing.create),
            ("/fhir/{type}", "PUT", writing.update),
            ("/fhir/{type}", "PATCH", writing.patch),
            ("/fhir/{type}", "DELETE", writing.delete),
            ("/fhir", "GET", self._search),
            ("/fhir/", "GET", self._search),
            ("/fhir", "POST", writing.bundle),
            ("/fhir/", "POST", writing.bundle),
        ]
        return [
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/fhir/metadata", self._metadata, methods=["GET"]),
            Route("/.well-known/smart-configuration", self._smart, methods=["GET"]),
            # Their wishes are in their forms too.
            *(Route(path, self.guarded(self._search_by_post), methods=["POST"]) for path in SEARCHED_BY_POST),
            *(
                Route(path, self.guarded(self.wishful(endpoint)), methods=[method])
                for path, method, endpoint in by_path
            ),
        ]

    def guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """``endpoint`` behind authentication, with every failure as an OperationOutcome."""

        async def answer(request: Request) -> Response:
            request_id = current_request_id()
            try:
                client = self.issuer.authenticate(request.headers.get("authorization"))
                response = await endpoint(request, caller_of(client, request_id, self.parts.address))
            except ExchangeError as error:
                if error.category is Category.FAULT:
                    log_event("fault", code=error.code)
                response = problem_response(error, request_id)
            return response

        return answer

    def wishful(self, endpoint: Endpoint) -> Endpoint:
        """``endpoint`` with its answer as the client wants it; what nobody could give is refused before all else.

        Raises:
            NotAcceptableError: The client takes no format of ours.
            BadWishError: A general parameter has a value that it cannot have.
        """

        async def answer(request: Request, caller: Caller) -> Response:
            wishes = Wishes.of(request)
            return await wishes.granted(request, await endpoint(request, caller), self.parts.workers)

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

    async def _metadata(self, request: Request) -> Response:
        try:
            wishes = Wishes.of(request)
            # All that works here is stated in either mode; what else there is, is another resource.
            refuse_parameters([pair for pair in wishes.pairs if pair not in _MODES], "metadata")
            statement = capability_statement(self.parts.card, writes=self.admission is not None)
            response = Response(statement, media_type=FHIR_JSON)
            return await wishes.granted(request, response, self.parts.workers)
        except ExchangeError as error:
            return problem_response(error, current_request_id())

    async def _read(self, request: Request, caller: Caller) -> Response:
        if request.scope["query_string"]:
            refuse_parameters(Wishes.of(request).pairs, "a read")
        kept = await self.reading.read(request.path_params["type"], request.path_params["id"], caller)
        return _unless_known(request, kept)

    async def _vread(self, request: Request, caller: Caller) -> Response:
        refuse_parameters(Wishes.of(request).pairs, "a read of a version")
        version = request.path_params["version"]
        if not (version.isascii() and version.isdecimal() and len(version) <= VERSION_DIGITS_MAX):
            raise MalformedResourceError("a version is a whole number")
        kept = await self.reading.vread(request.path_params["type"], request.path_params["id"], int(version), caller)
        return _unless_known(request, kept)

    async def _search(self, request: Request, caller: Caller) -> Response:
        wishes = Wishes.of(request)
        refuse_identities(wishes.pairs, self.parts.card)
        return await self._found(request, wishes, caller)

    async def _search_by_post(self, request: Request, caller: Caller) -> Response:
        # Only what is in the body may name a person: parameters may stand in the URL of a POST, too.
        refuse_identities(request.query_params.multi_items(), self.parts.card)
        form = parse_form(await read_body(request, FORM_BYTES_MAX))
        wishes = Wishes.of(request, form)
        return await wishes.granted(request, await self._found(request, wishes, caller), self.parts.workers)

    async def _found(self, request: Request, wishes: Wishes, caller: Caller) -> Response:
        """The answer to a search."""
        place = request.path_params
        if place.get("compartment", "Patient") != "Patient":
            raise NotFoundError("the compartments that are searched are those of Patients")
        page = await self.reading.search(
            place.get("type", "").replace("*", ""),
            wishes.pairs,
            caller,
            patient=place["id"] if "compartment" in place else "",
            lenient=wishes.lenient,
        )
        return Response(page, media_type=FHIR_JSON)


def _unless_known(request: Request, kept: Kept) -> Response:
    """The resource, or that the client has it already."""
    known, since = request.headers.get("if-none-match", ""), request.headers.get("if-modified-since", "")
    if is_known_to_client(known, end_of(since) if since else None, version=kept.version, changed_at=kept.changed_at):
        return not_modified(kept)
    return resource_answer(kept)


def caller_of(client: Client, request_id: RequestId, node: NodeAddress) -> Caller:
    """The client as use cases and policy see it: registered at ``node``."""
    principal = Principal(kind=client.kind, id=client.client_id, organization=client.organization, address=str(node))
    return Caller(principal=principal, purpose=client.purpose, request_id=request_id)
