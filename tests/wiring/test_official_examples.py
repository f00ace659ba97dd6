"""The official examples of FHIR R4, at a node that stands alone: kept, and given back as they came."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.examples import examples
from tests.wiring.alone import alone

from health_exchange.fhir.validation import validate
from health_exchange.model.errors import ExchangeError

OURS = {"versionId", "lastUpdated"}
"""What a server says of a version, whatever was sent."""
INVALID: dict[str, str] = {}
"""Examples that are not FHIR R4, and what is wrong with them."""

pytestmark = pytest.mark.enable_socket


def exact(raw: bytes) -> tuple[Any, Any]:
    """Every value as it is written: numbers by their characters, members in their order; then what is left of meta."""
    read = json.loads(raw, parse_float=Characters, parse_int=Characters, object_pairs_hook=list)
    meta = [pair for name, value in read if name == "meta" for pair in value if pair[0] not in OURS]
    return [(name, value) for name, value in read if name not in {"id", "meta"}], meta


class Characters(str):
    """A number as it is written; no string."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Characters) and str.__eq__(self, other)

    __hash__ = str.__hash__


def test_numbers_are_compared_by_their_characters() -> None:
    assert exact(b'{"a":1.50}') == exact(b'{ "a" : 1.50 }')
    assert exact(b'{"a":1.50}') != exact(b'{"a":1.5}')
    assert exact(b'{"a":1}') != exact(b'{"a":"1"}')
    assert exact(b'{"a":1,"b":2}') != exact(b'{"b":2,"a":1}')


async def test_every_official_example_is_kept_and_comes_back_with_every_value(tmp_path: Path) -> None:
    found = examples()
    assert len(found) == 438
    refused: dict[str, str] = {}
    changed: list[str] = []
    async with alone(tmp_path, is_open=True) as node:
        for name, raw in found.items():
            try:
                view = validate(raw)
            except ExchangeError as error:
                refused[name] = f"{error.where}: {error.detail}"
                continue
            path = f"/fhir/{view.type}/{view.id}" if view.id else f"/fhir/{view.type}"
            put = await node.send("PUT" if view.id else "POST", path, raw=raw)
            if put.status_code != 201:
                refused[name] = f"{put.status_code} {put.text}"
                continue
            place = put.headers["Location"].split("/_history")[0].removeprefix(str(node.http.base_url))
            got = await node.send("GET", place)
            if exact(got.content) != exact(raw):
                changed.append(name)

    assert changed == []
    assert refused == INVALID
