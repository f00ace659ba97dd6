"""What is counted and measured: families with their labels, names under which the store keeps them, and their text.

Our own eighty lines and not the Prometheus client: several processes serve one node, and what they count is added up in
the node's database, so that it is right whichever of them is asked and whatever was restarted. The client's registries
are each process's own, and its mode for several needs a writable folder that outlives them. What it would save us is
:func:`exposition`.

Labels are codes, routes, addresses of neighbours: never a person, and never one of more than some hundreds.

Source: OpenMetrics 1.0, text format.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

PREFIX = "health_exchange_"
MEDIA_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of short times."""
LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Of long ones."""
_MICRO = 1_000_000
_SUM = "sum"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """One metric; itself and no other, whatever it is like.

    Attributes:
        name: Without prefix and suffix; unit last.
        kind: What its numbers do.
        text: What they are, for people.
        labels: Names of its labels.
        bounds: Upper bounds of a histogram's buckets, in seconds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number of a family under its labels' values; ``suffix`` as the format has it."""

    value: float
    labels: Labels = ()
    suffix: str = ""


def counted(family: Family, **labels: str) -> str:
    """The name under which one count of ``family`` is kept.

    Raises:
        ValueError: The labels are not the family's, or a value would run into the next.
    """
    return _name(family, *labels.items())


@lru_cache(maxsize=4096)
def _name(family: Family, *labels: tuple[str, str]) -> str:
    """As :func:`counted`: a node counts the same few thousand names again and again."""
    if tuple(name for name, _value in labels) != family.labels or any("|" in value for _name, value in labels):
        raise ValueError(f"{family.name} has the labels {family.labels}, with values without a bar")
    return "|".join((family.name, *(value for _name, value in labels)))


def observed(family: Family, seconds: float, **labels: str) -> Mapping[str, int]:
    """What is added to which kept names for one time of a histogram; its sum in microseconds."""
    name = counted(family, **labels)
    bucket = bisect_left(family.bounds, seconds)
    return {f"{name}|{bucket}": 1, f"{name}|{_SUM}": max(0, round(seconds * _MICRO))}


def samples_of(family: Family, kept: Mapping[str, int]) -> list[Sample]:
    """A family's samples from what is kept under its names."""
    prefix = family.name + "|" if family.labels or family.bounds else family.name
    found = {name: value for name, value in kept.items() if name.startswith(prefix)}
    if family.kind == "histogram":
        return _histogram(family, found)
    return [
        Sample(value=value, labels=_labels(family, name.split("|")[1:]), suffix="_total")
        for name, value in sorted(found.items())
    ]


def _histogram(family: Family, kept: Mapping[str, int]) -> list[Sample]:
    """Cumulative buckets, sum and count for each combination of labels."""
    series: dict[Labels, dict[str, int]] = {}
    for name, value in sorted(kept.items()):
        *values, place = name.split("|")[1:]
        series.setdefault(_labels(family, values), {})[place] = value
    samples: list[Sample] = []
    for labels, places in series.items():
        total = 0
        for index, bound in enumerate([*map(str, family.bounds), "+Inf"]):
            total += places.get(str(index), 0)
            samples.append(Sample(value=total, labels=(*labels, ("le", bound)), suffix="_bucket"))
        samples.append(Sample(value=places.get(_SUM, 0) / _MICRO, labels=labels, suffix="_sum"))
        samples.append(Sample(value=total, labels=labels, suffix="_count"))
    return samples


def _labels(family: Family, values: Sequence[str]) -> Labels:
    return tuple(zip(family.labels, values, strict=True))


def exposition(families: Iterable[tuple[Family, Sequence[Sample]]]) -> str:
    """All families as OpenMetrics text."""
    lines: list[str] = []
    for family, samples in families:
        name = PREFIX + family.name
        lines += [f"# TYPE {name} {family.kind}", f"# HELP {name} {family.text.translate(_ESCAPES)}"]
        lines += [f"{name}{sample.suffix}{_label_text(sample.labels)} {_number(sample.value)}" for sample in samples]
    return "\n".join([*lines, "# EOF", ""])


def _label_text(labels: Labels) -> str:
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
