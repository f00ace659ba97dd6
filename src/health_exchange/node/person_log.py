"""Who has seen a person's records, in words: every node's log about a pseudonym, broken glass first.

Other nodes decide by their own policy, enter that they were asked, and prove each entry; the answer names those that
did not answer, or not wholly.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from health_exchange.audit.answers import ANSWERED, NodeReply
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.questions import LogQuestion
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.disclosures import ask_log
from health_exchange.node.journal import SALT_BYTES
from health_exchange.node.log_reading import COUNT_MAX
from health_exchange.node.parts import NodeParts
from health_exchange.policy.consent_words import PURPOSES
from health_exchange.store import audit_log
from health_exchange.store.engine import Transaction

ENTRIES_MAX = 5_000
AT_ONCE = 32
"""Nodes asked at the same time."""

_VERBS: Mapping[str, str] = MappingProxyType(
    {
        "write": "wrote",
        "read": "read",
        "search": "searched",
        "view-person": "looked at everything kept here",
        "look-up": "looked up",
        "read-log": "read the log",
        "see-disclosures": "saw who has seen it",
        "share": "sent",
        "receive": "received",
        "shred": "erased",
        "erase": "asked to erase",
    }
)


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a log about the person.

    Attributes:
        at: When.
        node: Whose log.
        who: Client or node.
        kind: Kind of principal.
        organization: Its unified social credit code.
        action: What was asked for.
        purpose: Why, as a PurposeOfUse code.
        outcome: ``allowed``, ``refused`` or ``failed``.
        broke_glass: Whether it was an emergency that overrides what the person has said.
        words: All of it in a sentence.
    """

    at: str
    node: str
    who: str
    kind: str
    organization: str
    action: str
    purpose: str
    outcome: str
    broke_glass: bool
    words: str


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What other nodes' logs say, and which of them did not answer, or not wholly."""

    disclosures: list[Disclosure]
    unheard: list[str]


async def disclosures_elsewhere(parts: NodeParts, caller: Caller, pseudonym: Pseudonym) -> Elsewhere:
    """What every other node's log says about a person; whatever goes wrong is named, never left out."""
    slots = asyncio.Semaphore(AT_ONCE)
    question = LogQuestion(person=pseudonym)

    async def one(node: NodeAddress) -> NodeReply:
        async with slots:
            return await ask_log(parts, caller, node, question, before=None, count=COUNT_MAX)

    others = sorted(address for address in parts.directory.nodes if address != parts.address)
    replies = await asyncio.gather(*map(one, others))
    return Elsewhere(
        disclosures=[disclosure_of(decode_entry(bytes(proven.entry))) for reply in replies for proven in reply.entries],
        unheard=[reply.node for reply in replies if reply.outcome != ANSWERED],
    )


def disclosure_of(entry: AuditEntry) -> Disclosure:
    """An entry as its person reads it."""
    broke = entry.purpose == Purpose.BREAK_THE_GLASS
    who = f"{entry.principal_kind or 'somebody'} {entry.principal}".strip()
    if entry.organization:
        who += f" of {entry.organization}"
    verb = _VERBS.get(entry.action, entry.action)
    words = f"{who} {verb}: {entry.summary or 'nothing more is noted'}, for {PURPOSES.get(entry.purpose, 'no purpose')}"
    if broke:
        words = f"The glass was broken. {words}"
    if entry.outcome != "allowed":
        words += f" ({entry.outcome})"
    if entry.reason:
        words += f'; reason: "{entry.reason}"'
    return Disclosure(
        at=entry.at,
        node=entry.node,
        who=entry.principal,
        kind=entry.principal_kind,
        organization=entry.organization,
        action=entry.action,
        purpose=entry.purpose,
        outcome=entry.outcome,
        broke_glass=broke,
        words=words,
    )


def local_disclosures(tx: Transaction, pseudonym: Pseudonym) -> list[Disclosure]:
    """The latest entries of this node's log about a person; those whose key was destroyed open no more."""
    return [
        disclosure_of(decode_entry(entry.raw[SALT_BYTES:]))
        for position in audit_log.positions_about(tx, pseudonym)[-ENTRIES_MAX:]
        for entry in audit_log.entries(tx, position, position + 1)
        if entry.raw is not None
    ]


def in_order(disclosures: list[Disclosure]) -> list[Disclosure]:
    """Broken glass first, then the latest first."""
    latest_first = sorted(disclosures, key=lambda each: each.at, reverse=True)
    return sorted(latest_first, key=lambda each: not each.broke_glass)
