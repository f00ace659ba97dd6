"""The rows, read from the TOML files beside this module.

A row says how a resource type leaves its origin: ``disposition``, ``subject`` (the element that names the person) and
the allow-list ``elements``, one element a line::

    name[!][*] type[|type] [= code code ...]

``!`` marks an element R4 requires, ``*`` a list, ``[x]`` a choice of types. Indented lines are children of the
``group`` above them; ``@path`` repeats the children of another group. Types are FHIR's, and these of ours:
``masked`` (its presence may be told, its content not; for a primitive: ``string``), ``year`` and ``month`` (a date made
coarse), ``name`` and ``personName`` (public names of institutions and professionals), ``licence``. What no line names
stays at the origin. A type without a row is origin-only.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType

_LINE = re.compile(r"( *)(\w+)(\[x\])?(!?)(\*?) (\S+)(?: = (.+))?")
_RESOURCE_FILES = ("person", "clinical", "medication", "care", "billing", "directory")


class Disposition(StrEnum):
    """Whose record a type is."""

    PERSON = "person"
    DIRECTORY = "directory"
    ORIGIN_ONLY = "origin-only"


@dataclass(slots=True, kw_only=True)
class Element:
    """One line of a row, with its children."""

    name: str
    required: bool
    many: bool
    choice: bool
    types: tuple[str, ...]
    codes: tuple[str, ...]
    children: list["Element"] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one resource type leaves its origin."""

    type: str
    disposition: Disposition
    subject_path: str
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSystems:
    """Listed systems by URI, each with the regular expression of its codes or identifiers."""

    codes: Mapping[str, str]
    licences: Mapping[str, str]


def read_elements(lines: str) -> tuple[Element, ...]:
    """The elements of one row.

    Raises:
        ValueError: A line is not in the notation, or an indented one has no group above it.
    """
    top: list[Element] = []
    levels = [top]
    for line in lines.strip("\n").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not an element: {line!r}")
        indent, name, choice, required, many, types, codes = match.groups()
        depth = len(indent) // 2
        if depth >= len(levels):
            raise ValueError(f"indented too far: {line!r}")
        element = Element(
            name=name,
            required=bool(required),
            many=bool(many),
            choice=bool(choice),
            types=tuple(types.split("|")),
            codes=tuple((codes or "").split()),
        )
        levels[depth].append(element)
        del levels[depth + 1 :]
        if element.types == ("group",):
            levels.append(element.children)
    return tuple(top)


@cache
def read_rules() -> Mapping[str, Rule]:
    """Every row by resource type."""
    rules = {}
    for name in _RESOURCE_FILES:
        for resource_type, row in _read(name).items():
            rules[resource_type] = Rule(
                type=resource_type,
                disposition=Disposition(row["disposition"]),
                subject_path=row.get("subject", ""),
                elements=read_elements(row["elements"]),
            )
    return MappingProxyType(rules)


@cache
def read_datatypes() -> Mapping[str, tuple[Element, ...]]:
    """The elements of every complex datatype that has a row."""
    return MappingProxyType({name: read_elements(row["elements"]) for name, row in _read("datatypes").items()})


@cache
def read_code_systems() -> CodeSystems:
    """The listed code systems and licence systems."""
    tables = _read("code_systems")
    codes = dict(tables["systems"])
    form = tables["hl7"]["codes"]
    codes |= {f"http://terminology.hl7.org/CodeSystem/{name}": form for name in tables["hl7"]["names"].split()}
    return CodeSystems(codes=MappingProxyType(codes), licences=MappingProxyType(tables["licences"]))


def _read(name: str) -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))
