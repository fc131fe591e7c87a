"""Listening sockets: bound before the server runs, or handed over by who started it; logged, and removed at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
from collections.abc import MutableMapping, Sequence
from ipaddress import ip_address
from pathlib import Path

import msgspec

from antiphon.config import Config
from antiphon.config.rules import is_locked, open_to_others
from antiphon.errors import ConfigError
from antiphon.net.http.address import UNIX

log = logging.getLogger("antiphon.server.process")

FIRST_HANDED_OVER = 3
"""The file descriptor of the first socket that systemd hands over (sd_listen_fds)."""

PROBE_SECONDS = 1.0


class Listeners(msgspec.Struct, frozen=True):
    """Sockets that one server listens on. `alone`: other processes cannot bind the same address, but share the sockets.

    `file` is the unix socket that was made for them, and which one it is.
    """

    sockets: Sequence[socket.socket]
    alone: bool = False
    file: tuple[Path, tuple[int, int]] | None = None

    def remove(self) -> None:
        """Delete the unix socket's file, unless another server has put its own there."""
        if self.file is not None:
            path, made = self.file
            with contextlib.suppress(OSError):
                if _identity(path) == made:
                    path.unlink()

    def announce(self, *, tls: bool = False) -> None:
        """Log where the server listens."""
        for sock in self.sockets:
            log.info("listening on %s", address_of(sock, tls=tls))


def open_listeners(config: Config, environ: MutableMapping[str, str]) -> Listeners:
    """Return the sockets that were handed over, else those of `host` and `port`. Raises ConfigError."""
    given = handed_over(environ)
    if given:
        for sock in given:
            if not is_locked(config) and not _stays_here(sock):
                raise open_to_others(f"the socket {address_of(sock)} that was handed over")
        return Listeners(given, alone=True)
    if config.host.startswith(UNIX):
        return listen_unix(config.host.removeprefix(UNIX), int(config.socket_mode, 8))
    return Listeners(listen(config.host, config.port))


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


# Unix sockets


def listen_unix(name: str, mode: int) -> Listeners:
    """Return a unix socket whose file has these permissions from the beginning. Raises ConfigError.

    A file that a server before has left there is removed: a socket on which nobody listens, and nothing else.
    """
    path = Path(name)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        _remove_stale(path)
        sock.bind(str(path))
        path.chmod(mode)
        made = _identity(path)
    except OSError as error:
        sock.close()
        raise ConfigError(f"Can't listen on the unix socket {path}: {error.strerror or error}.") from None
    except ConfigError:
        sock.close()
        raise
    finally:
        os.umask(before)
    sock.setblocking(False)
    sock.set_inheritable(True)
    return Listeners([sock], alone=True, file=(path, made))


def _remove_stale(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigError(f"Can't listen on the unix socket {path}: there is a file of another kind.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass
    raise ConfigError(f"Can't listen on the unix socket {path}: another process listens there.")


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


# Sockets of who started us


def handed_over(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets that a supervisor such as systemd has opened for this process, and take the variables out.

    Raises ConfigError for what is no listening stream socket (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS).
    """
    ours = environ.get("LISTEN_PID") == str(os.getpid())
    count = environ.get("LISTEN_FDS", "")
    if not ours or not count.isdecimal():
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    return [_adopted(number) for number in range(FIRST_HANDED_OVER, FIRST_HANDED_OVER + int(count))]


def _adopted(number: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=number)
        good = sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(f"LISTEN_FDS: descriptor {number} cannot be used: {error.strerror}.") from None
    if not good:
        sock.detach()
        raise ConfigError(f"LISTEN_FDS: descriptor {number} is no listening stream socket (Accept=no is needed).")
    sock.setblocking(False)
    return sock


def _stays_here(sock: socket.socket) -> bool:
    """Tell whether only this machine reaches a socket."""
    if sock.family == socket.AF_UNIX:
        return True
    try:
        return ip_address(sock.getsockname()[0]).is_loopback
    except (ValueError, TypeError, IndexError):
        return False


def address_of(sock: socket.socket, *, tls: bool = False) -> str:
    """Return where a socket is, as a URL or `unix:/path`."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{os.fsdecode(name)}"
    host, port = name[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
