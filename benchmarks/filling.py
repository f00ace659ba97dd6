"""Filling a node's database with Synthea's patients, over and over under ids of their own, until it holds so many.

Everything goes the way that a node's own resources go, from findings to sealed rows, without doors, pseudonyms and log:
what searches look at is what a node would have. A database that is partly filled is filled further.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from benchmarks.loads import synthea_bundles

from health_exchange.fhir.validation import validate
from health_exchange.model.clock import SystemClock
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import class_of
from health_exchange.node.drafting import Drafting, Written, draft_versions
from health_exchange.node.findings import Findings, findings_of
from health_exchange.store import node_state, resources, subjects
from health_exchange.store.engine import Store, StoreKeys, Transaction
from health_exchange.store.resources import NewVersion

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
ORIGIN = "zz"
FILLED = "filled"
"""Cursor: how many Bundles were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """A resource that copies are made of: the text that refers to it, its type, its bytes, and what is in them."""

    full_url: str
    type: str
    raw: bytes
    found: Findings


def opened(url: str) -> Store:
    """The store of a database that is filled here, in the caller's thread."""
    return Store.open(url, KEYS, SystemClock(), os.urandom, inline=True)


def fill(store: Store, wanted: int, *, seconds: float) -> int:
    """Fill up to ``wanted`` resources, or as far as it goes in some seconds; how many there are."""
    templates = [_templates(bundle) for bundle, _count in synthea_bundles()]
    began = time.monotonic()
    there = store.read_now(lambda tx: node_state.cursor(tx, FILLED))
    rows = sum(len(templates[each % len(templates)]) for each in range(there))
    while rows < wanted and time.monotonic() - began < seconds:
        versions = list(_copies(templates[there % len(templates)], there))

        def keep(tx: Transaction, versions: list[tuple[str | None, NewVersion]] = versions, now: int = there) -> None:
            _keep(tx, versions)
            node_state.set_cursor(tx, FILLED, now + 1)

        store.write_now(keep)
        there, rows = there + 1, rows + len(versions)
    return rows


def _templates(bundle: bytes) -> list[_Template]:
    """Every resource of a Bundle, validated."""
    found = []
    for entry in msgspec.json.decode(bundle)["entry"]:
        view = validate(msgspec.json.encode(entry["resource"]))
        found.append(
            _Template(full_url=entry["fullUrl"], type=view.type, raw=view.raw, found=findings_of(view, where=""))
        )
    return found


def _copies(templates: list[_Template], number: int) -> Iterator[tuple[str | None, NewVersion]]:
    """A copy of each under an id of its own, and whose it is."""
    ids = [f"{number}-{place}" for place in range(len(templates))]
    rewriting = {each.full_url: f"{each.type}/{own}" for each, own in zip(templates, ids, strict=True)}
    changed_at = SystemClock().now().isoformat()
    drafting = Drafting(
        written=tuple(
            Written(type=each.type, id=own, number=1, raw=each.raw, found=each.found)
            for each, own in zip(templates, ids, strict=True)
        ),
        rewriting=rewriting,
        last_updated=changed_at,
        key=KEYS.tokens,
    )
    for each, own, draft in zip(templates, ids, draft_versions(drafting).drafts, strict=True):
        yield (
            draft.anchor if each.type != "Patient" else f"Patient/{own}",
            NewVersion(
                type=each.type,
                id=own,
                sid=None,
                origin=ORIGIN,
                version=1,
                resource_class=class_of(each.type, each.found.sensitivity, each.found.category, ORIGIN),
                changed_at=changed_at,
                instant=each.found.instant,
                tokens=draft.tokens,
                packed=draft.packed,
            ),
        )


def _keep(tx: Transaction, versions: list[tuple[str | None, NewVersion]]) -> None:
    """Keep copies under their subjects, all of them new."""
    anchors = {anchor for anchor, _version in versions if anchor is not None}
    sids = {anchor: subjects.find_or_make_subject(tx, anchor=anchor).sid for anchor in sorted(anchors)}
    new = [msgspec.structs.replace(each, sid=sids[anchor] if anchor else None) for anchor, each in versions]
    resources.put_many(tx, new, known={})


def patients(store: Store) -> int:
    """How many Patients were kept: copy after copy, each the first of its Bundle."""
    return store.read_now(lambda tx: node_state.cursor(tx, FILLED))
