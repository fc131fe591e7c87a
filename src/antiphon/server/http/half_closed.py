"""A client that has closed its writing side: does it wait for its answer, or has it gone?

Both look alike: an EOF. Who has closed the whole socket answers data with a reset, which is seen as the socket's error. So a
byte is sent that the answer begins with anyway, now and from time to time (`DirectExchange.probe`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

LOOKS = (0.005, 0.02, 0.05, 0.1, 0.25)
"""Seconds between two looks at the socket's error; the last one is repeated."""

FIRST_PROBES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds after the EOF at which a byte is sent."""


class HalfClosed:
    """Watches a half-closed connection. `probe` sends a byte; `gone` is called when the client has closed it all."""

    def __init__(self, transport: asyncio.Transport, probe: Callable[[], None], gone: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = transport.get_extra_info("socket")
        self._transport = transport
        self._probe = probe
        self._gone = gone
        self._began = self._loop.time()
        self._looks = 0
        self._probes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def cancel(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._transport.is_closing():
            return
        if self._socket is not None and self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._gone()
            return
        waited = self._loop.time() - self._began
        if self._probes < len(FIRST_PROBES) and waited >= FIRST_PROBES[self._probes]:
            self._probes += 1
            self._probe()
        self._timer = self._loop.call_later(LOOKS[min(self._looks, len(LOOKS) - 1)], self._look)
        self._looks += 1
