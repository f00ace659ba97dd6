"""One file for each kind of bad input that is a body, and beside it what the node must answer.

``NAME.json`` is the body, which need not be JSON. ``NAME.expected.json`` says how to send it (``method``, ``path``,
``content_type``), the HTTP ``status``, our stable ``issue_code`` and ``where`` it lies; for a batch, these are of the
one bad entry and ``status`` of the whole stays 200. ``stored`` counts what may be kept afterwards.

Circles: R4 lets resources of a transaction refer to each other in a circle (Encounter.diagnosis and
Condition.encounter do, see the good samples). What it does not let stand is a resource that is part of itself.
"""

from datetime import date
from typing import Any, NamedTuple

import msgspec

from health_exchange.cli.samples.dice import Dice
from health_exchange.cli.samples.people import NATIONAL_ID_SYSTEMS, check_digit, make_national_id

_ENTRIES = 120
_BAD_ENTRY = 57
_DEPTH = 1000
_CIRCLE = "cyclic-reference"

Json = dict[str, Any]


class Rejected(NamedTuple):
    """A bad body and the answer it must get."""

    raw: bytes
    path: str
    where: str
    code: str = "malformed-resource"
    status: int = 400
    entry_status: int = 0
    stored: int = 0


def rejected_files(seed: int) -> dict[str, bytes]:
    """Bodies and expectations by file name."""
    rows = {**_broken_json(), **_broken_bundles(), **_broken_resources(), **_broken_identities(seed)}
    files: dict[str, bytes] = {}
    for name, row in rows.items():
        expected: Json = {
            "method": "POST",
            "path": row.path,
            "content_type": "application/fhir+json",
            "status": row.status,
            "issue_code": row.code,
            "where": row.where,
            "stored": row.stored,
        }
        if row.entry_status:
            expected["entry_status"] = row.entry_status
        files[f"{name}.json"] = row.raw
        files[f"{name}.expected.json"] = msgspec.json.format(msgspec.json.encode(expected), indent=1) + b"\n"
    return files


def _observation(**elements: object) -> Json:
    code = {"text": "体温"}
    value = {"value": 36.5, "unit": "Cel"}
    base: Json = {"resourceType": "Observation", "status": "final", "code": code, "valueQuantity": value}
    base["effectiveDateTime"] = "2025-03-01T09:00:00+08:00"
    return {name: element for name, element in {**base, **elements}.items() if element != "absent"}


def _bundle(kind: str, resources: list[Json]) -> bytes:
    entries = [
        {
            "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for number, resource in enumerate(resources)
    ]
    return msgspec.json.encode({"resourceType": "Bundle", "type": kind, "entry": entries})


def _of(resource: Json) -> bytes:
    return msgspec.json.encode(resource)


def _broken_json() -> dict[str, Rejected]:
    whole = _bundle("transaction", [_observation(), _observation()])
    twice = _of(_observation()).replace(b'"status":"final"', b'"status":"final","status":"amended"')
    latin = _of(_observation()).replace("体温".encode(), b"\xce\xc2\xb6\xc8")  # the same in GBK
    deep = b'{"resourceType":"Observation","extension":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"
    return {
        "truncated-json": Rejected(whole[: len(whole) // 2], "/fhir", ""),
        "duplicate-keys": Rejected(twice, "/fhir/Observation", "Observation.status"),
        "invalid-utf8": Rejected(latin, "/fhir/Observation", ""),
        "too-deep": Rejected(deep, "/fhir/Observation", ""),
    }


def _broken_bundles() -> dict[str, Rejected]:
    many = [_observation() for _ in range(_ENTRIES)]
    many[_BAD_ENTRY] = _observation(status="absent")
    where = f"Bundle.entry[{_BAD_ENTRY}].resource.status"
    nowhere = {"reference": "urn:uuid:00000000-0000-4000-8000-00000000ffff"}
    circle = [_part_of(1), _part_of(0)]
    return {
        "one-bad-entry-in-transaction": Rejected(_bundle("transaction", many), "/fhir", where),
        "one-bad-entry-in-batch": Rejected(
            _bundle("batch", many), "/fhir", where, status=200, entry_status=400, stored=_ENTRIES - 1
        ),
        "dangling-reference": Rejected(
            _bundle("transaction", [_observation(subject=nowhere)]),
            "/fhir",
            "Bundle.entry[0].resource.subject.reference",
            code="dangling-reference",
        ),
        "part-of-itself": Rejected(
            _bundle("transaction", [_part_of(0)]), "/fhir", "Bundle.entry[0].resource.partOf.reference", code=_CIRCLE
        ),
        "part-of-each-other": Rejected(
            _bundle("transaction", circle), "/fhir", "Bundle.entry[0].resource.partOf.reference", code=_CIRCLE
        ),
    }


def _part_of(number: int) -> Json:
    return {"resourceType": "Organization", "name": "样例科室", "partOf": {"reference": _url(number)}}


def _url(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


def _broken_resources() -> dict[str, Rejected]:
    path = "/fhir/Observation"
    rows: dict[str, tuple[Json, str]] = {
        "wrong-type-text-for-number": (
            _observation(valueQuantity={"value": "36.5"}),
            "Observation.valueQuantity.value",
        ),
        "wrong-type-object-for-list": (_observation(category={"text": "检验"}), "Observation.category"),
        "unknown-code-of-required-set": (_observation(status="bogus"), "Observation.status"),
        "unknown-element": (_observation(temperature=36.5), "Observation.temperature"),
        "two-values": (_observation(valueString="36.5"), "Observation.value"),
        "missing-required": (_observation(code="absent"), "Observation.code"),
        "impossible-date": (_observation(effectiveDateTime="2025-02-30"), "Observation.effectiveDateTime"),
        "null-element": (_observation(valueQuantity=None), "Observation.valueQuantity"),
        "empty-array": (_observation(category=[]), "Observation.category"),
        "empty-object": (_observation(valueQuantity={}), "Observation.valueQuantity"),
        "empty-string": (_observation(valueQuantity="absent", valueString=""), "Observation.valueString"),
    }
    unknown = {"resourceType": "Horoscope", "sign": "Leo"}
    return {
        "unknown-type": Rejected(_of(unknown), "/fhir/Horoscope", ""),
        **{name: Rejected(_of(resource), path, where) for name, (resource, where) in rows.items()},
    }


def _broken_identities(seed: int) -> dict[str, Rejected]:
    born = date(1975, 5, 17)
    right = make_national_id(Dice(seed, "rejected"), born, "female")
    wrong_check = right[:17] + ("1" if right[17] != "1" else "2")
    no_such_day = f"{right[:6]}19750231{right[14:17]}"
    values = {
        "national-id-bad-check-digit": wrong_check,
        "national-id-impossible-date": no_such_day + check_digit(no_such_day),
        "national-id-wrong-length": right[:16],
    }
    return {
        name: Rejected(
            _bundle("transaction", [_patient(NATIONAL_ID_SYSTEMS[number % 2], value)]),
            "/fhir",
            "Bundle.entry[0].resource.identifier[0].value",
            code="invalid-identity",
        )
        for number, (name, value) in enumerate(values.items())
    }


def _patient(system: str, value: str) -> Json:
    identifier = [{"use": "official", "system": system, "value": value}]
    return {"resourceType": "Patient", "identifier": identifier, "name": [{"text": "样本"}], "birthDate": "1975-05-17"}
