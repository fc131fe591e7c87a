"""Eras: which MCP servers do without a handshake."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

MOST_REMEMBERED = 1024
"""Servers of which it is remembered whether they want a handshake."""


class Eras:
    """Which servers do without a handshake: a fact about an address, which only its own answers can change."""

    def __init__(self) -> None:
        self._modern: OrderedDict[bytes, bool] = OrderedDict()

    def get(self, address: str) -> bool | None:
        """Tell whether a server wants no handshake; None where that is not known."""
        return self._modern.get(_digest(address))

    def learn(self, address: str, modern: bool) -> None:
        """Remember what a server turned out to be."""
        key = _digest(address)
        self._modern[key] = modern
        self._modern.move_to_end(key)
        if len(self._modern) > MOST_REMEMBERED:
            self._modern.popitem(last=False)

    def forget(self, address: str) -> None:
        """Ask a server anew at its next connection: something went wrong."""
        self._modern.pop(_digest(address), None)


def _digest(address: str) -> bytes:
    return hashlib.blake2b(address.encode(errors="replace"), digest_size=16).digest()  # a URL may hold a secret
