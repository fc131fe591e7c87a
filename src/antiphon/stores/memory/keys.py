"""MemoryKeys: keys and shared secrets."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.errors import StoreConflict
from antiphon.stores.records import StoredKey


class MemoryKeys:
    """Keys and shared secrets in memory."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}
        self._keys: dict[str, StoredKey] = {}
        self._key_ids: dict[bytes, str] = {}

    async def secret(self, name: str, proposal: bytes) -> bytes:
        return self._secrets.setdefault(name, proposal)

    async def put(self, key: StoredKey) -> None:
        if self._key_ids.get(key.digest, key.id) != key.id:
            raise StoreConflict(key.id)
        old = self._keys.get(key.id)
        if old is not None:
            del self._key_ids[old.digest]
        self._keys[key.id] = key
        self._key_ids[key.digest] = key.id

    async def find(self, digest: bytes) -> StoredKey | None:
        return self._keys.get(self._key_ids.get(digest, ""))

    async def list(self) -> Sequence[StoredKey]:
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))
