"""Consent classes: what a person's Consents come to."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.policy.consents import OBJECTS_TO_ALL, ConsentClass, read_consent_class
from health_exchange.policy.provisions import consent_class

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"


def _consent(
    provision: object = None, *, status: str = "active", scope: str = "patient-privacy", policy: str = ""
) -> Mapping[str, object]:
    consent: dict[str, object] = {
        "resourceType": "Consent",
        "status": status,
        "scope": {"coding": [{"system": SCOPES, "code": scope}]},
    }
    if provision is not None:
        consent["provision"] = provision
    if policy:
        consent["policyRule"] = {"coding": [{"system": ACT_CODE, "code": policy}]}
    return consent


def _deny(*labels: str, **more: object) -> dict[str, object]:
    provision: dict[str, object] = {"type": "deny", **more}
    if labels:
        provision["securityLabel"] = [{"system": ACT_CODE, "code": label} for label in labels]
    return provision


@pytest.mark.parametrize(
    ("consents", "text"),
    [
        ([], ""),
        ([_consent()], ""),
        ([_consent({"type": "permit"})], ""),
        ([_consent(policy="OPTIN")], ""),
        ([_consent(policy="OPTOUT")], "deny:*"),
        ([_consent(_deny())], "deny:*"),
        ([_consent(_deny("PSY"))], "deny:PSY"),
        ([_consent(_deny("SEX", "PSY"))], "deny:PSY,SEX"),
        ([_consent(_deny("SEX")), _consent(_deny("PSY"))], "deny:PSY,SEX"),
        ([_consent(_deny("ETH"))], "deny:SUD"),
        ([_consent({"provision": [_deny("HIV")]}, policy="OPTIN")], "deny:HIV"),
        ([_consent({"type": "permit", "provision": [{"provision": [_deny("GDIS")]}]})], "deny:GDIS"),
        ([_consent(_deny("PSY")), _consent(_deny())], "deny:*"),
    ],
)
def test_objections_come_to_one_text(consents: list[Mapping[str, object]], text: str) -> None:
    assert consent_class(consents) == text


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_active_consents_count(status: str) -> None:
    assert consent_class([_consent(_deny(), status=status)]) == ""


@pytest.mark.parametrize("scope", ["research", "treatment", "adr"])
def test_a_consent_about_something_else_does_not_count(scope: str) -> None:
    assert consent_class([_consent(_deny(), scope=scope)]) == ""


@pytest.mark.parametrize(
    "narrowed",
    [
        _deny("no-such-label"),
        _deny("PSY", "no-such-label"),
        _deny(actor=[{"role": {}, "reference": {"reference": "Organization/1"}}]),
        _deny(provision=[{"type": "permit"}]),
    ],
)
def test_an_objection_that_cannot_be_honoured_exactly_is_honoured_in_full(narrowed: dict[str, object]) -> None:
    assert consent_class([_consent(narrowed)]) == OBJECTS_TO_ALL


def test_a_provision_nested_beyond_reason_objects_to_all() -> None:
    provision: dict[str, object] = {"type": "permit"}
    for _ in range(50):
        provision = {"provision": [provision]}

    assert consent_class([_consent(provision)]) == OBJECTS_TO_ALL


@pytest.mark.parametrize("text", ["deny:", "deny", "permit", "deny:PSY,", "deny:psy", "deny:PSY;SEX", "deny:*,PSY"])
def test_a_text_that_is_none_of_ours_objects_to_all(text: str) -> None:
    assert read_consent_class(text) == ConsentClass(objects=True)


@given(st.frozensets(st.sampled_from(["PSY", "SEX", "GDIS", "SDV", "SUD", "HIV", "general"])), st.booleans())
@settings(max_examples=60)
def test_a_class_is_read_back_as_it_was_written(objections: frozenset[str], objects: bool) -> None:  # noqa: FBT001  # hypothesis hands it over
    written = ConsentClass(objects=objects, objections=objections)

    read = read_consent_class(str(written))

    assert read.objects == objects
    assert objects or read.objections == objections


@given(st.lists(st.lists(st.sampled_from(["PSY", "SEX", "HIV"]), min_size=1), max_size=4))
@settings(max_examples=60)
def test_the_order_of_consents_does_not_matter(said: list[list[str]]) -> None:
    consents = [_consent(_deny(*labels)) for labels in said]

    assert consent_class(consents) == consent_class(list(reversed(consents)))
