# ruff: noqa: INP001  # a script, in no package
"""Make ``parameters.json`` of ``health_exchange.fhir.definitions`` from the official search parameters of FHIR R4.

``patient_compartment.json`` is made beside it: by which parameters the resources of each type belong to a Patient.

For each type, and for ``Resource`` what all types have: name of the parameter, and a row ``kind path:Type ...``.

- ``kind`` is that of FHIR; that of a reference is followed by what it may refer to (``reference>Patient,Group``), where
  that is not anything.
- A path names elements as JSON does, each alternative of a choice alone; ``telecom[system=phone]`` are those
  that say so. ``Reference>Patient`` is a reference that counts where it is to that type.
- ``code@system`` is a code whose system its element's binding says, where that is one.
- The row of a composite is ``composite path[,path] $ row $ row``: where its components stand, and each of them.

What cannot be had as paths has no row: whatever has no expression, is told by sound, or looks into the entries of a
Bundle.

Usage: ``python scripts/compile_parameters.py``
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from health_exchange.fhir.elements import Element, elements_of, resource_types

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared/definitions/fhir-r4-definitions.tar.xz"
TARGET = ROOT / "src/health_exchange/fhir/definitions"
ALL_TYPES = "Resource"
PHONETIC = "phonetic"
ANYTHING = 100
"""A list of targets as long as this says that a reference may be to anything."""
READABLE: Mapping[str, frozenset[str]] = {
    "token": frozenset(
        ["CodeableConcept", "Coding", "Identifier", "ContactPoint", "code", "boolean", "string", "id", "uri"]
    ),
    "string": frozenset(["HumanName", "Address", "string", "markdown"]),
    "reference": frozenset(["Reference", "canonical", "uri"]),
    "date": frozenset(["date", "dateTime", "instant", "Period", "Timing"]),
    "number": frozenset(["decimal", "integer", "positiveInt", "unsignedInt", "Range"]),
    "quantity": frozenset(["Quantity", "Age", "Duration", "Money", "Range", "SampledData"]),
    "uri": frozenset(["uri", "url", "canonical", "oid"]),
    "special": frozenset(["Location.position"]),
}
"""Types of elements that the values of each kind are read from; the rest of a choice has none."""
DECEASED = "Patient.deceased.exists() and Patient.deceased != false"

Rows = dict[str, dict[str, str]]
Systems = dict[str, str]
"""By path of an element, the one system that its codes are of."""


def systems_of(profiles: Any, value_sets: Any) -> Systems:  # noqa: ANN401  # definitions as JSON
    """The systems of all elements that are plain codes."""
    included = {
        value_set["url"]: {
            each["system"] for each in value_set.get("compose", {}).get("include", []) if "system" in each
        }
        for value_set in (entry["resource"] for entry in value_sets["entry"])
        if value_set["resourceType"] == "ValueSet"
    }
    bound = {
        element["path"]: included.get(element["binding"].get("valueSet", "").partition("|")[0], set())
        for profile in (entry["resource"] for entry in profiles["entry"])
        if profile["resourceType"] == "StructureDefinition" and profile.get("derivation") != "constraint"
        for element in profile["snapshot"]["element"]
        if "binding" in element and any(each["code"] == "code" for each in element.get("type", []))
    }
    return {path: min(systems) for path, systems in bound.items() if len(systems) == 1}


def parameter_rows(search: Any, systems: Systems) -> Rows:  # noqa: ANN401  # JSON
    """The whole table."""
    parameters = [entry["resource"] for entry in search["entry"]]
    kinds = {parameter["url"]: parameter["type"] for parameter in parameters}
    rows: Rows = {}
    for parameter in parameters:
        for base in parameter["base"]:
            if base in resource_types() or base == ALL_TYPES:
                row = " ".join(with_system(part, base, systems) for part in row_of(parameter, base, kinds).split(" "))
                if row:
                    rows.setdefault(base, {})[parameter["code"]] = row
    return {name: dict(sorted(row.items())) for name, row in sorted(rows.items())}


def with_system(part: str, base: str, systems: Systems) -> str:
    """A path of a row with the system of its codes, where it is of codes and stands below the resource itself."""
    path, is_code, rest = part.partition(":code")
    type_name, *steps = base, *path.split(".")
    if not is_code or rest or steps[0] not in elements_of(base):
        return part
    for step in steps[:-1]:
        type_name = elements_of(type_name)[step].type
    system = systems.get(f"{type_name}.{steps[-1]}")
    return f"{part}@{system}" if system else part


def row_of(parameter: Any, base: str, kinds: Mapping[str, str]) -> str:  # noqa: ANN401  # JSON
    """One row; empty where there is none."""
    kind, expression = parameter["type"], parameter.get("expression")
    if expression is None or parameter["code"] == PHONETIC or "[0]" in expression:
        return ""
    if kind == "composite":
        return composite_row(parameter, base, kinds)
    paths = typed_paths(expression, base, kind)
    targets = parameter.get("target", [])
    if kind == "reference":
        restricted = [path.partition(">")[2] for path in paths]
        targets = sorted(set(restricted)) if all(restricted) else targets
        if 0 < len(targets) < ANYTHING and "Resource" not in targets:
            kind += ">" + ",".join(sorted(targets))
    return " ".join([kind, *paths]) if paths else ""


def composite_row(parameter: Any, base: str, kinds: Mapping[str, str]) -> str:  # noqa: ANN401  # JSON
    """The row of a composite, whose components' paths start where it stands."""
    places = [term.strip() for term in parameter["expression"].split("|")]
    places = [place for place in places if place.partition(".")[0] == base]
    expressions = [component["expression"] for component in parameter["component"]]
    if any("%resource" in expression for expression in expressions):
        return ""
    # One composite of the release has the expressions of its two components the wrong way round.
    if parameter["url"].endswith("DocumentReference-relationship"):
        expressions.reverse()
    components = []
    for component, expression in zip(parameter["component"], expressions, strict=True):
        kind = kinds[component["definition"]]
        found = [typed_paths(expression, place, kind, inside=True) for place in places]
        if any(each != found[0] for each in found):
            raise SystemExit(f"{parameter['url']} stands in places that differ")
        components.append(" ".join([kind, *found[0]]))
    where = ",".join(place.partition(".")[2] or "." for place in places)
    return " $ ".join([f"composite {where}", *components])


