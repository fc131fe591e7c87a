"""FileStore: the operations on uploaded files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import FileUsage, StoredFile


class FileStore(Protocol):
    """Uploaded files. A file that has expired by `now` is reported as missing.

    A file larger than `records.FILE_ROW` is written row by row: `begin` a content, `append` its rows, `finish` a file of it,
    or of several contents, none empty. A content of no file is deleted once it has expired.
    """

    async def put(self, file: StoredFile, content: bytes) -> None:
        """Insert a file of one row. Raises StoreConflict if the id is taken."""
        ...

    async def begin(self, owner: str, expires_at: int) -> int:
        """Begin a content; return its number."""
        ...

    async def append(self, content: int, start: int, row: bytes) -> None:
        """Append a row, which begins at byte `start` of the content. Raises StoreUnknown where the content is gone."""
        ...

    async def finish(self, file: StoredFile, contents: Sequence[int]) -> None:
        """Insert a file of these contents. Raises StoreUnknown where one is gone, StoreConflict if the id is taken."""
        ...

    async def drop(self, contents: Sequence[int]) -> None:
        """Delete contents that are no file's."""
        ...

    async def row(self, content: int, start: int) -> bytes:
        """Return what a content that is no file's yet has from byte `start` on, up to the end of its row; b"" for nothing."""
        ...

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        """Return what is known of a file, or None."""
        ...

    async def content(self, id: str, owner: str, now: float, start: int = 0) -> bytes | None:
        """Return a file's content from byte `start` on, up to the end of its row; b"" behind its end. None: it is not there."""
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

    async def usage(self, owner: str) -> FileUsage:
        """Return what an owner's files take."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a file; tell whether it was there."""
        ...
