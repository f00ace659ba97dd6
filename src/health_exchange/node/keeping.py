"""Keeping what was opened: each entry of an envelope and the effect it has above its origin.

A resource has one writer, its origin: an entry about another origin's resource refuses the whole envelope, before
anything of it was kept. Versions only move forward, so that what comes twice or late changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Self

import msgspec

from health_exchange.fhir.parameters import instant_of, settle, written_values
from health_exchange.fhir.validation import validate
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError, MalformedResourceError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, class_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.workers import Carried
from health_exchange.policy.sharing import recipients_of
from health_exchange.protocol.entries import (
    Locator,
    MalformedSectionError,
    RecordEntry,
    decode_entries,
    decode_locators,
)
from health_exchange.search.tokens import indexed_for, tokens_of
from health_exchange.store import corrections, resources, shredding, shreds, subjects
from health_exchange.store import locators as known_locators
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import Head, NewVersion
from health_exchange.store.subjects import Subject

NOT_THE_ORIGIN = "not-the-origin"
NOT_GRANTED = "not-granted"
CONTENT_FAULT = "content-fault"
LOCATORS = "locators"
"""Name of the section of an envelope that holds locators."""

_CATEGORIES = frozenset(SensitiveCategory)


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with what its body is found by, worked out before the store's writer is asked.

    Attributes:
        entry: As the origin sent it, its body checked.
        instant: Clinical date of the body.
        tokens: What it is found by.
        packed: The body as the store takes it.
    """

    entry: RecordEntry
    instant: str | None = None
    tokens: tuple[int, ...] = ()
    packed: bytes | None = None

    @classmethod
    def of(cls, entry: RecordEntry, key: Secret) -> Self:
        """The arrival of ``entry``.

        Args:
            entry: Untrusted, although signed.
            key: This node's token key.

        Raises:
            MalformedResourceError: The body is not the valid resource that the entry says it is.
            MalformedSectionError: Its category is none that is known.
        """
        if entry.body is None:
            return cls(entry=entry)
        if entry.category not in _CATEGORIES:
            raise MalformedSectionError("an entry's category is none that is known")
        view = validate(entry.body)
        if view.type != entry.type or view.id != entry.id:
            raise MalformedResourceError("an entry's body is another resource than the entry says")
        values = settle(written_values(view.decoded, indexed_for(view.type)))
        tokens = tuple(tokens_of(key, view.type, values))
        packed = pack_body(view.type, entry.body)
        return cls(entry=entry, instant=instant_of(view.decoded), tokens=tokens, packed=packed)


class Opened(Carried, frozen=True, kw_only=True):
    """What an envelope holds for us.

    Attributes:
        arrivals: Records we may open, in order.
        locators: Persons of whom the origin holds something, as far as we may know.
        refusal: Why we refuse the content; empty where we take it.
    """

    arrivals: tuple[Arrival, ...] = ()
    locators: tuple[Locator, ...] = ()
    refusal: str = ""


def read_sections(sections: Mapping[str, bytes], key: Secret) -> Opened:
    """What opened sections say, or why we refuse it. Pure, and heavy enough to be done by a worker.

    Never raises for content: what finds a defect of ours must not block its stream.

    Args:
        sections: Plaintext by section name. Untrusted, although signed.
        key: This node's token key.
    """
    arrivals: list[Arrival] = []
    locators: list[Locator] = []
    try:
        for name, plaintext in sections.items():
            if name == LOCATORS:
                locators.extend(decode_locators(plaintext))
            else:
                arrivals.extend(Arrival.of(entry, key) for entry in decode_entries(plaintext))
    except ExchangeError as error:
        return Opened(refusal=error.code)
    except Exception:  # noqa: BLE001  # see above
        return Opened(refusal=CONTENT_FAULT)
    return Opened(arrivals=tuple(arrivals), locators=tuple(locators))


