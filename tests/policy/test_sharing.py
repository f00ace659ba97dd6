"""Who above the origin opens what."""

from pathlib import Path

import pytest

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.powers import Power, Tier
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.engine import PolicySet
from health_exchange.policy.sharing import locator_recipients, recipients_of

FOLDER = Path(__file__).parents[2] / "policies"
POLICIES = PolicySet.load(
    {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.cedar"))},
    (FOLDER / "schema.cedarschema").read_text("utf-8"),
)


def _card(address: str, tier: Tier) -> NodeCard:
    return NodeCard(
        address=NodeAddress.parse(address),
        tier=tier,
        name=address,
        verifying_key=b"",
        box_key=b"",
        log_key=b"",
        exchange_url="",
        fhir_url="",
    )


CITY, PROVINCE, NATION = _card("cn/33/3305", Tier.CITY), _card("cn/33", Tier.PROVINCE), _card("cn", Tier.NATION)
PATH_UP = (CITY, PROVINCE, NATION)


def _record(level: int, category: SensitiveCategory = SensitiveCategory.GENERAL) -> ResourceClass:
    return ResourceClass(
        type="Condition", sensitivity=Sensitivity(level), category=category, jurisdiction="cn/33/3305/330521"
    )


def _addresses(*cards: NodeCard) -> frozenset[NodeAddress]:
    return frozenset(card.address for card in cards)


@pytest.mark.parametrize(
    ("level", "openers"),
    [
        (1, (CITY, PROVINCE, NATION)),
        (2, (CITY, PROVINCE, NATION)),
        (3, (PROVINCE, NATION)),
        (4, ()),
        (5, ()),
    ],
)
def test_a_tier_opens_up_to_its_level(level: int, openers: tuple[NodeCard, ...]) -> None:
    assert recipients_of(POLICIES, _record(level), "", PATH_UP) == _addresses(*openers)


def test_nobody_opens_what_the_person_objects_to_sharing() -> None:
    for level in Sensitivity:
        assert recipients_of(POLICIES, _record(level), "deny:*", PATH_UP) == frozenset()


def test_an_objection_to_one_category_leaves_the_others() -> None:
    psychiatric = _record(2, SensitiveCategory.PSYCHIATRIC)

    assert recipients_of(POLICIES, psychiatric, "deny:PSY", PATH_UP) == frozenset()
    assert recipients_of(POLICIES, psychiatric, "deny:SEX", PATH_UP) == _addresses(CITY, PROVINCE, NATION)


def test_a_node_opens_nothing_from_outside_its_area() -> None:
    sichuan = _card("cn/51", Tier.PROVINCE)

    assert recipients_of(POLICIES, _record(1), "", (sichuan,)) == frozenset()


def test_those_who_may_be_granted_locators_get_them_unless_the_person_objects_to_all() -> None:
    assert locator_recipients(POLICIES, PATH_UP) == _addresses(CITY, NATION)
    assert locator_recipients(POLICIES, PATH_UP, "deny:PSY") == _addresses(CITY, NATION)
    assert locator_recipients(POLICIES, PATH_UP, "deny:*") == frozenset()


def test_policy_grants_locators_only_where_the_tier_has_the_power() -> None:
    for tier in Tier:
        granted = locator_recipients(POLICIES, (_card("cn", tier),))
        assert bool(granted) <= _card("cn", tier).may(Power.LOCATES)
