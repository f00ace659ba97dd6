"""The table of powers is complete and keeps the promises it alone can keep."""

from health_exchange.model.powers import POWERS, Power, Tier


def test_every_tier_has_its_row() -> None:
    assert set(POWERS) == set(Tier)


def test_no_tier_both_sees_national_ids_and_aggregates() -> None:
    assert not [tier for tier, powers in POWERS.items() if powers >= {Power.SEES_NATIONAL_IDS, Power.AGGREGATES}]


def test_no_tier_of_a_tree_both_sees_national_ids_and_keeps_a_share_of_the_key_that_hides_them() -> None:
    both = [tier for tier, powers in POWERS.items() if powers >= {Power.SEES_NATIONAL_IDS, Power.KEEPS_KEY_SHARE}]

    assert both == [Tier.STANDALONE]


def test_who_stands_alone_has_no_power_over_others_and_asks_nobody() -> None:
    others = {Power.RELAYS, Power.LOOKS_UP, Power.LOCATES, Power.AGGREGATES, Power.COSIGNS}

    assert not POWERS[Tier.STANDALONE] & others
