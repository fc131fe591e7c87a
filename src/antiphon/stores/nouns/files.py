"""FileStore: the operations on uploaded files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import StoredFile


class FileStore(Protocol):
    """Uploaded files. A file that has expired by `now` is reported as missing."""

    async def put(self, file: StoredFile, content: bytes) -> None:
        """Insert a file. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        """Return what is known of a file, or None."""
        ...

    async def content(self, id: str, owner: str, now: float) -> bytes | None:
        """Return a file's content, or None."""
        ...

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
        """Return files in the order of their insertion, beginning behind file `after`; None if that is unknown."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a file; tell whether it was there."""
        ...
