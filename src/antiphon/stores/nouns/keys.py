"""KeyStore: the operations on clients' keys, and on secrets that servers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from antiphon.stores.records import KeyQuery, StoredKey


class KeyStore(Protocol):
    """Keys of clients, and secrets shared by all servers on the store."""

    async def secret(self, name: str, proposal: bytes) -> bytes:
        """Return the secret that all servers on this store share under a name: the first proposal is stored, and wins."""
        ...

    async def put(self, key: StoredKey) -> None:
        """Insert a key, or replace the one with its id. Raises StoreConflict if another key has the digest."""
        ...

    async def get(self, id: str) -> StoredKey | None:
        """Return the key with an id, or None."""
        ...

    async def find(self, digest: bytes) -> StoredKey | None:
        """Return the key with a digest, or None."""
        ...

    async def list(self) -> Sequence[StoredKey]:
        """Return all keys, oldest first; of the same age by id."""
        ...

    async def page(self, query: KeyQuery) -> Sequence[StoredKey] | None:
        """Return keys, the newest first; None if `after` is unknown."""
        ...

    async def count(self, most: int) -> int:
        """Return how many keys there are; more than `most` are not counted."""
        ...

    async def change(self, id: str, before: bytes, body: bytes) -> bool:
        """Replace the body of a key where it still is the one before; tell whether it was."""
        ...

    async def used(self, times: Mapping[str, float]) -> None:
        """Note when keys were last used, by id; an earlier time than the known one changes nothing."""
        ...
