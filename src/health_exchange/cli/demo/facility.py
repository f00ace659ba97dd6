"""A hospital's side of the FHIR door: Bundles, each sent until it is acknowledged."""

import asyncio
import time

import httpx

from health_exchange.cli.client import RegisteredClient
from health_exchange.model.errors import UnavailableError

RETRY_EVERY_S = 0.25
GIVE_UP_AFTER_S = 120.0
RETRYABLE = frozenset({429, 502, 503, 504})


class FacilityClient(RegisteredClient):
    """A hospital's client of one node."""

    async def submit(self, bundle: bytes, *, request_id: str) -> httpx.Response:
        """Send one Bundle until the node has answered it for good.

        A node that is away or busy is asked again with the same bytes and the same request id, which is what makes a
        repeated request one request. So is one that takes the token no longer, after its clock or its keys have moved:
        it is shown a new one.

        Raises:
            UnavailableError: No final answer within ``GIVE_UP_AFTER_S``.
        """
        deadline = time.monotonic() + GIVE_UP_AFTER_S
        while time.monotonic() < deadline:
            try:
                answer = await self.http.post(
                    f"{self.base_url}/fhir",
                    content=bundle,
                    headers={
                        "Authorization": f"Bearer {await self.token()}",
                        "Content-Type": "application/fhir+json",
                        "X-Request-Id": request_id,
                    },
                )
            except httpx.HTTPError:
                # Away, or too busy for a token: the node, or the way to it, will be back.
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self.forget_token()
            elif answer.status_code not in RETRYABLE:
                return answer
            await asyncio.sleep(RETRY_EVERY_S)
        raise UnavailableError(f"{self.base_url} gave no final answer within {GIVE_UP_AFTER_S:g} s")
