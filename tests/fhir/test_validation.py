"""A resource is FHIR R4 or refused with the exact place, and a refusal repeats nothing of it."""

import copy
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.fhir.bundle import split_bundle
from health_exchange.fhir.elements import elements_of, resource_types
from health_exchange.fhir.schema import fits_schema
from health_exchange.fhir.structs import fits_struct
from health_exchange.fhir.validation import first_fault, validate
from health_exchange.model.errors import MalformedResourceError

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_records"
SHARED = ROOT.parent / "shared/data"
SECRET = "zhangsan"

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "a",
    "status": "final",
    "category": [{"coding": [{"system": "http://a", "code": "b", "display": SECRET}]}],
    "code": {"text": SECRET},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2025-03-01T09:00:00+08:00",
    "valueQuantity": {"value": 1.50, "unit": "Cel"},
    "component": [{"code": {"text": "x"}, "valueString": "y"}],
    "contained": [{"resourceType": "Patient", "id": "p", "name": [{"given": ["a", "b"]}], "birthDate": "1980"}],
}
EXPLAINED: dict[str, str] = {}
"""Official examples that we refuse, and why."""


def packed(resource: Any) -> bytes:  # noqa: ANN401  # any JSON value
    return json.dumps(resource, ensure_ascii=False).encode()


def changed(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    """The observation with the member at ``path`` set, or taken out where ``value`` is ``...``."""
    resource = copy.deepcopy(OBSERVATION)
    target: Any = resource
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        target = target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return resource


MASKED = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]}
REPORT = {"resourceType": "MeasureReport", "status": "complete", "type": "summary", "period": {"start": "2025"}}


@pytest.mark.parametrize(
    "resource",
    [
        REPORT | {"measure": "http://a", "_measure": MASKED},
        REPORT | {"_measure": MASKED},
        changed("meta", {"profile": [None, "http://a"], "_profile": [MASKED, None]}),
        changed("code.text", "x" * 2**20),
    ],
)
def test_a_canonical_may_have_extensions_and_a_string_a_mebibyte(resource: dict[str, Any]) -> None:
    assert validate(packed(resource)).type == resource["resourceType"]


@pytest.mark.parametrize(
    ("resource", "where"),
    [
        (REPORT, "MeasureReport.measure"),
        (changed("extension", [{"_url": MASKED, "valueString": "x"}]), "Observation.extension[0]"),
        (changed("extension", [{"url": "a", "_url": MASKED, "valueString": "x"}]), "Observation.extension[0]"),
        (changed("code.text", "x" * (2**20 + 1)), "Observation.code.text"),
    ],
)
def test_an_extensions_url_has_none_and_must_be_there(resource: dict[str, Any], where: str) -> None:
    with pytest.raises(MalformedResourceError) as refusal:
        validate(packed(resource))

    assert refusal.value.where == where


