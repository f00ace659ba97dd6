"""The sender fills envelopes within their bounds, and nothing is left behind or sent in an older version."""

from pathlib import Path

from tests.federation.network import Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.node.parts import Limits
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.store import streams

COUNTY = "cn/33/3305/330521"


async def test_an_envelope_ends_where_its_bytes_do_and_everything_travels_in_its_last_version(tmp_path: Path) -> None:
    network = Network(tmp_path, limits=Limits(envelope_bytes=2_000))
    results = [observation(f"o{number}", "p1") for number in range(12)]
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), *results), "r1")
    # Changed before anything left: what the first envelope passes over is in a later one.
    await network.admit(COUNTY, transaction(*[observation(f"o{number}", "p1", "2.50") for number in (0, 11)]), "r2")
    await network.settle()

    county = network[COUNTY].parts
    kept = network.kept("cn")
    assert set(kept) == network.granted("cn")
    assert len(kept) == 13
    for number in range(12):
        _origin, version, _person, body = kept[
            "Observation", exchange_id(county.keys.exchange_ids, "Observation", f"o{number}")
        ]
        assert (version, b'"value":2.50' in body) == ((2, True) if number in {0, 11} else (1, False))
    head = county.store.read_now(lambda tx: streams.head(tx, county.stream))
    assert head is not None
    assert head.sequence > 3
