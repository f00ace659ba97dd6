"""The policies a node goes by: those its settings name, or those that ship for its tier."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from health_exchange.model.powers import Tier
from health_exchange.policy.engine import BadPolicyError, PolicySet
from health_exchange.wiring.locations import shipped
from health_exchange.wiring.settings import Settings

SCHEMA = "schema.cedarschema"
SHIPPED: Mapping[Tier, str] = MappingProxyType(
    dict.fromkeys(Tier, "policies") | {Tier.STANDALONE: "policies/standalone"}
)
"""The policies that ship for a node of each tier."""


def policy_folder(settings: Settings, tier: Tier) -> Path:
    """Where the policies of a node of ``tier`` lie."""
    return Path(settings.policies) if settings.policies else shipped(SHIPPED[tier])


def read_policies(folder: Path) -> PolicySet:
    """The base policy set in ``folder``: every ``*.cedar`` file, and the schema there or in the folder above.

    Raises:
        BadPolicyError: There are none, or they do not fit each other; the node must not start.
    """
    schema = next((path for path in (folder / SCHEMA, folder.parent / SCHEMA) if path.is_file()), None)
    if schema is None:
        raise BadPolicyError(f"{folder} holds no policies: it has no {SCHEMA}")
    texts = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.cedar"))}
    return PolicySet.load(texts, schema.read_text("utf-8"))