def test_a_sound_resource_is_seen_with_its_bytes() -> None:
    raw = packed(OBSERVATION)
    view = validate(raw)
    assert (view.type, view.id, view.raw, view.decoded) == ("Observation", "a", raw, OBSERVATION)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", ...),
        ("effectiveDateTime", "2024-02-29"),
        ("code.text", "\u3000体温\u00a0晨间\u3000"),
        ("code.text", "a\tb\r\n"),
        ("effectiveDateTime", "2024-02"),
        ("valueQuantity.value", 1),
        ("_status", {"extension": [{"url": "http://a", "valueCode": "x"}]}),
        ("text", {"status": "empty", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>{}</div>"}),
        ("contained.0.name.0._given", [None, {"id": "x"}]),
        ("contained.0.name.0", {"given": ["a", None], "_given": [None, {"id": "x"}]}),
        ("extension", [{"url": "http://a", "extension": [{"url": "b", "valueDecimal": 1.0}]}]),
    ],
)
def test_what_fhir_allows_is_accepted(path: str, value: Any) -> None:  # noqa: ANN401  # any JSON value
    resource = changed(path, value)
    if path == "status":
        resource["_status"] = {"extension": [{"url": "http://a", "valueCode": "x"}]}
    validate(packed(resource))


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("status", ..., "status"),
        ("code", ..., "code"),
        ("status", "bogus", "status"),
        ("status", 1, "status"),
        ("status", None, "status"),
        ("status", ["final"], "status"),
        ("status", "", "status"),
        ("code", {}, "code"),
        ("code", "x", "code"),
        ("code.text", "a\x00", "code.text"),
        ("code.text", "a\x1b[0m", "code.text"),
        ("code.coding", [], "code.coding"),
        ("category", {"text": "x"}, "category"),
        ("category.0.coding.0.code", " x", "category[0].coding[0].code"),
        ("category.0.coding.0.system", "http://a b", "category[0].coding[0].system"),
        ("category.0.coding", [None], "category[0].coding[0]"),
        ("category.0", [], "category[0]"),
        ("valueQuantity.value", "1.5", "valueQuantity.value"),
        ("valueQuantity.value", True, "valueQuantity.value"),
        ("valueString", "x", "value"),
        ("_valueString", {"id": "x"}, "value"),
        ("effectivePeriod", {"start": "2024"}, "effective"),
        ("effectiveDateTime", "2025-02-29", "effectiveDateTime"),
        ("effectiveDateTime", "2025-04-31", "effectiveDateTime"),
        ("effectiveDateTime", "1900-02-29", "effectiveDateTime"),
        ("effectiveDateTime", "2025-13-01", "effectiveDateTime"),
        ("effectiveDateTime", "2025-03-01T09:00:00", "effectiveDateTime"),
        ("effectiveDateTime", "2025-03-01T25:00:00Z", "effectiveDateTime"),
        ("effectiveDateTime", "2025-3-1", "effectiveDateTime"),
        ("issued", "2025-03-01", "issued"),
        ("component.0.temperature", 1, "component[0].temperature"),
        ("component.0.code", ..., "component[0].code"),
        ("component.0.valueBoolean", True, "component[0].value"),
        ("_code", {"id": "x"}, "_code"),
        ("_status", {}, "_status"),
        ("_status", [], "_status"),
        ("id", "a_b", "id"),
        ("id", "a" * 65, "id"),
        ("contained.0.birthDate", "1980-02-30", "contained[0].birthDate"),
        ("contained.0.gender", "x", "contained[0].gender"),
        ("contained.0.name.0.given", ["a", None], "contained[0].name[0].given[1]"),
        ("contained.0.name.0._given", [{"id": "x"}], "contained[0].name[0]._given"),
        ("contained.0.resourceType", "Horoscope", "contained[0]"),
        ("contained.0.multipleBirthInteger", 1.5, "contained[0].multipleBirthInteger"),
        ("contained.0.photo", [{"data": "a==="}], "contained[0].photo[0].data"),
        ("contained.0.contact", [{}], "contained[0].contact[0]"),
        ("text", {"status": "empty", "div": "x"}, "text.div"),
        ("张三", 1, "?"),
        ("110101199003070000", 1, "?"),
    ],
)
def test_what_is_not_fhir_is_refused_with_its_place(path: str, value: Any, where: str) -> None:  # noqa: ANN401  # any JSON value
    raw = packed(changed(path, value))
    for prefix in ("", "Bundle.entry[3].resource"):
        with pytest.raises(MalformedResourceError) as refusal:
            validate(raw, where=prefix)
        assert refusal.value.where == f"{prefix or 'Observation'}.{where}"
        assert SECRET not in refusal.value.detail
        assert refusal.value.__context__ is None


@pytest.mark.parametrize("raw", [b"[]", b"1", b"{}", b'{"resourceType":1}', b'{"resourceType":"DomainResource"}'])
def test_what_is_no_resource_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedResourceError) as refusal:
        validate(raw, where="Bundle.entry[0].resource")
    assert refusal.value.where == "Bundle.entry[0].resource"


