"""KeyStore: the operations on clients' keys, and on secrets that servers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import StoredKey


class KeyStore(Protocol):
    """Keys of clients, and secrets shared by all servers on the store."""

    async def secret(self, name: str, proposal: bytes) -> bytes:
        """Return the secret that all servers on this store share under a name: the first proposal is stored, and wins."""
        ...

    async def put(self, key: StoredKey) -> None:
        """Insert a key, or replace the one with its id. Raises StoreConflict if another key has the digest."""
        ...

    async def find(self, digest: bytes) -> StoredKey | None:
        """Return the key with a digest, or None."""
        ...

    async def list(self) -> Sequence[StoredKey]:
        """Return all keys, oldest first; of the same age by id."""
        ...
