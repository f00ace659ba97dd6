"""Keeping a running process at what files and database say now: keys, directory, certificate. Every process looks."""

import ssl
from pathlib import Path

from health_exchange.model.errors import ExchangeError
from health_exchange.node.directory_updates import follow_kept
from health_exchange.node.parts import NodeParts
from health_exchange.telemetry.events import log_event
from health_exchange.wiring.files import stamp_of
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.settings import Settings
from health_exchange.wiring.share_file import ShareFile

LOOK_EVERY_S = 1.0


class Currency:
    """What one process of a node looks at again and again.

    Args:
        settings: Name the files.
        parts: The node's.
        key_file: Its keys.
        share_file: Its shares of the pseudonym key, where it keeps any.
        context: What it shows as a TLS client, where it has peers; takes a new certificate for new connections.
    """

    def __init__(
        self,
        settings: Settings,
        parts: NodeParts,
        key_file: KeyFile,
        share_file: ShareFile | None,
        context: ssl.SSLContext | None,
    ) -> None:
        self._pair = (Path(settings.certificate), Path(settings.certificate_key))
        self._has_pair = bool(settings.certificate)
        self._parts = parts
        self._key_file = key_file
        self._share_file = share_file
        self._context = context
        self._seen = self._stamps()
        self._unfit = self._seen
        self._told = ""

    async def look(self) -> bool:
        """Take what has changed; whether the listeners have to take a new certificate. Tells of trouble once."""
        trouble = ""
        try:
            self._parts.membership.settle(self._key_file.now())
            await follow_kept(self._parts)
            self._settle_shares()
        except (ExchangeError, OSError) as error:
            trouble = error.detail if isinstance(error, ExchangeError) else error.strerror or type(error).__name__
            if trouble != self._told:
                code = error.code if isinstance(error, ExchangeError) else "file"
                log_event("not-current", node=str(self._parts.address), code=code, detail=trouble)
        self._told = trouble
        return self._takes_certificate()

    def _settle_shares(self) -> None:
        """Go by the shares in the file; those that nobody may ask for any more are destroyed."""
        if self._share_file is None:
            return
        membership = self._parts.membership
        oldest = membership.directory.keys_at(membership.clock.now())[-1]
        self._share_file.drop_before(oldest.epoch, oldest.share_version)
        membership.take_shares(self._share_file.now())

    def _takes_certificate(self) -> bool:
        """Take a new certificate once it and its key fit each other; they are replaced one after the other."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        certificate, key = self._pair
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
            if self._context is not None:
                self._context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError):
            if stamps != self._unfit:
                detail = f"{certificate} and its key do not fit each other; the former certificate is served on"
                log_event("not-current", node=str(self._parts.address), code="certificate", detail=detail)
            self._unfit = stamps
            return False
        self._seen = stamps
        log_event("certificate-taken", node=str(self._parts.address))
        return True

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(map(stamp_of, self._pair)) if self._has_pair else ()
