"""Who may ask this node for a token: facilities, readers, auditors, each with its public keys.

A registry is a JSON file that the node's operator keeps; a client proves itself by a signature (private_key_jwt), so
that the file holds nothing secret.
"""

from collections.abc import Mapping
from types import MappingProxyType

import jwt
import msgspec

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.purposes import Purpose

ALGORITHMS = ("EdDSA", "ES384", "RS384")
"""ES384 and RS384 are what SMART asks servers to support; EdDSA is what we issue and prefer."""


class BadRegistryError(ExchangeError):
    """The registry of clients cannot be used."""

    category = Category.INCORRECT
    code = "bad-client-registry"


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One registered client.

    Attributes:
        client_id: What it calls itself, in assertions and in the log.
        kind: Kind of principal, as policy knows it: ``facility``, ``viewer``, ``auditor``, ``desk``
            and so on.
        organization: Unified social credit code of its organisation.
        name: What people call it.
        purpose: Why it asks; part of every decision and audit entry.
        jwks: Its public keys, a JSON Web Key Set (RFC 7517).
    """

    client_id: str
    kind: str
    organization: str
    name: str
    purpose: Purpose
    jwks: dict[str, list[dict[str, str]]]

    def keys(self) -> Mapping[str, jwt.PyJWK]:
        """Its keys by key id."""
        return {key["kid"]: jwt.PyJWK(key) for key in self.jwks.get("keys", []) if "kid" in key}


GUEST = Client(client_id="guest", kind="guest", organization="", name="Guest", purpose=Purpose.TREATMENT, jwks={})
"""Who shows no token, at a node that runs open; so named in policy and in the log, and nobody is registered so."""


def read_registry(raw: bytes) -> Mapping[str, Client]:
    """The clients by id.

    Raises:
        BadRegistryError: Not JSON, an unknown field, an id that occurs twice, or a key that is none.
    """
    problem = ""
    try:
        clients = msgspec.json.decode(raw, type=list[Client])
        for client in clients:
            client.keys()
        registry = {client.client_id: client for client in clients}
        if any(GUEST.client_id in {client.client_id, client.kind.lower()} for client in clients):
            problem = "nobody is registered as guest: that is who shows no token"
        elif len(registry) == len(clients):
            return MappingProxyType(registry)
        else:
            problem = "a client_id occurs twice"
    except (msgspec.MsgspecError, ValueError, jwt.PyJWTError) as error:
        problem = str(error)
    raise BadRegistryError(f"the registry of clients cannot be used: {problem}")
