"""A registered client's side of a node's door: a token by private_key_jwt, renewed before it expires.

Source: SMART Backend Services, HL7 SMART App Launch 2.2, "Backend Services"; RFC 7523.
"""

import time
import uuid
from dataclasses import dataclass, field

import httpx
import jwt

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240
TOKEN_MARGIN_S = 30.0


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
