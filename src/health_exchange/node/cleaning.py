"""Cleaning in bulk: what leaves of each resource, or why it may not. Pure, and heavy enough to be done by a worker."""

from functools import cache, partial

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.node.workers import Carried
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.pseudonym.cleaners import HeldResourceError
from health_exchange.pseudonym.deidentify import deidentify, disposition_of
from health_exchange.pseudonym.rules.rows import Disposition
from health_exchange.store.bodies import SealedBody

HELD_FAULT = "rule-fault"


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that policy lets leave: its body as kept, its person and instant."""

    body: SealedBody
    subject: Pseudonym | None
    changed_at: str


class Parcels(Carried, frozen=True, kw_only=True):
    """What may leave.

    Attributes:
        parcels: The resources.
        source: The origin.
        key: The origin's key of exchange ids.
    """

    parcels: tuple[Parcel, ...]
    source: NodeAddress
    key: Secret


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves of it under which name, or in one word why it is held."""

    id: ExchangeId = ExchangeId("")
    body: bytes = b""
    held: str = ""


class AllCleaned(Carried, frozen=True, kw_only=True):
    """What leaves of each parcel, in their order."""

    cleaned: tuple[Cleaned, ...]


def clean_all(parcels: Parcels) -> AllCleaned:
    """What leaves of each.

    Raises:
        SealBrokenError: One does not open.
    """
    rewrite = cache(partial(exchange_id_of, parcels.key))

    def clean(parcel: Parcel) -> Cleaned:
        kept = parcel.body
        opened = kept.open()
        try:
            left = deidentify(
                opened,
                rewrite=rewrite,
                subject=parcel.subject,
                source=parcels.source,
                version=kept.version,
                changed_at=parcel.changed_at,
            )
        except HeldResourceError as reason:
            return Cleaned(held=reason.code)
        except Exception:  # noqa: BLE001  # a defect of a rule must neither leak the resource nor stop all others
            return Cleaned(held=HELD_FAULT)
        return Cleaned(id=rewrite(kept.type, kept.id) or ExchangeId(""), body=left.body)

    return AllCleaned(cleaned=tuple(clean(parcel) for parcel in parcels.parcels))


def exchange_id_of(key: Secret, resource_type: str, resource_id: str) -> ExchangeId | None:
    """The exchange id of a resource of this origin; ``None`` where the type never leaves."""
    if disposition_of(resource_type) is Disposition.ORIGIN_ONLY:
        return None
    return exchange_id(key, resource_type, resource_id)
