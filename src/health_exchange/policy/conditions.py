"""What a policy looks at: the facts it can be swayed by, and the values it names. Read from Cedar's JSON form.

Two requests that differ in nothing a policy looks at are one to it; so are two values that no policy names. The
explanation says which facts decided, and the decision table lets one unnamed value stand for all.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Fact(StrEnum):
    """One thing that a decision may depend on."""

    KIND = "kind"
    ORGANIZATION = "organization"
    TIER = "tier"
    PLACE = "place"  # of the principal, as it lies to the place of the record's origin
    ACTION = "action"
    TYPE = "type"
    SENSITIVITY = "sensitivity"
    CATEGORY = "category"
    PURPOSE = "purpose"
    CONSENT = "consent"
    REASON = "reason"


_ATTRIBUTES: Mapping[str, Fact] = MappingProxyType(
    {
        "organization": Fact.ORGANIZATION,
        "tier": Fact.TIER,
        "address": Fact.PLACE,
        "place": Fact.PLACE,
        "origin": Fact.PLACE,
        "kind": Fact.TYPE,
        "sensitivity": Fact.SENSITIVITY,
        "category": Fact.CATEGORY,
        "purpose": Fact.PURPOSE,
        "objects": Fact.CONSENT,
        "objections": Fact.CONSENT,
        "grants": Fact.CONSENT,
        "reasoned": Fact.REASON,
    }
)


def facts_in(policy: Mapping[str, Any]) -> frozenset[Fact]:
    """The facts that one policy looks at, in its head and in its conditions.

    Args:
        policy: One of ``staticPolicies`` of Cedar's JSON form.
    """
    found = {Fact.ACTION} if policy["action"]["op"] != "All" else set()
    if policy["principal"]["op"] == "is":
        found.add(Fact.KIND)
    for operator, operand in _operations(policy["conditions"]):
        if operator == "is":
            found.add(Fact.KIND)
        elif operator == "Var" and operand == "action":
            found.add(Fact.ACTION)
        elif operator == "attr" and operand in _ATTRIBUTES:
            found.add(_ATTRIBUTES[operand])
    return frozenset(found)


def values_in(policy: Mapping[str, Any]) -> frozenset[str]:
    """The texts that one policy names in its conditions."""
    named = (operand for operator, operand in _operations(policy["conditions"]) if operator in {"Value", "like"})
    return frozenset(operand if isinstance(operand, str) else repr(operand) for operand in named)


def is_patterned(policy: Mapping[str, Any]) -> bool:
    """Whether it compares texts with patterns, and so may tell apart values that it does not name."""
    return any(operator == "like" for operator, _operand in _operations(policy["conditions"]))


def _operations(value: object) -> Iterator[tuple[str, Any]]:
    """Every operator anywhere in conditions, with what it is applied to."""
    if isinstance(value, Mapping):
        for operator, operand in value.items():
            yield operator, operand
            yield from _operations(operand)
    elif isinstance(value, list):
        for inner in value:
            yield from _operations(inner)
