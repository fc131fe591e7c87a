"""Incoming: files that clients send, row by row into the store, within what their owner may keep."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.core.media.file_types import LOOKED_AT
from antiphon.core.request.validation import missing
from antiphon.errors import APIError, InvalidRequest, StoreConflict, StoreUnknown
from antiphon.server.http.asgi_exchange import too_slow
from antiphon.server.http.form_stream import FormStream
from antiphon.server.http.messages import Request
from antiphon.server.http.multipart import Field
from antiphon.stores.base import FileStore
from antiphon.stores.records import FILE_ROW, StoredFile

UPLOAD_SECONDS = 3600
"""Seconds in which a file has arrived, or all parts of an upload: what is not a file by then is deleted."""


class FileBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a file; bytes and number of all files of an owner."""

    file: int = 512 << 20
    owner_bytes: int = 16 << 30
    owner_files: int = 100_000


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has arrived: `whole` where it has one row, else its content in the store; and the other fields of its form."""

    filename: str
    content_type: str
    head: bytes
    size: int
    fields: Mapping[str, Field]
    whole: bytes | None = None
    content: int | None = None


class Incoming:
    """Takes files in."""

    def __init__(self, files: FileStore, clock: Callable[[], float], bounds: FileBounds) -> None:
        self.files = files
        self.clock = clock
        self.bounds = bounds

    async def room(self, owner: str) -> int:
        """Return how many bytes more an owner may keep. Raises APIError 400 where there are too many files already."""
        usage = await self.files.usage(owner)
        if usage.files >= self.bounds.owner_files:
            raise _full(f"at most {self.bounds.owner_files} files are kept for each owner (owner_files)")
        return self.bounds.owner_bytes - usage.size

    async def receive(self, request: Request, name: str, most: int, *, rows: bool = False) -> Received:
        """Read a form whose field `name` is a file of `most` bytes at most. With `rows` it never is `whole`.

        What becomes of it is the caller's, `drop` where nothing does. One that breaks off leaves nothing.
        """
        room = await self.room(request.owner)
        form = FormStream(request, name, most)
        first = await form.row()
        content: int | None = None
        try:
            row = first
            while row and (rows or content is not None or len(first) == FILE_ROW):
                if form.size > room:
                    raise self.full()
                if content is None:
                    content = await self.files.begin(request.owner, int(self.clock()) + UPLOAD_SECONDS)
                await self.files.append(content, form.size - len(row), row)
                row = await form.row()
            while content is None and await form.row():  # the rest of the form, behind a file of one row
                pass
            file = form.fields.get(name)
            if file is None or file.filename is None:
                raise missing(name)
            if not form.size:
                raise InvalidRequest("The file is empty.", param=name, code="empty_file")
            if form.size > room:
                raise self.full()
        except StoreUnknown:  # it was swept
            raise too_slow() from None
        except BaseException:
            await self.drop([] if content is None else [content])
            raise
        return Received(
            filename=file.filename or "file",
            content_type=file.content_type,
            head=first[:LOOKED_AT],
            size=form.size,
            fields=form.fields,
            whole=first if content is None else None,
            content=content,
        )

    async def keep(self, file: StoredFile, received: Received) -> None:
        """Make a file of what has arrived."""
        if received.content is None:
            assert received.whole is not None
            await self.files.put(file, received.whole)
        else:
            await self.finish(file, [received.content])

    async def finish(self, file: StoredFile, contents: Sequence[int]) -> None:
        """Make a file of contents. Raises StoreUnknown where one is gone."""
        with contextlib.suppress(StoreConflict):  # ids are drawn once: it was done before, and the answer was lost
            await self.files.finish(file, contents)

    async def drop(self, contents: Sequence[int]) -> None:
        """Delete contents that become no file, also where the request has been cancelled; where that fails, they expire."""
        if contents:
            with contextlib.suppress(APIError):
                await asyncio.shield(self.files.drop(contents))

    def full(self) -> InvalidRequest:
        """Return the 400 for too many bytes."""
        return _full(f"at most {self.bounds.owner_bytes} bytes are kept for each owner (owner_file_bytes)")


def _full(reason: str) -> InvalidRequest:
    return InvalidRequest(f"There is no room for this file: {reason}. Delete others first.", code="file_storage_full")
