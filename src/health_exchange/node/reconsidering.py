"""Consents that begin or end by themselves: at that instant the person's records pass the sender again."""

from health_exchange.node.parts import NodeParts
from health_exchange.policy.consent_rules import next_change
from health_exchange.policy.periods import instant_text
from health_exchange.store import feed, subjects
from health_exchange.store.engine import Transaction

BATCH = 100


async def reconsider(parts: NodeParts) -> bool:
    """Let what is due pass the sender; whether anything was due."""
    now = instant_text(parts.clock.now())
    if not await parts.store.read(lambda tx: subjects.consents_due(tx, now, 1)):
        return False
    await parts.store.write(_pass_again)
    return True


def _pass_again(tx: Transaction) -> None:
    """A change for each resource of those who are due, and when each is due next."""
    now = tx.clock.now()
    for subject in subjects.consents_due(tx, instant_text(now), BATCH):
        following = next_change(subject.consent, after=now)
        due = instant_text(following) if following is not None else None
        subjects.note_consent(tx, subject.sid, subject.consent, due)
        feed.add_for_subject(tx, subject.sid, "put", subject.pseudonym, None)
