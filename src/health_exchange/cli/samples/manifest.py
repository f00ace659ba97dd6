"""What a replay of the samples must come to: counts, order, and the trouble planted.

It names no identity: people by their key in the cast, patients by facility and record number.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from health_exchange.cli.samples.facilities import FACILITIES
from health_exchange.cli.samples.people import Person
from health_exchange.cli.samples.visit import Tale, Visit
from health_exchange.model.addresses import NodeAddress

_NOTES = (
    "without_identity",
    "released",
    "never_identified",
    "corrected_identity",
    "entered_in_error",
    "text_only_diagnosis",
)


class Sent(NamedTuple):
    """One Bundle and the file it stands in."""

    path: str
    visit: Visit


def make_manifest(*, seed: int, tales: Sequence[tuple[str, Tale]], sent: Sequence[Sent]) -> dict[str, Any]:
    """The content of ``manifest.json``."""
    persons = [_describe(person, pathway) for pathway, tale in tales for person in tale.persons]
    identified = [person for person in persons if person["identity"] != "none"]
    return {
        "seed": seed,
        "people": len(persons),
        "persons_identified": len(identified),
        "persons_in_two_or_more_places": sum(len(person["patients"]) > 1 for person in identified),
        "persons_across_provinces": sum(len(person["provinces"]) > 1 for person in identified),
        "resources": sum(sum(node["resources"].values()) for node in _nodes(sent).values()),
        "pathways": dict(Counter(pathway for pathway, _ in tales)),
        "sensitivity": _labelled(sent),
        **{kind: [what for _, tale in tales for what in tale.notes.get(kind, ())] for kind in _NOTES},
        "nodes": _nodes(sent),
        "persons": persons,
        "order": [one.path for one in sent],
    }


def _describe(person: Person, pathway: str) -> dict[str, Any]:
    nodes = {FACILITIES[client_id].node for client_id in person.record_numbers}
    kinds = (
        ("national-id", person.national_id),
        ("passport", person.passport),
        ("birth-certificate", person.birth_certificate),
    )
    return {
        "key": person.key,
        "pathway": pathway,
        "identity": next((kind for kind, value in kinds if value), "none"),
        "provinces": sorted({NodeAddress.parse(node).province or "" for node in nodes}),
        "patients": [
            {"facility": client_id, "record_number": number} for client_id, number in person.record_numbers.items()
        ],
    }


def _nodes(sent: Sequence[Sent]) -> dict[str, Any]:
    """Per node: files, entries by type, and how many resources of each type it keeps afterwards."""
    rows: dict[str, Any] = {}
    kept: dict[str, set[str]] = {}
    for path, visit in sent:
        node = visit.facility.node
        row = rows.setdefault(node, {"files": 0, "entries": Counter(), "resources": Counter()})
        row["files"] += 1
        for entry in visit.entries:
            kind = entry["resource"]["resourceType"]
            row["entries"][kind] += 1
            request = entry["request"]
            identity = request.get("ifNoneExist") or (
                request["url"] if request["method"] == "PUT" else f"{path} {entry['fullUrl']}"
            )
            key = f"{kind} {identity}"
            if key not in kept.setdefault(node, set()):
                kept[node].add(key)
                row["resources"][kind] += 1
    return rows


def _labelled(sent: Sequence[Sent]) -> dict[str, int]:
    """Entries that a facility labelled itself, by level; codes raise more (see ``policy.classification``)."""
    levels: Counter[str] = Counter()
    for _, visit in sent:
        labelled = sum("meta" in entry["resource"] for entry in visit.entries)
        if labelled:
            levels[str(visit.sensitivity)] += labelled
    return dict(sorted(levels.items()))
