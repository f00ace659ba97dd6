"""The table of powers is complete and keeps the one promise it alone can keep."""

from health_exchange.model.powers import POWERS, Power, Tier


def test_every_tier_has_its_row() -> None:
    assert set(POWERS) == set(Tier)


def test_no_tier_both_sees_national_ids_and_aggregates() -> None:
    assert not [tier for tier, powers in POWERS.items() if powers >= {Power.SEES_NATIONAL_IDS, Power.AGGREGATES}]
