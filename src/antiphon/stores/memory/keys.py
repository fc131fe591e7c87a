"""MemoryKeys: keys and shared secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.records import KeyQuery, StoredKey


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
        self._keys[key.id] = replace(key, last_used_at=None if old is None else old.last_used_at)
        self._key_ids[key.digest] = key.id

    async def get(self, id: str) -> StoredKey | None:
        return self._keys.get(id)

    async def find(self, digest: bytes) -> StoredKey | None:
        return self._keys.get(self._key_ids.get(digest, ""))

    async def list(self) -> Sequence[StoredKey]:
        return sorted(self._keys.values(), key=_position)

    async def page(self, query: KeyQuery) -> Sequence[StoredKey] | None:
        found = [key for key in await self.list() if query.owner in (None, key.owner)][::-1]
        if query.after is not None:
            after = self._keys.get(query.after)
            if after is None:
                return None
            found = [key for key in found if _position(key) < _position(after)]
        return found[: query.limit]

    async def count(self, most: int) -> int:
        return min(len(self._keys), most)

    async def change(self, id: str, before: bytes, body: bytes) -> bool:
        key = self._keys.get(id)
        if key is None or key.body != before:
            return False
        self._keys[id] = replace(key, body=body)
        return True

    async def used(self, times: Mapping[str, float]) -> None:
        for id, time in times.items():
            key = self._keys.get(id)
            if key is not None and (key.last_used_at is None or key.last_used_at < time):
                self._keys[id] = replace(key, last_used_at=time)


def _position(key: StoredKey) -> tuple[float, str]:
    return key.created_at, key.id
