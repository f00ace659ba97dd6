"""A FHIR search as it is understood: conditions, their alternatives, and how what is found is handed out.

Values of these types are what the link to a next page holds, so every one of them can be written and read again, and
none of them holds a national ID (``node.asking`` puts persons and tokens in their place).
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec

from health_exchange.search.spans import Comparator, Span

COUNT_DEFAULT = 20


class Modifier(StrEnum):
    """What may follow the name of a parameter, besides a type of resource."""

    MISSING = "missing"
    NOT = "not"
    TEXT = "text"
    OF_TYPE = "of-type"
    EXACT = "exact"
    CONTAINS = "contains"
    IDENTIFIER = "identifier"
    ABOVE = "above"
    BELOW = "below"
    IN = "in"
    NOT_IN = "not-in"


class Total(StrEnum):
    """Whether what is found on all pages is counted."""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


class IdTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="id"):
    """The resource has this id."""

    id: str


class DateTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="date"):
    """A date of the resource lies so to the span from ``start`` to ``end``."""

    comparator: Comparator
    start: datetime
    end: datetime

    @property
    def span(self) -> Span:
        """What was asked for."""
        return Span(self.start, self.end)


class TokenTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="token"):
    """A coded value: of any system where that is ``None``, of none where it is empty; any code where that is empty."""

    system: str | None
    code: str


class SetTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="set"):
    """A code of this ValueSet, which is bundled."""

    url: str


class TypedTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="typed"):
    """An Identifier of a type: the type's system and code, and the value."""

    system: str
    code: str
    value: str


class TextTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="text"):
    """A text, or a URI; how it is compared is the parameter's and the modifier's matter."""

    text: str


class NumberTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="number"):
    """A number, written as precisely as ``number`` is."""

    comparator: Comparator
    number: Decimal


class QuantityTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="quantity"):
    """A quantity: in any unit where ``code`` is empty, in a unit of any system where ``system`` is ``None``."""

    comparator: Comparator
    number: Decimal
    system: str | None
    code: str


class NearTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="near"):
    """A place on earth (WGS84) at most so many metres away."""

    latitude: float
    longitude: float
    distance_m: float


class ReferenceTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="reference"):
    """A reference to ``type/id``, or to that id of any type; to that ``version`` of it where one is named."""

    type: str | None
    id: str
    version: str = ""


class UrlTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="url"):
    """A reference by this URL, to something that is not kept under a type and an id here."""

    url: str


class PersonTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="person"):
    """The resource is of the person with this pseudonym; what a national ID becomes before anything is searched."""

    pseudonym: str


class KeyedTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="keyed"):
    """The resource has this search token; what a value becomes that must not be kept as text."""

    token: int


class MissingTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="missing"):
    """The resource has no value of the parameter, or has one."""

    missing: bool


class CompositeTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="composite"):
    """Every component has its value, in the same place."""

    parts: "tuple[Term, ...]"


class ChainTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="chain"):
    """What the parameter refers to is of this type and meets a criterion."""

    type: str
    criterion: "Criterion"


class HasTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="has"):
    """A resource of a type refers to this one by a parameter and meets a criterion."""

    type: str
    by: str
    criterion: "Criterion"


class WideTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="wide"):
    """A chain or ``_has`` with too much at its far end to go from there: told of each candidate."""

    step: "ChainTerm | HasTerm"


class AmongTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="among"):
    """A reference to one of these, as ``Type/id``; what a chain becomes when it is followed."""

    names: frozenset[str]


class ReferringTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="referring"):
    """A reference to one of these, as ``Type/id``, by any of some parameters."""

    names: frozenset[str]
    by: tuple[str, ...]


class IdsTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="ids"):
    """The resource has one of these ids."""

    ids: frozenset[str]


class CompartmentTerm(msgspec.Struct, frozen=True, array_like=True, tag_field="term", tag="compartment"):
    """The resource belongs to this Patient by a parameter of its type's compartment, or is this Patient."""

    id: str


Term: TypeAlias = (
    IdTerm
    | DateTerm
    | TokenTerm
    | SetTerm
    | TypedTerm
    | TextTerm
    | NumberTerm
    | QuantityTerm
    | NearTerm
    | ReferenceTerm
    | UrlTerm
    | PersonTerm
    | KeyedTerm
    | MissingTerm
    | CompositeTerm
    | ChainTerm
    | HasTerm
    | WideTerm
    | AmongTerm
    | ReferringTerm
    | IdsTerm
    | CompartmentTerm
)


class Criterion(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One condition: any of its alternatives.

    Attributes:
        name: Of the parameter.
        terms: The alternatives; none of them means that nothing meets the condition.
        modifier: How they are compared; empty for the parameter's own way.
    """

    name: str
    terms: tuple[Term, ...]
    modifier: str = ""


class Sorting(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One rank of an order."""

    name: str
    descending: bool = False


ANY_REFERENCE = "*"
"""Stands for every parameter by which a resource may refer to another."""


class Inclusion(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is handed out beside what is found.

    Attributes:
        source: Type of the resource that refers; empty for any.
        by: The parameter it refers by, or :data:`ANY_REFERENCE`.
        target: Type of what it refers to; empty for any.
        reverse: Whether the resource that refers is added, and not what it refers to.
        again: Whether this goes for what was added, too.
    """

    source: str
    by: str
    target: str = ""
    reverse: bool = False
    again: bool = False


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One search: all of its criteria.

    Attributes:
        type: Resource type; empty for a search over several.
        criteria: Empty for all resources of the type.
        count: Most resources on one page; 0 asks for the total alone.
        sorting: In what order; newest row first where that is empty.
        total: Whether to count; where it is not said, as far as that takes few bodies.
        inclusions: What comes beside what is found.
        ignored: What was asked for and is not offered, where the caller takes that.
        branches: Of a search over several types, the criteria of each.
    """

    type: str
    criteria: tuple[Criterion, ...] = ()
    count: int = COUNT_DEFAULT
    sorting: tuple[Sorting, ...] = ()
    total: Total | None = None
    inclusions: tuple[Inclusion, ...] = ()
    ignored: tuple[str, ...] = ()
    branches: "tuple[SearchQuery, ...]" = ()

    @property
    def each(self) -> "tuple[SearchQuery, ...]":
        """The criteria of every type that is searched."""
        return self.branches or (self,)
