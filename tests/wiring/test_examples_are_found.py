"""The official examples at a node that stands alone: found by each value that somebody else's program reads in them.

What is asked for comes from FHIR's own expressions, evaluated by fhirpathpy, and what must be found from the shapes of
FHIR's types (``asking``): nothing of the search is used but its door.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.examples import examples
from tests.fhir.expressions import by_expression, definitions, together
from tests.wiring.alone import Alone, alone
from tests.wiring.asking import NOWHERE, UCUM, Asked, asked, asked_together

from health_exchange.fhir.parameter_table import parameters_of

pytestmark = pytest.mark.enable_socket

OF_THE_SERVER = frozenset({"_lastUpdated"})
"""What a server says of a version, whatever was sent."""
IN_A_URL = "a URL must not carry"
"""How it is refused that a value may be a national ID; it may stand in a form."""
SMALLER_UNITS = {"g/m2", "mCel", "mg/cm-2", "Pa", "s", "uL", "uL/min/{1.73_m2}", "um[Hg]", "umol/L"}
"""In which examples that measure in a greater one are found."""
SEED = 20261126
LOOK_LIKE_DATES = ("2011-06-27T09:30:10+01:00", "2011-07-07T09:30:10+01:00")
EXPLAINED = {
    # References that the definitions do not allow where the examples have them.
    ("MedicationRequest", "intended-dispenser", "Practitioner/f001", "intended-dispenser does not refer to that type"),
    ("Observation", "performer", "Encounter/example", "performer does not refer to that type"),
    # scheduledString is a string, which no search by date reads.
    *(
        ("CarePlan", "activity-date", f"{prefix}{text}", "lost")
        for text in LOOK_LIKE_DATES
        for prefix in ("", "ge", "le")
    ),
}


Wrong = tuple[str, str, str, str]
"""Type, name and value of a search, and what is wrong with its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search."""

    type: str
    name: str
    value: str


@dataclass(slots=True)
class Expected:
    """What a search must find; and, where it is exact, nothing else."""

    ids: set[str] = field(default_factory=set)
    is_exact: bool = False


def searches(kept: Mapping[str, dict[str, Any]]) -> dict[Search, Expected]:
    """Every search that each example must be found by; then, for each parameter, one that finds nothing."""
    found: dict[Search, Expected] = defaultdict(Expected)
    by_base = defaultdict(list)
    for definition in definitions():
        for base in definition["base"] if definition.get("expression") else ():
            by_base[base].append(definition)
    for resource_id, resource in kept.items():
        resource_type = resource["resourceType"]
        for definition in [*by_base[resource_type], *by_base["Resource"]]:
            name = definition["code"]
            if name in OF_THE_SERVER or name not in parameters_of(resource_type):
                continue
            for each in wanted(definition, resource):
                search = Search(
                    type=resource_type, name=f"{name}:{each.modifier}" if each.modifier else name, value=each.value
                )
                found[search].ids.add(resource_id)
                found[search].is_exact |= each.is_exact
            if nothing := nowhere(definition):
                found.setdefault(Search(type=resource_type, name=name, value=nothing), Expected(is_exact=True))
    return found


def wanted(definition: dict[str, Any], resource: dict[str, Any]) -> list[Asked]:
    """What a resource must be found by."""
    if definition["type"] == "composite":
        return [each for found in together(definition, resource) for each in asked_together(found)]
    return [each for value in by_expression(definition, resource) for each in asked(definition["type"], value)]


def nowhere(definition: dict[str, Any]) -> str | None:
    """A value that no example has."""
    if definition["type"] == "reference":
        return f"{definition['target'][0]}/none-has-this" if definition.get("target") else None
    return NOWHERE.get(definition["type"])


async def kept_at(node: Alone, raws: Iterable[bytes]) -> dict[str, dict[str, Any]]:
    """Examples by ``Type/id``, once they are kept."""
    kept = {}
    for raw in raws:
        resource = json.loads(raw)
        resource_type, resource_id = resource["resourceType"], resource.get("id", "")
        path = f"/fhir/{resource_type}/{resource_id}" if resource_id else f"/fhir/{resource_type}"
        put = await node.send("PUT" if resource_id else "POST", path, raw=raw)
        assert put.status_code == 201
        kept[put.headers["Location"].split("/_history")[0].partition("/fhir/")[2]] = resource
    return kept


async def answered(node: Alone, search: Search) -> tuple[str, set[str]]:
    """What a search is refused with, or finds."""
    form = urlencode({search.name: search.value, "_count": "200", "_elements": "id"})
    got = await node.send("GET", f"/fhir/{search.type}?{form}")
    if got.status_code == 400 and IN_A_URL in got.text:
        headers = {"Content_Type": "application/x-www-form-urlencoded"}
        got = await node.send("POST", f"/fhir/{search.type}/_search", raw=form.encode(), **headers)
    if got.status_code != 200:
        return got.json()["issue"][0]["diagnostics"], set()
    matches = [each["resource"] for each in got.json().get("entry", []) if each["search"]["mode"] == "match"]
    return "", {f"{each['resourceType']}/{each['id']}" for each in matches}


async def wrongly_answered(folder: Path, raws: Collection[bytes]) -> tuple[dict[Search, Expected], set[Wrong]]:
    """What a node that keeps ``raws`` is asked, and what it is wrong about."""
    wrong: set[Wrong] = set()
    async with alone(folder, is_open=True) as node:
        kept = await kept_at(node, raws)
        assert len(kept) == len(raws)
        asked_for = searches(kept)
        for search, expected in asked_for.items():
            error, ids = await answered(node, search)
            missed, more = expected.ids - ids, ids - expected.ids if expected.is_exact else ()
            if error or missed or more:
                wrong.add((search.type, search.name, search.value, error or ("lost" if missed else "more")))
    return asked_for, wrong


def composites(asked_for: Iterable[Search]) -> set[tuple[str, str]]:
    """The composites among what is asked for, by type and name."""
    return {
        (each.type, each.name) for each in asked_for if parameters_of(each.type)[each.name.partition(":")[0]].components
    }


def units(asked_for: Iterable[Search]) -> set[str]:
    """The units of UCUM that are asked for."""
    return {each.value.rpartition("|")[2] for each in asked_for if f"|{UCUM}|" in each.value}


async def test_a_tenth_of_the_official_examples_is_found_by_each_of_its_values(tmp_path: Path) -> None:
    found = examples()
    asked_for, wrong = await wrongly_answered(
        tmp_path, [found[name] for name in Random(SEED).sample(sorted(found), len(found) // 10)]
    )
    assert wrong <= EXPLAINED
    assert len(asked_for) > 1_000
    assert composites(asked_for)
    assert units(asked_for) & SMALLER_UNITS


@pytest.mark.slow
async def test_every_official_example_is_found_by_each_of_its_values_and_nothing_by_what_none_has(
    tmp_path: Path,
) -> None:
    asked_for, wrong = await wrongly_answered(tmp_path, examples().values())
    assert wrong == EXPLAINED
    assert len(examples()) == 438
    assert len(asked_for) > 7_000
    assert sum(len(expected.ids) for expected in asked_for.values()) > 7_900
    assert sum(not expected.ids for expected in asked_for.values()) > 1_700
    assert len(composites(asked_for)) > 10
    assert sum("$" in search.value for search in asked_for) > 500
    assert units(asked_for) >= SMALLER_UNITS
