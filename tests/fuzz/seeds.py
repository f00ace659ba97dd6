"""What fuzzing begins with: official examples, sample records, searches and patches that people write."""

import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.fuzz.targets import SAMPLES, TARGETS

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import parameters_of
from health_exchange.search.spans import Comparator
from health_exchange.search.terms import Modifier

EXAMPLES = Path(__file__).parents[3] / "shared/data/fhir-r4-examples.tar.xz"
FOUND = Path(__file__).parent / "found"
"""Inputs that once were more than a target could take, by target: one a file, whose name says what was wrong."""
WORDS_MAX = 400

_SEARCHES = (
    "Patient?name=Li&birthdate=ge1980-01&_sort=-birthdate&_count=20",
    "Patient?name:exact=%E6%9D%8E&gender:not=male&_total=accurate",
    "Patient?identifier=urn:lab|7&_elements=name,birthDate&_pretty=true",
    "Patient?_has:Observation:patient:code=http://loinc.org|4548-4",
    "Patient?address-city:contains=a\\,b&active=true&deceased=false",
    "Patient/p1/Observation?code=4548-4,8480-6&date=ge2024&date=lt2025-03-01T10:00Z",
    "Patient/p1/*?_lastUpdated=gt2024-01-01",
    "Observation?code-value-quantity=http://loinc.org|4548-4$gt6.5|http://unitsofmeasure.org|%",
    "Observation?value-quantity=ap5.4|http://unitsofmeasure.org|mmol/L&category=laboratory&status=final",
    "Observation?subject:Patient.identifier=urn:lab|7&_include=Observation:subject&_revinclude:iterate=Provenance:target",
    "Observation?patient.organization.name:exact=x&combo-code:missing=false&_summary=count",
    "Encounter?date=sa2024-02-29&class=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB&_sort=date,_id&",
    "Condition?code:text=pain&onset-date=ne2024&_include:iterate=*",
    "ValueSet?url:below=http://hl7.org/fhir&version=4.0.1",
    "RiskAssessment?probability=gt0.8&subject=Patient/p1/_history/2",
    "Immunization?_id=a,b&_tag=urn:t|a&_security=|b&_source=urn:x&_profile=http://a",
    "?_type=Patient,Observation&_lastUpdated=ge2024&_format=json",
    "Patient?_page=abcdefgh",
    "Observation?value-string=a&value-date=2024&component-code=|x&subject:identifier=urn:lab|7",
    "~Patient?identifier=urn:lab|7&birthdate=2000",
    "~events?date=ge2024&type=rest&subtype=search&agent.identifier=x&outcome=4&_count=5",
    "~events?entity.identifier=urn:a|b&_id=1.0&patient.identifier=x&action=R",
    "~everything?_type=Patient,Observation&_since=2025-01-01T00:00:00Z&_count=20&start=2024&end=2025-02",
    "~target?Patient/p1",
    "~target?Patient?identifier=urn:lab|7",
    "~known?Wed, 21 Oct 2015 07:28:00 GMT",
)
_PATCHES = (
    '[{"op":"replace","path":"/status","value":"amended"}]',
    '[{"op":"test","path":"/valueQuantity/value","value":1.50},{"op":"remove","path":"/note/1"}]',
    '[{"op":"add","path":"/note/-","value":{"text":"c"}},{"op":"add","path":"/note/0","value":{"text":"d"}}]',
    '[{"op":"move","from":"/note/0","path":"/note/1"},{"op":"copy","from":"/code","path":"/category/0"}]',
    '[{"op":"replace","path":"","value":{"resourceType":"Basic","code":{"text":"x"}}}]',
    '[{"op":"add","path":"/a~1b~0c","value":null}]',
)
_LINKS = ("token:abcdefgh", "history:\x81", "search:\x87", "everything:\x8a", "token:")


@cache
def seeds_of(target: str) -> Sequence[bytes]:
    """The seeds of a target that are no larger than its inputs may be; always the same, in the same order."""
    made: Mapping[str, Iterable[bytes]] = {
        "bundle": _bundles(),
        "resource": _resources(),
        "patch": (*(each.encode() for each in _PATCHES), *_patches_of_others()),
        "arguments": _parameters(),
        "search": [each.encode() for each in _SEARCHES],
        "link": [each.encode("latin-1") for each in _LINKS],
    }
    return [each for each in dict.fromkeys(made[target]) if len(each) <= TARGETS[target].bytes_max]


def found_by(target: str) -> Mapping[str, bytes]:
    """What was found before, by what was wrong."""
    return MappingProxyType({file.name: file.read_bytes() for file in sorted((FOUND / target).glob("*"))})


