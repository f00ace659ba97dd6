"""Cleaning in bulk: what leaves of each resource, or why it may not. Pure, and heavy enough to be done by a worker."""

from collections.abc import Sequence
from functools import cache, partial

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.pseudonym.cleaners import HeldResourceError
from health_exchange.pseudonym.deidentify import deidentify, disposition_of
from health_exchange.pseudonym.rules.rows import Disposition

HELD_FAULT = "rule-fault"


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that policy lets leave: type and id, body as kept, its person, version and instant."""

    type: str
    id: str
    body: bytes
    subject: Pseudonym | None
    version: int
    changed_at: str


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves of it under which name, or in one word why it is held."""

    id: ExchangeId = ExchangeId("")
    body: bytes = b""
    held: str = ""


def clean_all(parcels: Sequence[Parcel], source: NodeAddress, key: Secret) -> list[Cleaned]:
    """What leaves of each.

    Args:
        parcels: What may leave.
        source: The origin.
        key: The origin's key of exchange ids.
    """
    rewrite = cache(partial(exchange_id_of, key))

    def clean(parcel: Parcel) -> Cleaned:
        try:
            left = deidentify(
                parcel.body,
                rewrite=rewrite,
                subject=parcel.subject,
                source=source,
                version=parcel.version,
                changed_at=parcel.changed_at,
            )
        except HeldResourceError as reason:
            return Cleaned(held=reason.code)
        except Exception:  # noqa: BLE001  # a defect of a rule must neither leak the resource nor stop all others
            return Cleaned(held=HELD_FAULT)
        return Cleaned(id=rewrite(parcel.type, parcel.id) or ExchangeId(""), body=left.body)

    return [clean(parcel) for parcel in parcels]


def exchange_id_of(key: Secret, resource_type: str, resource_id: str) -> ExchangeId | None:
    """The exchange id of a resource of this origin; ``None`` where the type never leaves."""
    if disposition_of(resource_type) is Disposition.ORIGIN_ONLY:
        return None
    return exchange_id(key, resource_type, resource_id)
