"""Whether a node can do its work, and what is missing: what load balancers and supervisors ask every few seconds."""

import msgspec

from health_exchange.model.errors import ExchangeError
from health_exchange.node.parts import NodeParts
from health_exchange.node.troubles import Trouble, state_of, troubles_of


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What is told.

    Attributes:
        status: ``ready``; ``degraded`` where something is missing that does not keep the node from its own work;
            ``not ready`` where something does.
        missing: What, what blocks first.
    """

    status: str
    missing: list[Trouble]

    @property
    def is_ready(self) -> bool:
        """Whether to send requests here."""
        return not any(trouble.blocks for trouble in self.missing)


async def readiness(parts: NodeParts) -> Readiness:
    """What the node says of itself. Never raises: a database that is away is one of the answers."""
    try:
        missing = troubles_of(await parts.store.read(lambda tx: state_of(tx, parts)))
        if refusal := parts.store.refusal:
            # It answers who reads, and takes nothing: a full disk, or a server that stands by.
            missing.insert(0, Trouble(code="database-takes-nothing", detail=refusal, blocks=True))
    except ExchangeError as error:
        missing = [Trouble(code="database", detail=error.detail, blocks=True)]
    blocks = any(trouble.blocks for trouble in missing)
    return Readiness(status="not ready" if blocks else "degraded" if missing else "ready", missing=missing)
