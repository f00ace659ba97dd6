# ruff: noqa: INP001  # a script, in no package
"""Make ``value_sets.json`` of ``health_exchange.fhir.definitions``: which codes the official ValueSets of FHIR R4 hold.

Only sets that the definitions enumerate by themselves: codes that a set lists, and codes of complete CodeSystems that
are among the definitions, all of them or those below some. A set that needs another terminology (all of LOINC, a
filter of SNOMED CT, the languages of BCP 47), that is empty, or that holds more than ``CODES_MAX`` codes is left out.

``systems`` names the systems, ``codes`` has each list of codes that is used more than once. A row of ``sets`` is the
version of the set, and ``system codes`` or ``system @list``, each pair on a line; system and list are numbers, and tabs
stand between codes.

Usage: ``python scripts/compile_value_sets.py``
"""

import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared/definitions/fhir-r4-definitions.tar.xz"
TARGET = ROOT / "src/health_exchange/fhir/definitions/value_sets.json"
FILES = ("valuesets.json", "v3-codesystems.json")
CODES_MAX = 2_000
BELOW = {"is-a": True, "descendent-of": False}
"""Filters of a hierarchy, and whether the code they name is among those below it."""

Codes = frozenset[tuple[str, str]]
"""Pairs of a system and a code."""


class NotEnumerableError(Exception):
    """The definitions do not say what a set holds."""


class Definitions:
    """The official ValueSets and CodeSystems."""

    def __init__(self, entries: Iterable[Any]) -> None:
        by_type: dict[str, dict[str, Any]] = {"ValueSet": {}, "CodeSystem": {}}
        for entry in entries:
            resource = entry["resource"]
            by_type[resource["resourceType"]][resource["url"]] = resource
        self.sets, self._systems = by_type["ValueSet"], by_type["CodeSystem"]
        self.codes = cache(self._codes)

    def _codes(self, url: str) -> Codes:
        """What a set holds."""
        compose = self.sets.get(url.partition("|")[0], {}).get("compose")
        if compose is None:
            raise NotEnumerableError(url)
        included = frozenset[tuple[str, str]]().union(*map(self._part, compose["include"]))
        return included.difference(*map(self._part, compose.get("exclude", [])))

    def _part(self, part: Any) -> Codes:  # noqa: ANN401  # JSON
        """What one include or exclude of a set is about: what all that it names have in common."""
        named = [self.codes(url) for url in part.get("valueSet", [])]
        if "system" in part:
            named.append(frozenset((part["system"], code) for code in self._of_system(part)))
        return frozenset.intersection(*named)

    def _of_system(self, part: Any) -> set[str]:  # noqa: ANN401  # JSON
        """The codes of its system that a part is about."""
        if "concept" in part:
            return {concept["code"] for concept in part["concept"]}
        system = self._systems.get(part["system"], {})
        if system.get("content") != "complete":
            raise NotEnumerableError(part["system"])
        found = {concept["code"] for concept in below(system)}
        for each in part.get("filter", []):
            if each["property"] != "concept" or each["op"] not in BELOW:
                raise NotEnumerableError(part["system"])
            found &= {
                code
                for concept in below(system)
                if concept["code"] == each["value"]
                for code in [*[concept["code"]] * BELOW[each["op"]], *(inner["code"] for inner in below(concept))]
            }
        return found


def below(concept: Any) -> Iterator[Any]:  # noqa: ANN401  # JSON
    """Every concept below another one, or of a system."""
    for inner in concept.get("concept", []):
        yield inner
        yield from below(inner)


def enumerated(definitions: Definitions) -> dict[str, Codes]:
    """The sets that can be had, by URL."""
    found: dict[str, Codes] = {}
    for url in sorted(definitions.sets):
        try:
            codes = definitions.codes(url)
        except NotEnumerableError:
            continue
        if 0 < len(codes) <= CODES_MAX:
            found[url] = codes
    return found


def rows_of(sets: Mapping[str, Codes], versions: Mapping[str, str]) -> dict[str, Any]:
    """The table."""
    lists = {
        url: {
            system: "\t".join(sorted(code for each, code in codes if each == system))
            for system in {s for s, _ in codes}
        }
        for url, codes in sets.items()
    }
    if any("\t" in code or "\n" in code for codes in sets.values() for _system, code in codes):
        raise SystemExit("a code has a tab or ends a line")
    systems = sorted({system for row in lists.values() for system in row})
    times = Counter(codes for row in lists.values() for codes in row.values())
    shared = sorted(codes for codes, used in times.items() if used > 1 and "\t" in codes)
    number = {codes: f"@{index}" for index, codes in enumerate(shared)}
    return {
        "systems": systems,
        "codes": shared,
        "sets": {
            url: "\n".join(
                [
                    versions[url],
                    *(f"{systems.index(each)} {number.get(codes, codes)}" for each, codes in sorted(row.items())),
                ]
            )
            for url, row in lists.items()
        },
    }


def main() -> None:
    """Write the table, and say what is left out."""
    with tarfile.open(SOURCE) as archive:
        entries = [
            entry
            for member in archive.getmembers()
            if member.name.rpartition("/")[2] in FILES and (file := archive.extractfile(member))
            for entry in json.load(file)["entry"]
        ]
    definitions = Definitions(entries)
    sets = enumerated(definitions)
    table = rows_of(sets, {url: definitions.sets[url]["version"] for url in sets})
    lines = [json.dumps(key) + ":" + json.dumps(table[key], separators=(",", ":")) for key in ("systems", "codes")]
    rows = [json.dumps(url) + ":" + json.dumps(row) for url, row in table["sets"].items()]
    lines.append('"sets":{\n' + ",\n".join(rows) + "\n}")
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    left_out = sorted(definitions.sets.keys() - sets.keys())
    print(f"{len(sets)} of {len(definitions.sets)} sets, {sum(map(len, sets.values()))} codes; not:")  # noqa: T201
    print("\n".join(left_out))  # noqa: T201


if __name__ == "__main__":
    main()
