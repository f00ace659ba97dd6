"""What carries a node's requests to its peers: HTTPS, or for a node that stands alone its own door in this process."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from health_exchange.model.addresses import NodeAddress
from health_exchange.node.membership import Membership
from health_exchange.peers.https import HttpsTransport, client_context
from health_exchange.peers.in_process import Door, InProcessTransport
from health_exchange.wiring.settings import BadSettingsError, Settings


def transport_of(
    settings: Settings, membership: Membership, context: ssl.SSLContext | None, doors: Mapping[NodeAddress, Door]
) -> HttpsTransport | InProcessTransport:
    """What carries the node's requests: to whom and as whom the directory says just then.

    Args:
        settings: The node's.
        membership: The node's.
        context: What it shows to peers; ``None`` where it has none.
        doors: Its own exchange door, once there is one: what a node without peers asks.

    Raises:
        BadSettingsError: The directory names peers, and the settings no door for them.
    """
    if context is None:
        if len(membership.directory.nodes) > 1:
            raise BadSettingsError("exchange_port is missing: the directory names other nodes beside this one")
        return InProcessTransport(
            address=membership.address,
            seed=lambda: membership.keys.log_seed,
            clock=membership.clock,
            randomness=os.urandom,
            doors=doors,
        )
    return HttpsTransport(
        address=membership.address,
        url_of=lambda peer: settings.routes.get(str(peer)) or membership.directory.nodes[peer].exchange_url,
        seed=lambda: membership.keys.log_seed,
        clock=membership.clock,
        randomness=os.urandom,
        context=context,
    )


def peer_context(settings: Settings) -> ssl.SSLContext:
    """What the node shows and demands as a TLS client.

    Raises:
        BadSettingsError: Certificate and key do not fit each other, or a file cannot be read.
    """
    problem = ""
    try:
        return client_context(
            authority=Path(settings.authority),
            certificate=Path(settings.certificate),
            key=Path(settings.certificate_key),
        )
    except OSError as error:
        problem = error.strerror or str(error.args[-1])
    raise BadSettingsError(f"{settings.certificate} and {settings.certificate_key} cannot be used: {problem}")
