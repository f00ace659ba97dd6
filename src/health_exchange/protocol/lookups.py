"""What nodes say to each other in a look-up: where to ask, what is asked, and an answer that proves it was logged.

Each message travels as a letter (``protocol.letters``) under the look-up's request id. Directions are signed, because
they carry the person's consents from the nation to the holders through the hands of whoever asks.
"""

from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated

import msgspec

from health_exchange.crypto.signatures import is_signed_by, sign_ed25519
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyUse, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.powers import Power
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.instants import read_instant
from health_exchange.protocol.letters import about
from health_exchange.protocol.tickets import LIFETIME, Digest, Ticket, TicketClaims, Word, claims_digest

_FIRST_LINE = b"health_exchange directions v1\n"
HOLDERS_MAX = 4096
CONSENT_BYTES_MAX = 16 << 10
RESOURCES_MAX = 5_000
"""Most resources of one answer."""
TYPES_MAX = 200
Person = Annotated[Pseudonym, msgspec.Meta(pattern="^[a-z2-7]{26}$")]
Reason = Annotated[str, msgspec.Meta(max_length=500)]
"""In words."""


class ForgedDirectionsError(ExchangeError):
    """The directions are not signed by a node above, or are for another look-up."""

    category = Category.FORBIDDEN
    code = "directions-forged"


class BadPeriodError(ExchangeError):
    """A period that no days bound."""

    category = Category.INCORRECT
    code = "bad-period"


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a look-up on its way: the look-up's request id, in clear, and the letter."""

    request_id: Word
    letter: bytes


class LocateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who holds something of a person?

    Attributes:
        ticket: That key holders know of the look-up.
        pseudonym: The person.
        reason: In words, where the purpose takes one.
    """

    ticket: Ticket
    pseudonym: Person
    reason: Reason


class Directions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That one holder is to be asked, and what the person's consents say. It hears of no other holder.

    Attributes:
        ticket_sha256: Of the ticket's claims, in hex: they are for this look-up and no other.
        pseudonym: The person.
        by: Address of the node that gives them.
        at: When.
        holder: Who is to be asked.
        consent: What the person objects to, over all origins that said so: a letter to the holder, which whoever asks
            cannot read.
    """

    ticket_sha256: Word
    pseudonym: Person
    by: Word
    at: Word
    holder: Word
    consent: Annotated[bytes, msgspec.Meta(max_length=CONSENT_BYTES_MAX)]


class SignedDirections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Directions as they were signed."""

    directions: Directions
    signature: Annotated[bytes, msgspec.Meta(max_length=64)]


class Located(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is answered to a :class:`LocateRequest`.

    Attributes:
        directions: One for each node that holds something, and one for the asking node, which may.
        behind: Admitting nodes that were not heard of lately: what they admitted may not be known.
    """

    directions: Annotated[tuple[SignedDirections, ...], msgspec.Meta(max_length=HOLDERS_MAX)]
    behind: Annotated[tuple[Word, ...], msgspec.Meta(max_length=HOLDERS_MAX)]


class LookupRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a holder is asked.

    Attributes:
        ticket: That key holders know of the look-up.
        pseudonym: The person.
        reason: In words, where the purpose takes one.
        blinding: Shows whom the ticket is for (``pseudonym.binding``).
        directions: Of the nation or, while it is away, of the holder's province.
        types: Resource types that are wanted; all where empty.
        since: First day that is wanted, ``2026-01-31``; empty for any.
        until: Last day.
    """

    ticket: Ticket
    pseudonym: Person
    reason: Reason
    blinding: Annotated[bytes, msgspec.Meta(max_length=128)]
    directions: SignedDirections
    types: Annotated[tuple[Word, ...], msgspec.Meta(max_length=TYPES_MAX)] = ()
    since: Word = ""
    until: Word = ""


class LookupAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a holder lets the asker have.

    Attributes:
        resources: Originals, each naming its source, latest clinical date first.
        refusal: Why nothing is given at all, as far as policy lets it be told; empty otherwise.
        is_cut: Whether there is more than one answer carries.
        waiting: Persons at the holder who still wait for a pseudonym: records of this one may be among theirs.
    """

    resources: Annotated[list[bytes], msgspec.Meta(max_length=RESOURCES_MAX)]
    refusal: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    is_cut: bool = False
    waiting: int = 0


class ProvenAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer with the proof that it stands in its holder's log.

    Attributes:
        answer: An encoded :class:`LookupAnswer`; the log's entry holds its digest.
        entry: The entry's salt and bytes.
        position: Of the entry in the log.
        path: Inclusion proof.
        checkpoint: Signed, of a tree that includes it.
    """

    answer: bytes
    entry: bytes
    position: Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
    path: Annotated[list[Digest], msgspec.Meta(max_length=64)]
    checkpoint: Annotated[str, msgspec.Meta(max_length=4096)]


def check_period(since: str, until: str) -> None:
    """Raise ``BadPeriodError`` unless both are days, ``2026-01-31``, or empty, and in order."""
    for day in (since, until):
        try:
            is_day = not day or date.fromisoformat(day).isoformat() == day
        except ValueError:
            is_day = False
        if not is_day:
            raise BadPeriodError("a period is given by days, 2026-01-31")
    if since and until and since > until:
        raise BadPeriodError("a period begins before it ends")


def letter_about(kind: str, *, sender: NodeAddress, recipient: NodeAddress, request_id: str) -> bytes:
    """What a letter of a look-up is bound to."""
    return about(kind, sender, recipient, sha256(request_id.encode()).hexdigest())


def blinding_about(claims: TicketClaims, holder: NodeAddress) -> bytes:
    """What a sealed blinding is bound to: one look-up and one holder."""
    return about("blinding", claims.node, holder, claims_digest(claims))


def sign_directions(directions: Directions, seed: Secret) -> SignedDirections:
    """The directions under the log key of the node that gives them."""
    return SignedDirections(directions=directions, signature=sign_ed25519(seed, _message(directions)))


def check_directions(  # the parts of what they must fit
    signed: SignedDirections,
    *,
    claims: TicketClaims,
    pseudonym: Pseudonym,
    holder: NodeAddress,
    cards: Mapping[NodeAddress, NodeCard],
    now: datetime,
) -> Directions:
    """The directions, once they are seen to be the nation's or a province's, to ``holder``, for this look-up, lately.

    Raises:
        ForgedDirectionsError: They do not.
    """
    directions = signed.directions
    fits = False
    try:
        by = NodeAddress.parse(directions.by)
        fits = (
            is_signed_by(cards[by].keys_at(KeyUse.LOG, now), _message(directions), signed.signature)
            and directions.holder == str(holder)
            and by.contains(holder)
            and cards[by].may(Power.AGGREGATES)
            and (directions.ticket_sha256, directions.pseudonym) == (claims_digest(claims), pseudonym)
            and abs(now - read_instant(directions.at)) <= LIFETIME
        )
    except (ValueError, KeyError):
        pass
    if not fits:
        raise ForgedDirectionsError("the directions are not a node's above, to this holder, for this look-up")
    return directions


def _message(directions: Directions) -> bytes:
    """What is signed."""
    return _FIRST_LINE + msgspec.json.encode(directions)
