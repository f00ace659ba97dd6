"""Registering clients: a key pair each, the public half for the node's registry, the private one for the client."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from health_exchange.api.clients import Client
from health_exchange.model.purposes import Purpose
from health_exchange.model.randomness import Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A client and the key it proves itself with.

    Attributes:
        client: For the registry.
        private_key_pem: For the client alone.
    """

    client: Client
    private_key_pem: bytes = field(repr=False)


def register(
    *, client_id: str, kind: str, organization: str, name: str, purpose: Purpose, randomness: Randomness
) -> Registration:
    """A new client with a new Ed25519 key; its key id is its client id."""
    key = Ed25519PrivateKey.from_private_bytes(randomness(32))
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "kid": client_id,
        "x": urlsafe_b64encode(public).rstrip(b"=").decode(),
    }
    return Registration(
        client=Client(
            client_id=client_id,
            kind=kind,
            organization=organization,
            name=name,
            purpose=purpose,
            jwks={"keys": [jwk]},
        ),
        private_key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def encode_registry(registrations: list[Registration]) -> bytes:
    """The registry file of a node."""
    return msgspec.json.format(msgspec.json.encode([registration.client for registration in registrations]))
