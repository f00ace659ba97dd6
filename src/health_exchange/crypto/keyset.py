"""All private keys of one node, made together and kept together."""

from dataclasses import dataclass
from typing import Self

import msgspec

from health_exchange.crypto.boxes import BoxKeys
from health_exchange.crypto.signatures import MalformedKeyError, SigningKeys
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret

SECRET_BYTES = 32


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key file: seeds in base64."""

    signing: bytes
    box: bytes
    log_seed: bytes
    at_rest: bytes
    exchange_ids: bytes
    tokens: bytes
    identity_cache: bytes
    access_tokens: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeKeys:
    """What a node must keep to itself. Its ``repr`` shows nothing: every part hides itself.

    Attributes:
        signing: Signs envelopes and receipts.
        box: Opens what is wrapped to this node.
        log_seed: Ed25519 seed that signs checkpoints, cosignatures and hops, each under its own first line.
        at_rest: Wraps subject keys and audit-period keys.
        exchange_ids: Makes exchange ids of local resource ids.
        tokens: Makes search tokens.
        identity_cache: Seals pseudonyms cached for ingest.
        access_tokens: Ed25519 seed that signs access tokens.
    """

    signing: SigningKeys
    box: BoxKeys
    log_seed: Secret
    at_rest: Secret
    exchange_ids: Secret
    tokens: Secret
    identity_cache: Secret
    access_tokens: Secret

    @classmethod
    def generate(cls, randomness: Randomness) -> Self:
        """A complete new set."""
        return cls(
            signing=SigningKeys.generate(randomness),
            box=BoxKeys.generate(randomness),
            log_seed=Secret(randomness(SECRET_BYTES)),
            at_rest=Secret(randomness(SECRET_BYTES)),
            exchange_ids=Secret(randomness(SECRET_BYTES)),
            tokens=Secret(randomness(SECRET_BYTES)),
            identity_cache=Secret(randomness(SECRET_BYTES)),
            access_tokens=Secret(randomness(SECRET_BYTES)),
        )

    def to_json(self) -> bytes:
        """The key file's bytes. Secret: write them with mode 0600 and nowhere else."""
        return msgspec.json.encode(
            _File(
                signing=self.signing.seed.raw,
                box=self.box.seed.raw,
                log_seed=self.log_seed.raw,
                at_rest=self.at_rest.raw,
                exchange_ids=self.exchange_ids.raw,
                tokens=self.tokens.raw,
                identity_cache=self.identity_cache.raw,
                access_tokens=self.access_tokens.raw,
            )
        )

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """The set in a key file.

        Raises:
            MalformedKeyError: No key file, or a key of the wrong length. Never quotes the file.
        """
        try:
            file = msgspec.json.decode(raw, type=_File)
        except (msgspec.MsgspecError, ValueError):
            file = None
        # Raised outside the handler: the decoder's error may quote what it read.
        if file is None:
            raise MalformedKeyError("the key file cannot be read")
        secrets = (
            file.log_seed, file.at_rest, file.exchange_ids, file.tokens, file.identity_cache, file.access_tokens
        )  # fmt: skip
        if any(len(secret) != SECRET_BYTES for secret in secrets):
            raise MalformedKeyError(f"a secret in the key file is not {SECRET_BYTES} bytes")
        return cls(
            signing=SigningKeys.from_seed(Secret(file.signing)),
            box=BoxKeys.from_seed(Secret(file.box)),
            log_seed=Secret(file.log_seed),
            at_rest=Secret(file.at_rest),
            exchange_ids=Secret(file.exchange_ids),
            tokens=Secret(file.tokens),
            identity_cache=Secret(file.identity_cache),
            access_tokens=Secret(file.access_tokens),
        )
