"""Whether a look-up may be answered here at all: directions that name this node, and a ticket for this very person."""

from dataclasses import dataclass

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.locating import CONSENT
from health_exchange.node.parts import NodeParts
from health_exchange.node.persons import best_identity
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.protocol.letters import open_letter
from health_exchange.protocol.lookups import (
    LookupRequest,
    blinding_about,
    check_directions,
    letter_about,
)
from health_exchange.protocol.tickets import RetargetedTicketError, TicketClaims
from health_exchange.pseudonym.binding import is_bound
from health_exchange.pseudonym.identities import Identity, InvalidIdentityError
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.subjects import Subject, SubjectState


class UncheckableTicketError(ExchangeError):
    """Nobody can tell here now whom a ticket is for: the Patient was deleted, or too few key holders answer."""

    category = Category.UNAVAILABLE
    code = "ticket-uncheckable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the directions tell this node: what the person objects to elsewhere, and whether the nation says so.

    While the nation is away nobody knows all objections: what is sensitive stays where it is.
    """

    consent: str
    by_nation: bool


def told_by(parts: NodeParts, request: LookupRequest, claims: TicketClaims) -> Told:
    """What the directions tell.

    Raises:
        ForgedDirectionsError: They are not for this look-up, or not to this node.
        UnreadableLetterError: What they tell was not sealed to this node.
    """
    directions = check_directions(
        request.directions,
        claims=claims,
        pseudonym=request.pseudonym,
        holder=parts.address,
        cards=parts.directory.nodes,
        now=parts.clock.now(),
    )
    by = NodeAddress.parse(directions.by)
    about = letter_about(CONSENT, sender=by, recipient=parts.address, request_id=directions.ticket_sha256)
    consent = open_letter(parts.keys.boxes, directions.consent, about=about).decode("utf-8", "replace")
    return Told(consent=consent, by_nation=by.parent is None)


async def check_person(
    parts: NodeParts, pseudonyms: PseudonymClient, request: LookupRequest, claims: TicketClaims
) -> None:
    """Check whom the ticket is for. Of whom nothing is kept here nobody can be told apart, and nothing can be given.

    Raises:
        RetargetedTicketError: It is for somebody else.
        UncheckableTicketError: That cannot be told now.
    """
    people, identities = await parts.store.read(lambda tx: _identities(tx, request.pseudonym))
    if not people:
        return
    names = await pseudonyms.names(identities)
    about = blinding_about(claims, parts.address)
    for identity, name in names.items():
        ours = name.pseudonym == request.pseudonym
        if ours and is_bound(name.link, request.blinding, claims.element, identity, about=about):
            return
    if not identities or len(names) < len(identities):
        raise UncheckableTicketError("it cannot be told now whom the ticket is for", retry_after_s=5.0)
    raise RetargetedTicketError("the ticket was made for another person")


def _identities(tx: Transaction, pseudonym: Pseudonym) -> tuple[int, list[Identity]]:
    """How many subjects a person is here, and the identities that their Patients give."""
    found: dict[Identity, None] = {}
    people = people_of(tx, pseudonym)
    for subject in people:
        for patient in resources.of_subject(tx, subject.sid, "Patient"):
            try:
                identity = best_identity(msgspec.json.decode(patient.body or b"{}"), where="Patient")
            except InvalidIdentityError:
                continue
            if identity is not None:
                found[identity] = None
    return len(people), list(found)


def people_of(tx: Transaction, pseudonym: Pseudonym) -> list[Subject]:
    """The subjects that are the person; one whose identity was taken back or is being corrected may be another."""
    return [each for each in subjects.subjects_of(tx, pseudonym) if each.state is SubjectState.KNOWN]
