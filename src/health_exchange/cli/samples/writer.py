"""From tales to files: Bundles in the order they happen, one entry a line so that a diff shows what changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from health_exchange.cli.samples.cast import tell_all
from health_exchange.cli.samples.facilities import FACILITIES, Facility
from health_exchange.cli.samples.manifest import Sent, make_manifest
from health_exchange.cli.samples.rejected import rejected_files
from health_exchange.cli.samples.visit import CHINA, Visit, practitioner_of, staff_of

_ENCODER = msgspec.json.Encoder(decimal_format="number")
"""Decimals as they are written: ``Decimal("1.50")`` is 1.50."""

_OPENING = datetime(2025, 1, 1, 8, tzinfo=CHINA)


def make_files(*, seed: int, people: int) -> dict[str, bytes]:
    """Everything in ``sample_records/``, by path; the same arguments give the same bytes."""
    tales = tell_all(seed=seed, people=people)
    visits = [visit for _, tale in tales for visit in tale.visits]
    visits.sort(key=lambda visit: (visit.at, visit.facility.client_id, visit.label))
    openings = [_set_up(facility, seed) for facility in FACILITIES.values() if facility.refers]
    sent = [Sent(path=_path(number, visit), visit=visit) for number, visit in enumerate([*openings, *visits], start=1)]
    files = {one.path: bundle_bytes(one.visit.entries) for one in sent}
    files["facilities.json"] = _lines_of({"facilities": [facility.row() for facility in FACILITIES.values()]})
    files["manifest.json"] = _lines_of(make_manifest(seed=seed, tales=tales, sent=sent))
    files.update({f"rejected/{name}": raw for name, raw in rejected_files(seed).items()})
    return files


def bundle_bytes(entries: Iterable[Mapping[str, Any]], kind: str = "transaction") -> bytes:
    """A Bundle with one entry a line."""
    lines = b",\n".join(_ENCODER.encode(entry) for entry in entries)
    return b'{"resourceType":"Bundle","type":"%s","entry":[\n%s\n]}\n' % (kind.encode(), lines)


def _set_up(facility: Facility, seed: int) -> Visit:
    visit = Visit(seed=seed, facility=facility, person=None, at=_OPENING, label="set-up")
    number, person = staff_of(facility, seed)[1 - visit.at.day % 2]
    query = f"identifier={practitioner_of(number, person)['identifier'][0]['system']}|{number}"
    visit.add(practitioner_of(number, person), if_none_exist=query)
    location = {"resourceType": "Location", "status": "active", "name": f"{facility.name}门诊部"}
    visit.add({**location, "managingOrganization": {"reference": visit.organization}})
    role = {"resourceType": "PractitionerRole", "active": True, "practitioner": {"reference": visit.practitioner}}
    visit.add({**role, "organization": {"reference": visit.organization}, "specialty": [{"text": "全科"}]})
    return visit


def _path(number: int, visit: Visit) -> str:
    folder = visit.facility.node.replace("/", "-")
    return f"{folder}/{number:03d}-{visit.facility.client_id}-{visit.label}.json"


def _lines_of(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(_ENCODER.encode(value), indent=1) + b"\n"
