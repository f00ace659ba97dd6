"""Erasing a person on a lawful request: here at once, above by a ``shred`` that travels like any other change."""

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.callers import Caller
from health_exchange.node.journal import journal, log
from health_exchange.node.parts import NodeParts
from health_exchange.node.sending import CURSOR
from health_exchange.store import feed, node_state, shredding, shreds, subjects
from health_exchange.store.engine import Transaction


class CorrectionUnderwayError(ExchangeError):
    """A corrected identity has not left yet; what is destroyed now would stay above under the wrong person."""

    category = Category.BUSY
    code = "correction-underway"


async def erase_person(parts: NodeParts, pseudonym: Pseudonym, caller: Caller) -> int:
    """Destroy everything this node keeps of a person; how many resources there were.

    Raises:
        CorrectionUnderwayError: Those above still know records of the person by another name; a moment later they know.
    """
    return await parts.store.write(lambda tx: erase(tx, parts, pseudonym, caller))


def erase(tx: Transaction, parts: NodeParts, pseudonym: Pseudonym, caller: Caller, case: str = "") -> int:
    """As :func:`erase_person`, inside a transaction: destruction and its entry are one."""
    people = [subject.sid for subject in subjects.subjects_of(tx, pseudonym)]
    if feed.moves_after(tx, people, node_state.cursor(tx, CURSOR)):
        raise CorrectionUnderwayError("a correction of this person's identity is being sent", retry_after_s=1.0)
    count = shredding.shred(tx, pseudonym)
    shreds.note(tx, parts.address, pseudonym)
    entry = journal(
        parts,
        caller,
        kind="shred",
        action="shred",
        outcome="allowed",
        subjects=[pseudonym],
        reason=f"case {case}" if case else "",
        summary=f"{count} resources",
    )
    log(tx, entry)
    return count
