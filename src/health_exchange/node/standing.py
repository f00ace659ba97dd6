"""Telling a node with a restored database how it stands here.

Only those are answered who have to do with us: whose log we cosign, who reports through us, to whom we report.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ForbiddenError
from health_exchange.model.powers import Power
from health_exchange.node.journal import log, node_journal
from health_exchange.node.letterbox import open_request, seal_answer
from health_exchange.node.parts import NodeParts
from health_exchange.node.sending_again import send_again
from health_exchange.protocol.letters import UnreadableLetterError
from health_exchange.protocol.rejoining import (
    HeldPage,
    HeldResource,
    PersonsPage,
    RejoinQuestion,
    Shredded,
    StandingAnswer,
)
from health_exchange.store import audit_log, rejoining, shreds
from health_exchange.store.engine import Transaction

REJOIN_PATH = "/exchange/v1/rejoining"
LETTER = "rejoin"
PAGE = 2000
MARGIN = timedelta(hours=1)
"""How long before its backup a change may have been stamped that the backup does not hold."""


async def answer_rejoin(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """The answer to a rejoining node, in a letter to it.

    Raises:
        UnreadableLetterError: It is no such question.
        ForbiddenError: The sender has nothing to do with this node.
    """
    name, question = open_request(parts, raw, sender, LETTER, RejoinQuestion)
    card = parts.directory.nodes[sender]
    if not (parts.address in card.witnesses or parts.address.contains(sender) or sender.contains(parts.address)):
        raise ForbiddenError(f"{sender} neither reports through {parts.address} nor is reported to, nor cosigned")
    _check(question)
    # Only where the sender stands changes anything here; the rest must hold up no writer.
    through = parts.store.write if question.part == "standing" else parts.store.read
    answer = await through(lambda tx: _ANSWERS[question.part](tx, parts, question, sender))
    return seal_answer(parts, sender, LETTER, name, answer)


def _standing(tx: Transaction, parts: NodeParts, question: RejoinQuestion, sender: NodeAddress) -> StandingAnswer:
    """How the sender stands here; where we send to it, what it lost of ours is sent again."""
    seen = audit_log.witnessed_head(tx, question.log)
    known = rejoining.streams_of(tx, sender)
    sequence = send_again(tx, parts, question, sender) if _sends_to(parts, sender) else 0
    log(
        tx,
        node_journal(
            parts,
            kind="rejoin",
            action="rejoin",
            peer=str(sender),
            summary=f"{question.log}: database of {question.since}; log seen up to {seen[0] if seen else 0}",
        ),
    )
    since = (datetime.fromisoformat(question.since) - MARGIN).isoformat()
    return StandingAnswer(
        log_size=seen[0] if seen else 0,
        log_root=seen[1] if seen else b"",
        streams={str(stream): place for stream, place in known.items()},
        shreds=[
            Shredded(origin=str(shred.origin), pseudonym=shred.pseudonym, at=shred.shredded_at)
            for shred in shreds.within(tx, sender, since)
        ],
        stream=parts.stream if _sends_to(parts, sender) else "",
        sequence=sequence,
    )


def _seen(tx: Transaction, _parts: NodeParts, question: RejoinQuestion, sender: NodeAddress) -> StandingAnswer:
    """How much of the sender's log and streams came here."""
    seen = audit_log.witnessed_head(tx, question.log)
    return StandingAnswer(
        log_size=seen[0] if seen else 0,
        log_root=seen[1] if seen else b"",
        streams={str(stream): place for stream, place in rejoining.streams_of(tx, sender).items()},
    )


def _held(tx: Transaction, _parts: NodeParts, question: RejoinQuestion, sender: NodeAddress) -> HeldPage:
    """A page of the sender's resources."""
    since = (datetime.fromisoformat(question.since) - MARGIN).isoformat()
    found = rejoining.held_of(tx, sender, since=since, after=int(question.after or "0"), limit=PAGE)
    return HeldPage(
        resources=[
            HeldResource(
                type=each.type,
                id=each.id,
                version=each.version,
                deleted=each.deleted,
                pseudonym=each.pseudonym,
                changed_at=each.changed_at,
            )
            for each in found
        ],
        after=str(found[-1].rid) if len(found) == PAGE else "",
    )


def _persons(tx: Transaction, _parts: NodeParts, question: RejoinQuestion, sender: NodeAddress) -> PersonsPage:
    """A page of the sender's persons."""
    found = rejoining.persons_of(tx, sender, after=question.after, limit=PAGE)
    persons = {str(person): consent for person, consent in found.items()}
    return PersonsPage(persons=persons, after=max(found) if len(found) == PAGE else "")


_ANSWERS: Mapping[str, Callable[[Transaction, NodeParts, RejoinQuestion, NodeAddress], msgspec.Struct]] = {
    "standing": _standing,
    "held": _held,
    "persons": _persons,
    "seen": _seen,
}


def _sends_to(parts: NodeParts, sender: NodeAddress) -> bool:
    """Whether our own records go to the sender."""
    return parts.card.may(Power.ADMITS_FACILITIES) and sender in parts.address.ancestors


def _check(question: RejoinQuestion) -> None:
    """Raise ``UnreadableLetterError`` unless the question's texts are what they should be."""
    goes_on = not question.after or question.part != "held" or question.after.isdecimal()
    try:
        is_aware = datetime.fromisoformat(question.since).tzinfo is not None
    except ValueError:
        is_aware = False
    if not (goes_on and is_aware and (question.incarnation > 0 or question.part == "seen")):
        raise UnreadableLetterError("not a question of a rejoining node")
