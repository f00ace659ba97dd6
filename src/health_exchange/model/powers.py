"""What a node may do: one table, named by the tier it declares.

Code asks for the power, never the tier; wiring withholds the means where the power is missing. No tier both sees
national IDs and aggregates: a provincial or national hospital joins through an attached admitting node. No tier of a
tree both sees national IDs and keeps a share of the key that hides them; who stands alone has nobody to hide them from.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Tier(StrEnum):
    """Administrative rank a node declares. It is not its depth: a county may report straight to its province."""

    NATION = "nation"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    ATTACHED = "attached"  # admits the hospitals of the province or nation it is attached to
    STANDALONE = "standalone"  # a network of its own: nobody above, below or beside it


class Power(StrEnum):
    """One thing a node may do."""

    ADMITS_FACILITIES = "admits-facilities"  # takes records from hospitals, and so originates streams
    SEES_NATIONAL_IDS = "sees-national-ids"  # handles identities in memory
    RELAYS = "relays"  # takes envelopes from below and carries them up
    LOOKS_UP = "looks-up"  # asks the whole country for a person's records
    LOCATES = "locates"  # may be granted locators: which node holds something of a person
    AGGREGATES = "aggregates"  # builds the unified view
    KEEPS_KEY_SHARE = "keeps-key-share"  # may hold a share of the pseudonym key
    COSIGNS = "cosigns"  # witnesses other nodes' logs
    TAKES_ANYTHING = "takes-anything"  # any resource of R4: others' AuditEvents too, and references that lead nowhere


_ADMITTING = frozenset({Power.ADMITS_FACILITIES, Power.SEES_NATIONAL_IDS, Power.LOOKS_UP, Power.COSIGNS})

POWERS: Mapping[Tier, frozenset[Power]] = MappingProxyType(
    {
        Tier.NATION: frozenset({Power.RELAYS, Power.LOCATES, Power.AGGREGATES, Power.KEEPS_KEY_SHARE, Power.COSIGNS}),
        Tier.PROVINCE: frozenset({Power.RELAYS, Power.AGGREGATES, Power.KEEPS_KEY_SHARE, Power.COSIGNS}),
        Tier.CITY: frozenset({Power.RELAYS, Power.LOCATES, Power.COSIGNS}),
        Tier.COUNTY: _ADMITTING,
        Tier.ATTACHED: _ADMITTING,
        Tier.STANDALONE: frozenset(
            {Power.ADMITS_FACILITIES, Power.SEES_NATIONAL_IDS, Power.KEEPS_KEY_SHARE, Power.TAKES_ANYTHING}
        ),
    }
)
