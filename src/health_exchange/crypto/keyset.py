"""All private keys of one node, made together and kept together.

A key that is replaced stays in the file, among the former ones, until nothing needs it any more. Which of them a node
uses just now, the directory says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import msgspec

from health_exchange.crypto.boxes import BoxKeys
from health_exchange.crypto.signatures import MalformedKeyError, SigningKeys, ed25519_public
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret

SECRET_BYTES = 32


class _Former(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Keys that others have followed, the newest first; seeds in base64."""

    signing: list[bytes] = []
    box: list[bytes] = []
    log_seed: list[bytes] = []
    at_rest: list[bytes] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The key file: seeds in base64."""

    signing: bytes
    box: bytes
    log_seed: bytes
    at_rest: bytes
    exchange_ids: bytes
    tokens: bytes
    identity_cache: bytes
    access_tokens: bytes
    former: _Former = _Former()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FormerKeys:
    """Keys that others have followed or will follow, the newest first."""

    signing: tuple[SigningKeys, ...] = ()
    box: tuple[BoxKeys, ...] = ()
    log_seed: tuple[Secret, ...] = ()
    at_rest: tuple[Secret, ...] = ()


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
        former: What the first four have followed.
    """

    signing: SigningKeys
    box: BoxKeys
    log_seed: Secret
    at_rest: Secret
    exchange_ids: Secret
    tokens: Secret
    identity_cache: Secret
    access_tokens: Secret
    former: FormerKeys = FormerKeys()

    @property
    def boxes(self) -> tuple[BoxKeys, ...]:
        """All that opens what was wrapped to this node."""
        return (self.box, *self.former.box)

    def signing_key(self, public: bytes) -> SigningKeys | None:
        """The private half of a verifying key; ``None`` where this node does not have it."""
        return next((keys for keys in (self.signing, *self.former.signing) if keys.public.raw == public), None)

    def with_publics(self, *, verifying_key: bytes, box_key: bytes, log_key: bytes) -> "NodeKeys | None":
        """The same keys with those in front whose public halves are given; ``None`` where one is not among them."""
        signing = self.signing_key(verifying_key)
        box = next((box for box in self.boxes if box.public_raw == box_key), None)
        seeds = (self.log_seed, *self.former.log_seed)
        log_seed = next((seed for seed in seeds if ed25519_public(seed) == log_key), None)
        if not (signing and box and log_seed):
            return None
        # All boxes stay: others may go by a newer directory than we and wrap to a newer one already.
        former = replace(self.former, box=tuple(each for each in self.boxes if each is not box))
        return replace(self, signing=signing, box=box, log_seed=log_seed, former=former)

    def renewed(self, names: Iterable[str], randomness: Randomness) -> "NodeKeys":
        """The same keys with new ones for ``names`` (fields of ``former``), what they follow kept among the former."""
        fresh, keys = NodeKeys.generate(randomness), self
        for name in names:
            former = replace(keys.former, **{name: (getattr(self, name), *getattr(self.former, name))})
            keys = replace(keys, former=former, **{name: getattr(fresh, name)})
        return keys

    def keeping(self, **former: tuple[object, ...]) -> "NodeKeys":
        """The same keys with only those among the former ones, by field, that something still needs."""
        return replace(self, former=replace(self.former, **former))  # type: ignore[arg-type]  # each its field's own kind

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
                former=_Former(
                    signing=[keys.seed.raw for keys in self.former.signing],
                    box=[keys.seed.raw for keys in self.former.box],
                    log_seed=[seed.raw for seed in self.former.log_seed],
                    at_rest=[key.raw for key in self.former.at_rest],
                ),
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
        former = file.former
        secrets = (
            file.log_seed, file.at_rest, file.exchange_ids, file.tokens, file.identity_cache, file.access_tokens,
            *former.log_seed, *former.at_rest,
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
            former=FormerKeys(
                signing=tuple(SigningKeys.from_seed(Secret(seed)) for seed in former.signing),
                box=tuple(BoxKeys.from_seed(Secret(seed)) for seed in former.box),
                log_seed=tuple(map(Secret, former.log_seed)),
                at_rest=tuple(map(Secret, former.at_rest)),
            ),
        )
