"""What each part of reading and drafting a resource takes, alone: microseconds of one core, and bytes packed by type.

    python -m benchmarks.parts [--bundles 16]

Beside it the yardstick of ``steps``: a part that is held by more memory than the processor's caches takes longer here
than on its way through a node.
"""

import argparse
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from benchmarks.loads import synthea_bundles
from benchmarks.machine import describe_machine, yardstick_ms

from health_exchange.fhir.bundle import split_bundle
from health_exchange.fhir.jsonguard import check_depth, decode_json, has_repeated_name
from health_exchange.fhir.limits import DEFAULT
from health_exchange.fhir.references import reference_texts, rewrite_references, set_identity
from health_exchange.fhir.schema import fits_schema
from health_exchange.fhir.structs import fits_struct
from health_exchange.fhir.validation import validate
from health_exchange.node.findings import findings_of
from health_exchange.node.intake import read_bundle
from health_exchange.policy.classification import sensitivity_of
from health_exchange.store.bodies import pack_body

RUNS = 3
ID, AT = "0123456789abcdef0123456789abcdef0123", "2026-11-24T08:00:00.000+00:00"

T = TypeVar("T")


def tell(name: str, count: int, made: Callable[[], Iterable[T]]) -> list[T]:
    """What was made, and the least of some runs printed per resource."""
    least, result = float("inf"), list[T]()
    for _run in range(RUNS):
        began = time.process_time()
        result = list(made())
        least = min(least, time.process_time() - began)
    print(f"{1e6 * least / count:8.1f}  {name}")
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=16)
    # A node's collector walks what a Bundle leaves, not what all runs of this script have kept.
    gc.disable()
    bundles = [body for body, _count in synthea_bundles()[: parser.parse_args().bundles]]
    raws = [entry.raw for body in bundles for entry in split_bundle(body).entries if entry.raw is not None]
    count = len(raws)
    print(describe_machine(), f"; a core does the yardstick in {yardstick_ms():.0f} ms")
    print(f"{count:,} resources of {sum(map(len, raws)) / count:,.0f} bytes; microseconds of one core for each")
    tell("read the Bundle, all in all", count, lambda: map(read_bundle, bundles))
    tell("split", count, lambda: map(split_bundle, bundles))
    views = tell("validate, all in all", count, lambda: map(validate, raws))
    tell("JSON that means one thing", count, lambda: map(decode_json, raws))
    tell("of which depth", count, lambda: map(partial(check_depth, depth=DEFAULT.depth), raws))
    tell("of which repeated names", count, lambda: (has_repeated_name(view.raw, view.decoded) for view in views))
    tell("structs", count, lambda: (fits_struct(view.type, view.decoded) for view in views))
    tell("schema", count, lambda: (fits_schema(view.type, view.decoded) for view in views))
    tell("findings, all in all", count, lambda: (findings_of(view, where="") for view in views))
    tell("of which sensitivity", count, lambda: (sensitivity_of(view.decoded, view.raw) for view in views))
    tell("references found", count, lambda: map(reference_texts, raws))
    tell("references rewritten", count, lambda: (rewrite_references(raw, lambda _text: None) for raw in raws))
    tell("id and version", count, lambda: (set_identity(raw, id=ID, version=1, last_updated=AT) for raw in raws))
    packed = tell("packed", count, lambda: (pack_body(view.type, view.raw) for view in views))
    sizes: dict[str, list[int]] = defaultdict(list)
    for view, body in zip(views, packed, strict=True):
        sizes[view.type].append(len(body))
    print(f"{sum(map(len, packed)) / count:,.0f} bytes packed; by type, what takes most first")
    for name, own in sorted(sizes.items(), key=lambda item: -sum(item[1])):
        print(f"{sum(own) / len(own):8,.0f}  {name}, of {len(own):,}")


if __name__ == "__main__":
    main()
