"""The nation's side of new shares: has the holders renew them, then publishes the directory that names them."""

import os
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import SystemClock
from health_exchange.model.directory import FormerKeyCard, KeyCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.membership import Membership
from health_exchange.node.refreshing import refresh_shares
from health_exchange.peers.https import HttpsTransport, client_context
from health_exchange.protocol.directories import SignedDirectory, make_directory
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.wiring.directory_files import directory_lock, publish_directory
from health_exchange.wiring.enrolment import master_directory, nation_signing
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.settings import Settings

HOLDER_TIMEOUT_S = 30.0


class StillOverlappingError(ExchangeError):
    """The shares before are still in use."""

    category = Category.CONFLICT
    code = "still-overlapping"


async def rotate_shares(settings: Settings, *, overlap: timedelta) -> SignedDirectory:
    """Have all holders renew their shares; the directory that names the new ones, which is published.

    Args:
        settings: The nation's.
        overlap: How long everybody goes on asking by the shares there are, so that all learn of the new ones first.

    Raises:
        NotTheNationError: These settings are not the nation's.
        StillOverlappingError: The new shares of last time are not in use yet.
        UnavailableError: A holder takes no part; everything goes on as before.
    """
    signing, clock = nation_signing(settings), SystemClock()
    # Nobody makes another directory meanwhile: it would have the same number.
    with directory_lock(settings):
        known = master_directory(settings)
        former = known.directory.former_key
        if former is not None and former.until > clock.now():
            raise StillOverlappingError(f"the shares of last time are in use from {former.until:%Y-%m-%d %H:%M:%S} UTC")
        card = await _renewed(settings, known)
        directory = replace(
            known.directory,
            key=card,
            former_key=FormerKeyCard(card=known.directory.key, until=clock.now() + overlap),
            serial=known.serial + 1,
        )
        signed = make_directory(directory, signing)
        publish_directory(settings, signed)
    return signed


async def _renewed(settings: Settings, known: SignedDirectory) -> KeyCard:
    """The card of new shares, asked for as the nation."""
    clock, address = SystemClock(), NodeAddress.parse(settings.address)
    membership = Membership(
        address=address,
        nation=VerifyingKeys.from_bytes(settings.nation_key),
        signed=known,
        keys=KeyFile(settings.keys).now(),
        clock=clock,
    )
    transport = HttpsTransport(
        address=address,
        url_of=lambda peer: known.directory.nodes[peer].exchange_url,
        seed=lambda: membership.keys.log_seed,
        clock=clock,
        randomness=os.urandom,
        context=_context(settings),
    )

    async def send(holder: NodeAddress, path: str, body: bytes) -> PeerAnswer:
        return await transport.send(holder, "POST", path, body, timeout_s=HOLDER_TIMEOUT_S)

    try:
        return await refresh_shares(known.directory.key, os.urandom(16).hex(), send)
    finally:
        await transport.close()


def _context(settings: Settings) -> ssl.SSLContext:
    return client_context(
        authority=Path(settings.authority),
        certificate=Path(settings.certificate),
        key=Path(settings.certificate_key),
    )
