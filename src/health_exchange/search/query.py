"""A FHIR search as asked: parsed strictly, checked against FHIR's parameters, never silently narrowed or widened.

A comma separates alternatives, a repeated parameter is a further condition. Whatever this door does not do (another
parameter, a modifier that the parameter does not have) is refused by name, so that nobody mistakes a wider answer for
his own; who asks to be lenient is told by name what was left out.

Source: FHIR R4, section 3.1.1 "Search" (search.html).
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl

from msgspec import structs

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import Parameter, parameters_of
from health_exchange.fhir.value_sets import is_bundled
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.search.spans import Comparator
from health_exchange.search.terms import (
    ANY_REFERENCE,
    COUNT_DEFAULT,
    ChainTerm,
    CompartmentTerm,
    Criterion,
    DateTerm,
    HasTerm,
    Inclusion,
    Modifier,
    NumberTerm,
    QuantityTerm,
    SearchQuery,
    Sorting,
    Total,
)
from health_exchange.search.values import BadSearchError, read_value, split_escaped, unescape

COUNT_MAX = 200
CRITERIA_MAX = 20
ALTERNATIVES_MAX = 100
TEXT_MAX = 2_000
"""Most characters of all values together: they come back inside the link to the next page."""
DEPTH_MAX = 6
"""Most resources on the way of a chain."""
INCLUSIONS_MAX = 10
MODIFIERS: Mapping[str, frozenset[Modifier]] = MappingProxyType(
    {
        "token": frozenset({Modifier.MISSING, Modifier.NOT, Modifier.TEXT, Modifier.IN, Modifier.NOT_IN}),
        "string": frozenset({Modifier.MISSING, Modifier.EXACT, Modifier.CONTAINS}),
        "reference": frozenset({Modifier.MISSING, Modifier.IDENTIFIER}),
        "uri": frozenset({Modifier.MISSING, Modifier.ABOVE, Modifier.BELOW}),
        "date": frozenset({Modifier.MISSING}),
        "number": frozenset({Modifier.MISSING}),
        "quantity": frozenset({Modifier.MISSING}),
        "special": frozenset({Modifier.MISSING}),
        "composite": frozenset(),
    }
)
"""What each kind may have behind its name; a token of Identifiers ``of-type`` too, a reference a type of resource."""
_UNMODIFIED = frozenset({"_id", "_lastUpdated"})
_LABELLED = frozenset({"CodeableConcept", "Coding", "Identifier"})
_UNSORTED = frozenset({"composite", "special"})
_CODED = frozenset({"CodeableConcept", "Coding"})
_OF_SETS = frozenset({Modifier.IN, Modifier.NOT_IN})
_HAS = "_has"
_ITERATE = "iterate"
_SHOWABLE = re.compile(r"[A-Za-z_:.\-]{1,80}")
_BEFORE_QUERY = re.compile(r"^[A-Za-z/]*\?")


class UnknownParameterError(ExchangeError):
    """A parameter or modifier that this door does not offer."""

    category = Category.INCORRECT
    code = "unknown-parameter"


def parse_pairs(resource_type: str, pairs: Sequence[tuple[str, str]], *, base: str = "") -> SearchQuery:
    """The search that decoded names and values ask for.

    Args:
        resource_type: What is searched.
        pairs: As in the URL or form, in order. Untrusted.
        base: URL that this node's own resources stand under.

    Raises:
        UnknownParameterError: A parameter, modifier or chain that is not offered for the type.
        BadSearchError: A value that its parameter cannot have, or too many of them.
    """
    check_size(pairs)
    criteria: list[Criterion] = []
    results: dict[str, str] = {}
    inclusions: list[Inclusion] = []
    for name, value in pairs:
        if name in _RESULTS:
            if name in results:
                raise BadSearchError(f"{name} is given more than once", where=name)
            _check_result(resource_type, name, value)
            results[name] = value
        elif name.partition(":")[0] in {"_include", "_revinclude"}:
            inclusions.append(_inclusion(name, value))
        else:
            criteria.append(_criterion(resource_type, name, value, base))
    if len(criteria) > CRITERIA_MAX or len(inclusions) > INCLUSIONS_MAX:
        raise _too_large()
    only_counted = results.get("_summary") == "count"
    if _COUNTED in results:
        results.setdefault("_total", Total.ACCURATE)
    return SearchQuery(
        type=resource_type,
        criteria=tuple(criteria),
        count=0 if only_counted else _count(results["_count"]) if "_count" in results else COUNT_DEFAULT,
        sorting=tuple(_sorting(results.get("_sort", ""))),
        total=Total(results["_total"]) if "_total" in results else None,
        inclusions=tuple(inclusions),
    )


def sifted(
    types: Sequence[str], pairs: Sequence[tuple[str, str]], *, base: str = ""
) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Of names and values those that every type is searched by, and the names of the others.

    Left out for one type alone, a parameter would widen the search there while it narrows it elsewhere.

    Args:
        types: Of which resources are searched.
        pairs: As for :func:`parse_pairs`.
        base: URL that this node's own resources stand under.

    Raises:
        BadSearchError: As :func:`parse_pairs`.
    """
    check_size(pairs)
    taken, left_out = [], []
    for name, value in pairs:
        if all(_is_offered(each, (name, value), base) for each in types):
            taken.append((name, value))
        else:
            left_out.append(_shown(name))
    return taken, tuple(left_out)


