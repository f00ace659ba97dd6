"""What leaves: from changes of the feed to the entries of one envelope, grouped by who may open them.

Pure. For each change the rules decide in this order: is it ever exchanged, has its person a pseudonym, does policy
(with the person's consent) let any tier above open it, does de-identification let it pass. Whoever holds an earlier
version but may not have this one gets a ``delete``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.model.sensitivity import ResourceClass
from health_exchange.node.cleaning import Cleaned
from health_exchange.policy.consent_rules import as_copied
from health_exchange.policy.consents import NOTHING_SAID, OBJECTS_TO_ALL
from health_exchange.protocol.entries import RecordEntry
from health_exchange.pseudonym.deidentify import disposition_of
from health_exchange.pseudonym.rules.rows import Disposition
from health_exchange.store.bodies import SealedBody
from health_exchange.store.exports import Standing

_OF_RECORDS = frozenset({"put", "delete"})
KNOWN = "known"
HELD_ORIGIN_ONLY = "origin-only"
HELD_POLICY = "sensitivity"
HELD_CONSENT = "consent"
HELD_NO_SUBJECT = "no-subject"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the change feed with what is needed to send it.

    Attributes:
        number: Its change number.
        rid: The resource's row; 0 for a shredding.
        op: ``put``, ``delete``, ``reassign`` or ``shred``.
        type: Resource type.
        id: Its id at the origin.
        version: Its version there.
        resource_class: What policy decides by.
        changed_at: When the version was made, as an instant.
        pseudonym: The person, where known.
        previous: The person it was held under before, for a ``reassign``.
        subject_state: ``known``, ``no-identity`` or ``awaiting-pseudonym``; empty for a directory resource.
        consent: What the person's consents come to for this resource and those above, as plain text.
        said: All that the person has said, with its conditions.
        findable: Whether anybody above may learn that there is something of the person.
        body: The resource as kept, sealed; ``None`` for a delete, reassign or shred.
        exported_to: Who holds an earlier version.
        previous_is_gone: Whether nothing of ``previous`` is held here any more.
        announced: Whether those above have been told that something of the person is held here.
    """

    number: int
    rid: int
    op: str
    type: str
    id: str
    version: int
    resource_class: ResourceClass
    changed_at: str
    pseudonym: Pseudonym | None
    previous: Pseudonym | None
    subject_state: str
    consent: str
    body: SealedBody | None
    exported_to: frozenset[NodeAddress] = frozenset()
    announced: bool = False
    said: str = ""
    findable: bool = True
    previous_is_gone: bool = False


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """One envelope's content.

    Attributes:
        shared: Entries by the set of nodes that may open them.
        private: Entries for one node alone (deletes, reassignments, shreddings).
        locators: Persons this node holds something of; ``False`` for one of whom that is to be forgotten.
        said: What each of those who may be found has said about sharing.
        taken_back: By person, how many entries take something back that a consent or a label no longer lets be held.
        shredded: Persons whom everyone is told to forget.
        exports: Where each resource stands now.
    """

    shared: dict[frozenset[NodeAddress], list[RecordEntry]] = field(default_factory=dict)
    private: dict[NodeAddress, list[RecordEntry]] = field(default_factory=dict)
    locators: dict[Pseudonym, bool] = field(default_factory=dict)
    said: dict[Pseudonym, str] = field(default_factory=dict)
    taken_back: Counter[Pseudonym] = field(default_factory=Counter)
    shredded: set[Pseudonym] = field(default_factory=set)
    exports: list[Standing] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say to anyone."""
        return not (self.shared or self.private or self.locators)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What ``select`` decides by, bound by the caller.

    Attributes:
        recipients: Who may open a resource of a class under a consent.
        locates: Whether anybody may learn, under a consent, that something of the person is held here.
        everyone: All nodes above.
        exchange_id: Exchange id of a local type and id; ``None`` where the target never leaves.
    """

    recipients: Callable[[ResourceClass, str], frozenset[NodeAddress]]
    locates: Callable[[str], bool]
    everyone: tuple[NodeAddress, ...]
    exchange_id: Callable[[str, str], ExchangeId | None]


def may_leave(change: Change, rules: Rules) -> frozenset[NodeAddress]:
    """Who may open the resource of a put, provided that anything of it may leave."""
    if change.op != "put" or change.body is None or held_before_policy(change):
        return frozenset()
    return rules.recipients(change.resource_class, change.consent)


