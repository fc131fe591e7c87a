"""`/v1/files`: upload, list, read, delete (Files API)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from antiphon.access.caller import Caller
from antiphon.access.tool_limits import ToolAdmission, Unmetered
from antiphon.core.media.file_types import BINARY, media_type
from antiphon.core.request.validation import missing
from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.server.api.incoming import Incoming
from antiphon.server.api.paging import listing, whole_number
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.multipart import Field
from antiphon.server.http.router import READING, WRITING
from antiphon.stores.records import StoredFile

PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
OF_BATCHES = frozenset(("batch", "batch_output"))
"""Purposes of the files that keys without the scope `responses` may have: those of the batches that they make."""

LOOKED_AT = 1000
"""Files that are read at a time for a key that may see some of them only."""

MOST_LISTED = 10_000
SHORTEST, LONGEST = 3600, 2_592_000  # seconds that `expires_after` may name


class Files:
    """The handlers of `/v1/files`."""

    def __init__(
        self,
        incoming: Incoming,
        new_id_base: Callable[[], str],
        deleted: Callable[[], None] = lambda: None,
        meters: ToolAdmission | None = None,
    ) -> None:
        """`deleted` is called after a file was deleted: what was made of it is to go as well. `meters` count bytes."""
        self._incoming = incoming
        self._files = incoming.files
        self._deleted = deleted
        self._meters = meters or Unmetered()
        self._clock = incoming.clock
        self._new_id_base = new_id_base

    async def create(self, request: Request) -> Reply:
        """POST /v1/files: a form with `file`, `purpose` and perhaps `expires_after`; it goes to the store while it comes."""
        received = await self._incoming.receive(request, "file", self._incoming.bounds.file)
        try:
            created_at = int(self._clock())
            _check_rights(request.caller, _purpose(received.fields))
            file = StoredFile(
                id=f"file-{self._new_id_base()}",
                owner=request.owner,
                filename=received.filename,
                purpose=_purpose(received.fields),
                media_type=media_type(received.filename, received.content_type, received.head),
                size=received.size,
                created_at=created_at,
                expires_at=_expires_at(received.fields, created_at),
            )
            told = await self._meters.store(request.caller, file.size)
            await self._incoming.keep(file, received)
        except BaseException:
            await self._incoming.drop([] if received.content is None else [received.content])
            raise
        return json_reply(file_object(file), headers=told)

    async def list(self, request: Request) -> Reply:
        """GET /v1/files: newest first unless `order=asc`; `limit`, `after`, `purpose`."""
        query = {name: values[-1] for name, values in request.query.items() if values}
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest("Invalid 'order': must be 'asc' or 'desc'.", param="order")
        limit = whole_number(request, "limit", MOST_LISTED, 1, MOST_LISTED)
        files = await self._seen(
            request.caller, query.get("purpose"), query.get("after"), limit + 1, descending=order == "desc"
        )
        shown = files[:limit]
        data = [file_object(file) for file in shown]
        return json_reply(listing(data, [file.id for file in shown], len(files) > limit))

    async def _seen(
        self, caller: Caller, purpose: str | None, after: str | None, limit: int, *, descending: bool
    ) -> Sequence[StoredFile]:
        """Return files that the caller may see; what it may not see takes no place. Raises InvalidRequest for `after`."""
        found: list[StoredFile] = []
        begin = after
        most = limit if caller.may(READING) else max(limit, LOOKED_AT)
        while len(found) < limit:
            files = await self._files.list(
                caller.owner, self._clock(), purpose=purpose, after=begin, limit=most, descending=descending
            )
            if files is None:
                raise InvalidRequest(f"Invalid 'after': file '{begin}' not found.", param="after")
            found += [file for file in files if _may_see(caller, file)]
            if len(files) < most:
                break
            begin = files[-1].id
        return found[:limit]

    async def read(self, request: Request) -> Reply:
        """GET /v1/files/{id}."""
        return json_reply(file_object(await self._there(request)))

    async def content(self, request: Request) -> Reply | None:
        """GET /v1/files/{id}/content: the bytes, or a range of them, as a download: browsers are to run nothing of it."""
        file = await self._there(request)
        disposition = f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}"
        headers = [
            (b"content-disposition", disposition.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"accept-ranges", b"bytes"),
        ]
        wanted = byte_range(request.header(b"range"), file.size)
        if wanted is not None and not wanted:
            raise APIError(
                416,
                f"The file has {file.size} bytes.",
                code="invalid_range",
                headers={"content-range": f"bytes */{file.size}"},
            )
        status, part = (200, range(file.size)) if wanted is None else (206, wanted)
        if wanted is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.stop - 1, file.size)))
        first = await self._piece(file, part, part.start)
        if len(first) == len(part):
            return Reply(first, status, content_type=BINARY, headers=headers)
        sink = await request.stream(BINARY, status, headers, length=len(part))
        offset, piece = part.start, first
        while piece:
            await sink.write(piece)
            offset += len(piece)
            piece = await self._piece(file, part, offset)
        await sink.close()
        return None

    async def _piece(self, file: StoredFile, part: range, offset: int) -> bytes:
        """Return some bytes of a part of a file, from an offset on; b"" behind its end. Raises NotFound where it is gone."""
        if offset >= part.stop:
            return b""
        found = await self._files.content(file.id, file.owner, self._clock(), offset)
        if not found:
            raise file_not_found(file.id, "id")
        return found[: part.stop - offset]

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/files/{id}: out of all vector stores, too."""
        id = request.params["id"] if request.caller.may(WRITING) else (await self._there(request)).id
        if not await self._files.delete(id, request.owner):
            raise file_not_found(id, "id")
        self._deleted()
        return json_reply({"id": id, "object": "file", "deleted": True})

    async def _there(self, request: Request) -> StoredFile:
        id = request.params["id"]
        file = await self._files.get(id, request.owner, self._clock())
        if file is None or not _may_see(request.caller, file):
            raise file_not_found(id, "id")
        return file


