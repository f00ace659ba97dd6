"""Access tokens for registered clients: private_key_jwt in, a short-lived signed token out.

The token is a JWT signed with the node's own key and good for this node alone; it carries who, what kind and why, and
nothing that identifies a person. An assertion is good once: its ``jti`` is spent in the database before the answer.

Source: SMART Backend Services (HL7 SMART App Launch 2.2), RFC 7523, RFC 6749 section 5.2 for the errors.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from health_exchange.api.clients import ALGORITHMS, Client
from health_exchange.model.clock import Clock
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.store import replays
from health_exchange.store.engine import Store

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = timedelta(minutes=5)
"""Longest life an assertion may claim (SMART: five minutes)."""
TOKEN_LIFE = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=60)
ASSERTION_BYTES_MAX = 8192
TOKENS_REMEMBERED = 1024


class InvalidClientError(ExchangeError):
    """The client is not registered here, or its assertion does not prove that it is who it says."""

    category = Category.UNAUTHENTICATED
    code = "invalid-client"


class InvalidTokenRequestError(ExchangeError):
    """The token request is not of the form SMART Backend Services asks for."""

    category = Category.INCORRECT
    code = "invalid-token-request"


class InvalidTokenError(ExchangeError):
    """No token, or one that this node did not issue or that has expired."""

    category = Category.UNAUTHENTICATED
    code = "invalid-token"


class TokenIssuer:
    """Checks assertions, issues tokens, reads them back.

    Args:
        base_url: Of the node's door.
        clients: Who may have tokens, by id.
        seed: Of the key that signs tokens.
        store: Where spent assertions are noted.
        clock: The node's.
        tokenless: Who shows no token, where such a caller is let in; a wrong token is refused all the same.
    """

    def __init__(  # the parts of an issuer, each named at the only call
        self,
        *,
        base_url: str,
        clients: Mapping[str, Client],
        seed: Secret,
        store: Store,
        clock: Clock,
        tokenless: Client | None = None,
    ) -> None:
        self._audience = f"{base_url}/oauth/token"
        self._issuer = base_url
        self._clients = clients
        self._key = Ed25519PrivateKey.from_private_bytes(seed.raw)
        self._public = self._key.public_key()
        self._store = store
        self._clock = clock
        self._tokenless = tokenless
        # A token comes with every request of its five minutes: its signature is looked at once.
        self._verified = lru_cache(maxsize=TOKENS_REMEMBERED)(self._verify)

    async def grant(self, form: Mapping[str, str]) -> dict[str, str | int]:
        """An access token response (RFC 6749, section 5.1) for a form of grant type ``client_credentials``.

        Raises:
            InvalidTokenRequestError: Another grant type or assertion type, or none.
            InvalidClientError: Unknown client, wrong key, audience, times, or an assertion used before.
        """
        if form.get("grant_type") != "client_credentials":
            raise InvalidTokenRequestError("grant_type must be client_credentials")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidTokenRequestError(f"client_assertion_type must be {ASSERTION_TYPE}")
        assertion = form.get("client_assertion", "")
        if not assertion or len(assertion) > ASSERTION_BYTES_MAX:
            raise InvalidTokenRequestError(f"client_assertion must be a JWT of at most {ASSERTION_BYTES_MAX} bytes")
        client, claims = self._check_assertion(assertion)
        expires_at = self._clock.now() + ASSERTION_LIFE + CLOCK_SKEW
        fresh = await self._store.write(
            lambda tx: replays.spend(tx, "jti", f"{client.client_id}|{claims['jti']}", expires_at)
        )
        if not fresh:
            raise InvalidClientError("the assertion's jti was used before")
        return {
            "access_token": self._issue(client),
            "token_type": "bearer",
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "scope": form.get("scope", "system/*.cruds"),
        }

    def authenticate(self, authorization: str | None) -> Client:
        """The client whose token an ``Authorization`` header carries.

        Raises:
            InvalidTokenError: No bearer token, not ours, expired, or of a client no longer registered.
        """
        if authorization is None and self._tokenless is not None:
            return self._tokenless
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise InvalidTokenError("the request carries no bearer token")
        claims = self._decode(token)
        client = self._clients.get(str(claims["sub"]))
        if client is None:
            raise InvalidTokenError("the token's client is no longer registered here")
        return client

    def _decode(self, token: str) -> dict[str, object]:
        """The claims of a token we issued and that has not expired."""
        claims = self._verified(token)
        if float(str(claims["exp"])) > self._clock.now().timestamp():
            return claims
        raise InvalidTokenError("the token has expired")

    def _verify(self, token: str) -> dict[str, object]:
        """The claims of a token we issued, whenever it expires."""
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                self._public,
                algorithms=["EdDSA"],
                audience=self._issuer,
                issuer=self._issuer,
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            raise InvalidTokenError("the token was not issued by this node") from None
        return claims

    def _issue(self, client: Client) -> str:
        """A token for ``client``, valid from now on."""
        now = self._clock.now()
        return jwt.encode(
            {
                "iss": self._issuer,
                "aud": self._issuer,
                "sub": client.client_id,
                "kind": client.kind,
                "iat": int(now.timestamp()),
                "exp": int((now + TOKEN_LIFE).timestamp()),
            },
            self._key,
            algorithm="EdDSA",
        )

    def _check_assertion(self, assertion: str) -> tuple[Client, dict[str, object]]:
        """The client that signed ``assertion`` for us, and its claims."""
        problem = "the assertion is not a JWT"
        try:
            header = jwt.get_unverified_header(assertion)
            unverified = jwt.decode(assertion, options={"verify_signature": False})
            client = self._clients.get(str(unverified.get("iss", "")))
            key = client.keys().get(str(header.get("kid", ""))) if client else None
            problem = "the client or its key is not registered at this node"
            if client is not None and key is not None:
                problem = "the assertion's signature, audience or claims are wrong"
                claims: dict[str, object] = jwt.decode(
                    assertion,
                    key.key,
                    algorithms=list(ALGORITHMS),
                    audience=self._audience,
                    issuer=client.client_id,
                    options={
                        "require": ["exp", "iss", "sub", "aud", "jti"],
                        "verify_exp": False,
                        "verify_iat": False,
                        "verify_nbf": False,
                    },
                )
                problem = self._wrong_times(claims) or (
                    "" if claims["sub"] == claims["iss"] else "sub differs from iss"
                )
                if not problem:
                    return client, claims
        except jwt.PyJWTError as error:
            problem = f"{problem} ({type(error).__name__})"
        raise InvalidClientError(problem)

    def _wrong_times(self, claims: Mapping[str, object]) -> str:
        """What is wrong with the assertion's times by this node's clock; empty if nothing."""
        now = self._clock.now().timestamp()
        try:
            expires = float(str(claims["exp"]))
        except ValueError:
            return "exp is not a number"
        if expires <= now - CLOCK_SKEW.total_seconds():
            return "the assertion has expired by this node's clock"
        if expires > now + (ASSERTION_LIFE + CLOCK_SKEW).total_seconds():
            return "the assertion is valid for more than five minutes by this node's clock"
        return ""
