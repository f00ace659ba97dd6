"""The data center's door: everyone in numbers, one person in full; where a node aggregates, under policy and log."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from health_exchange.api.fhir_door import FhirDoor
from health_exchange.datacenter.person import person_view
from health_exchange.datacenter.population import population_view
from health_exchange.model.powers import Power
from health_exchange.node.callers import Caller
from health_exchange.node.statistics import Statistics

Endpoint = Callable[[Request, Caller], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatacenterDoor:
    """The first views of province and nation.

    Attributes:
        door: Authenticates, and turns failures into outcomes.
        statistics: Makes the views.
    """

    door: FhirDoor
    statistics: Statistics

    def routes(self) -> list[Route]:
        """What the server mounts; nothing where the node has no power to aggregate."""
        if not self.door.parts.card.may(Power.AGGREGATES):
            return []
        paths: list[tuple[str, Endpoint]] = [
            ("/datacenter/v1/population", self._population),
            ("/datacenter/v1/persons/{id}", self._person),
        ]
        return [Route(path, self.door.guarded(endpoint), methods=["GET"]) for path, endpoint in paths]

    async def _population(self, _request: Request, caller: Caller) -> Response:
        view = await self.statistics.population(caller, population_view)
        return JSONResponse(view.to_json())

    async def _person(self, request: Request, caller: Caller) -> Response:
        view = await self.statistics.person(request.path_params["id"], caller, person_view)
        return JSONResponse(view.to_json())
