"""A Bundle is taken apart by its frame alone; its resources stay the bytes that arrived."""

import json
from typing import Any

import pytest

from health_exchange.fhir.bundle import OversizedBundleError, split_bundle
from health_exchange.fhir.limits import Limits
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import MalformedResourceError


def entry(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON of a test
    usual = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    return {name: value for name, value in (usual | changes).items() if value is not ...}


def bundle(*entries: Any, **changes: Any) -> bytes:  # noqa: ANN401  # JSON of a test
    usual = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
    return json.dumps({name: value for name, value in (usual | changes).items() if value is not ...}).encode()


def test_an_entry_keeps_the_bytes_of_its_resource() -> None:
    resource = b'{ "resourceType":"Observation",  "valueQuantity":{"value":1.50} }'
    raw = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"urn:uuid:1","resource":' + resource + b","
        b'"request":{"method":"PUT","url":"Observation/1","ifMatch":"W/\\"3\\"","ifNoneExist":"identifier=a|b"}}]}'
    )
    view = split_bundle(raw)
    assert view.type == "batch"
    (first,) = view.entries
    assert first.raw == resource
    assert (first.full_url, first.method, first.url) == ("urn:uuid:1", "PUT", "Observation/1")
    assert (first.if_match, first.if_none_exist, first.where) == ('W/"3"', "identifier=a|b", "Bundle.entry[0]")


def test_a_delete_has_no_resource_and_an_absent_entry_list_is_an_empty_bundle() -> None:
    gone = entry(resource=..., request={"method": "DELETE", "url": "Patient/1"})
    assert split_bundle(bundle(gone)).entries[0].raw is None
    assert split_bundle(bundle(entry=...)).entries == []


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"[]", ""),
        (b'"Bundle"', ""),
        (b'{"resourceType":"Patient"}', ""),
        (bundle(type="collection"), "Bundle.type"),
        (bundle(type=...), "Bundle.type"),
        (bundle(type=1), "Bundle.type"),
        (bundle(entries=[]), "Bundle.entries"),
        (bundle(entry=[]), "Bundle.entry"),
        (bundle(entry={}), "Bundle.entry"),
        (bundle(entry()) [:-3], ""),
        (bundle(entry(), 3), "Bundle.entry[1]"),
        (bundle(entry(request=...)), "Bundle.entry[0].request"),
        (bundle(entry(request=[])), "Bundle.entry[0].request"),
        (bundle(entry(request={"method": "POST"})), "Bundle.entry[0].request.url"),
        (bundle(entry(request={"method": "EAT", "url": "Patient"})), "Bundle.entry[0].request.method"),
        (bundle(entry(request={"method": "POST", "url": "Patient", "colour": 1})), "Bundle.entry[0].request.colour"),
        (bundle(entry(), entry(resource=None)), "Bundle.entry[1].resource"),
        (bundle(entry(fullUrl="")), "Bundle.entry[0].fullUrl"),
        (bundle(entry(fullUrl=None)), "Bundle.entry[0].fullUrl"),
        (bundle(entry(ressource={})), "Bundle.entry[0].ressource"),
    ],
)  # fmt: skip
def test_a_bundle_with_a_broken_frame_is_refused_with_the_place(raw: bytes, where: str) -> None:
    with pytest.raises(MalformedResourceError) as refusal:
        split_bundle(raw)
    assert refusal.value.where == where


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        (b'"type":', b'"type": "batch", "type":', "Bundle.type"),
        (b'"entry":', b'"entry": [], "entry":', "Bundle.entry"),
        (b'"request":', b'"request": {"method": "DELETE", "url": "A/1"}, "request":', "Bundle.entry[0].request"),
        (b'"resource":', b'"resource": {"resourceType": "Patient"}, "resource":', "Bundle.entry[0].resource"),
        (b'"method":', b'"method": "PUT", "method":', "Bundle.entry[0].request.method"),
        (b'"method":', b'"m\\u0065thod": "PUT", "method":', "Bundle.entry[0].request.method"),
        (b'"url": "Patient"', b'"url": "a\\u003ab", "url": "Patient"', "Bundle.entry[0].request.url"),
    ],
)
def test_a_repeated_name_in_the_frame_refuses_the_bundle(before: bytes, after: bytes, where: str) -> None:
    raw = bundle(entry()).replace(before, after, 1)
    assert raw.count(before) == 1 or before in after
    with pytest.raises(MalformedResourceError) as refusal:
        split_bundle(raw)
    assert refusal.value.where == where


def test_a_repeated_name_in_a_resource_is_left_to_whoever_judges_it() -> None:
    bad = b'{"resourceType": "Patient", "id": "1", "id": "2"}'
    raw = bundle(entry()).replace(b'{"resourceType": "Patient"}', bad)
    (first,) = split_bundle(raw).entries
    assert first.raw == bad
    with pytest.raises(MalformedResourceError) as refusal:
        validate(bad, where=f"{first.where}.resource")
    assert refusal.value.where == "Bundle.entry[0].resource.id"


def test_the_number_of_entries_is_bounded() -> None:
    with pytest.raises(OversizedBundleError):
        split_bundle(bundle(entry(), entry(), entry()), Limits(entries=2))