def keep(tx: Transaction, parts: NodeParts, origin: NodeAddress, opened: Opened) -> str:
    """Let every entry take effect; the code of a refusal, with which nothing took effect, or an empty text."""
    entries = [arrival.entry for arrival in opened.arrivals]
    there = resources.heads(tx, {(entry.type, entry.id) for entry in entries if entry.op != "shred"})
    if any(head.origin != str(origin) for head in there.values()):
        return NOT_THE_ORIGIN
    classes = {_class_of(entry, origin) for entry in entries if entry.op == "put"}
    if not all(recipients_of(parts.policies, each, "", [parts.card]) for each in classes):
        return NOT_GRANTED
    known: Mapping[tuple[str, str], Head] | None = there
    for is_put, run in groupby(opened.arrivals, key=lambda arrival: arrival.entry.op == "put"):
        if is_put:
            _put(tx, origin, list(run), known)
        else:
            for arrival in run:
                _apply(tx, origin, arrival.entry)
        known = None  # they have changed
    held = [locator for locator in opened.locators if not locator.withdrawn]
    known_locators.add(tx, origin, {locator.pseudonym: locator.consent for locator in held})
    for locator in opened.locators:
        if locator.withdrawn:
            known_locators.forget(tx, locator.pseudonym, origin)
    return ""


def _put(
    tx: Transaction, origin: NodeAddress, arrivals: Sequence[Arrival], known: Mapping[tuple[str, str], Head] | None
) -> None:
    """Keep the last version of each resource, unless one as new is kept already.

    A tombstone stands in nobody's way: streams have no gaps, so what comes after it was said after it, and after an
    erasure the origin counts from 1 again.
    """
    latest = {(arrival.entry.type, arrival.entry.id): arrival for arrival in arrivals}
    heads = resources.heads(tx, latest) if known is None else known
    owners: dict[Pseudonym, Subject] = {}

    def versions() -> Iterator[NewVersion]:
        for name, arrival in latest.items():
            entry, head = arrival.entry, heads.get(name)
            if head and not head.deleted and entry.version <= head.version:
                continue
            person = entry.pseudonym
            if person is not None and person not in owners:
                owners[person] = _owner(tx, origin, person)
            yield _new_version(arrival, origin, owners[person].sid if person is not None else None)

    resources.put_many(tx, list(versions()), heads)
    said = {arrival.entry.pseudonym: arrival.entry.consent for arrival in arrivals if arrival.entry.pseudonym}
    for person, consent in said.items():
        owner = owners.get(person) or subjects.by_anchor(tx, _anchor(origin, person))
        if owner is not None and owner.consent != consent:
            subjects.note_consent(tx, owner.sid, consent)


def _apply(tx: Transaction, origin: NodeAddress, entry: RecordEntry) -> None:
    """One entry that is no put."""
    if entry.op == "shred":
        if entry.pseudonym is not None:
            shredding.shred(tx, entry.pseudonym, anchor=_anchor(origin, entry.pseudonym))
            known_locators.forget(tx, entry.pseudonym, origin)
            shreds.note(tx, origin, entry.pseudonym)
        return
    kept = resources.current(tx, entry.type, entry.id)
    if kept is None:
        return
    if entry.op == "delete":
        if not kept.deleted and entry.version >= kept.version:
            corrections.withdraw(tx, kept, version=entry.version, changed_at=entry.changed_at)
    elif entry.pseudonym is not None:
        owner = _owner(tx, origin, entry.pseudonym)
        if owner.sid != kept.sid:
            corrections.reassign(tx, kept, owner, entry.previous)


def _owner(tx: Transaction, origin: NodeAddress, pseudonym: Pseudonym) -> Subject:
    """The subject of what one origin sends of one person, with a key that this origin can have destroyed."""
    return subjects.find_or_make_subject(tx, anchor=_anchor(origin, pseudonym), pseudonym=pseudonym)


def _anchor(origin: NodeAddress, pseudonym: Pseudonym) -> str:
    """Names that subject."""
    return f"{origin}|{pseudonym}"


def _class_of(entry: RecordEntry, origin: NodeAddress) -> ResourceClass:
    """What policy decides by."""
    return class_of(entry.type, entry.sensitivity, entry.category, str(origin))


def _new_version(arrival: Arrival, origin: NodeAddress, sid: int | None) -> NewVersion:
    """The put as the store keeps it."""
    entry = arrival.entry
    return NewVersion(
        type=entry.type,
        id=entry.id,
        sid=sid,
        origin=str(origin),
        version=entry.version,
        resource_class=_class_of(entry, origin),
        changed_at=entry.changed_at,
        instant=arrival.instant,
        tokens=arrival.tokens,
        packed=arrival.packed,
    )
