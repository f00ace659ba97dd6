"""The policies of a node that stands alone: who is known does everything, and so does a guest, a kind of its own."""

import pytest

from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import HOLDINGS, decide
from health_exchange.wiring.locations import shipped
from health_exchange.wiring.policy_folder import SHIPPED, read_policies

ALONE = read_policies(shipped(SHIPPED[Tier.STANDALONE]))
COUNTRY = read_policies(shipped("policies"))
HIV = ResourceClass(
    type="Observation", sensitivity=Sensitivity.RESTRICTED, category=SensitiveCategory.HIV, jurisdiction="zz"
)


def about(action: Action) -> ResourceClass | None:
    return None if action in HOLDINGS else HIV


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("kind", [kind for kind in PrincipalKind if kind is not PrincipalKind.NODE])
def test_every_kind_of_caller_does_everything(kind: PrincipalKind, action: Action) -> None:
    who = Principal(kind=kind, id="somebody", address="zz")

    decided = decide(ALONE, who, action, about(action), purpose=Purpose.TREATMENT, consent="deny:*")

    assert decided.allowed
    assert ("guest-does-everything" in decided.policies) is (kind is PrincipalKind.GUEST)


@pytest.mark.parametrize("action", Action)
def test_other_nodes_and_kinds_that_nobody_knows_do_nothing(action: Action) -> None:
    for kind in (PrincipalKind.NODE, "stranger"):
        who = Principal(kind=kind, id="cn", tier="nation", address="cn")
        assert not decide(ALONE, who, action, about(action), purpose=Purpose.TREATMENT).allowed


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("purpose", Purpose)
def test_the_countrys_policies_grant_a_guest_nothing(action: Action, purpose: Purpose) -> None:
    who = Principal(kind=PrincipalKind.GUEST, id="guest", address="cn/33/3305/330521")

    assert not decide(COUNTRY, who, action, about(action), purpose=purpose, reasoned=True).allowed