def typed_paths(expression: str, base: str, kind: str, *, inside: bool = False) -> list[str]:
    """``path:Type`` of every alternative of an expression that is about ``base``.

    Args:
        expression: FHIRPath, of the few forms that FHIR's parameters have.
        base: Type of resource, or path of the element that the expression starts at.
        kind: Of the parameter.
        inside: Whether paths are those of the element's members, without its name before them.
    """
    found: list[str] = []
    for term in (each.strip() for each in expression.split("|")):
        if term == DECEASED:
            found.append("deceased:flag")
            continue
        plain = term if inside or ("." not in term.split("(")[0] and "(" not in term) else None
        paths = (
            _paths(plain, base, kind)
            if plain is not None and not plain.startswith(f"{base}.")
            else _paths_below(term, base, kind)
        )
        found += [path for path in paths if path not in found]
    return found


def _paths_below(term: str, base: str, kind: str) -> Iterator[str]:
    """Those of a term that names its type; none where that is another one."""
    match = re.fullmatch(r"\((\S+) as (\w+)\)(.*)", term)
    if match is not None:
        term = f"{match[1]}.as({match[2]}){match[3]}"
    term = re.sub(r"^(\S+) as (\w+)$", r"\1.as(\2)", term)
    first, _, rest = term.partition(".")
    if first == base:
        yield from _paths(rest, base, kind)


_STEP = re.compile(
    r"(?P<name>\w+)(?:\.where\(resolve\(\) is (?P<to>\w+)\)|\.where\((?P<key>\w+)='(?P<is>[\w-]+)'\)"
    r"|\.as\((?P<as>\w+)\))?(?:\.|$)"
)


def _paths(term: str, base: str, kind: str) -> Iterator[str]:
    """Those of a term as it is below ``base``."""
    here: list[tuple[str, str]] = [("", base)]
    at, to = 0, ""
    while at < len(term):
        step = _STEP.match(term, at)
        if step is None:
            raise SystemExit(f"no rule for the expression {term}")
        at, to = step.end(), step["to"] or ""
        filtered = f"[{step['key']}={step['is']}]" if step["key"] else ""
        here = [
            (f"{path}.{element.name}{filtered}".lstrip("."), element.type)
            for path, type_name in here
            for element in _named(type_name, step["name"], step["as"])
        ]
    for path, type_name in here:
        if type_name in READABLE[kind]:
            yield f"{path}:{type_name}" + (f">{to}" if to else "")


def _named(type_name: str, name: str, wanted: str | None) -> Iterator[Element]:
    """The element of that name, or the alternatives of that choice, or the one of the wanted type."""
    for element in elements_of(_at(type_name)).values():
        if name in {element.name, element.choice} and (wanted or element.type).lower() == element.type.lower():
            yield element


def _at(place: str) -> str:
    """The type of what stands at a path."""
    type_name, *steps = place.split(".")
    for step in steps:
        below = f"{type_name}.{step}"
        type_name = elements_of(type_name)[step].type if step in elements_of(type_name) else below
    return type_name


def main() -> None:
    """Write the tables."""
    with tarfile.open(SOURCE) as archive:
        sources = {
            member.name.rpartition("/")[2]: json.load(file)
            for member in archive.getmembers()
            if member.name.endswith(".json") and (file := archive.extractfile(member))
        }
    systems = {
        path: system
        for name in ("profiles-types.json", "profiles-resources.json")
        for path, system in systems_of(sources[name], sources["valuesets.json"]).items()
    }
    table = parameter_rows(sources["search-parameters.json"], systems)
    rows = sources["compartmentdefinition-patient.json"]["resource"]
    compartment = {row["code"]: " ".join(row["param"]) for row in rows if row.get("param")}
    write("parameters.json", table)
    write("patient_compartment.json", compartment)


def write(name: str, table: Mapping[str, Any]) -> None:
    """One line a type, so that a change shows where it is."""
    lines = [json.dumps(key) + ":" + json.dumps(row, separators=(",", ":")) for key, row in table.items()]
    (TARGET / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
