"""Properties of what leaves, over generated resources, the official examples and whole Synthea records."""

import itertools
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.pseudonym.cleaners import MASKED, HeldResourceError
from health_exchange.pseudonym.deidentify import RULES, deidentify
from health_exchange.pseudonym.rules.rows import Disposition, Element, read_code_systems, read_datatypes

SHARED = Path(__file__).parents[3] / "shared"
SYNTHEA = SHARED / "data" / "synthea-r4-150.tar.xz"
EXAMPLES = SHARED / "data" / "fhir-r4-examples.tar.xz"
DEFINITIONS = SHARED / "definitions" / "fhir-r4-definitions.tar.xz"
ORIGIN = NodeAddress.parse("cn/33/3305/330521")
CHANGED_AT = "2026-03-01T08:00:00+08:00"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
INSTANT = re.compile(r"\d{4}(?:-\d\d(?:-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?)?)?|\d\d:\d\d:\d\d(?:\.\d+)?")


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def exchange_id(resource_type: str, resource_id: str) -> ExchangeId:
    return ExchangeId(f"x-{resource_type}-{resource_id}")


def parse(raw: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(raw, parse_float=Number, parse_int=Number)
    return read


def leaves(value: object) -> Iterator[str]:
    """Every string and number in a decoded resource; member names aside."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


def names_and_licences(value: dict[str, Any]) -> set[str]:
    """Strings that directory rows let through."""
    return set(leaves([value.get("name"), value.get("identifier"), value.get("qualification")]))


def row_codes() -> set[str]:
    codes: set[str] = set()

    def walk(elements: tuple[Element, ...] | list[Element]) -> None:
        for element in elements:
            codes.update(element.codes)
            walk(element.children)

    for rows in itertools.chain((rule.elements for rule in RULES.values()), read_datatypes().values()):
        walk(rows)
    return codes


ROW_CODES = row_codes()
SYSTEMS = read_code_systems()
OURS = set(leaves(json.loads(MASKED))) | {"http://unitsofmeasure.org", "<", "<=", ">", ">="}
OURS |= {"unknown", "not-performed", "asked-unknown", "not-asked", "error", "as-text", "unsupported", "temp-unknown"}


def foreign_strings(value: object) -> Iterator[str]:
    """Strings of an outgoing resource that no part of the allow-list explains. Written apart from the engine."""
    if isinstance(value, list):
        for inner in value:
            yield from foreign_strings(inner)
    elif isinstance(value, dict):
        system, code = value.get("system"), value.get("code")
        if (
            isinstance(system, str)
            and system in SYSTEMS.codes
            and isinstance(code, str)
            and re.fullmatch(SYSTEMS.codes[system], code)
        ):
            value = {name: inner for name, inner in value.items() if name not in {"system", "code", "unit"}}
        reference = value.get("reference")
        if isinstance(reference, str) and re.fullmatch(r"(#c\d+|([A-Z][A-Za-z]+)/x-\2-[A-Za-z0-9.-]+)", reference):
            value = {name: inner for name, inner in value.items() if name != "reference"}
        directory = value.get("resourceType") in {"Practitioner", "Organization", "Location"}
        public = names_and_licences(value) if directory else set()
        for name, inner in value.items():
            if name in {"resourceType", "id", "meta"}:
                continue
            yield from (found for found in foreign_strings(inner) if found not in public)
    elif isinstance(value, str) and not isinstance(value, Number):
        fine = value in ROW_CODES or value in OURS or INSTANT.fullmatch(value) or re.fullmatch(r"[A-Z]{3}", value)
        if not fine and not re.fullmatch(r"[-0-9. EUL]+", value):
            yield value


def check(raw: bytes, validator: jsonschema_rs.Validator | None = None) -> list[str]:
    """Send one resource; check it; the references that left.

    A resource that is held left nothing.
    """
    original = parse(raw)
    directory = RULES[original["resourceType"]].disposition is Disposition.DIRECTORY
    try:
        out = deidentify(
            raw,
            rewrite=exchange_id,
            subject=None if directory else Pseudonym("p" * 26),
            source=ORIGIN,
            version=3,
            changed_at=CHANGED_AT,
        )
    except HeldResourceError as held:
        if held.code not in {"no-subject", "unknown-modifier", "implicit-rules"}:
            raise
        return []
    body = parse(out.body)
    assert list(foreign_strings(body)) == []
    before = set(leaves(original))
    coarse = {body.get("birthDate"), body.get("deceasedDateTime")}
    content = [inner for name, inner in body.items() if name not in {"id", "meta"}]
    for leaf in leaves(content):
        if (isinstance(leaf, Number) or INSTANT.fullmatch(leaf)) and leaf not in coarse:
            assert leaf in before, leaf
    if validator is not None:
        assert [error.instance_path for error in validator.iter_errors(json.loads(out.body))] == []
    return re.findall(r'"reference":"([A-Z][^"]+)"', out.body.decode())


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    if not DEFINITIONS.exists():
        pytest.skip("../shared/definitions is not here")
    with tarfile.open(DEFINITIONS) as archive:
        member = next(entry for entry in archive if entry.name.endswith("fhir.schema.json"))
        stream = archive.extractfile(member)
        assert stream is not None
        read: dict[str, Any] = json.load(stream)
    read["definitions"]["ResourceList"] = {}
    return read


@pytest.fixture(scope="module")
def validators(schema: dict[str, Any]) -> dict[str, jsonschema_rs.Validator]:
    meta = "http://json-schema.org/draft-06/schema#"
    definitions = schema["definitions"]
    return {
        name: jsonschema_rs.validator_for(
            {"$schema": meta, "definitions": definitions, "$ref": f"#/definitions/{name}"}
        )
        for name in RULES
    }


def archived(path: Path, every: int) -> Iterator[dict[str, Any]]:
    if not path.exists():
        pytest.skip(f"../shared/data/{path.name} is not here")
    with tarfile.open(path) as archive:
        members = [entry for entry in archive if entry.isfile() and entry.name.endswith(".json")]
        for entry in members[::every]:
            stream = archive.extractfile(entry)
            assert stream is not None
            yield parse_plain(stream.read())


def parse_plain(raw: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(raw)
    return read


def check_bundle(bundle: dict[str, Any], validators: dict[str, jsonschema_rs.Validator]) -> int:
    """Check every resource of a Synthea bundle, its urn:uuid references resolved as admission does."""
    places = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in bundle["entry"]
    }
    ids, references = set(), set()
    for entry in bundle["entry"]:
        kind, resource_id = entry["resource"]["resourceType"], entry["resource"]["id"]
        if kind not in RULES:
            continue
        ids.add(f"{kind}/{exchange_id(kind, resource_id)}")
        text = json.dumps(entry["resource"])
        raw = re.sub(r"urn:uuid:[0-9a-f-]{36}", lambda match: places.get(match[0], match[0]), text).encode()
        references.update(check(raw, validators[kind]))
    assert references - ids == set()
    return len(ids)


def test_synthea_records_leave_clean(validators: dict[str, jsonschema_rs.Validator]) -> None:
    assert sum(check_bundle(bundle, validators) for bundle in archived(SYNTHEA, every=30)) > 500


@pytest.mark.slow
def test_all_synthea_records_leave_clean(validators: dict[str, jsonschema_rs.Validator]) -> None:
    assert sum(check_bundle(bundle, validators) for bundle in archived(SYNTHEA, every=1)) > 30_000


def test_the_official_examples_leave_clean(validators: dict[str, jsonschema_rs.Validator]) -> None:
    seen = set()
    for resource in archived(EXAMPLES, every=1):
        kind = resource.get("resourceType", "")
        if kind in RULES and "id" in resource:
            check(json.dumps(resource).encode(), validators[kind])
            seen.add(kind)
    assert len(seen) >= 25


SECRET = "张三 13800000000"
PLAIN = {
    "boolean": st.booleans(),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=3, max_value=10**9).map(float),
    "date": st.dates().map(str),
    "dateTime": st.datetimes().map(lambda at: at.isoformat(timespec="seconds") + "+08:00"),
    "time": st.times().map(lambda at: at.isoformat(timespec="seconds")),
}
PLAIN |= dict.fromkeys(("instant", "month"), PLAIN["dateTime"]) | {"year": PLAIN["date"]}
PLAIN |= dict.fromkeys(("integer", "positiveInt", "unsignedInt"), st.integers(1, 10**6))
CODINGS = st.sampled_from(
    [
        {"system": "http://loinc.org", "code": "8302-2", "display": SECRET},
        {"system": "http://snomed.info/sct", "code": "44054006", "userSelected": True},
        {"system": "http://hospital.example", "code": SECRET},
        {"system": "http://loinc.org", "code": SECRET},
        {"display": SECRET},
    ]
)
QUANTITIES = st.sampled_from(
    [
        {"value": 1.5, "unit": SECRET, "system": "http://unitsofmeasure.org", "code": "kg"},
        {"value": 2, "unit": SECRET},
        {"value": 3},
        {"value": 4, "system": "http://unitsofmeasure.org", "code": f"{{{SECRET}}}"},
    ]
)
REFERENCES = st.sampled_from(
    [
        {"reference": "Encounter/e1", "display": SECRET},
        {"reference": "Organization/h1", "identifier": {"value": SECRET}},
        {"reference": "Patient/p1"},
        {"reference": "Patient/p2"},
        {"reference": f"Practitioner?name={SECRET}"},
        {"display": SECRET},
    ]
)


def value_of(type_name: str, element: Element) -> st.SearchStrategy[Any]:
    if type_name == "group":
        return members_of(element.children)
    if type_name == "code":
        return st.sampled_from(element.codes)
    if type_name == "CodeableConcept":
        return st.fixed_dictionaries({"text": st.just(SECRET)}, optional={"coding": st.lists(CODINGS, min_size=1)})
    made: dict[str, st.SearchStrategy[Any]] = {
        "Coding": CODINGS,
        "Quantity": QUANTITIES,
        "Age": QUANTITIES,
        "Duration": QUANTITIES,
        "Reference": REFERENCES,
        "masked": st.just({"title": SECRET, "url": "http://x.example/y"}),
        "licence": st.just({"system": "http://x.example", "value": SECRET}),
        "currency": st.just("CNY"),
        "samples": st.just("1 2 E"),
        "personName": st.just({"text": "王医生", "period": {"start": "2020"}}),
    }
    if type_name in read_datatypes() and type_name not in made:
        return members_of(read_datatypes()[type_name])
    made |= PLAIN
    return made.get(type_name, st.just(SECRET))


def members_of(elements: tuple[Element, ...] | list[Element]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with what their row requires, some of what it allows, and secrets where it allows nothing."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "id": st.just(SECRET),
        "extension": st.just([{"url": "http://x", "valueString": SECRET}]),
    }
    for element in elements:
        type_name = element.types[0]
        if type_name.startswith("@"):
            continue
        suffix = type_name[0].upper() + type_name[1:] if element.choice else ""
        if type_name == "month":
            suffix = "DateTime"
        value = value_of(type_name, element)
        chosen = st.lists(value, min_size=1, max_size=2) if element.many else value
        (required if element.required else optional)[element.name + suffix] = chosen
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    rule = RULES[draw(st.sampled_from(sorted(RULES)))]
    members = draw(members_of(rule.elements))
    if rule.subject_path:
        members[rule.subject_path] = {"reference": "Patient/p1", "display": SECRET}
    members.pop("extension", None)
    note = {"note": [{"text": SECRET}], "text": {"status": "generated", "div": f"<div>{SECRET}</div>"}}
    identifier = {"identifier": [{"value": SECRET}]}
    return {**note, **identifier, **members, "resourceType": rule.type, "id": "r1"}


@given(resource=resources())
@settings(max_examples=100, deadline=None)
def test_no_secret_of_a_generated_resource_leaves(resource: dict[str, Any]) -> None:
    public = {"Organization", "Location"}
    if resource["resourceType"] in public:
        resource["name"] = "德清县人民医院"
    raw = json.dumps(resource, ensure_ascii=False).encode()
    check(raw)
