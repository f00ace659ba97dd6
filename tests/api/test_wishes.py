"""What a client wishes of its answer is granted, also where a worker dies on it."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from starlette.requests import Request
from starlette.responses import Response

from health_exchange.api.bodies import FHIR_JSON
from health_exchange.api.wishes import Wishes
from health_exchange.model.errors import UnavailableError

T = TypeVar("T")
BODY = b'{"resourceType":"Patient","id":"p1"}'


class Dying:
    """Workers of which each dies of what it is given."""

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:  # noqa: ARG002  # none is done
        raise UnavailableError("a worker died", retry_after_s=1)


def asked_by(method: str) -> Request:
    return Request(
        {
            "type": "http",
            "method": method,
            "path": "/fhir/Patient/p1",
            "path_params": {"type": "Patient", "id": "p1"},
            "query_string": b"_pretty=true",
            "headers": [],
        }
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_was_written_has_not_failed_with_the_worker_that_lays_out_its_answer(method: str) -> None:
    request = asked_by(method)

    answer = await Wishes.of(request).granted(request, Response(BODY, media_type=FHIR_JSON), Dying())

    assert bytes(answer.body) == BODY
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_read_whose_worker_dies_may_be_sent_again() -> None:
    request = asked_by("GET")

    with pytest.raises(UnavailableError):
        await Wishes.of(request).granted(request, Response(BODY, media_type=FHIR_JSON), Dying())
