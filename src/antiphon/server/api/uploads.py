"""`/v1/uploads`: files that are uploaded in parts (Uploads API)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.access.tool_limits import ToolAdmission
from antiphon.core.media.file_types import LOOKED_AT, media_type
from antiphon.core.request.validation import decode
from antiphon.errors import APIError, InvalidRequest, NotFound, StoreConflict, StoreUnknown
from antiphon.server.api.files import LONGEST, SHORTEST, check_purpose, file_object
from antiphon.server.api.incoming import UPLOAD_SECONDS, Incoming
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.stores.base import UploadStore
from antiphon.stores.records import StoredFile, StoredPart, StoredUpload
from antiphon.types.request import Id

MOST_PENDING = 100
"""Pending uploads of an owner."""

MOST_PARTS = 1000
MOST_PART = 64 << 20
"""Bytes of a part."""

LONGEST_NAME = 1024
PENDING, COMPLETED, CANCELLED = "pending", "completed", "cancelled"


class FileLife(msgspec.Struct, frozen=True, kw_only=True):
    """How long the file lives."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=SHORTEST, le=LONGEST)]


class CreateUpload(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/uploads`."""

    bytes: Annotated[int, Meta(ge=0)]
    filename: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
    mime_type: Annotated[str, Meta(max_length=256)]
    purpose: str
    expires_after: FileLife | None = None


class CompleteUpload(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/uploads/{id}/complete`."""

    part_ids: Annotated[list[Id], Meta(min_length=1, max_length=MOST_PARTS)]
    md5: Annotated[str, Meta(max_length=64)] | None = None


_create = msgspec.json.Decoder(CreateUpload)
_complete = msgspec.json.Decoder(CompleteUpload)


class Uploads:
    """The handlers. An upload's file has its id from the beginning: to complete one twice makes no second file."""

    def __init__(
        self, uploads: UploadStore, incoming: Incoming, new_id_base: Callable[[], str], meters: ToolAdmission
    ) -> None:
        self._uploads = uploads
        self._incoming = incoming
        self._clock = incoming.clock
        self._new_id_base = new_id_base
        self._meters = meters

    async def create(self, request: Request) -> Reply:
        """POST /v1/uploads."""
        body = decode(_create, await request.body(most=SMALL_BODY))
        most = self._incoming.bounds.file
        if body.bytes > most:
            raise InvalidRequest(f"A file has at most {most} bytes.", param="bytes", code="file_too_large")
        now = int(self._clock())
        base = self._new_id_base()
        upload = StoredUpload(
            id=f"upload_{base}",
            owner=request.owner,
            filename=body.filename.replace("\\", "/").rpartition("/")[2] or "file",
            purpose=check_purpose(body.purpose),
            media_type=body.mime_type,
            size=body.bytes,
            created_at=now,
            expires_at=now + UPLOAD_SECONDS,
            file_id=f"file-{base}",
            file_seconds=None if body.expires_after is None else body.expires_after.seconds,
        )
        if body.bytes > await self._incoming.room(request.owner):
            raise self._incoming.full()
        if await self._uploads.pending(request.owner, now) >= MOST_PENDING:
            raise APIError(
                429,
                f"At most {MOST_PENDING} uploads can be pending: complete or cancel one, or wait until they expire.",
                code="too_many_uploads",
            )
        await self._uploads.put(upload)
        return json_reply(upload_object(upload))

    async def add_part(self, request: Request) -> Reply:
        """POST /v1/uploads/{id}/parts: a form with `data`; parts may be sent side by side."""
        upload = await self._there(request)
        _require_pending(upload)
        received = await self._incoming.receive(request, "data", MOST_PART, rows=True)
        assert received.content is not None
        part = StoredPart(
            id=f"part_{self._new_id_base()}",
            upload=upload.id,
            created_at=int(self._clock()),
            size=received.size,
            content=received.content,
        )
        try:
            told = await self._meters.store(request.caller, part.size)
            await self._uploads.add(part, MOST_PARTS)
        except StoreConflict:
            await self._incoming.drop([part.content])
            raise InvalidRequest(f"An upload has at most {MOST_PARTS} parts.", code="too_many_parts") from None
        except StoreUnknown:
            await self._incoming.drop([part.content])
            raise _ended(upload.id) from None
        except BaseException:
            await self._incoming.drop([part.content])
            raise
        return json_reply(part_object(part), headers=told)

    async def complete(self, request: Request) -> Reply:
        """POST /v1/uploads/{id}/complete: the file of the parts named, in this order; the others are deleted."""
        upload = await self._there(request)
        body = decode(_complete, await request.body(most=SMALL_BODY))
        if upload.status == CANCELLED:
            raise _ended(upload.id)
        file = await self._incoming.files.get(upload.file_id, upload.owner, self._clock())
        if file is None:
            file = await self._assembled(upload, body)
        return json_reply(upload_object(msgspec.structs.replace(upload, status=COMPLETED), file))

    async def cancel(self, request: Request) -> Reply:
        """POST /v1/uploads/{id}/cancel: its parts are deleted."""
        upload = await self._there(request)
        if not await self._uploads.end(upload.id, upload.owner, CANCELLED):
            raise _ended(upload.id)
        parts = await self._uploads.parts(upload.id)
        await self._incoming.drop([part.content for part in parts])
        return json_reply(upload_object(msgspec.structs.replace(upload, status=CANCELLED)))

    async def _assembled(self, upload: StoredUpload, body: CompleteUpload) -> StoredFile:
        """Make the file. Raises InvalidRequest where its parts are not what was announced."""
        there = await self._uploads.parts(upload.id)
        parts = _chosen(there, body.part_ids)
        size = sum(part.size for part in parts)
        if size != upload.size:
            raise InvalidRequest(
                f"The parts have {size} bytes; the upload was created for {upload.size}.",
                param="part_ids",
                code="upload_size_mismatch",
            )
        if body.md5 is not None and await self._md5(parts) != body.md5.lower():
            raise InvalidRequest("The parts have another MD5 checksum.", param="md5", code="upload_checksum_mismatch")
        now = int(self._clock())
        head = await self._incoming.files.row(parts[0].content, 0)
        file = StoredFile(
            id=upload.file_id,
            owner=upload.owner,
            filename=upload.filename,
            purpose=upload.purpose,
            media_type=media_type(upload.filename, upload.media_type, head[:LOOKED_AT]),
            size=size,
            created_at=now,
            expires_at=None if upload.file_seconds is None else now + upload.file_seconds,
        )
        # Before the file is there, so that whoever cancels meanwhile is refused. Where this server dies behind it, or the store
        # fails, it can be completed once more.
        if not await self._uploads.end(upload.id, upload.owner, COMPLETED):
            raise _ended(upload.id)
        try:
            await self._incoming.finish(file, [part.content for part in parts])
        except StoreUnknown:
            raise _ended(upload.id) from None  # it was completed before, and its file was deleted
        await self._incoming.drop([part.content for part in there if part not in parts])
        return file

    async def _md5(self, parts: Sequence[StoredPart]) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for part in parts:
            offset = 0
            while row := await self._incoming.files.row(part.content, offset):
                await asyncio.to_thread(digest.update, row)
                offset += len(row)
        return digest.hexdigest()

    async def _there(self, request: Request) -> StoredUpload:
        id = request.params["id"]
        upload = await self._uploads.get(id, request.owner, self._clock())
        if upload is None:
            raise NotFound(
                f"Upload '{id}' not found. An upload expires an hour after it was created.",
                param="id",
                code="upload_not_found",
            )
        return upload


def upload_object(upload: StoredUpload, file: StoredFile | None = None) -> dict[str, object]:
    """Return an upload as clients see it, with its file where there is one."""
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": upload.created_at,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "expires_at": upload.expires_at,
        "file": None if file is None else file_object(file),
    }


def part_object(part: StoredPart) -> dict[str, object]:
    """Return a part as clients see it."""
    return {"id": part.id, "object": "upload.part", "created_at": part.created_at, "upload_id": part.upload}


def _chosen(parts: Sequence[StoredPart], ids: Sequence[str]) -> list[StoredPart]:
    """Return the parts of these ids, in their order. Raises InvalidRequest."""
    by_id = {part.id: part for part in parts}
    for index, id in enumerate(ids):
        if id not in by_id:
            raise InvalidRequest(f"Part '{id}' not found.", param=f"part_ids[{index}]", code="part_not_found")
    if len(set(ids)) < len(ids):
        raise InvalidRequest("A part is named twice.", param="part_ids")
    return [by_id[id] for id in ids]


def _require_pending(upload: StoredUpload) -> None:
    if upload.status != PENDING:
        raise _ended(upload.id)


def _ended(id: str) -> InvalidRequest:
    return InvalidRequest(f"Upload '{id}' has been completed or cancelled.", code="upload_ended")