def parse_over_types(
    types: Sequence[str], pairs: Sequence[tuple[str, str]], *, patient: str = "", base: str = ""
) -> SearchQuery:
    """The search that names and values ask for over several types, or over what belongs to a Patient.

    Args:
        types: Of which resources are searched; one where the search is for one type.
        pairs: As for :func:`parse_pairs`; every type has to have the parameters.
        patient: Id of the Patient whose compartment is searched; empty for no compartment.
        base: URL that this node's own resources stand under.

    Raises:
        UnknownParameterError: As :func:`parse_pairs`, for any of the types.
        BadSearchError: As :func:`parse_pairs`.
    """
    check_size(pairs)
    branches = [parse_pairs(each, pairs, base=base) for each in types]
    if patient:
        read_value(parameters_of("Patient")["_id"], "", patient)
        belongs = Criterion(name="_compartment", terms=(CompartmentTerm(patient),))
        branches = [structs.replace(branch, criteria=(*branch.criteria, belongs)) for branch in branches]
    if len(branches) == 1:
        return branches[0]
    return structs.replace(branches[0], type="", criteria=(), branches=tuple(branches))


def parse_text(resource_type: str, text: str) -> SearchQuery:
    """As :func:`parse_pairs` for the text behind a question mark, as in ``ifNoneExist`` and conditional references.

    Raises:
        BadSearchError: As :func:`parse_pairs`; or the text names no criterion, which would match anything, or looks at
            other resources, which may change while it is decided.
    """
    try:
        asked = _BEFORE_QUERY.sub("", text)
        pairs = parse_qsl(asked, keep_blank_values=True, strict_parsing=True, max_num_fields=50)
    except ValueError:
        pairs = []
    query = parse_pairs(resource_type, pairs)
    if not query.criteria:
        raise BadSearchError("a conditional search names at least one parameter")
    if any(isinstance(term, ChainTerm | HasTerm) for criterion in query.criteria for term in criterion.terms):
        raise BadSearchError("a conditional search is not chained")
    return query


def refuse_parameters(pairs: Sequence[tuple[str, str]], interaction: str) -> None:
    """Raise where an interaction that takes no parameters is given one: passed over, it would change what is asked.

    Raises:
        UnknownParameterError: There is one.
    """
    for name, _value in pairs:
        raise UnknownParameterError(f"{_shown(name)} is not offered in {interaction}")


def asks_by_identifier(name: str) -> bool:
    """Whether the value of a parameter may be an identifier, at whatever end of a chain."""
    return "identifier" in re.split(r"[.:]", name)


def last_of(name: str) -> str:
    """The parameter at the end of a chain, with its modifier."""
    while True:
        if name.startswith(f"{_HAS}:"):
            name = name.partition(":")[2].partition(":")[2].partition(":")[2]
        elif "." in name:
            name = name.partition(".")[2]
        else:
            return name


