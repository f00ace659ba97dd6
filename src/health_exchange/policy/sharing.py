"""Who above the origin may open what: the decisions that group an envelope's sections.

Every tier on the way up is asked as a principal of its own; a tier that may not open a record still carries it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import PolicySet, decide

_CACHED = 16_384

_Above: TypeAlias = tuple[tuple[NodeAddress, str], ...]


def recipients_of(
    policies: PolicySet, resource_class: ResourceClass, consent: str, path_up: Sequence[NodeCard]
) -> frozenset[NodeAddress]:
    """Those of ``path_up`` that may open resources of a class, of a person with that consent class."""
    return _openers(policies, resource_class, consent, _above(path_up))


def locator_recipients(policies: PolicySet, path_up: Sequence[NodeCard], consent: str = "") -> frozenset[NodeAddress]:
    """Those of ``path_up`` that may learn that the origin holds something of a person."""
    return _locators(policies, consent, _above(path_up))


def _above(path_up: Sequence[NodeCard]) -> _Above:
    """What policy needs of each card."""
    return tuple((card.address, str(card.tier)) for card in path_up)


@lru_cache(maxsize=_CACHED)
def _openers(policies: PolicySet, resource_class: ResourceClass, consent: str, above: _Above) -> frozenset[NodeAddress]:
    return frozenset(
        address
        for address, tier in above
        if decide(
            policies, _node(address, tier), Action.OPEN, resource_class, purpose=Purpose.TREATMENT, consent=consent
        ).allowed
    )


@lru_cache(maxsize=_CACHED)
def _locators(policies: PolicySet, consent: str, above: _Above) -> frozenset[NodeAddress]:
    return frozenset(
        address
        for address, tier in above
        if decide(
            policies, _node(address, tier), Action.LOCATE, None, purpose=Purpose.TREATMENT, consent=consent
        ).allowed
    )


def _node(address: NodeAddress, tier: str) -> Principal:
    return Principal(kind=PrincipalKind.NODE, id=str(address), tier=tier, address=str(address))