def test_resources_inside_bundles_and_parameters_are_judged_too() -> None:
    bad = changed("status", "bogus")
    with pytest.raises(MalformedResourceError) as refusal:
        validate(packed({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": bad}]}))
    assert refusal.value.where == "Bundle.entry[0].resource.status"
    with pytest.raises(MalformedResourceError) as refusal:
        validate(packed({"resourceType": "Parameters", "parameter": [{"name": "a", "resource": bad}]}))
    assert refusal.value.where == "Parameters.parameter[0].resource.status"


def rejected_samples() -> Iterator[Any]:
    for path in sorted(SAMPLES.glob("rejected/*.expected.json")):
        expected = json.loads(path.read_bytes())
        if expected["issue_code"] == "malformed-resource":
            yield pytest.param(path.with_name(path.name.replace(".expected", "")), expected, id=path.stem)


@pytest.mark.parametrize(("path", "expected"), list(rejected_samples()))
def test_every_malformed_sample_is_refused_where_it_says(path: Path, expected: Any) -> None:  # noqa: ANN401  # any JSON value
    raw = path.read_bytes()

    def judge() -> None:
        if expected["path"] != "/fhir":
            validate(raw)
            return
        for entry in split_bundle(raw).entries:
            assert entry.raw is not None
            validate(entry.raw, where=f"{entry.where}.resource")

    with pytest.raises(MalformedResourceError) as refusal:
        judge()
    assert refusal.value.where == expected["where"]


def test_every_sample_record_is_accepted() -> None:
    paths = sorted(SAMPLES.glob("cn-*/**/*.json"))
    assert paths
    for path in paths:
        for entry in split_bundle(path.read_bytes()).entries:
            if entry.raw is not None:
                validate(entry.raw, where=f"{path.name} {entry.where}")


def shared(name: str, limit: int) -> Iterator[tuple[str, bytes]]:
    """Files of a shared archive."""
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    with tarfile.open(SHARED / name, mode="r|xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            if file is not None and limit > 0:
                limit -= 1
                yield member.name.rpartition("/")[2], file.read()
            elif limit <= 0:
                return


def check_synthea(limit: int) -> None:
    for name, raw in shared("synthea-r4-150.tar.xz", limit):
        for entry in split_bundle(raw).entries:
            assert entry.raw is not None
            validate(entry.raw, where=f"{name} {entry.where}")


def test_official_examples_are_accepted_but_for_the_explained() -> None:
    refused = {}
    for name, raw in shared("fhir-r4-examples.tar.xz", 10_000):
        try:
            validate(raw)
        except MalformedResourceError as error:
            refused[name] = error.where
    assert refused.keys() == EXPLAINED.keys(), refused


def test_some_synthea_records_are_accepted() -> None:
    check_synthea(3)


@pytest.mark.slow
def test_all_synthea_records_are_accepted() -> None:
    check_synthea(1_000)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "x",
        " x",
        0,
        -1,
        1.5,
        True,
        [],
        {},
        [None],
        ["x"],
        [{}],
        {"id": "x"},
        [{"id": "x"}],
        "2025-02-30",
        "2025",
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  # any JSON value
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


@given(st.sampled_from(sorted(places(OBSERVATION), key=str)), JUNK, st.data())
@settings(max_examples=100)
def test_the_fast_way_accepts_nothing_that_the_slow_way_refuses(path: Any, junk: Any, choice: st.DataObject) -> None:  # noqa: ANN401  # any JSON value
    resource: Any = copy.deepcopy(OBSERVATION)
    target = resource
    for step in path[:-1]:
        target = target[step]
    key = path[-1]
    if isinstance(target, dict) and choice.draw(st.booleans()):
        names = sorted(elements_of(target.get("resourceType", "Observation")))
        key = choice.draw(st.sampled_from([*names, *(f"_{name}" for name in names)]))
    target[key] = junk
    accepted = True
    try:
        validate(packed(resource))
    except MalformedResourceError:
        accepted = False
    assert accepted is (first_fault(resource, "Observation") is None)


@pytest.mark.parametrize("resource_type", sorted(resource_types()))
def test_every_type_has_its_struct_and_its_schema(resource_type: str) -> None:
    assert not fits_struct(resource_type, {"resourceType": resource_type, "colour": 1})
    assert not fits_schema(resource_type, {"resourceType": "colour"})
