"""The official JSON Schema of FHIR R4, compiled for a type when that type is first seen.

``ResourceList`` (any resource) is left open: resources inside resources are validated on their own, and compiling one
type then costs milliseconds instead of the whole specification.

The schema is a second opinion beside ``elements``: it knows the codes of required value sets and the form of
primitives, but neither cardinality of primitives nor choices nor calendars.

Source: fhir.schema.json of FHIR R4 4.0.1.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import jsonschema_rs

_REF = "#/definitions/"
_OPEN: Mapping[str, Any] = {"type": "object"}
_CANONICAL = f"{_REF}canonical"
_DAYS_OF_MONTHS = "(0[1-9]|[1-2][0-9]|3[0-1])"
"""In the patterns of date, dateTime and instant."""
_DOUBTFUL_DAY = "^[0-9]{4}-(02-(29|3)|(04|06|09|11)-31)"
_DRAFT_6 = "http://json-schema.org/draft-06/schema#"


def fits_schema(resource_type: str, decoded: object) -> bool:
    """Whether the official schema accepts a resource, and no object is empty and no day outside the calendar.

    A leap day does not fit either: whoever meets one looks closer.
    """
    return _validator(resource_type, strict=True).is_valid(decoded)


def first_offence(resource_type: str, decoded: object) -> tuple[str, list[str | int]] | None:
    """The keyword that a resource offends against and the place; ``None`` where it offends none.

    The library's own message quotes the value and is not looked at.
    """
    for error in _validator(resource_type, strict=False).iter_errors(decoded):
        keywords = [step for step in error.schema_path if isinstance(step, str)]
        return (keywords[-1] if keywords else "", list(error.instance_path))
    return None


def expand_definition(compact: Mapping[str, Any], primitives: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as in the official schema, without prose.

    Args:
        compact: ``p`` the properties, ``r`` the required ones. A property is ``Type``, ``Type*`` (list), ``~type`` (a
            primitive written out), ``=X`` (constant), a list (codes; a list in a list: a list of them), a schema, or
            any of these under ``_``: with a sibling for its extensions.
        primitives: Schemas of the primitive types.
    """
    properties: dict[str, Any] = {}
    for name, rule in compact["p"].items():
        has_sibling = isinstance(rule, dict) and "_" in rule
        properties[name] = expanded = _rule(rule["_"] if has_sibling else rule, primitives)
        if has_sibling:
            sibling = {"$ref": _REF + "Element"}
            is_list = expanded.get("type") == "array"
            properties[f"_{name}"] = {"type": "array", "items": sibling} if is_list else sibling
    definition: dict[str, Any] = {"properties": properties, "additionalProperties": False}
    if "r" in compact:
        definition["required"] = compact["r"]
    return definition


def _rule(rule: Any, primitives: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401  # JSON of the table
    """One property's schema."""
    if isinstance(rule, list):
        return {"type": "array", "items": {"enum": rule[0]}} if isinstance(rule[0], list) else {"enum": rule}
    if isinstance(rule, dict):
        return rule
    if rule.endswith("*"):
        return {"type": "array", "items": _rule(rule[:-1], primitives)}
    if rule.startswith("="):
        return {"const": rule[1:]}
    if rule.startswith("~"):
        return dict(primitives[rule[1:]])
    return {"$ref": _REF + rule}


@functools.cache
def _validator(resource_type: str, *, strict: bool) -> jsonschema_rs.Draft6Validator:
    """The compiled schema of a type of resource, as published or stricter; about 10 ms the first time."""
    definitions: dict[str, Any] = {"ResourceList": _OPEN}
    waiting = [resource_type]
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            expanded = _with_fhir_whitespace(_mended(name, _expanded(name)))
            waiting += _reached(expanded)
            definitions[name] = _stricter(expanded) if strict else expanded
    return jsonschema_rs.Draft6Validator(
        {"$schema": _DRAFT_6, "$ref": _REF + resource_type, "definitions": definitions}
    )


def _mended(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """A definition without the two slips of the official schema, which FHIR's own definitions do not have.

    It gives no extensions to a canonical, which is a primitive like others and may be absent for them where it is
    required; and it gives them to the url of an Extension, which is an attribute in XML and must be there.
    """
    if "properties" not in definition:
        return definition
    properties = definition["properties"]
    sibling = {"$ref": _REF + "Element"}
    canonicals = {each: rule for each, rule in properties.items() if rule.get("items", rule).get("$ref") == _CANONICAL}
    siblings = {
        f"_{each}": {"type": "array", "items": sibling} if "items" in rule else sibling
        for each, rule in canonicals.items()
    }
    kept = {each: rule for each, rule in properties.items() if (name, each) != ("Extension", "_url")}
    required = [each for each in definition.get("required", []) if each not in canonicals]
    return definition | {"properties": siblings | kept, "required": required}


def _with_fhir_whitespace(rule: dict[str, Any]) -> dict[str, Any]:
    """A definition whose patterns mean what FHIR means: whitespace is space, tab and line ends.

    FHIR's patterns are those of XML Schema, where an ideographic or a no-break space is a character like others;
    text with them is common here. What FHIR forbids in words, control characters, is written out instead.
    """
    if "properties" in rule:
        return rule | {"properties": {name: _with_fhir_whitespace(inner) for name, inner in rule["properties"].items()}}
    if "pattern" not in rule:
        return rule
    pattern = rule["pattern"].replace(r"[ \r\n\t\S]", r"[^\x00-\x08\x0b\x0c\x0e-\x1f]")
    pattern = pattern.replace(r"[^\s]", r"\S").replace(r"\S", r"[^ \t\r\n]").replace(r"\s", r"[ \t\r\n]")
    return rule | {"pattern": pattern}


def _stricter(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition that also refuses empty objects and days that a month may not have."""
    if "properties" in definition:
        properties = {name: _stricter(rule) for name, rule in definition["properties"].items()}
        return definition | {"properties": properties, "minProperties": 1}
    if _DAYS_OF_MONTHS in definition.get("pattern", ""):
        return definition | {"not": {"pattern": _DOUBTFUL_DAY}}
    return definition


@functools.cache
def _table() -> dict[str, Any]:
    """The compact schema."""
    path = files("health_exchange.fhir.definitions").joinpath("schema.json")
    table: dict[str, Any] = json.loads(path.read_bytes())
    return table


def _expanded(name: str) -> dict[str, Any]:
    """One definition of the official schema."""
    table = _table()
    primitives: dict[str, Any] = table["(primitives)"]
    if name in primitives:
        return dict(primitives[name])
    return expand_definition(table[name], primitives)


def _reached(definition: Mapping[str, Any]) -> Iterator[str]:
    """Names of the definitions that one refers to."""
    for rule in definition.get("properties", {}).values():
        reference = rule.get("items", rule).get("$ref")
        if reference is not None:
            yield reference.removeprefix(_REF)