def _may_see(caller: Caller, file: StoredFile) -> bool:
    """Tell whether a key may read a file of its owner."""
    return file.purpose in OF_BATCHES or caller.may(READING)


def _check_rights(caller: Caller, purpose: str) -> None:
    """Refuse a file that is none of a batch to a key that may not use it. Raises APIError 403."""
    if purpose not in OF_BATCHES and not caller.may(WRITING):
        raise APIError(403, "The API key may upload files for batches only.", code="insufficient_scope")


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


def byte_range(header: bytes | None, size: int) -> range | None:
    """Return the bytes that a `range` header asks for, an empty range where there are none.

    None: all of them, as where it asks for several ranges, or says what nobody understands.
    """
    unit, _, asked = (header or b"").decode("latin-1").strip().partition("=")
    first, dash, last = asked.partition("-")
    first, last = first.strip(), last.strip()
    if (
        unit.lower() != "bytes"
        or not dash
        or not all(part.isascii() and part.isdigit() for part in (first, last) if part)
    ):
        return None
    if max(len(first), len(last)) > 18:
        return range(0)
    if not first:
        return range(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1) if last else size)


def file_not_found(id: str, param: str) -> NotFound:
    """Return the 404."""
    return NotFound(f"File '{id}' not found.", param=param, code="file_not_found")


def _purpose(form: Mapping[str, Field]) -> str:
    if "purpose" not in form:
        raise missing("purpose")
    return check_purpose(form["purpose"].text)


def check_purpose(purpose: str) -> str:
    """Return a purpose. Raises InvalidRequest for one that there is not."""
    if purpose not in PURPOSES:
        raise InvalidRequest(f"Invalid 'purpose': must be one of {', '.join(PURPOSES)}.", param="purpose")
    return purpose


def _expires_at(form: Mapping[str, Field], created_at: int) -> int | None:
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
