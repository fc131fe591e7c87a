"""Listening sockets: bound before the server runs, told to the log."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.server.process")


def listen(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Return bound sockets, one for each address of `host`. Raises ConfigError.

    With `shared`, other processes may bind the same port (SO_REUSEPORT): the kernel deals connections out.
    """
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"The address {host!r} can't be resolved: {error.strerror}.") from None
    sockets: list[socket.socket] = []
    for family, kind, proto, _, address in dict.fromkeys(addresses):
        number = port or (sockets[0].getsockname()[1] if sockets else 0)
        sockets.append(_bind(family, kind, proto, (address[0], number, *address[2:]), shared))
    return sockets


def _bind(family: int, kind: int, proto: int, address: tuple[object, ...], shared: bool) -> socket.socket:
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ConfigError(f"Can't listen on {address[0]} port {address[1]}: {error.strerror}.") from None
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def announce(sockets: Sequence[socket.socket]) -> None:
    """Log where the server listens."""
    for sock in sockets:
        host, port = sock.getsockname()[:2]
        log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
