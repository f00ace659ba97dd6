"""Who stands at the door, once authenticated: what every use case is told beside the request itself."""

from dataclasses import dataclass

from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.policy.decisions import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One authenticated caller and its request.

    Attributes:
        principal: Who, of what kind and organisation, as policy sees it.
        purpose: Why.
        request_id: Names the request across hops and in audit entries.
    """

    principal: Principal
    purpose: Purpose
    request_id: RequestId

    @property
    def holder(self) -> str:
        """Whose a link to a page is: the same principal's for the same purpose."""
        return f"{self.principal.kind}|{self.principal.id}|{self.purpose}"
