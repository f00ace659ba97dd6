"""What operators' tests read: lines of the log, and metrics, checked against the format's grammar on the way."""

import json
import re
from collections.abc import Iterable
from typing import Any

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = rf'{_NAME}="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")
_SUFFIXES = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}

Metrics = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def lines_of(written: str) -> list[dict[str, Any]]:
    """Events in what a test's nodes have written to standard error."""
    return [json.loads(line) for line in written.splitlines() if line.startswith("{")]


def at_nodes(lines: Iterable[dict[str, Any]], **fields: object) -> list[str]:
    """The nodes at which lines with ``fields`` were written, in order, each once in a row."""
    nodes = [line["node"] for line in lines if all(line.get(name) == value for name, value in fields.items())]
    return [node for place, node in enumerate(nodes) if place == 0 or nodes[place - 1] != node]


def read_metrics(text: str) -> Metrics:
    """Samples by name and labels, once the text is OpenMetrics 1.0 as far as we use it."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    found: Metrics = {}
    kinds: dict[str, str] = {}
    family = ""
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in kinds, f"{family} is told twice"
            kinds[family] = kind
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == family
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample is not None, line
            name, labels, value = sample.groups()
            assert name.removeprefix(family) in _SUFFIXES[kinds[family]], line
            key = (name, tuple(re.findall(rf'({_NAME})="((?:[^"\\]|\\.)*)"', labels or "")))
            assert key not in found, f"{line} is told twice"
            found[key] = float(value)
    _check_histograms(found, [name for name, kind in kinds.items() if kind == "histogram"])
    return found


def _check_histograms(found: Metrics, names: Iterable[str]) -> None:
    """Buckets only grow, end at infinity, and come to the count."""
    for name in names:
        series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for (sample, labels), value in found.items():
            if sample == f"{name}_bucket":
                assert labels[-1][0] == "le"
                series.setdefault(labels[:-1], []).append((float(labels[-1][1].replace("+Inf", "inf")), value))
        for labels, buckets in series.items():
            assert buckets == sorted(buckets)
            assert [count for _bound, count in buckets] == sorted(count for _bound, count in buckets)
            assert buckets[-1] == (float("inf"), found[f"{name}_count", labels])
            assert (f"{name}_sum", labels) in found
