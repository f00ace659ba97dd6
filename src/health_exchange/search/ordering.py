"""The order that a search asks for, told by opened bodies.

Source: FHIR R4, section 3.1.1.5.1 "Sorting".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from health_exchange.fhir.parameter_table import located, parameters_of
from health_exchange.search.comparing import spans_of
from health_exchange.search.matching import decoded
from health_exchange.search.numbers import interval_of
from health_exchange.search.spans import span_of
from health_exchange.search.terms import Sorting
from health_exchange.store.resources import StoredResource

Key = str | datetime | Decimal


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


def key_of(kept: StoredResource, body: Mapping[str, Any], rank: Sorting) -> Key | None:
    """What a resource is ranked by; ``None`` where it has no such value."""
    if rank.name == "_id":
        return kept.id
    if rank.name == "_lastUpdated":
        return span_of(kept.changed_at).start
    choose: Callable[[Iterable[Any]], Any] = max if rank.descending else min
    parameter = parameters_of(kept.type)[rank.name]
    values = located(body, parameter)
    keys: list[Key] = []
    if parameter.kind == "date":
        keys += [span.start for value in values for span in spans_of(value)]
    else:
        intervals = [interval for value in values if (interval := interval_of(value)) is not None]
        ends = [interval.high if rank.descending else interval.low for interval in intervals]
        keys += [end for end in ends if end is not None]
    return choose(keys) if keys else None
