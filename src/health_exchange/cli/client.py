"""A registered client's side of a node's door: a token by private_key_jwt, renewed before it expires.

Source: SMART Backend Services, HL7 SMART App Launch 2.2, "Backend Services"; RFC 7523.
"""

import time
import uuid
from dataclasses import dataclass, field

import httpx
import jwt
import msgspec

from health_exchange.model.errors import Category, ExchangeError, ForbiddenError, NotFoundError, UnavailableError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240
TOKEN_MARGIN_S = 30.0
TIMEOUT_S = 120.0


class BadRequestError(ExchangeError):
    """The node found the request wrong, or a file that the command names cannot be used."""

    category = Category.INCORRECT
    code = "bad-request"


_BY_STATUS: dict[int, type[ExchangeError]] = {401: ForbiddenError, 403: ForbiddenError, 404: NotFoundError}


@dataclass(slots=True)
class RegisteredClient:
    """One registered client of one node.

    Attributes:
        client_id: As registered.
        private_key_pem: Ed25519 key the assertions are signed with.
        base_url: The node's FHIR door, without ``/fhir``.
        http: Trusts the network's authority.
    """

    client_id: str
    private_key_pem: bytes = field(repr=False)
    base_url: str
    http: httpx.AsyncClient
    scope: str = "system/*.cruds"
    _token: str = field(default="", repr=False)
    _expires_at: float = 0.0

    async def token(self) -> str:
        """An access token that stays valid for a while.

        Raises:
            httpx.HTTPError: The node is away, or does not know this client or its key.
        """
        if time.monotonic() < self._expires_at - TOKEN_MARGIN_S:
            return self._token
        now = int(time.time())
        assertion = jwt.encode(
            {
                "iss": self.client_id,
                "sub": self.client_id,
                "aud": f"{self.base_url}/oauth/token",
                "jti": str(uuid.uuid4()),
                "iat": now,
                "exp": now + ASSERTION_SECONDS,
            },
            self.private_key_pem,
            algorithm="EdDSA",
            headers={"kid": self.client_id},
        )
        answer = await self.http.post(
            f"{self.base_url}/oauth/token",
            data={
                "grant_type": "client_credentials",
                "scope": self.scope,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            },
        )
        answer.raise_for_status()
        granted = answer.json()
        self._token, self._expires_at = granted["access_token"], time.monotonic() + granted["expires_in"]
        return self._token

    def forget_token(self) -> None:
        """Ask for a new one next time: the node does not take this one any more."""
        self._token, self._expires_at = "", 0.0

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, *, media_type: str = "application/json"
    ) -> bytes:
        """One answer's bytes.

        Raises:
            ExchangeError: The node refuses, does not answer, or does not know the client; its reason is in ``detail``.
        """
        problem: ExchangeError
        try:
            headers = {"Authorization": f"Bearer {await self.token()}", "Content-Type": media_type}
            answer = await self.http.request(
                method, self.base_url + path, content=body, headers=headers, timeout=TIMEOUT_S
            )
            if answer.is_success:
                return answer.content
            if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                problem = UnavailableError(_said(answer))
            else:
                problem = _BY_STATUS.get(answer.status_code, BadRequestError)(_said(answer))
        except jwt.PyJWTError:
            problem = BadRequestError("the private key is none that assertions can be signed with")
        except httpx.HTTPError as error:
            problem = problem_of(error, self.base_url)
        raise problem


def problem_of(error: httpx.HTTPError, url: str) -> ExchangeError:
    """Why no token was to be had, or no answer."""
    if isinstance(error, httpx.HTTPStatusError):
        return ForbiddenError(f"the node does not accept this client (status {error.response.status_code})")
    return UnavailableError(f"{url} cannot be reached ({type(error).__name__})")


def _said(answer: httpx.Response) -> str:
    """What the node says of a failure."""
    try:
        issue = msgspec.json.decode(answer.content)["issue"][0]
        return str(issue.get("diagnostics") or f"status {answer.status_code}")
    except (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return f"the node answers with status {answer.status_code}"
