"""Ids of requests."""

from uuid import RFC_4122, UUID

from health_exchange.telemetry.trace import IDS_AT_ONCE, is_request_id, new_request_id


def test_new_request_ids_are_random_uuids() -> None:
    drawn = [new_request_id() for _ in range(3 * IDS_AT_ONCE)]

    assert len(set(drawn)) == len(drawn)
    assert all(str(UUID(each)) == each and UUID(each).version == 4 for each in drawn)
    assert {UUID(each).variant for each in drawn} == {RFC_4122}
    assert is_request_id(drawn[0])
