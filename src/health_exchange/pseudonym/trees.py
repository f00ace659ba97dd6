"""The rows compiled to cleaners: one tree per resource type, made once, walked for every resource."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from msgspec import Raw

from health_exchange.fhir.splicing import fields, items, join_array, join_object
from health_exchange.pseudonym.cleaners import (
    COMPLEX,
    MASKED,
    PRIMITIVES,
    Cleaner,
    Journey,
    absent_reason,
    clean_codes,
    hold_modifiers,
)
from health_exchange.pseudonym.rules.rows import Element, read_datatypes, read_rules

_SILENT = frozenset({"id", "resourceType", "meta", "contained"})
_MASKED_LIST = join_array([MASKED])


@dataclass(frozen=True, slots=True)
class _Member:
    """What to do with one member of an object."""

    clean: Cleaner
    required: bool
    many: bool
    primitive: bool


@dataclass(slots=True)
class Tree:
    """The members of one object that may leave; every other member stays."""

    path: str
    members: dict[str, _Member] = field(default_factory=dict)

    def clean(self, raw: Raw, journey: Journey) -> bytes | None:
        """The object with what may leave; ``None`` where nothing is left."""
        kept = self.clean_members(fields(raw), journey)
        return join_object(kept) if kept else absent_reason(raw)

    def clean_members(self, given: Mapping[str, Raw], journey: Journey) -> list[tuple[str, bytes]]:
        """The members that may leave, in the order they came.

        Raises:
            HeldResourceError: One of them is a modifier that we do not know.
        """
        hold_modifiers(given)
        kept: list[tuple[str, bytes]] = []
        members = self.members
        for name, raw in given.items():
            member = members.get(name)
            if member is None:
                if name[0] == "_":
                    self._keep_absence(name, raw, given, kept)
                elif name not in _SILENT:
                    journey.masked.append(f"{self.path}.{name}")
                continue
            clean = member.clean
            if member.many:
                values = [value for item in items(raw) if (value := clean(item, journey)) is not None]
                cleaned = join_array(values) if values else None
            else:
                cleaned = clean(raw, journey)
            if cleaned is None or cleaned == MASKED:
                journey.masked.append(f"{self.path}.{name}")
            if cleaned is not None and not (cleaned == MASKED and member.primitive):
                kept.append((name, cleaned))
            elif cleaned is not None or member.required:
                kept.append(_mask(name, member))
        return kept

    def _keep_absence(self, name: str, raw: Raw, given: Mapping[str, Raw], kept: list[tuple[str, bytes]]) -> None:
        """Keep of a primitive's sibling the reason why there is no value, and only if there is none."""
        member = self.members.get(name[1:])
        if member is None or not member.primitive or name[1:] in given:
            return
        reason = None if member.many else absent_reason(raw)
        if reason is not None:
            kept.append((name, reason))
        elif member.required:
            kept.append(_mask(name[1:], member))


def _mask(name: str, member: _Member) -> tuple[str, bytes]:
    return (f"_{name}" if member.primitive else name, _MASKED_LIST if member.many else MASKED)


@cache
def tree_of(resource_type: str) -> Tree:
    """The tree of a resource type that has a row."""
    tree = Tree(resource_type)
    _fill(tree, read_rules()[resource_type].elements, {})
    return tree


@cache
def _datatype_tree(name: str) -> Tree:
    tree = Tree(name)
    _fill(tree, read_datatypes()[name], {})
    return tree


def _fill(tree: Tree, elements: tuple[Element, ...] | list[Element], groups: dict[str, Tree]) -> None:
    for element in elements:
        for type_name in element.types:
            name = element.name + (type_name[0].upper() + type_name[1:] if element.choice else "")
            if element.choice and type_name in {"month", "year"}:
                name = f"{element.name}DateTime"
            primitive = type_name in PRIMITIVES or type_name == "code"
            tree.members[name] = _Member(
                _cleaner(tree, element, type_name, groups), element.required, element.many, primitive
            )


def _cleaner(tree: Tree, element: Element, type_name: str, groups: dict[str, Tree]) -> Cleaner:
    if type_name == "group":
        group = Tree(f"{tree.path}.{element.name}")
        groups[group.path.split(".", 1)[1]] = group
        _fill(group, element.children, groups)
        return group.clean
    if type_name.startswith("@"):
        return groups[type_name[1:]].clean
    if type_name == "code":
        return clean_codes(element.codes)
    if type_name == "masked":
        return PRIMITIVES["string"]
    return PRIMITIVES.get(type_name) or COMPLEX.get(type_name) or _datatype_tree(type_name).clean
