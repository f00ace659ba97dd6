"""A hospital's side of the FHIR door: a token by private_key_jwt, then Bundles, each sent until it is acknowledged.

Source: SMART Backend Services, HL7 SMART App Launch 2.2, "Backend Services"; RFC 7523.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass, field

import httpx
import jwt

from health_exchange.model.errors import UnavailableError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240
TOKEN_MARGIN_S = 30.0
RETRY_EVERY_S = 0.25
GIVE_UP_AFTER_S = 120.0
RETRYABLE = frozenset({429, 502, 503, 504})


@dataclass(slots=True)
class FacilityClient:
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
        """An access token that stays valid for a while."""
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

    async def submit(self, bundle: bytes, *, request_id: str) -> httpx.Response:
        """Send one Bundle until the node has answered it for good.

        A node that is away or busy is asked again with the same bytes and the same request id, which is what makes a
        repeated request one request.

        Raises:
            UnavailableError: No final answer within ``GIVE_UP_AFTER_S``.
        """
        deadline = time.monotonic() + GIVE_UP_AFTER_S
        while time.monotonic() < deadline:
            try:
                answer = await self.http.post(
                    f"{self.base_url}/fhir",
                    content=bundle,
                    headers={
                        "Authorization": f"Bearer {await self.token()}",
                        "Content-Type": "application/fhir+json",
                        "X-Request-Id": request_id,
                    },
                )
            except httpx.HTTPError:
                # Away, or too busy for a token: the node, or the way to it, will be back.
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            if answer.status_code not in RETRYABLE:
                return answer
            await asyncio.sleep(RETRY_EVERY_S)
        raise UnavailableError(f"{self.base_url} gave no final answer within {GIVE_UP_AFTER_S:g} s")