def check_size(pairs: Sequence[tuple[str, str]]) -> None:
    """Raise where there is too much to read: told before any of it is, once for every type."""
    characters = sum(len(value) for _name, value in pairs)
    if len(pairs) > CRITERIA_MAX + INCLUSIONS_MAX + len(_RESULTS) or characters > TEXT_MAX:
        raise _too_large()


def _too_large() -> BadSearchError:
    return BadSearchError(f"a search has at most {CRITERIA_MAX} parameters and {TEXT_MAX} characters of values")


def _is_offered(resource_type: str, pair: tuple[str, str], base: str) -> bool:
    """Whether a type is searched by a parameter."""
    try:
        parse_pairs(resource_type, [pair], base=base)
    except UnknownParameterError:
        return False
    return True


def _criterion(resource_type: str, name: str, value: str, base: str, depth: int = 1) -> Criterion:
    """One parameter's alternatives."""
    if depth > DEPTH_MAX:
        raise BadSearchError(f"a chain has at most {DEPTH_MAX} parameters")
    if name.startswith(f"{_HAS}:"):
        return _has(resource_type, name, value, base, depth)
    head, is_chain, rest = name.partition(".")
    plain, _, modifier = head.partition(":")
    parameter = parameters_of(resource_type).get(plain)
    if parameter is None:
        raise UnknownParameterError(_refusal(resource_type, name))
    if is_chain:
        return _chain(resource_type, parameter, modifier, rest, value, base, depth)
    if modifier and not _may_have(parameter, modifier):
        raise UnknownParameterError(f"{_shown(name)}: this modifier is not offered")
    values = split_escaped(value, ",")
    if modifier in _OF_SETS and not all(is_bundled(unescape(one)) for one in values):
        raise UnknownParameterError(f"{_shown(name)} is offered for ValueSets that are bundled, and this one is not")
    if len(values) > ALTERNATIVES_MAX:
        raise BadSearchError(f"a parameter has at most {ALTERNATIVES_MAX} alternatives", where=plain)
    terms = tuple(read_value(parameter, modifier, one, base) for one in values)
    negated = any(
        isinstance(term, DateTerm | NumberTerm | QuantityTerm) and term.comparator is Comparator.NE for term in terms
    )
    if negated and len(terms) > 1:
        raise BadSearchError("ne among alternatives would match everything", where=plain)
    return Criterion(name=plain, terms=terms, modifier="" if modifier in resource_types() else modifier)


def _chain(  # a parameter with its parts
    resource_type: str, parameter: Parameter, modifier: str, rest: str, value: str, base: str, depth: int
) -> Criterion:
    """A condition on what a parameter refers to."""
    if not is_followed(parameter) or (modifier and not _is_target(parameter, modifier)):
        raise UnknownParameterError(_refusal(resource_type, f"{parameter.name}.{rest}"))
    if not modifier and not parameter.targets:
        raise BadSearchError(
            "it may refer to anything: say to which type, as in subject:Patient.name", where=parameter.name
        )
    first = re.split(r"[.:]", rest)[0]
    types = [modifier] if modifier else [each for each in parameter.targets if first in {_HAS, *parameters_of(each)}]
    if not types:
        raise UnknownParameterError(_refusal(resource_type, f"{parameter.name}.{rest}"))
    terms = tuple(ChainTerm(each, _criterion(each, rest, value, base, depth + 1)) for each in types)
    return Criterion(name=parameter.name, terms=terms)


def _has(resource_type: str, name: str, value: str, base: str, depth: int) -> Criterion:
    """A condition on what refers to the resource."""
    _, _, rest = name.partition(":")
    source, _, rest = rest.partition(":")
    by, _, rest = rest.partition(":")
    parameter = parameters_of(source).get(by)
    if parameter is None or not is_followed(parameter) or not rest or not _is_target(parameter, resource_type):
        raise UnknownParameterError(_refusal(resource_type, name))
    return Criterion(name=_HAS, terms=(HasTerm(source, by, _criterion(source, rest, value, base, depth + 1)),))


