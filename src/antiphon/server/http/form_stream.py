"""FormStream: a form with one large file, read while it comes: a row of the file is here at any time, and what just arrived."""

from __future__ import annotations

import asyncio

from antiphon.errors import InvalidRequest
from antiphon.server.http.body import check_content_type, too_large
from antiphon.server.http.messages import Request
from antiphon.server.http.multipart import (
    MOST_GATHERED,
    Field,
    FormFields,
    feed,
    first_boundary,
    form_boundary,
    form_parser,
    malformed_form,
)
from antiphon.stores.records import FILE_ROW

PARSED_INLINE = 4096
"""Bytes that are parsed on the event loop; more in a thread."""

HELD = 4 * FILE_ROW
"""Bytes that count as held for a request that sends a file."""


class FormStream:
    """A form whose field `name` is a file of `most` bytes at most."""

    def __init__(self, request: Request, name: str, most: int) -> None:
        """Raises APIError 415 and InvalidRequest."""
        kind = request.header(b"content-type")
        check_content_type(kind, form=True)
        self._request = request
        self._most = most
        self._name = name
        self._form = FormFields(name)
        self._boundary = form_boundary(kind or b"")
        self._parser = form_parser(self._boundary, self._form)
        self._head: bytearray | None = bytearray()  # what came before the first boundary
        self._packed = request.header(b"content-encoding") is not None
        self._whole: memoryview | None = None  # a packed body, unpacked
        self._ended = False
        self.size = 0  # bytes of the file so far
        request.hold(HELD)

    @property
    def fields(self) -> dict[str, Field]:
        """The fields by name; the file without its content, once its end has come."""
        return self._form.fields

    async def row(self) -> bytes:
        """Return the next row of the file: `FILE_ROW` bytes, fewer at its end, b"" behind it: then the form has been read.

        Raises APIError 400, 413 and 408, and ClientGone.
        """
        arrived = self._form.arrived
        while len(arrived) < FILE_ROW and not self._ended:
            part = await self._part()
            if part:
                await self._parse(part)
            else:
                self._end()
        row = bytes(arrived[:FILE_ROW])
        del arrived[:FILE_ROW]
        self.size += len(row)
        if self.size > self._most:
            raise too_large(self._most)
        return row

    async def _part(self) -> bytes:
        if not self._packed:
            return await self._request.part(self._most + MOST_GATHERED)
        if self._whole is None:  # nobody knows how large it becomes: it is held to the bound of other bodies
            self._whole = memoryview(await self._request.body(form=True))
        part, self._whole = bytes(self._whole[:FILE_ROW]), self._whole[FILE_ROW:]
        return part

    async def _parse(self, part: bytes) -> None:
        if len(part) <= PARSED_INLINE:
            self._feed(part)
        else:
            await asyncio.to_thread(self._feed, part)

    def _feed(self, part: bytes) -> None:
        if self._head is not None:
            self._head += part
            head = bytes(self._head)
            start = first_boundary(head, b"--" + self._boundary)
            if start is None:
                if len(head) > MOST_GATHERED:
                    raise _without_boundary()
                return
            self._head, part = None, head[start:]
        feed(self._parser, part)

    def _end(self) -> None:
        if self._head is not None:
            raise _without_boundary()
        if not self._form.ended:
            raise malformed_form("its end is missing")
        self._ended = True


def _without_boundary() -> InvalidRequest:
    return malformed_form("its boundary does not occur in it")
