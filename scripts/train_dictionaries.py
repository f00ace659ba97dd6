# ruff: noqa: INP001  # a script, in no package
"""Train the zstd dictionaries of the store, one a type, on synthetic data: ``carebundle`` and our sample records."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import carebundle
import zstandard

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "src/health_exchange/store/dictionaries"
DICTIONARY_BYTES = 32 << 10
SAMPLES_MIN = 50
SEEDS = 60


def bundles() -> Iterator[Any]:
    """Every synthetic Bundle there is."""
    for path in sorted((ROOT / "sample_records").rglob("*.json")):
        if "rejected" not in path.parts:
            yield json.loads(path.read_bytes())
    for seed in range(SEEDS):
        yield json.loads(carebundle.to_json(carebundle.generate_bundle(seed=seed)))


def main() -> None:
    """Write a dictionary for every type with enough samples."""
    samples: dict[str, list[bytes | bytearray | memoryview[int]]] = defaultdict(list)
    for bundle in bundles():
        for entry in bundle.get("entry", []) if isinstance(bundle, dict) else []:
            resource = entry.get("resource", {})
            packed = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
            samples[resource.get("resourceType", "")].append(packed)
    TARGET.mkdir(exist_ok=True)
    for resource_type, found in sorted(samples.items()):
        if resource_type and len(found) >= SAMPLES_MIN:
            trained = zstandard.train_dictionary(min(DICTIONARY_BYTES, sum(map(len, found)) // 8), found)
            (TARGET / f"{resource_type}.zdict").write_bytes(trained.as_bytes())


if __name__ == "__main__":
    main()
