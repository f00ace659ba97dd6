"""The sample records as the demo replays them: facilities, and each node's Bundles in the order they happened."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.locations import shipped


class Facility(msgspec.Struct, frozen=True, kw_only=True):
    """One facility of ``facilities.json``."""

    id: str
    name: str
    grade: str
    node: str
    credit_code: str
    client_id: str


class _Facilities(msgspec.Struct, frozen=True, kw_only=True):
    """The file of facilities."""

    facilities: list[Facility]


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo needs of ``manifest.json``."""

    order: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBundle:
    """One Bundle: its name, who sends it, and where it lies."""

    name: str
    facility: Facility
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Everything to replay."""

    facilities: tuple[Facility, ...]
    bundles: dict[NodeAddress, list[SampleBundle]]

    def at(self, nodes: Collection[NodeAddress]) -> "Samples":
        """The same facilities, and only what ``nodes`` admit."""
        kept = {address: bundles for address, bundles in self.bundles.items() if address in nodes}
        return replace(self, bundles=kept)

    @property
    def count(self) -> int:
        """Number of Bundles."""
        return sum(map(len, self.bundles.values()))


def read_samples(folder: Path | None = None) -> Samples:
    """The samples in ``folder``, by default those that ship with the program."""
    root = folder or shipped("sample_records")
    facilities = msgspec.json.decode((root / "facilities.json").read_bytes(), type=_Facilities).facilities
    manifest = msgspec.json.decode((root / "manifest.json").read_bytes(), type=_Manifest)
    by_length = sorted(facilities, key=lambda facility: -len(facility.id))
    bundles: dict[NodeAddress, list[SampleBundle]] = defaultdict(list)
    for name in manifest.order:
        stem = Path(name).stem.partition("-")[2]
        facility = next(each for each in by_length if stem.startswith(f"{each.id}-"))
        bundles[NodeAddress.parse(facility.node)].append(SampleBundle(name=name, facility=facility, path=root / name))
    return Samples(facilities=tuple(facilities), bundles=dict(bundles))
