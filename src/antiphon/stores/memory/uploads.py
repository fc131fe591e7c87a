"""MemoryUploads: files that are uploaded in parts."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import StoredPart, StoredUpload


class MemoryUploads:
    """Uploads in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._uploads: dict[str, StoredUpload] = {}
        self._parts: dict[str, list[StoredPart]] = {}
        database.expires(self._purge)

    async def put(self, upload: StoredUpload) -> None:
        if upload.id in self._uploads:
            raise StoreConflict(upload.id)
        self._uploads[upload.id], self._parts[upload.id] = upload, []

    async def get(self, id: str, owner: str, now: float) -> StoredUpload | None:
        upload = self._uploads.get(id)
        return upload if upload is not None and upload.owner == owner and upload.expires_at > now else None

    async def pending(self, owner: str, now: float) -> int:
        mine = [upload for upload in self._uploads.values() if upload.owner == owner and upload.expires_at > now]
        return sum(upload.status == "pending" for upload in mine)

    async def add(self, part: StoredPart, most: int) -> None:
        upload = self._uploads.get(part.upload)
        if upload is None or upload.status != "pending":
            raise StoreUnknown(part.upload)
        if len(self._parts[part.upload]) >= most:
            raise StoreConflict(part.upload)
        self._parts[part.upload].append(part)

    async def parts(self, upload: str) -> Sequence[StoredPart]:
        return list(self._parts.get(upload, ()))

    async def end(self, id: str, owner: str, status: str) -> bool:
        upload = self._uploads.get(id)
        if upload is None or upload.owner != owner or upload.status not in ("pending", status):
            return False
        self._uploads[id] = replace(upload, status=status)
        return True

    def _purge(self, now: int) -> int:
        for id in [upload.id for upload in self._uploads.values() if upload.expires_at <= now]:
            del self._uploads[id], self._parts[id]
        return 0
