"""MemoryFiles: uploaded files."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import StoredFile


class KeptFile(msgspec.Struct, frozen=True):
    """A file and its content."""

    file: StoredFile
    content: bytes


class MemoryFiles:
    """Files in memory. Beyond `max_file_bytes` of contents the oldest are dropped, but never the newest."""

    def __init__(self, database: MemoryDatabase, max_file_bytes: int) -> None:
        self._database = database
        self._max_file_bytes = max_file_bytes
        self._file_bytes = 0
        self._files: dict[str, KeptFile] = {}
        database.expires(self._purge)

    async def put(self, file: StoredFile, content: bytes) -> None:
        if file.id in self._files:
            raise StoreConflict(file.id)
        self._files[file.id] = KeptFile(file, content)
        self._file_bytes += len(content)
        while self._file_bytes > self._max_file_bytes and len(self._files) > 1:
            self._remove(next(iter(self._files)))

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        kept = self._find(id, owner, now)
        return None if kept is None else kept.file

    async def content(self, id: str, owner: str, now: float) -> bytes | None:
        kept = self._find(id, owner, now)
        return None if kept is None else kept.content

    async def list(
        self,
        owner: str,
        now: float,
        *,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Sequence[StoredFile] | None:
        mine = [kept.file for kept in self._files.values() if _there(kept.file, owner, now)]
        if descending:
            mine.reverse()
        if after is not None:
            found = [index for index, file in enumerate(mine) if file.id == after]
            if not found:
                return None
            mine = mine[found[0] + 1 :]
        return [file for file in mine if purpose in (None, file.purpose)][:limit]

    async def delete(self, id: str, owner: str) -> bool:
        kept = self._files.get(id)
        if kept is None or kept.file.owner != owner:
            return False
        self._remove(id)
        return True

    def _purge(self, now: int) -> int:
        files = [kept.file for kept in self._files.values()]
        expired = [file.id for file in files if file.expires_at is not None and file.expires_at <= now]
        for id in expired:
            self._remove(id)
        return len(expired)

    def _find(self, id: str, owner: str, now: float) -> KeptFile | None:
        kept = self._files.get(id)
        return kept if kept is not None and _there(kept.file, owner, now) else None

    def _remove(self, id: str) -> None:
        self._file_bytes -= len(self._files.pop(id).content)
        self._database.file_deleted(id)


def _there(file: StoredFile, owner: str, now: float) -> bool:
    return file.owner == owner and (file.expires_at is None or file.expires_at > now)
