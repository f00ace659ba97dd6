"""The tables of ``sensitivity.toml``, checked once at import and laid out for quick look-up."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

import msgspec

from health_exchange.model.sensitivity import SensitiveCategory, Sensitivity

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Sensitivity
    category: SensitiveCategory
    codes: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    systems: tuple[str, ...]
    match: str
    rows: tuple[_Row, ...]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    types: dict[str, tuple[str, ...]]
    tables: tuple[_Table, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one code says of a resource."""

    level: Sensitivity
    category: SensitiveCategory


@dataclass(frozen=True, slots=True)
class CodeTable:
    """One code system's codes, or beginnings of codes, that say something.

    Attributes:
        rows: Finding by code or beginning.
        lengths: Lengths of the beginnings, longest first; empty where codes must match whole.
    """

    rows: Mapping[str, Finding]
    lengths: tuple[int, ...]

    def find(self, code: str) -> Finding | None:
        """What ``code`` says; the longest beginning decides."""
        if not self.lengths:
            return self.rows.get(code)
        code = code.strip().upper()
        for length in self.lengths:
            finding = self.rows.get(code[:length])
            if finding is not None:
                return finding
        return None


def read_tables(text: str) -> tuple[Mapping[str, CodeTable], Mapping[str, Sensitivity]]:
    """Code tables by system, and the least level by resource type.

    Raises:
        ValueError: A level or category is unknown, a code or system stands twice, or ``match`` is neither.
    """
    document = msgspec.convert(tomllib.loads(text), _Document)
    by_system: dict[str, CodeTable] = {}
    for table in document.tables:
        if table.match not in {"exact", "prefix"}:
            raise ValueError(f"{table.name}: match is exact or prefix")
        rows: dict[str, Finding] = {}
        for row in table.rows:
            for code in row.codes:
                if code in rows:
                    raise ValueError(f"{table.name}: {code} stands twice")
                rows[code] = Finding(row.level, row.category)
        lengths = sorted({len(code) for code in rows}, reverse=True) if table.match == "prefix" else ()
        for system in table.systems:
            if system in by_system:
                raise ValueError(f"{table.name}: {system} stands twice")
            by_system[system] = CodeTable(rows=MappingProxyType(rows), lengths=tuple(lengths))
    types: dict[str, Sensitivity] = {}
    for level, names in document.types.items():
        for name in names:
            if name in types:
                raise ValueError(f"type {name} stands twice")
            types[name] = Sensitivity(int(level))
    return MappingProxyType(by_system), MappingProxyType(types)


TABLES, TYPE_LEVELS = read_tables((files(__package__) / "sensitivity.toml").read_text("utf-8"))

LABEL_CATEGORIES: Mapping[str, SensitiveCategory] = MappingProxyType(
    {code: finding.category for code, finding in TABLES[ACT_CODE].rows.items()}
)
"""Sensitivity labels of HL7 v3 ActCode and the category each names."""
