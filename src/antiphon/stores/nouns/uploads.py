"""UploadStore: the operations on files that are uploaded in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import StoredPart, StoredUpload


class UploadStore(Protocol):
    """Uploads and their parts. One that has expired by `now` is reported as missing. Contents are the FileStore's."""

    async def put(self, upload: StoredUpload) -> None:
        """Insert an upload. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str, now: float) -> StoredUpload | None:
        """Return an upload, or None."""
        ...

    async def pending(self, owner: str, now: float) -> int:
        """Return how many pending ones an owner has."""
        ...

    async def add(self, part: StoredPart, most: int) -> None:
        """Insert a part of a pending upload. Raises StoreUnknown where it is none, StoreConflict where it has `most` parts."""
        ...

    async def parts(self, upload: str) -> Sequence[StoredPart]:
        """Return the parts, in the order of their insertion."""
        ...

    async def end(self, id: str, owner: str, status: str) -> bool:
        """Give a pending upload another status; tell whether it has it now."""
        ...
