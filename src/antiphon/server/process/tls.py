"""TLS of the server itself: its certificate, and renewed ones while it runs."""

from __future__ import annotations

import logging
import ssl

from antiphon.config import Config
from antiphon.errors import ConfigError
from antiphon.net.tls import load_pair

log = logging.getLogger("antiphon.server.process")


class ServerTls:
    """The context of all connections. Raises ConfigError for a certificate that cannot be used."""

    def __init__(self, cert: str, key: str) -> None:
        self._files = (cert, key)
        self.context = _context()
        self._load(self.context)

    def _load(self, context: ssl.SSLContext) -> None:
        load_pair(context, *self._files, "tls_cert", "tls_key")

    def renew(self) -> None:
        """Read the files again, for connections to come; where they cannot be used, the certificate stays as it is."""
        try:
            self._load(_context())  # a key that does not fit would leave a context half changed
            self._load(self.context)
        except ConfigError as error:
            log.error("TLS: certificate not reloaded: %s", error)
        else:
            log.info("TLS: certificate reloaded")


def server_tls(config: Config) -> ServerTls | None:
    """Return the TLS of the settings, None where the server speaks plain HTTP. Raises ConfigError."""
    return ServerTls(config.tls_cert, config.tls_key) if config.tls_cert else None


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    return context
