"""Keeping what was opened: each entry of an envelope and the effect it has above its origin.

A resource has one writer, its origin: an entry about another origin's resource refuses the whole envelope, before
anything of it was kept. Versions only move forward, so that what comes twice or late changes nothing.
"""

from collections.abc import Sequence

import msgspec

from health_exchange.fhir.parameters import extract, instant_of
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.protocol.entries import Locator, RecordEntry
from health_exchange.search.tokens import tokens_of
from health_exchange.store import corrections, resources, shredding, subjects
from health_exchange.store import locators as known_locators
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import NewVersion, StoredResource
from health_exchange.store.subjects import Subject

NOT_THE_ORIGIN = "not-the-origin"

_CATEGORIES = frozenset(SensitiveCategory)


def keep(tx: Transaction, origin: NodeAddress, entries: Sequence[RecordEntry], locators: Sequence[Locator]) -> str:
    """Let every entry take effect; the code of a refusal, with which nothing took effect, or an empty text."""
    for entry in entries:
        kept = _kept(tx, entry)
        if (kept is not None and kept.origin != str(origin)) or entry.category not in {*_CATEGORIES, ""}:
            return NOT_THE_ORIGIN
    waiting: list[NewVersion] = []
    for entry in entries:
        if entry.op == "put" and (entry.type, entry.id) not in {(new.type, new.id) for new in waiting[-1:]}:
            new = _new_version(tx, origin, entry)
            if new is not None:
                waiting.append(new)
            continue
        _flush(tx, waiting)
        _apply(tx, origin, entry)
    _flush(tx, waiting)
    known_locators.add(tx, origin, [locator.pseudonym for locator in locators])
    return ""


def _flush(tx: Transaction, waiting: list[NewVersion]) -> None:
    """Keep the puts gathered so far, the last one of each resource."""
    latest = {(new.type, new.id): new for new in waiting}
    if latest:
        resources.put_many(tx, list(latest.values()))
    waiting.clear()


def _apply(tx: Transaction, origin: NodeAddress, entry: RecordEntry) -> None:
    """One entry that is no put, or a put that must not wait."""
    if entry.op == "shred":
        if entry.pseudonym is not None:
            shredding.shred(tx, entry.pseudonym, anchor=_anchor(origin, entry.pseudonym))
            known_locators.forget(tx, entry.pseudonym, origin)
        return
    kept = _kept(tx, entry)
    if entry.op == "put":
        new = _new_version(tx, origin, entry)
        if new is not None:
            resources.put_many(tx, [new])
    elif kept is None:
        return
    elif entry.op == "delete":
        if not kept.deleted and entry.version >= kept.version:
            corrections.withdraw(tx, kept, version=entry.version, changed_at=entry.changed_at)
    elif entry.pseudonym is not None:
        owner = _owner(tx, origin, entry.pseudonym)
        if owner.sid != kept.sid:
            corrections.reassign(tx, kept, owner, entry.previous)
            _forget_locator(tx, origin, entry.previous)


def _owner(tx: Transaction, origin: NodeAddress, pseudonym: Pseudonym) -> Subject:
    """The subject of what one origin sends of one person, with a key that this origin can have destroyed."""
    return subjects.find_or_make_subject(tx, anchor=_anchor(origin, pseudonym), pseudonym=pseudonym)


def _anchor(origin: NodeAddress, pseudonym: Pseudonym) -> str:
    """Names that subject."""
    return f"{origin}|{pseudonym}"


def _forget_locator(tx: Transaction, origin: NodeAddress, pseudonym: Pseudonym | None) -> None:
    """A person nothing of whom is left from ``origin`` is no longer held there."""
    if pseudonym is not None and not any(
        resource.origin == str(origin) for resource in resources.newest(tx, pseudonym)
    ):
        known_locators.forget(tx, pseudonym, origin)


def _kept(tx: Transaction, entry: RecordEntry) -> StoredResource | None:
    """What is kept under the entry's name."""
    return None if entry.op == "shred" else resources.current(tx, entry.type, entry.id)


def _new_version(tx: Transaction, origin: NodeAddress, entry: RecordEntry) -> NewVersion | None:
    """The put as the store keeps it; ``None`` where a version as new is kept already."""
    kept = _kept(tx, entry)
    if kept is not None and (entry.version < kept.version or (entry.version == kept.version and not kept.deleted)):
        return None
    body = entry.body or b""
    decoded = msgspec.json.decode(body, type=dict[str, object])
    sid = None
    if entry.pseudonym is not None:
        sid = _owner(tx, origin, entry.pseudonym).sid
    return NewVersion(
        type=entry.type,
        id=entry.id,
        sid=sid,
        origin=str(origin),
        version=entry.version,
        resource_class=ResourceClass(
            type=entry.type,
            sensitivity=Sensitivity(entry.sensitivity),
            category=SensitiveCategory(entry.category),
            jurisdiction=str(origin),
        ),
        changed_at=entry.changed_at,
        instant=instant_of(decoded),
        tokens=tuple(tokens_of(tx.keys.tokens, entry.type, extract(decoded))),
        body=body,
    )
