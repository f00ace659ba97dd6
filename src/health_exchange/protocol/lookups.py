"""What nodes say to each other in a look-up: where to ask, what is asked, and an answer that proves it was logged.

Each message travels as a letter (``protocol.letters``) under the look-up's request id. Directions are signed, because
they carry the person's consents from the nation to the holders through the hands of whoever asks.
"""

from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256

import msgspec

from health_exchange.crypto.signatures import SignatureMismatchError, sign_ed25519, verify_ed25519
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.instants import read_instant
from health_exchange.protocol.letters import about
from health_exchange.protocol.tickets import LIFETIME, Ticket

_FIRST_LINE = b"health_exchange directions v1\n"


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

    request_id: str
    letter: bytes


class LocateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who holds something of a person?

    Attributes:
        ticket: That key holders know of the look-up.
        pseudonym: The person.
        reason: In words, where the purpose takes one.
    """

    ticket: Ticket
    pseudonym: Pseudonym
    reason: str


class Directions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to ask, and what the person's consents say.

    Attributes:
        request_id: Of the look-up.
        pseudonym: The person.
        by: Address of the node that gives them.
        at: When.
        holders: Nodes that hold something.
        consent: What the person objects to, over all origins that said so.
    """

    request_id: str
    pseudonym: Pseudonym
    by: str
    at: str
    holders: tuple[str, ...]
    consent: str


class SignedDirections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Directions as they were signed."""

    directions: Directions
    signature: bytes


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
    pseudonym: Pseudonym
    reason: str
    blinding: bytes
    directions: SignedDirections
    types: tuple[str, ...] = ()
    since: str = ""
    until: str = ""


class LookupAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a holder lets the asker have.

    Attributes:
        resources: Originals, each naming its source, latest clinical date first.
        refusal: Why nothing is given at all, as far as policy lets it be told; empty otherwise.
        is_cut: Whether there is more than one answer carries.
        waiting: Persons at the holder who still wait for a pseudonym: records of this one may be among theirs.
    """

    resources: list[bytes]
    refusal: str = ""
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
    position: int
    path: list[bytes]
    checkpoint: str


def check_period(since: str, until: str) -> None:
    """Raise ``BadPeriodError`` unless both are days, ``2026-01-31``, or empty."""
    for day in (since, until):
        try:
            is_day = not day or date.fromisoformat(day).isoformat() == day
        except ValueError:
            is_day = False
        if not is_day:
            raise BadPeriodError("a period is given by days, 2026-01-31")


def letter_about(kind: str, *, sender: NodeAddress, recipient: NodeAddress, request_id: str) -> bytes:
    """What a letter of a look-up is bound to."""
    return about(kind, sender, recipient, sha256(request_id.encode()).hexdigest())


def sign_directions(directions: Directions, seed: Secret) -> SignedDirections:
    """The directions under the log key of the node that gives them."""
    return SignedDirections(directions=directions, signature=sign_ed25519(seed, _message(directions)))


def check_directions(  # the parts of what they must fit
    signed: SignedDirections,
    *,
    request_id: str,
    pseudonym: Pseudonym,
    holder: NodeAddress,
    cards: Mapping[NodeAddress, NodeCard],
    now: datetime,
) -> Directions:
    """The directions, once they are seen to come from a node above ``holder``, for this look-up, lately.

    Raises:
        ForgedDirectionsError: They do not.
    """
    directions = signed.directions
    fits = False
    try:
        by = NodeAddress.parse(directions.by)
        verify_ed25519(cards[by].log_key, _message(directions), signed.signature)
        fits = (
            by.contains(holder)
            and (directions.request_id, directions.pseudonym) == (request_id, pseudonym)
            and abs(now - read_instant(directions.at)) <= LIFETIME
        )
    except (ValueError, KeyError, SignatureMismatchError):
        pass
    if not fits:
        raise ForgedDirectionsError("the directions are not a node's above, for this look-up")
    return directions


def _message(directions: Directions) -> bytes:
    """What is signed."""
    return _FIRST_LINE + msgspec.json.encode(directions)
