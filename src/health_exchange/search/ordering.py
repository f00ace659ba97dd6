"""The order that a search asks for, told by opened bodies.

Source: FHIR R4, section 3.1.1.5.1 "Sorting".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from health_exchange.fhir.parameter_table import Located, located, parameters_of
from health_exchange.search.comparing import coded, folded, spans_of, texts_of
from health_exchange.search.matching import decoded
from health_exchange.search.numbers import Number, rank_of
from health_exchange.search.spans import span_of
from health_exchange.search.terms import Sorting
from health_exchange.store.resources import StoredResource

Key: TypeAlias = str | datetime | tuple[str, Number]


def ordered(found: Iterable[StoredResource], sorting: Sequence[Sorting]) -> list[StoredResource]:
    """In the order of all ranks; those without a value last, equal ones as they came.

    Dates come by when they begin. Of several values the lowest counts upwards and the highest downwards.
    """
    inside = [(kept, decoded(kept)) for kept in found]
    for rank in reversed(sorting):
        keyed = [(key_of(kept, body, rank), kept, body) for kept, body in inside]
        present: list[Any] = [each for each in keyed if each[0] is not None]
        present.sort(key=lambda each: each[0], reverse=rank.descending)
        inside = [(kept, body) for _key, kept, body in [*present, *(each for each in keyed if each[0] is None)]]
    return [kept for kept, _body in inside]


def key_of(kept: StoredResource, body: Mapping[str, Any], rank: Sorting) -> tuple[str, Key] | None:
    """What a resource is ranked by, after the kind of it, for types may differ; ``None`` where it has no such value."""
    if rank.name == "_id":
        return "", kept.id
    if rank.name == "_lastUpdated":
        return "", span_of(kept.changed_at).start
    choose: Callable[[Iterable[Any]], Any] = max if rank.descending else min
    parameter = parameters_of(kept.type)[rank.name]
    keys = [key for value in located(body, parameter) for key in _keys(value, parameter.kind, rank)]
    return (parameter.kind, choose(keys)) if keys else None


def _keys(found: Located, kind: str, rank: Sorting) -> Iterator[Key]:
    """What one value is ranked by: texts without regard to case and accents, codes before their systems."""
    match kind:
        case "date":
            yield from (span.start for span in spans_of(found))
        case "number" | "quantity":
            measured = rank_of(found, descending=rank.descending)
            yield from () if measured is None else (measured,)
        case "string":
            yield from filter(None, map(folded, texts_of(found)))
        case "token":
            yield from (f"{code}\n{system or ''}" for system, code in coded(found) if code)
        case "reference" if found.type == "Reference":
            text = found.value.get("reference")
            yield from (text,) if isinstance(text, str) else ()
        case _:
            yield found.value
