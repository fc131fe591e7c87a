"""`/v1/files`: upload, list, read, delete (Files API)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from antiphon.access.tool_limits import ToolAdmission, Unmetered
from antiphon.core.media.file_types import BINARY, media_type
from antiphon.core.request.validation import missing
from antiphon.errors import InvalidRequest, NotFound
from antiphon.server.api.paging import listing, whole_number
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.multipart import Field, read_form
from antiphon.stores.base import FileStore
from antiphon.stores.records import StoredFile

PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
MOST_LISTED = 10_000
SHORTEST, LONGEST = 3600, 2_592_000  # seconds that `expires_after` may name


class Files:
    """The handlers of `/v1/files`."""

    def __init__(
        self,
        files: FileStore,
        clock: Callable[[], float],
        new_id_base: Callable[[], str],
        deleted: Callable[[], None] = lambda: None,
        meters: ToolAdmission | None = None,
    ) -> None:
        """`deleted` is called after a file was deleted: what was made of it is to go as well. `meters` count bytes."""
        self._files = files
        self._deleted = deleted
        self._meters = meters or Unmetered()
        self._clock = clock
        self._new_id_base = new_id_base

    async def create(self, request: Request) -> Reply:
        """POST /v1/files: a form with `file`, `purpose` and perhaps `expires_after`; not larger than a body may be."""
        form = await read_form(await request.body(form=True), request.header(b"content-type") or b"")
        upload = _upload(form)
        created_at = int(self._clock())
        name = upload.filename or "file"
        file = StoredFile(
            id=f"file-{self._new_id_base()}",
            owner=request.owner,
            filename=name,
            purpose=_purpose(form),
            media_type=media_type(name, upload.content_type, upload.content),
            size=len(upload.content),
            created_at=created_at,
            expires_at=_expires_at(form, created_at),
        )
        told = await self._meters.store(request.caller, file.size)
        await self._files.put(file, upload.content)
        return json_reply(file_object(file), headers=told)

    async def list(self, request: Request) -> Reply:
        """GET /v1/files: newest first unless `order=asc`; `limit`, `after`, `purpose`."""
        query = {name: values[-1] for name, values in request.query.items() if values}
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest("Invalid 'order': must be 'asc' or 'desc'.", param="order")
        limit = whole_number(request, "limit", MOST_LISTED, 1, MOST_LISTED)
        files = await self._files.list(
            request.owner,
            self._clock(),
            purpose=query.get("purpose"),
            after=query.get("after"),
            limit=limit + 1,
            descending=order == "desc",
        )
        if files is None:
            raise InvalidRequest(f"Invalid 'after': file '{query['after']}' not found.", param="after")
        shown = files[:limit]
        data = [file_object(file) for file in shown]
        return json_reply(listing(data, [file.id for file in shown], len(files) > limit))

    async def read(self, request: Request) -> Reply:
        """GET /v1/files/{id}."""
        return json_reply(file_object(await self._there(request)))

    async def content(self, request: Request) -> Reply:
        """GET /v1/files/{id}/content: the bytes, as a download: browsers are to run nothing of it."""
        file = await self._there(request)
        content = await self._files.content(file.id, request.owner, self._clock())
        if content is None:
            raise file_not_found(file.id, "id")
        disposition = f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}"
        headers = ((b"content-disposition", disposition.encode()), (b"x-content-type-options", b"nosniff"))
        return Reply(content, content_type=BINARY, headers=headers)

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/files/{id}: out of all vector stores, too."""
        id = request.params["id"]
        if not await self._files.delete(id, request.owner):
            raise file_not_found(id, "id")
        self._deleted()
        return json_reply({"id": id, "object": "file", "deleted": True})

    async def _there(self, request: Request) -> StoredFile:
        id = request.params["id"]
        file = await self._files.get(id, request.owner, self._clock())
        if file is None:
            raise file_not_found(id, "id")
        return file


def file_object(file: StoredFile) -> dict[str, object]:
    """Return a file as clients see it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def file_not_found(id: str, param: str) -> NotFound:
    """Return the 404."""
    return NotFound(f"File '{id}' not found.", param=param, code="file_not_found")


def _upload(form: dict[str, Field]) -> Field:
    upload = form.get("file")
    if upload is None or upload.filename is None:
        raise missing("file")
    if not upload.content:
        raise InvalidRequest("The file is empty.", param="file", code="empty_file")
    return upload


def _purpose(form: dict[str, Field]) -> str:
    if "purpose" not in form:
        raise missing("purpose")
    purpose = form["purpose"].text
    if purpose not in PURPOSES:
        raise InvalidRequest(f"Invalid 'purpose': must be one of {', '.join(PURPOSES)}.", param="purpose")
    return purpose


def _expires_at(form: dict[str, Field], created_at: int) -> int | None:
    seconds, anchor = form.get("expires_after[seconds]"), form.get("expires_after[anchor]")
    if seconds is None and anchor is None:
        return None
    if anchor is None or anchor.text != "created_at":
        raise InvalidRequest("Invalid 'expires_after[anchor]': must be 'created_at'.", param="expires_after[anchor]")
    given = seconds.text if seconds else ""
    if not (given.isdecimal() and len(given) < 10 and SHORTEST <= int(given) <= LONGEST):
        raise InvalidRequest(
            f"Invalid 'expires_after[seconds]': must be a number from {SHORTEST} to {LONGEST}.",
            param="expires_after[seconds]",
        )
    return created_at + int(given)