def words(target: str) -> Sequence[str]:
    """What inputs of a target are made of: names of members, the frequent first, or of parameters."""
    if not TARGETS[target].is_json:
        return [*sorted({name for kind in resource_types() for name in parameters_of(kind)}), *Modifier, *Comparator]
    counts = Counter(name for raw in seeds_of("resource") for name in _names(json.loads(raw)) if name.isidentifier())
    return [name for name, _count in counts.most_common(WORDS_MAX)]


def _names(value: Any) -> Iterator[str]:  # noqa: ANN401  # any JSON
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


def _records() -> Iterator[dict[str, Any]]:
    """The sample records."""
    for file in sorted(SAMPLES.glob("cn-*/*.json")):
        yield json.loads(file.read_bytes())


def _resources() -> Iterator[bytes]:
    """Official examples, where they are, and what is in sample records."""
    if EXAMPLES.exists():
        with tarfile.open(EXAMPLES) as archive:
            for member in sorted(archive.getmembers(), key=lambda member: member.name):
                file = archive.extractfile(member) if member.name.endswith(".json") else None
                if file is not None:
                    yield _packed(json.loads(file.read()))
    for record in _records():
        yield from (_packed(entry["resource"]) for entry in record["entry"][:3] if "resource" in entry)


def _bundles() -> Iterator[bytes]:
    """Sample records, cut to a few entries, and Bundles with everything that one may ask for."""
    for record in _records():
        yield _packed(record | {"entry": record["entry"][:3]})
    yield from (file.read_bytes() for file in sorted(SAMPLES.glob("rejected/*.json")))
    basic = {"resourceType": "Basic", "code": {"text": "x"}}
    requests: list[dict[str, Any]] = [
        {"request": {"method": "GET", "url": "Patient?name=a&_count=1"}},
        {"request": {"method": "GET", "url": "Patient/a/_history/1", "ifNoneMatch": 'W/"1"'}},
        {"request": {"method": "DELETE", "url": "Patient?identifier=urn:a|b"}},
        {"request": {"method": "PUT", "url": "Basic/a", "ifMatch": 'W/"2"'}, "resource": basic | {"id": "a"}},
        {"request": {"method": "POST", "url": "Basic", "ifNoneExist": "code=a"}, "resource": basic},
        {
            "request": {"method": "PATCH", "url": "Basic/a"},
            "resource": {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="},
        },
    ]
    for kind in ("batch", "transaction"):
        yield _packed({"resourceType": "Bundle", "type": kind, "entry": requests})
        for request in requests:
            yield _packed({"resourceType": "Bundle", "type": kind, "entry": [{"fullUrl": "urn:uuid:a"} | request]})


def _parameters() -> Iterator[bytes]:
    """What operations are given: a change of a meta, what is wanted of everything, whom to look up."""
    tag, named = {"system": "urn:x", "code": "a"}, {"url": "urn:a", "valueString": "x"}
    identifier = {"system": "urn:oid:2.16.156.10011.1.3", "value": "190001195910100094"}
    for given in (
        [{"name": "meta", "valueMeta": {"tag": [tag, tag | {"display": "x"}], "profile": ["urn:p"]}}],
        [{"name": "meta", "valueMeta": {"security": [{"display": "x"}]}}],
        [{"name": "_type", "valueCode": "Patient"}, {"name": "_count", "valueInteger": 2}],
        [{"name": "start", "valueDate": "2025-03"}, {"name": "_since", "valueInstant": "2025-01-01T00:00:00Z"}],
        [{"_name": {"extension": [named]}, "valueString": "x"}],
        [
            {"name": "resource", "resource": {"resourceType": "Patient", "identifier": [identifier]}},
            {"name": "purpose", "valueCode": "TREAT"},
            {"name": "reason", "valueString": "x"},
            {"name": "_type", "valueCode": "Observation"},
            {"name": "start", "valueDate": "2024-02-29"},
        ],
    ):
        yield _packed({"resourceType": "Parameters", "parameter": given})


def _patches_of_others() -> Iterator[bytes]:
    """A patch and the document behind it."""
    document = b'{"resourceType":"Basic","id":"a","code":{"text":"x"},"extension":[{"url":"a","valueDecimal":1.50}]}'
    for patch in (
        b'[{"op":"copy","from":"","path":"/contained"}]',
        b'[{"op":"test","path":"/extension/0/valueDecimal","value":1.5}]',
        b'[{"op":"replace","path":"/code/text","value":"y"}]',
    ):
        yield patch + b"\x00" + document


def _packed(resource: object) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
