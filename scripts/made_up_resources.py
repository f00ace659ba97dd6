# ruff: noqa: INP001, S311  # a script, in no package; dice that keep no secret
"""Made-up resources of any R4 type, from the official definitions alone: what a dictionary is trained on.

They hold the type's elements in the order of the definition, codes of the value sets that bind them, and dates,
references and numbers from dice. They are no records of anybody and need not be valid in every invariant.
"""

import json
import random
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

SOURCE = Path(__file__).parents[2] / "shared/definitions/fhir-r4-definitions.tar.xz"
DEPTH_MAX = 4
OPTIONAL = (0.6, 0.4, 0.3, 0.2)
"""How likely an optional element is, by depth."""
NEVER = frozenset({"contained", "extension", "modifierExtension", "implicitRules", "text", "language", "id", "meta"})
CHOICES = ("CodeableConcept", "dateTime", "Period", "Quantity", "Reference", "string", "boolean", "integer")
OPEN_SYSTEMS: Mapping[str, str] = {
    "http://snomed.info/sct": "########",
    "http://loinc.org": "#####-#",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "######",
    "http://hl7.org/fhir/sid/icd-10": "A##.#",
    "http://hl7.org/fhir/sid/cvx": "###",
}
"""Systems too large for the definitions to list, and how their codes are written."""
UNITS = ("mg/dL", "mmol/L", "kg", "cm", "mm[Hg]", "/min", "%", "{score}", "Cel", "g/dL", "10*3/uL", "U/L")

Coded = tuple[str, str, str]
"""A system, a code and its display."""


class Definitions:
    """What the release says of types and of the codes that they may hold."""

    def __init__(self) -> None:
        with tarfile.open(SOURCE) as archive:
            files = {name: json.load(archive.extractfile(name) or b"") for name in archive.getnames()}  # type: ignore[arg-type]
        self.elements: dict[str, list[Any]] = {}
        for name in ("profiles-resources.json", "profiles-types.json"):
            for each in _resources(files[name], "StructureDefinition"):
                if each.get("derivation") != "constraint":
                    for element in each["snapshot"]["element"]:
                        parent = element["path"].rpartition(".")[0]
                        self.elements.setdefault(parent, []).append(element)
        self._systems: dict[str, list[Coded]] = {}
        self._sets: dict[str, Any] = {}
        for name in ("valuesets.json", "v3-codesystems.json"):
            for each in _resources(files[name], "CodeSystem"):
                self._systems[each["url"]] = list(_concepts(each["url"], each.get("concept", ())))
            for each in _resources(files[name], "ValueSet"):
                self._sets[each["url"]] = each

    def codes(self, value_set: str) -> list[Coded]:
        """The codes of a value set, as far as the definitions list them."""
        found: list[Coded] = []
        for part in self._sets.get(value_set.partition("|")[0], {}).get("compose", {}).get("include", ()):
            system = part.get("system", "")
            listed = [(system, each["code"], each.get("display", "")) for each in part.get("concept", ())]
            found += listed or ([(system, "", "")] if system in OPEN_SYSTEMS else self._systems.get(system, []))
            for inner in part.get("valueSet", ()):
                found += self.codes(inner)
        return found


def _resources(bundle: Any, wanted: str) -> Iterator[Any]:  # noqa: ANN401  # JSON
    return (each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == wanted)


def _concepts(system: str, concepts: Sequence[Any]) -> Iterator[Coded]:
    for each in concepts:
        yield system, each["code"], each.get("display", "")
        yield from _concepts(system, each.get("concept", ()))


