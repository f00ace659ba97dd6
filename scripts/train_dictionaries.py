# ruff: noqa: INP001  # a script, in no package
"""Train the zstd dictionaries of the store, one a type, on synthetic data.

``carebundle``, our sample records, and resources made up from the official definitions: no records of anybody, and
nothing that the tests or benchmarks work with. Types that no node exchanges share one dictionary.

A dictionary that is shipped never changes, for bodies are kept that only it unpacks: what is trained anew is a further
generation, and ``store.bodies`` packs by the newest.

Usage: ``python scripts/train_dictionaries.py GENERATION``
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import carebundle
import zstandard
from made_up_resources import Definitions, Maker

from health_exchange.fhir.elements import resource_types
from health_exchange.pseudonym.deidentify import disposition_of
from health_exchange.pseudonym.rules.rows import Disposition

ROOT = Path(__file__).parents[1]
DICTIONARIES = ROOT / "src/health_exchange/store/dictionaries"
DICTIONARY_BYTES = 32 << 10
SEEDS = 60
MADE_UP = 400
MADE_UP_OF_OTHERS = 20
OTHERS = "Resource"

Samples: TypeAlias = "list[bytes | bytearray | memoryview[int]]"


def bundles() -> Iterator[Any]:
    """Every synthetic Bundle there is."""
    for path in sorted((ROOT / "sample_records").rglob("*.json")):
        if "rejected" not in path.parts:
            yield json.loads(path.read_bytes())
    for seed in range(SEEDS):
        yield json.loads(carebundle.to_json(carebundle.generate_bundle(seed=seed)))


def packed(resource: Any) -> bytes:  # noqa: ANN401  # JSON
    """A resource's bytes as clients send them."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def samples() -> dict[str, Samples]:
    """What each dictionary is trained on, by its name."""
    found: dict[str, Samples] = defaultdict(list)
    maker = Maker(Definitions(), seed=1)
    exchanged = {name for name in resource_types() if disposition_of(name) is not Disposition.ORIGIN_ONLY}
    for name in sorted(resource_types()):
        count = MADE_UP if name in exchanged else MADE_UP_OF_OTHERS
        found[name if name in exchanged else OTHERS] += [packed(maker.resource(name)) for _ in range(count)]
    for bundle in bundles():
        for entry in bundle.get("entry", []) if isinstance(bundle, dict) else []:
            name = entry.get("resource", {}).get("resourceType", "")
            if name:
                found[name if name in exchanged else OTHERS].append(packed(entry["resource"]))
    return found


def main() -> None:
    """Write the dictionaries of a generation that there is none of yet."""
    folder = DICTIONARIES / sys.argv[1]
    folder.mkdir()
    for name, each in sorted(samples().items()):
        trained = zstandard.train_dictionary(DICTIONARY_BYTES, each)
        (folder / f"{name}.zdict").write_bytes(trained.as_bytes())


if __name__ == "__main__":
    main()
