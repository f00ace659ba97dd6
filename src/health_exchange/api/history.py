"""Histories at the FHIR door: of a resource, of a type, of the whole node.

Source: FHIR R4, section 3.1.0.12 "history".
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from health_exchange.api.bodies import FHIR_JSON
from health_exchange.api.wishes import Wishes
from health_exchange.node.callers import Caller
from health_exchange.node.histories import Histories


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The endpoints; a path that names no type, or no id, asks for more."""

    histories: Histories

    async def history(self, request: Request, caller: Caller) -> Response:
        """``[Type/[id/]]_history``."""
        named = request.path_params
        bundle = await self.histories.history(named.get("type"), named.get("id"), Wishes.of(request).pairs, caller)
        return Response(bundle, media_type=FHIR_JSON)
