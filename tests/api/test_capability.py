import json

import pytest

from health_exchange.api.capability import capability_statement
from health_exchange.fhir.parameter_table import parameters_of
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.powers import Tier
from health_exchange.search.query import modifiers_of, parse_pairs
from health_exchange.search.values import BadSearchError


def statement(tier: Tier, *, writes: bool) -> dict[str, object]:
    card = NodeCard(
        address=NodeAddress.parse("cn/33"),
        tier=tier,
        name="浙江",
        verifying_key=b"",
        box_key=b"",
        log_key=b"",
        exchange_url="https://node.example:2",
        fhir_url="https://node.example",
    )
    read: dict[str, object] = json.loads(capability_statement(card, writes=writes))
    return read


def test_it_says_r4_where_it_is_and_what_it_takes() -> None:
    said = statement(Tier.COUNTY, writes=True)
    assert said["fhirVersion"] == "4.0.1"
    assert said["implementation"] == {"description": "浙江 (cn/33)", "url": "https://node.example/fhir"}
    everywhere = {one["code"] for one in said["rest"][0]["interaction"]}  # type: ignore[index]  # JSON of any shape
    assert everywhere == {"history-system", "search-system", "transaction", "batch"}
    assert said["patchFormat"] == ["application/json-patch+json"]


def test_a_node_that_admits_nobody_offers_no_writes() -> None:
    said = statement(Tier.NATION, writes=False)
    rest = said["rest"][0]  # type: ignore[index]  # JSON of any shape
    assert "patchFormat" not in said
    offered = {one["code"] for resource in rest["resource"] for one in resource["interaction"]}
    assert offered == {"read", "vread", "history-instance", "history-type", "search-type"}
    assert not any("conditionalCreate" in one or "updateCreate" in one for one in rest["resource"])


@pytest.mark.parametrize("resource_type", ["Patient", "Observation", "Condition", "Organization", "MedicationRequest"])
def test_the_search_parameters_it_names_are_those_the_parser_takes(resource_type: str) -> None:
    rest = statement(Tier.COUNTY, writes=True)["rest"][0]  # type: ignore[index]  # JSON of any shape
    resource = next(one for one in rest["resource"] if one["type"] == resource_type)
    named = {one["name"]: one for one in resource["searchParam"]}
    assert named.keys() == parameters_of(resource_type).keys()
    for name, parameter in parameters_of(resource_type).items():
        assert named[name]["type"] == parameter.kind
        for modifier in modifiers_of(parameter):
            assert modifier in named[name]["documentation"]
            value = "http://hl7.org/fhir/ValueSet/days-of-week" if modifier in {"in", "not-in"} else "true"
            try:
                assert parse_pairs(resource_type, [(f"{name}:{modifier}", value)]).criteria
            except BadSearchError:
                assert modifier == "of-type"
    for include in resource["searchInclude"]:
        assert parse_pairs(resource_type, [("_include", include)]).inclusions
    for include in resource["searchRevInclude"]:
        assert parse_pairs(resource_type, [("_revinclude", include)]).inclusions
        assert include == "*" or parse_pairs(resource_type, [(f"_has:{include}:_id", "x")]).criteria
    assert resource["searchInclude"][0] == resource["searchRevInclude"][0] == "*"