class Maker:
    """Makes resources up, from a seed."""

    def __init__(self, definitions: Definitions, seed: int) -> None:
        self._definitions = definitions
        self._dice = dice = random.Random(seed)
        self._plain: Mapping[str, Callable[[], Any]] = {
            "Identifier": self._identifier,
            "Period": lambda: {"start": self._instant(), "end": self._instant()},
            "Money": lambda: {"value": round(dice.uniform(0, 900), 2), "currency": dice.choice(("CNY", "USD"))},
            **dict.fromkeys(("Quantity", "SimpleQuantity", "Age", "Duration"), self._amount),
            **dict.fromkeys(("dateTime", "instant"), self._instant),
            "date": lambda: self._instant()[:10],
            "boolean": self._coin,
            **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), lambda: dice.randrange(1, 9)),
            "decimal": lambda: round(dice.uniform(0, 200), 2),
            **dict.fromkeys(("uri", "url", "canonical"), lambda: f"http://hl7.org/fhir/{self._word()}"),
        }

    def resource(self, resource_type: str) -> dict[str, Any]:
        """One resource."""
        made = {"resourceType": resource_type, "id": self._uuid(), "meta": self._meta()}
        return made | self._members(resource_type, 0)

    def _members(self, path: str, depth: int) -> dict[str, Any]:
        """The elements of a resource, a backbone element or a complex type."""
        made: dict[str, Any] = {}
        for element in self._definitions.elements.get(path, ()):
            name = element["path"].rpartition(".")[2]
            likely = 1.0 if element["min"] else OPTIONAL[min(depth, len(OPTIONAL) - 1)]
            if name in NEVER or element["max"] == "0" or depth > DEPTH_MAX or self._dice.random() > likely:
                continue
            kind = self._kind(element)
            value = self._value(kind, element, depth)
            if value is None or value in ({}, ""):
                continue
            if name.endswith("[x]"):
                name = name[:-3] + kind[0].upper() + kind[1:]
            made[name] = value if element["max"] == "1" else [value]
        return made

    def _kind(self, element: Any) -> str:  # noqa: ANN401  # JSON
        """The type that one element gets."""
        if "contentReference" in element:
            return str(element["contentReference"].lstrip("#"))
        kinds = [each["code"] for each in element.get("type", ())]
        usual = [kind for kind in kinds if kind in CHOICES]
        kind = self._dice.choice(usual or kinds)
        return element["path"] if kind in {"BackboneElement", "Element"} else str(kind)

    def _value(self, kind: str, element: Any, depth: int) -> Any:  # noqa: ANN401  # JSON
        """A value of a type."""
        codes = self._definitions.codes(element.get("binding", {}).get("valueSet", ""))
        if kind == "code":
            return self._dice.choice(codes)[1] if codes else self._word()
        if kind == "Coding":
            return self._coding(codes)
        if kind == "CodeableConcept":
            coding = self._coding(codes)
            return {"coding": [coding], "text": coding["display"]} if self._coin() else {"coding": [coding]}
        if kind == "Reference":
            targets = [url.rpartition("/")[2] for each in element["type"] for url in each.get("targetProfile", ())]
            return {"reference": f"{self._dice.choice(targets or ['Patient'])}/{self._uuid()}"}
        if kind in self._plain:
            return self._plain[kind]()
        return self._members(kind, depth + 1) if kind in self._definitions.elements else self._word()

    def _coding(self, codes: Sequence[Coded]) -> dict[str, str]:
        system, code, display = self._dice.choice(codes) if codes else ("", "", "")
        if not code:
            system = system or self._dice.choice(list(OPEN_SYSTEMS))
            code = self._digits(OPEN_SYSTEMS.get(system, "####"))
        return {"system": system, "code": code, "display": display or self._word()}

    def _identifier(self) -> dict[str, str]:
        return {"system": f"urn:oid:2.16.156.10011.{self._dice.randrange(99)}", "value": self._digits("##########")}

    def _amount(self) -> dict[str, Any]:
        unit = self._dice.choice(UNITS)
        value = round(self._dice.uniform(0, 900), 2)
        return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}

    def _coin(self) -> bool:
        return self._dice.randrange(2) == 0

    def _meta(self) -> dict[str, Any]:
        return {"versionId": "1", "lastUpdated": self._instant()[:19] + ".000Z"}

    def _instant(self) -> str:
        dice = self._dice
        day = f"{dice.randrange(1990, 2027)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}"
        return f"{day}T{dice.randrange(24):02}:{dice.randrange(60):02}:{dice.randrange(60):02}+08:00"

    def _uuid(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))

    def _digits(self, shape: str) -> str:
        return "".join(str(self._dice.randrange(10)) if sign == "#" else sign for sign in shape)

    def _word(self) -> str:
        return "".join(self._dice.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(self._dice.randrange(4, 12)))