def modifiers_of(parameter: Parameter) -> list[str]:
    """What may stand behind a parameter's name; a reference's type besides."""
    if parameter.name in _UNMODIFIED:
        return []
    types = {path.type for path in parameter.paths}
    found = set(MODIFIERS[parameter.kind])
    if not types & _LABELLED:
        found.discard(Modifier.TEXT)
    if not any(path.type in _CODED or path.system for path in parameter.paths):
        found -= _OF_SETS
    if types == {"Identifier"}:
        found.add(Modifier.OF_TYPE)
    if "Reference" not in types:
        found.discard(Modifier.IDENTIFIER)
    return sorted(found)


def is_followed(parameter: Parameter) -> bool:
    """Whether what a parameter refers to may be kept here, to be followed and to come beside what is found."""
    return parameter.kind == "reference" and any(path.type == "Reference" for path in parameter.paths)


@functools.cache
def followed_of(resource_type: str) -> tuple[str, ...]:
    """The parameters of a type by which it may refer to what is kept here."""
    return tuple(name for name, parameter in parameters_of(resource_type).items() if is_followed(parameter))


def _may_have(parameter: Parameter, modifier: str) -> bool:
    """Whether a parameter has a modifier."""
    is_type = modifier in resource_types() and parameter.kind == "reference"
    return modifier in modifiers_of(parameter) or (is_type and _is_target(parameter, modifier))


def _is_target(parameter: Parameter, resource_type: str) -> bool:
    """Whether a reference may be to a type."""
    return resource_type in (parameter.targets or resource_types())


def _inclusion(name: str, value: str) -> Inclusion:
    """What comes beside what is found."""
    plain, _, modifier = name.partition(":")
    if value == ANY_REFERENCE:
        value = f":{ANY_REFERENCE}"
    source, _, rest = value.partition(":")
    by, _, target = rest.partition(":")
    is_any = by == ANY_REFERENCE and source in {"", *resource_types()} and not target
    parameter = parameters_of(source).get(by)
    if modifier not in {"", _ITERATE} or not (is_any or (parameter is not None and is_followed(parameter))):
        raise UnknownParameterError(
            f"{_shown(name)} is offered as *, Type:*, Type:parameter or Type:parameter:Type, for references"
        )
    if parameter is not None and target and not _is_target(parameter, target):
        raise UnknownParameterError(f"{_shown(name)}: that parameter does not refer to that")
    return Inclusion(source=source, by=by, target=target, reverse=plain == "_revinclude", again=modifier == _ITERATE)


def _check_result(resource_type: str, name: str, value: str) -> None:
    """Raise where a parameter of the result has a value that it cannot have."""
    if name == "_count":
        _count(value)
    elif name == _COUNTED:
        if value != "count":
            raise UnknownParameterError(f"{_COUNTED} is offered as count")
    elif name == "_total":
        if value not in set(Total):
            raise BadSearchError("_total is none, estimate or accurate", where=name)
    elif name == "_summary":
        if value != "count":
            raise UnknownParameterError("_summary is offered as count in a search")
    else:
        for rank in _sorting(value):
            parameter = parameters_of(resource_type).get(rank.name)
            if parameter is None or parameter.kind in _UNSORTED:
                raise UnknownParameterError("_sort is offered by what the type is searched by, but for composites")


_COUNTED = "_totalMethod"
"""How fhirpy and others say ``_total=accurate``."""
_RESULTS = frozenset({"_count", "_total", _COUNTED, "_summary", "_sort"})


def _sorting(value: str) -> Iterator[Sorting]:
    """The ranks of an order."""
    for name in value.split(",") if value else ():
        yield Sorting(name=name.removeprefix("-"), descending=name.startswith("-"))


def _count(value: str) -> int:
    """A page size; more than the maximum means the maximum, as FHIR lets a server decide."""
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise BadSearchError("_count is a whole number", where="_count")
    return min(int(value), COUNT_MAX)


def _shown(name: str) -> str:
    """A name that carries nothing but a name."""
    return name if _SHOWABLE.fullmatch(name) else "a parameter"


def _refusal(resource_type: str, name: str) -> str:
    """Why a parameter is refused; a name that may carry more than a name is not repeated."""
    return f"{_shown(name)} is not offered in a search for {resource_type}"
