# ruff: noqa: INP001  # a script, in no package
"""Make the compact tables of ``health_exchange.fhir.definitions`` from the official definitions of FHIR R4.

``elements.json``: for each type and backbone element its elements, as ``types [?!*+]``: optional, required, a list, a
list that must be there; ``value[x]`` names the types of a choice. ``schema.json``: the official JSON Schema without its
prose, checked here to expand to the very same schema. ``parameters.json``: element paths of search parameters.
``summary.json``: for each type the elements that its summary has besides those of all, ``!`` behind those that modify
what others mean.

Usage: ``python scripts/compile_definitions.py``
"""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from health_exchange.fhir.schema import expand_definition

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared/definitions/fhir-r4-definitions.tar.xz"
TARGET = ROOT / "src/health_exchange/fhir/definitions"
RELEASE = "4.0.1"
PARAMETERS = ("patient", "subject", "date", "code", "category", "status", "identifier")
CARDINALITY = {(0, "1"): "?", (1, "1"): "!", (0, "*"): "*", (1, "*"): "+"}
OF_EVERY_SUMMARY = ("id", "meta", "implicitRules", "modifierExtension")
STRING = "http://hl7.org/fhirpath/System.String"

Tables = dict[str, dict[str, str]]


def structures(*bundles: Any) -> Iterator[Any]:  # noqa: ANN401  # JSON
    """Structure definitions of the release's complex types and resources, no profiles."""
    for bundle in bundles:
        for entry in bundle["entry"]:
            found = entry["resource"]
            if (
                found["resourceType"] == "StructureDefinition"
                and found["fhirVersion"] == RELEASE
                and found["kind"] in {"complex-type", "resource"}
                and found.get("derivation") != "constraint"
            ):
                yield found


def element_tables(definitions: Iterator[Any]) -> tuple[Tables, list[str]]:
    """Elements of every type, and the names of the concrete resources."""
    tables: Tables = {}
    resources: list[str] = []
    for definition in definitions:
        if definition["kind"] == "resource" and not definition["abstract"]:
            resources.append(definition["type"])
        for element in definition["snapshot"]["element"]:
            parent, _, name = element["path"].rpartition(".")
            if not parent or element["max"] == "0":
                tables.setdefault(element["path"], {})
                continue
            tables.setdefault(parent, {})[name] = (
                f"{element_types(element)} {CARDINALITY[element['min'], element['max']]}"
            )
    for name in resources:
        tables[name]["id"] = "id ?"  # the definitions say string here; the type of Resource.id is id
    return {name: table for name, table in sorted(tables.items()) if table}, sorted(resources)


def summary_rows(definitions: Iterator[Any]) -> dict[str, str]:
    """For each type and backbone the elements of its summary, but for those of all.

    A summary without what modifies it would mislead, so that is in it too; parts of what is in no summary are in none.
    """
    rows: dict[str, list[str]] = {}
    for definition in definitions:
        for element in definition["snapshot"]["element"]:
            parent, _, name = element["path"].rpartition(".")
            is_told = element.get("isSummary") or element.get("isModifier")
            above = rows.get(parent.rpartition(".")[0], ()) if "." in parent else (parent,)
            is_within = "." not in parent or parent.rpartition(".")[2] in {each.rstrip("!") for each in above}
            if parent and element["max"] != "0" and is_told and is_within and name not in OF_EVERY_SUMMARY:
                rows.setdefault(parent, []).append(name + "!" * bool(element.get("isModifier")))
    return {name: " ".join(names) for name, names in sorted(rows.items())}


def element_types(element: Any) -> str:  # noqa: ANN401  # JSON
    """Types of one element; a backbone is its own path, a reference to another element that element's."""
    if "contentReference" in element:
        return str(element["contentReference"].lstrip("#"))
    codes = [kind["code"] for kind in element["type"]]
    if codes in (["BackboneElement"], ["Element"]) and "." in element["path"]:
        return str(element["path"])
    if codes == [STRING]:
        names = {url["valueUrl"] for kind in element["type"] for url in kind.get("extension", [])}
        return names.pop() if len(names) == 1 else "string"
    return " ".join(codes)


def compact_schema(schema: Any, resources: list[str]) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """The definitions that the release's resources reach, without prose and whatever expansion restores."""
    definitions = {name: without_prose(definition) for name, definition in schema["definitions"].items()}
    del definitions["ResourceList"]
    reached: set[str] = set()
    waiting = list(resources)
    while waiting:
        name = waiting.pop()
        if name not in reached and name != "ResourceList":
            reached.add(name)
            waiting += re.findall(r'"#/definitions/(\w+)"', json.dumps(definitions[name]))
    primitives = {name: definitions[name] for name in sorted(reached) if "properties" not in definitions[name]}
    compact: dict[str, Any] = {"primitives": primitives, "complex": {}}
    for name in sorted(reached - primitives.keys()):
        compact["complex"][name] = {"p": compact_properties(definitions[name]["properties"], primitives)}
        if "required" in definitions[name]:
            compact["complex"][name]["r"] = definitions[name]["required"]
        if expand_definition(compact["complex"][name], primitives) != definitions[name]:
            raise SystemExit(f"the schema of {name} does not survive being made compact")
    return compact


