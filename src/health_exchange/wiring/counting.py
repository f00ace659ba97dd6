"""Looking into a node's folder from outside, once it is at rest: what its database holds, and its log opened."""

from dataclasses import dataclass
from pathlib import Path

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.verification import VerificationReport, verify_folder
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.store.holdings import Holdings, Place, holdings
from health_exchange.wiring.inspection import export_log, open_store, read_entries
from health_exchange.wiring.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One node's books.

    Attributes:
        address: Whose.
        holdings: What it holds.
        above: Its own resources as those above call them: exchange id's place by local place.
        entries: Its log, opened.
        log: Its log, exported and verified.
    """

    address: NodeAddress
    holdings: Holdings
    above: dict[Place, Place]
    entries: list[AuditEntry]
    log: VerificationReport


def account_of(settings: Settings) -> Account:
    """The books of the node that ``settings`` describe.

    Raises:
        ExchangeError: Its database does not answer.
    """
    keys = NodeKeys.from_json(Path(settings.keys).read_bytes())
    store = open_store(settings)
    try:
        found = store.read_now(holdings)
    finally:
        store.close()
    return Account(
        address=NodeAddress.parse(settings.address),
        holdings=found,
        above={(kind, name): (kind, exchange_id(keys.exchange_ids, kind, name)) for kind, name in found.current},
        entries=[decode_entry(raw) for raw in read_entries(settings)],
        log=verify_folder(export_log(settings)),
    )
