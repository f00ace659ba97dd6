"""Parts of resources: what must stay stays, every value is its bytes, and the part says that it is one."""

import json
import tarfile
from pathlib import Path

import pytest
from tests.requirements import missing

from health_exchange.fhir.elements import elements_of
from health_exchange.fhir.subsetting import Subset, Summary, is_element
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import MalformedResourceError

EXAMPLES = Path(__file__).parents[3] / "shared/data/fhir-r4-examples.tar.xz"
OBSERVATION = (
    rb'{"resourceType":"Observation","id":"o1","meta":{"versionId":"3","tag":[{"code":"t"}]},"text":{"status":"empty",'
    rb'"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"/>"},"extension":[{"url":"x","valueDecimal":2.50}],'
    rb'"status":"final","_status":{"id":"s"},"category":[{"text":"c"}],"code":{"text":"\u00e9","extension":[{"url":"e",'
    rb'"valueString":"v"}]},"valueQuantity":{"value":1.50,"unit":"mmol/L"},"note":[{"text":"n"}],"component":'
    rb'[{"code":{"text":"k"},"valueQuantity":{"value":0.10},"interpretation":[{"text":"i"}]}]}'
)
ALWAYS = {"resourceType", "id", "meta"}


@pytest.mark.parametrize(
    ("subset", "names"),
    [
        (Subset(summary=Summary.TRUE), {"status", "_status", "code", "valueQuantity", "component"}),
        (Subset(summary=Summary.TEXT), {"text", "status", "_status", "code"}),
        (
            Subset(summary=Summary.DATA),
            {"extension", "status", "_status", "category", "code", "valueQuantity", "note", "component"},
        ),
        (Subset(summary=Summary.ELEMENTS, elements=frozenset({"note"})), {"status", "_status", "code", "note"}),
        (
            Subset(summary=Summary.ELEMENTS, elements=frozenset({"value"})),
            {"status", "_status", "code", "valueQuantity"},
        ),
        (Subset(summary=Summary.ELEMENTS, elements=frozenset({"Patient.note"})), {"status", "_status", "code"}),
        (
            Subset(summary=Summary.ELEMENTS, elements=frozenset({"Observation.note"})),
            {"status", "_status", "code", "note"},
        ),
    ],
)
def test_a_part_has_what_was_asked_for_and_what_must_be_there(subset: Subset, names: set[str]) -> None:
    part = json.loads(subset.of(OBSERVATION))

    assert set(part) == ALWAYS | names
    assert [tag["code"] for tag in part["meta"]["tag"]] == ["t", "SUBSETTED"]
    assert part["meta"]["versionId"] == "3"


def test_a_summary_goes_down_to_the_parts_and_keeps_their_bytes() -> None:
    part = Subset(summary=Summary.TRUE).of(OBSERVATION)

    assert rb'"code":{"text":"\u00e9"}' in part
    assert b'"valueQuantity":{"value":1.50,"unit":"mmol/L"}' in part
    assert b'"component":[{"code":{"text":"k"},"valueQuantity":{"value":0.10}}]' in part


def test_a_resource_without_meta_gets_the_mark_behind_its_id() -> None:
    part = Subset(summary=Summary.TEXT).of(b'{"resourceType":"Patient","active":false,"gender":"male"}')
    assert part.startswith(b'{"resourceType":"Patient","meta":{"tag":[{')
    assert part.endswith(b',"active":false}')


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("name", True),
        ("value", True),
        ("valueQuantity", True),
        ("Patient.name", True),
        ("Patient.note", False),
        ("bogus", False),
        ("Nothing.name", False),
        ("name.family", False),
    ],
)
def test_names_of_elements_are_told_from_others(name: str, known: bool) -> None:  # noqa: FBT001  # a column of a table
    assert is_element(name) is known


@pytest.mark.slow
@pytest.mark.parametrize("summary", [Summary.TRUE, Summary.TEXT, Summary.DATA])
def test_every_part_of_every_official_example_is_sound(summary: Summary) -> None:
    if not EXAMPLES.exists():
        missing("shared", f"{EXAMPLES} is not here")
    seen, inward = 0, 0
    with tarfile.open(EXAMPLES) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            raw = file.read() if file is not None else b"{}"
            if b"resourceType" not in raw:
                continue
            try:
                whole = validate(raw)
            except Exception:  # noqa: BLE001, S112  # an example that is not sound itself is another test's
                continue
            try:
                part = validate(Subset(summary=summary).of(raw))
            except MalformedResourceError as error:
                # What is contained is no part of a summary, and is referred to all the same.
                assert "ref-1" in error.detail  # noqa: PT017  # one of several hundred
                assert "contained" in whole.decoded
                inward += 1
                continue
            assert part.type == whole.type
            assert set(part.decoded) <= set(whole.decoded) | {"meta"}
            required = {each.name for each in elements_of(whole.type).values() if each.is_required and not each.choice}
            assert required <= set(part.decoded) | {name[1:] for name in part.decoded if name[0] == "_"}
            seen += 1
    assert seen > 350
    assert (inward > 0) is (summary is not Summary.DATA)