def select(changes: Iterable[Change], rules: Rules, cleaned: Mapping[int, Cleaned]) -> Outgoing:
    """The content of the envelope that carries ``changes``.

    Args:
        changes: In order.
        rules: What decides.
        cleaned: By change number, what leaves of each that :func:`may_leave`.
    """
    outgoing = Outgoing()
    for change in changes:
        if change.op == "shred":
            _shred(change, rules, outgoing)
        elif change.op == "reassign":
            _reassign(change, rules, outgoing)
        elif change.op == "delete":
            _withdraw(change, change.exported_to, rules, outgoing)
            outgoing.exports.append(_export(change, frozenset(), ""))
        else:
            _put(change, rules, cleaned.get(change.number, Cleaned()), outgoing)
    return outgoing


def held_before_policy(change: Change) -> str:
    """Why the resource cannot leave whatever policy says; empty if it can."""
    disposition = disposition_of(change.type)
    if disposition is Disposition.ORIGIN_ONLY:
        return HELD_ORIGIN_ONLY
    if disposition is Disposition.PERSON and change.subject_state != KNOWN:
        return change.subject_state or HELD_NO_SUBJECT
    return ""


def _put(change: Change, rules: Rules, cleaned: Cleaned, outgoing: Outgoing) -> None:
    """A new version: to whom it goes, and from whom it is taken back."""
    held = held_before_policy(change)
    recipients = may_leave(change, rules)
    if not held:
        if not recipients:
            held = HELD_CONSENT if rules.recipients(change.resource_class, "") else HELD_POLICY
        _locate(change, rules, outgoing)
    if cleaned.held:
        held, recipients = cleaned.held, frozenset()
    if recipients:
        outgoing.shared.setdefault(recipients, []).append(_entry(change, "put", cleaned.id, cleaned.body))
    _withdraw(change, change.exported_to - recipients, rules, outgoing)
    if change.pseudonym is not None and change.exported_to - recipients:
        outgoing.taken_back[change.pseudonym] += len(change.exported_to - recipients)
    outgoing.exports.append(_export(change, recipients, held))


def _withdraw(change: Change, holders: frozenset[NodeAddress], rules: Rules, outgoing: Outgoing) -> None:
    """Take the resource back from ``holders``."""
    if not holders:
        return
    name = _name(change, rules)
    for address in holders:
        outgoing.private.setdefault(address, []).append(_entry(change, "delete", name))


def _reassign(change: Change, rules: Rules, outgoing: Outgoing) -> None:
    """Tell those who hold the resource whose it is."""
    name = _name(change, rules)
    for address in change.exported_to:
        outgoing.private.setdefault(address, []).append(_entry(change, "reassign", name))
    if change.exported_to:
        _locate(change, rules, outgoing)
    if change.previous is not None and change.previous_is_gone:
        outgoing.locators[change.previous] = False


def _locate(change: Change, rules: Rules, outgoing: Outgoing) -> None:
    """Say that something of the person is held here; who objects to being found is forgotten where it was said.

    A person of whom nothing was ever said is not mentioned: forgetting would tell.
    """
    if change.pseudonym is None:
        return
    if rules.locates(NOTHING_SAID if change.findable else OBJECTS_TO_ALL):
        outgoing.locators[change.pseudonym] = True
        outgoing.said[change.pseudonym] = change.said
    elif change.announced:
        outgoing.locators[change.pseudonym] = False


def _shred(change: Change, rules: Rules, outgoing: Outgoing) -> None:
    """Tell everyone above to forget the person."""
    for address in rules.everyone:
        entry = RecordEntry(op="shred", pseudonym=change.pseudonym, changed_at=change.changed_at)
        outgoing.private.setdefault(address, []).append(entry)
    if change.pseudonym is not None:
        outgoing.locators[change.pseudonym] = False
        outgoing.shredded.add(change.pseudonym)


def _name(change: Change, rules: Rules) -> ExchangeId:
    """What the changed resource is called above."""
    return rules.exchange_id(change.type, change.id) or ExchangeId("")


def _entry(
    change: Change, op: Literal["put", "delete", "reassign"], name: ExchangeId, body: bytes | None = None
) -> RecordEntry:
    """The change as it travels, under the resource's exchange id."""
    return RecordEntry(
        op=op,
        type=change.type,
        id=name,
        version=change.version,
        pseudonym=change.pseudonym,
        previous=change.previous if op == "reassign" else None,
        sensitivity=int(change.resource_class.sensitivity),
        category=str(change.resource_class.category),
        changed_at=change.changed_at,
        body=body,
        consent=as_copied(change.said) if op == "put" else "",
    )


def _export(change: Change, recipients: frozenset[NodeAddress], held: str) -> Standing:
    """Where the changed resource stands."""
    return Standing(rid=change.rid, version=change.version, recipients=recipients, held=held)


def latest(changes: Sequence[Change]) -> list[Change]:
    """``changes`` without those puts and deletes that a later one of the same resource makes pointless."""
    last = {change.rid: change.number for change in changes if change.op in _OF_RECORDS}
    return [change for change in changes if change.op not in _OF_RECORDS or last[change.rid] == change.number]
