"""Somebody carries off the database of one node, without its keys: none of ten thousand planted IDs is in it, no body.

Looked for are the numbers themselves, what anybody would derive from them without a key, and strings of the records.
"""

import hashlib
import re
from pathlib import Path

import pytest
from tests.federation.network import Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.pseudonym.identities import looks_like_national_id

COUNTY = "cn/33/3305/330521"
BATCH = 100
DIGESTED = 40
"""Of how many the digests are looked for: what is kept of one would be kept of all."""
_NUMBER = re.compile(rb"(?=([0-9]{17}[0-9Xx]))")


def planted(count: int) -> list[str]:
    """Different, checksum-valid IDs on a division code that was never assigned."""
    found: dict[str, None] = {}
    number = 0
    while len(found) < count:
        found[national_id(number)] = None
        number += 1
    return list(found)


def keyless_digests(identity: str) -> set[bytes]:
    """What anybody would try: usual hashes of the number, alone and as the exchange writes it."""
    texts = (identity, f"national-id|{identity}")
    return {getattr(hashlib, name)(text.encode()).digest() for text in texts for name in ("md5", "sha1", "sha256")}


async def plant(network: Network, identities: list[str]) -> None:
    """Have the county admit everybody, each with a name and a result."""
    for start in range(0, len(identities), BATCH):
        resources = []
        for offset, identity in enumerate(identities[start : start + BATCH]):
            local = f"p{start + offset}"
            resources.append(patient(local, identity=identity, version_note=f"planted-{start + offset}"))
            resources.append(observation(f"o{start + offset}", local))
        await network.admit(COUNTY, transaction(*resources), f"plant-{start}")
    await network.settle()


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_stolen_database_yields_no_planted_id_and_no_body(tmp_path: Path, count: int) -> None:
    network = Network(tmp_path)
    identities = planted(count)
    assert all(map(looks_like_national_id, identities))
    await plant(network, identities)
    assert len(network.kept("cn")) == 2 * count
    digests = {digest for identity in identities[:DIGESTED] for digest in keyless_digests(identity)}

    for address in network.nodes:
        raw = network.disk_of(address)
        assert len(raw) > 100_000
        assert {match.group(1).decode() for match in _NUMBER.finditer(raw)}.isdisjoint(identities), address
        assert not [digest for digest in digests if digest in raw or digest.hex().encode() in raw], address
        for told in ("测试", "planted-", "14771-0", "1970-03-04", "mmol/L", '"resourceType"'):
            assert told.encode() not in raw, (address, told)
