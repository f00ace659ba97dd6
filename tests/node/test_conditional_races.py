"""Two writers who saw the same: whoever comes second prepares again, whatever its condition was."""

from pathlib import Path

import pytest
from tests.federation.network import HOSPITAL, Network

from health_exchange.fhir.validation import validate
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.conditions import Finder
from health_exchange.node.looking import sieve_of
from health_exchange.node.patches import patched
from health_exchange.node.preparing import Preparation
from health_exchange.node.snapshots import StaleReadError, look_up
from health_exchange.node.writes import Target, WriteRequest, make_request
from health_exchange.store import resources

COUNTY = "cn/33/3305/330521"
CALLER = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("race"))
QUERY = "identifier=urn:x|A"
KEPT = b'{"resourceType":"Practitioner","id":"kept","identifier":[{"system":"urn:x","value":"A"}]}'
NEW = KEPT.replace(b'"id":"kept",', b"")
BY_QUERY = Target(type="Practitioner", condition=QUERY)


def create(raw: bytes = NEW) -> WriteRequest:
    target = Target(type="Practitioner")
    return make_request(method="POST", target=target, view=validate(raw), if_none_exist=QUERY)


def update() -> WriteRequest:
    return make_request(method="PUT", target=BY_QUERY, view=validate(NEW))


def delete() -> WriteRequest:
    return make_request(method="DELETE", target=BY_QUERY, view=None)


def put() -> WriteRequest:
    return make_request(method="PUT", target=Target(type="Practitioner", id="kept"), view=validate(KEPT))


def plain() -> WriteRequest:
    return make_request(method="POST", target=Target(type="Practitioner"), view=validate(NEW))


def patch() -> WriteRequest:
    operations = b'[{"op":"add","path":"/gender","value":"male"}]'
    return patched(make_request(method="PATCH", target=BY_QUERY, view=None, patch=operations), KEPT, 1)


@pytest.mark.parametrize(
    ("there", "first", "second"),
    [
        (False, create, create),
        (False, create, update),
        (False, update, create),
        (False, update, update),
        (False, plain, create),
        (False, plain, delete),
        (True, put, update),
        (True, put, delete),
        (True, put, patch),
        (True, delete, update),
        (True, delete, delete),
        (True, delete, create),
        (True, update, patch),
        (True, patch, patch),
        (True, plain, update),
        (True, plain, delete),
        (True, plain, patch),
    ],
)
async def test_the_second_of_two_who_saw_the_same_writes_nothing(
    tmp_path: Path,
    there: bool,  # noqa: FBT001  # a column of a table
    first: object,
    second: object,
) -> None:
    node = Network(tmp_path)[COUNTY]
    parts = node.parts
    assert node.pseudonyms is not None
    assert callable(first)
    assert callable(second)
    if there:
        assert node.admission is not None
        await node.admission.admit([put()], CALLER)
    ours, theirs = [await Preparation.of(parts, node.pseudonyms, [each()], CALLER) for each in (first, second)]
    await parts.store.write(ours.write)
    before = await parts.store.read(lambda tx: resources.versions(tx, "Practitioner", "kept"))
    with pytest.raises(StaleReadError):
        await parts.store.write(theirs.write)

    assert await parts.store.read(lambda tx: resources.versions(tx, "Practitioner", "kept")) == before


async def test_a_patch_that_was_made_for_an_earlier_version_is_prepared_again(tmp_path: Path) -> None:
    node = Network(tmp_path)[COUNTY]
    assert node.admission is not None
    assert node.pseudonyms is not None
    await node.admission.admit([put()], CALLER)
    made = patch()
    await node.admission.admit(
        [update()], Caller(principal=HOSPITAL, purpose=CALLER.purpose, request_id=RequestId("2"))
    )
    with pytest.raises(StaleReadError):
        await Preparation.of(node.parts, node.pseudonyms, [made], CALLER)


async def test_a_look_up_that_is_tried_again_is_of_the_state_that_it_sees_then(tmp_path: Path) -> None:
    node = Network(tmp_path)[COUNTY]
    assert node.admission is not None
    parts, finder = node.parts, Finder(sieve_of(node.parts, CALLER))
    found = []
    for _time in range(2):
        planned, snapshot, _rewriting = await parts.store.read(
            lambda tx: look_up(tx, [create()], parts.randomness, finder, base="http://x/fhir", loose=False)
        )
        found.append((planned[0].is_found, len(snapshot.standing)))
        await node.admission.admit([put()], CALLER)

    assert found == [(False, 0), (True, 1)]
