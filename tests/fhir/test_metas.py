"""Profiles, tags and labels as sets: what nobody names stays."""

import json
from typing import Any

import pytest

from health_exchange.fhir.metas import BadMetaError, meta_in, with_meta

A1 = {"system": "urn:x", "code": "a", "version": "1"}
A2 = A1 | {"version": "2"}
B = {"system": "urn:x", "code": "b"}
CODE_ONLY = {"code": "a"}
KEPT: list[dict[str, Any]] = [{"display": "first"}, A1, {"display": "second"}, A2, CODE_ONLY, B]
BODY = json.dumps({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": KEPT, "security": KEPT}}).encode()


def changed(*named: dict[str, Any], deletes: bool) -> dict[str, Any]:
    asked = meta_in(asking(*named))
    meta: dict[str, Any] = json.loads(with_meta(BODY, asked, deletes=deletes))["meta"]
    return meta


def asking(*named: dict[str, Any]) -> bytes:
    parameter = {"name": "meta", "valueMeta": {"tag": named}}
    return json.dumps({"resourceType": "Parameters", "parameter": [parameter]}).encode()


def test_what_is_added_stands_behind_all_that_was_there() -> None:
    new = B | {"code": "c"}

    assert changed(new, A1, new, deletes=False) == {"tag": [*KEPT, new], "security": KEPT}


def test_what_is_deleted_goes_in_all_its_versions_and_nothing_else_does() -> None:
    left = [each for each in KEPT if each not in (A1, A2)]

    assert changed(A2, deletes=True) == {"tag": left, "security": KEPT}


@pytest.mark.parametrize("coding", [{"display": "first"}, CODE_ONLY, {"system": "urn:x"}])
def test_a_change_that_does_not_say_which_tag_is_refused(coding: dict[str, Any]) -> None:
    with pytest.raises(BadMetaError, match="system and code"):
        meta_in(asking(B, coding))
