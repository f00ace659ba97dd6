"""Who has seen a person's records, in words: this node's log about a pseudonym, broken glass first.

Other nodes' logs are asked through a callable that wiring hands in; without one, the answer names who was not asked.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.journal import SALT_BYTES
from health_exchange.policy.consent_words import PURPOSES
from health_exchange.store import audit_log
from health_exchange.store.engine import Transaction

ENTRIES_MAX = 5_000

_VERBS: Mapping[str, str] = MappingProxyType(
    {
        "write": "wrote",
        "read": "read",
        "search": "searched",
        "view-person": "looked at everything kept here",
        "look-up": "looked up",
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
    """What other nodes' logs say, and which of them did not answer or were not asked."""

    disclosures: list[Disclosure]
    not_asked: list[str]


AskElsewhere = Callable[[Pseudonym, Caller], Awaitable[Elsewhere]]
"""Asks the other nodes that may hold entries about a person, for whoever asks here."""


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