def compact_properties(properties: Any, primitives: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Every property in the notation of ``expand_definition``; siblings are marked, not written out."""
    compact: dict[str, Any] = {}
    for name, rule in properties.items():
        sibling = {"$ref": "#/definitions/Element"}
        if name.startswith("_") and rule in (sibling, {"type": "array", "items": sibling}):
            compact[name[1:]] = {"_": compact[name[1:]]} if name[1:] in compact else None
            continue
        compact[name] = compact_rule(rule, primitives)
    if None in compact.values():
        raise SystemExit("a sibling stands before its element")
    return compact


def compact_rule(rule: Any, primitives: Any) -> Any:  # noqa: ANN401  # JSON
    """One property's rule, shortened."""
    if set(rule) == {"$ref"}:
        return rule["$ref"].rpartition("/")[2]
    if set(rule) == {"const"}:
        return "=" + rule["const"]
    if set(rule) == {"enum"}:
        return rule["enum"]
    if set(rule) == {"type", "items"}:
        inner = compact_rule(rule["items"], primitives)
        return inner + "*" if isinstance(inner, str) else [inner]
    same = [name for name, primitive in primitives.items() if primitive == rule]
    return "~" + same[0] if same else rule


def without_prose(value: Any) -> Any:  # noqa: ANN401  # JSON
    """``value`` without descriptions of schemas; a property of that name stays."""
    if isinstance(value, dict):
        return {name: without_prose(inner) for name, inner in value.items() if not is_prose(name, inner)}
    return [without_prose(inner) for inner in value] if isinstance(value, list) else value


def is_prose(name: str, inner: object) -> bool:
    """Whether a member is a schema's description."""
    return name == "description" and isinstance(inner, str)


def parameter_rows(search: Any, tables: Tables, resources: list[str]) -> Tables:  # noqa: ANN401  # JSON
    """For each type its parameters, as kind and typed element paths."""
    rows: Tables = {}
    for entry in search["entry"]:
        parameter = entry["resource"]
        if parameter["code"] not in PARAMETERS:
            continue
        for base in parameter["base"]:
            terms = [term.strip() for term in parameter["expression"].split("|")]
            found = [path for term in terms for path in typed_paths(term, base, tables)]
            if base in resources and found:
                row = " ".join([parameter["type"], *dict.fromkeys(found)])
                rows.setdefault(base, {})[parameter["code"]] = row
    return dict(sorted(rows.items()))


def typed_paths(term: str, base: str, tables: Tables) -> Iterator[str]:
    """``path:Type`` of one alternative of an expression; a reference that must be to a patient is ``Patient``'s."""
    match = re.fullmatch(r"\(?(\w+)\.([\w.]+?)(\.where\(resolve\(\) is Patient\))?( as (\w+)\))?", term)
    if match is None:
        raise SystemExit(f"no rule for the expression {term}")
    if match[1] != base:
        return
    *steps, last = match[2].split(".")
    table = base
    for step in steps:
        table = tables[table][step].split()[0]
    if last in tables[table]:
        kinds, names = tables[table][last].split()[:-1], None
    else:
        kinds = names = tables[table][f"{last}[x]"].split()[:-1]
    for kind in kinds:
        if match[5] in (None, kind):
            name = last if names is None else f"{last}{kind[0].upper()}{kind[1:]}"
            yield ".".join([*steps, name]) + ":" + ("Patient" if match[3] else kind)


def write(name: str, table: Any) -> None:  # noqa: ANN401  # JSON
    """One line a type, so that a change shows where it is."""
    lines = [
        json.dumps(key) + ":" + json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        for key, value in table.items()
    ]
    (TARGET / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Write the tables."""
    with tarfile.open(SOURCE) as archive:
        sources = {
            member.name.rpartition("/")[2]: json.load(file)
            for member in archive.getmembers()
            if member.name.endswith(("types.json", "resources.json", "parameters.json", "schema.json"))
            and (file := archive.extractfile(member))
        }
    profiles = (sources["profiles-types.json"], sources["profiles-resources.json"])
    tables, resources = element_tables(structures(*profiles))
    write("elements.json", tables)
    write("summary.json", summary_rows(structures(*profiles)))
    compact = compact_schema(sources["fhir.schema.json"], resources)
    write("schema.json", {"(primitives)": compact["primitives"], **compact["complex"]})
    write("parameters.json", parameter_rows(sources["search-parameters.json"], tables, resources))


if __name__ == "__main__":
    main()
