"""MemoryFiles: uploaded files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import FileUsage, StoredFile


class _Rows:
    """Bytes in rows."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._rows: list[bytes] = []
        self.size = 0

    def append(self, row: bytes) -> None:
        self._starts.append(self.size)
        self._rows.append(row)
        self.size += len(row)

    def extend(self, other: _Rows) -> None:
        for row in other._rows:
            self.append(row)

    def at(self, start: int) -> bytes:
        """Return what is there from a byte on, up to the end of its row."""
        index = bisect_right(self._starts, start) - 1
        return self._rows[index][start - self._starts[index] :] if 0 <= start < self.size else b""


class KeptFile(msgspec.Struct, frozen=True):
    """A file and its content."""

    file: StoredFile
    rows: _Rows


class _Unfinished(msgspec.Struct, frozen=True):
    """A content that is no file's yet."""

    owner: str
    expires_at: int
    rows: _Rows


class MemoryFiles:
    """Files in memory. Beyond `max_file_bytes` of contents the oldest files are dropped, but never the newest."""

    def __init__(self, database: MemoryDatabase, max_file_bytes: int) -> None:
        self._database = database
        self._max_file_bytes = max_file_bytes
        self._file_bytes = 0
        self._files: dict[str, KeptFile] = {}
        self._unfinished: dict[int, _Unfinished] = {}
        self._begun = 0
        database.expires(self._purge)

    async def put(self, file: StoredFile, content: bytes) -> None:
        rows = _Rows()
        rows.append(content)
        self._insert(file, rows)
        self._make_room(len(content))

    async def begin(self, owner: str, expires_at: int) -> int:
        self._begun += 1
        self._unfinished[self._begun] = _Unfinished(owner, expires_at, _Rows())
        return self._begun

    async def append(self, content: int, start: int, row: bytes) -> None:
        if content not in self._unfinished:
            raise StoreUnknown(str(content))
        self._unfinished[content].rows.append(row)
        self._make_room(len(row))

    async def finish(self, file: StoredFile, contents: Sequence[int]) -> None:
        if any(content not in self._unfinished for content in contents):
            raise StoreUnknown(file.id)
        rows = _Rows()
        for content in contents:
            rows.extend(self._unfinished[content].rows)
        self._insert(file, rows)
        for content in contents:
            del self._unfinished[content]

    async def drop(self, contents: Sequence[int]) -> None:
        for content in contents:
            unfinished = self._unfinished.pop(content, None)
            self._file_bytes -= 0 if unfinished is None else unfinished.rows.size

    async def row(self, content: int, start: int) -> bytes:
        unfinished = self._unfinished.get(content)
        return b"" if unfinished is None else unfinished.rows.at(start)

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        kept = self._find(id, owner, now)
        return None if kept is None else kept.file

    async def content(self, id: str, owner: str, now: float, start: int = 0) -> bytes | None:
        kept = self._find(id, owner, now)
        return None if kept is None else kept.rows.at(start)

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

    async def usage(self, owner: str) -> FileUsage:
        sizes = [kept.file.size for kept in self._files.values() if kept.file.owner == owner]
        begun = sum(one.rows.size for one in self._unfinished.values() if one.owner == owner)
        return FileUsage(len(sizes), sum(sizes) + begun)

    async def delete(self, id: str, owner: str) -> bool:
        kept = self._files.get(id)
        if kept is None or kept.file.owner != owner:
            return False
        self._remove(id)
        return True

    def _insert(self, file: StoredFile, rows: _Rows) -> None:
        if file.id in self._files:
            raise StoreConflict(file.id)
        self._files[file.id] = KeptFile(file, rows)

    def _make_room(self, size: int) -> None:
        self._file_bytes += size
        while self._file_bytes > self._max_file_bytes and len(self._files) > 1:
            self._remove(next(iter(self._files)))

    def _purge(self, now: int) -> int:
        files = [kept.file for kept in self._files.values()]
        expired = [file.id for file in files if file.expires_at is not None and file.expires_at <= now]
        for id in expired:
            self._remove(id)
        for content in [number for number, one in self._unfinished.items() if one.expires_at <= now]:
            self._file_bytes -= self._unfinished.pop(content).rows.size
        return len(expired)

    def _find(self, id: str, owner: str, now: float) -> KeptFile | None:
        kept = self._files.get(id)
        return kept if kept is not None and _there(kept.file, owner, now) else None

    def _remove(self, id: str) -> None:
        self._file_bytes -= self._files.pop(id).rows.size
        self._database.file_deleted(id)


def _there(file: StoredFile, owner: str, now: float) -> bool:
    return file.owner == owner and (file.expires_at is None or file.expires_at > now)
