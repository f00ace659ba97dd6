# ruff: noqa: INP001  # a script, in no package
"""Make ``units.json`` of ``health_exchange.fhir.definitions`` from the unit atoms of UCUM that ``ucumvert`` carries.

- ``prefixes``: what each multiplies by.
- ``metric`` and ``plain``: what each atom is, ``value unit``, for those that take prefixes and for those that do not.
  ``value unit @offset`` is a scale whose zero is elsewhere: the offset is added before it is multiplied.
- An atom with an empty row is a dimension of its own: UCUM's base units, arbitrary units (``[IU]``), which nothing
  converts into, and the scales that no factor tells (``[pH]``, ``B``, homeopathic potencies).

Usage: ``python scripts/compile_units.py``
"""

import json
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

TARGET = Path(__file__).parents[1] / "src/health_exchange/fhir/definitions/units.json"
NAMES = {"u": "http://unitsofmeasure.org/ucum-essence"}
OFFSETS = {"Cel": "273.15", "degF": "459.67", "degRe": "218.52"}
"""What the functions of UCUM that are straight lines add before they multiply."""
NOTICE = (
    "This product includes all or a portion of the UCUM table, UCUM codes, and UCUM definitions or is derived from it, "
    "subject to a license from Regenstrief Institute, Inc. and The UCUM Organization. Your use of the UCUM table, UCUM "
    "codes, UCUM definitions also is subject to this license, a copy of which is available at "
    "http://unitsofmeasure.org. The current complete UCUM table, UCUM Specification are available for download at "
    "http://unitsofmeasure.org. The UCUM table and UCUM codes are copyright 1995-2024, Regenstrief Institute, Inc. and "
    "the Unified Codes for Units of Measures (UCUM) Organization. All rights reserved."
)


def essence() -> ET.Element:
    """UCUM's own table of atoms, version 2.2."""
    package = find_spec("ucumvert")
    if package is None or package.origin is None:
        raise SystemExit("ucumvert is a development dependency: make setup")
    return ET.parse(Path(package.origin).parent / "vendor/ucum-essence.xml").getroot()  # noqa: S314  # of a package that is pinned by hash


def row_of(unit: ET.Element) -> str:
    """What one atom is; empty where it is a dimension of its own."""
    value = unit.find("u:value", NAMES)
    if value is None:
        raise SystemExit(f"{unit.get('Code')} has no value")
    if unit.get("isSpecial") == "yes":
        function = value.find("u:function", NAMES)
        name = "" if function is None else function.get("name", "")
        if function is None or name not in OFFSETS:
            return ""
        return f"{function.get('value')} {function.get('Unit')} @{OFFSETS[name]}"
    if unit.get("isArbitrary") == "yes" and value.get("Unit") == "1":
        return ""
    return f"{value.get('value')} {value.get('Unit')}"


def main() -> None:
    """Write the table."""
    root = essence()
    rows: dict[str, dict[str, str]] = {
        "prefixes": {
            each.get("Code", ""): value.get("value", "")
            for each in root.iterfind("u:prefix", NAMES)
            if (value := each.find("u:value", NAMES)) is not None
        },
        "metric": {each.get("Code", ""): "" for each in root.iterfind("u:base-unit", NAMES)},
        "plain": {},
    }
    for unit in root.iterfind("u:unit", NAMES):
        rows["metric" if unit.get("isMetric") == "yes" else "plain"][unit.get("Code", "")] = row_of(unit)
    lines = [f'"notice":{json.dumps(NOTICE)}']
    lines += [json.dumps(key) + ":" + json.dumps(row, separators=(",", ":")) for key, row in rows.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
