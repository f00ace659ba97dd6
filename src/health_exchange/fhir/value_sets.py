"""Which codes the official ValueSets of FHIR R4 hold: those that the definitions enumerate by themselves.

Compiled ahead by ``scripts/compile_value_sets.py``; read when the first set is asked for.

Source: FHIR R4, valuesets.json and v3-codesystems.json.
"""

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_REMEMBERED = 64
"""Sets that are kept open: a search asks its sets of every candidate."""


def is_bundled(canonical: str) -> bool:
    """Whether what a set holds is known here.

    Args:
        canonical: Its URL, with ``|`` and its version or without. Untrusted.
    """
    url, _, version = canonical.partition("|")
    row = _table()["sets"].get(url)
    return row is not None and version in {"", row.partition("\n")[0]}


def holds(canonical: str, system: str, code: str) -> bool:
    """Whether a bundled set has a code of a system."""
    return code in _codes(canonical.partition("|")[0]).get(system, ())


def bundled() -> tuple[str, ...]:
    """The URLs of all sets that are known here."""
    return tuple(_table()["sets"])


@functools.lru_cache(maxsize=_REMEMBERED)
def _codes(url: str) -> Mapping[str, frozenset[str]]:
    """The codes of a set by their systems."""
    table = _table()
    found: dict[str, frozenset[str]] = {}
    for line in table["sets"][url].split("\n")[1:]:
        system, _, codes = line.partition(" ")
        text = table["codes"][int(codes[1:])] if codes.startswith("@") else codes
        found[table["systems"][int(system)]] = frozenset(text.split("\t"))
    return found


@functools.cache
def _table() -> Mapping[str, Any]:
    """The compact table."""
    path = files("health_exchange.fhir.definitions").joinpath("value_sets.json")
    table: Mapping[str, Any] = json.loads(path.read_bytes())
    return table
