"""`/v1/messages/batches`: Anthropic's Message Batches, on the same machine as `/v1/batches`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import APIError, InvalidRequest, NotFound, spelled
from antiphon.runtime.offload import by_size
from antiphon.server.api.incoming import UPLOAD_SECONDS
from antiphon.server.api.paging import whole_number
from antiphon.server.batches.making import WINDOWS, BatchParts, Wanted, check_endpoint, make
from antiphon.server.batches.work.base import ENDED, BatchRequest, Ending, LineAnswer, details_of, progress_of
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.server.messages.errors import FORM, dotted, envelope
from antiphon.stores.batch_records import StoredBatch
from antiphon.stores.records import FILE_ROW, ListPage, StoredFile

FRONT = "anthropic"
ENDPOINT = "/v1/messages"
MOST_LISTED = 1000
LONGEST_ID = 64
JSONL = "application/x-jsonl"


class BatchParams(msgspec.Struct, frozen=True):
    """A request of a batch, in the body and in the file that is made of it."""

    custom_id: str
    params: dict[str, Raw]


class NewMessageBatch(msgspec.Struct, frozen=True):
    """The body of `POST /v1/messages/batches`."""

    requests: list[Raw]


class _FileLine(msgspec.Struct, frozen=True):
    custom_id: str
    params: Raw


_create = msgspec.json.Decoder(NewMessageBatch)
_params = msgspec.json.Decoder(BatchParams)
_line = msgspec.json.Decoder(_FileLine)


class MessageBatchFront:
    """Lines of batches that `/v1/messages/batches` made."""

    one_model = False
    one_file = True

    def read(self, line: bytes, endpoint: str) -> BatchRequest:
        """Read a line of the input file. Raises InvalidRequest."""
        found = decode(_line, line)
        return BatchRequest(found.custom_id, bytes(found.params))

    def answered(self, custom_id: str, answer: LineAnswer) -> bytes:
        """Return the line that tells an answer."""
        kind, name = ("errored", "error") if answer.failed else ("succeeded", "message")
        return _told(custom_id, {"type": kind, name: Raw(answer.body or b"null")})

    def refused(self, custom_id: str, code: str, message: str) -> bytes:
        """Return the line of a request that was not answered."""
        error = Raw(envelope(APIError(500, message, code=code), ""))
        return _told(custom_id, {"type": "errored", "error": error})

    def left(self, custom_id: str, ending: Ending) -> bytes | None:
        """Return the line of a request without an answer."""
        return _told(custom_id, {"type": "canceled" if ending == "cancelled" else "expired"})


def _told(custom_id: str, result: object) -> bytes:
    return to_json({"custom_id": custom_id, "result": result})


class MessageBatchRoutes:
    """The handlers of `/v1/messages/batches`."""

    def __init__(self, parts: BatchParts, most_requests: int) -> None:
        self._parts = parts
        self._batches = parts.store.batches
        self._most_requests = most_requests

    async def create(self, request: Request) -> Reply:
        """POST /v1/messages/batches: the requests become a file, and are answered after this."""
        body = await request.body()
        request.hold(len(body))
        check_endpoint(self._parts, ENDPOINT, request.caller)
        try:
            lines = await by_size(len(body), self._lines, body)
        except InvalidRequest as error:
            raise spelled(error, dotted) from None
        file = await self._keep(lines, request.caller)
        wanted = Wanted(front=FRONT, prefix="msgbatch", endpoint=ENDPOINT, input_file_id=file, requests=len(lines))
        try:
            batch = await make(self._parts, wanted, request.caller)
        except BaseException:
            await self._parts.store.files.delete(file, request.owner)
            raise
        return json_reply(message_batch(batch))

    async def list(self, request: Request) -> Reply:
        """GET /v1/messages/batches: newest first; `limit`, `after_id`, `before_id`."""
        limit = whole_number(request, "limit", 20, 1, MOST_LISTED)
        after, before = (request.query.get(name, (None,))[-1] for name in ("after_id", "before_id"))
        if after and before:
            raise InvalidRequest("before_id: not allowed together with after_id", param="before_id")
        # What stands before a batch is what was made after it.
        page = ListPage(limit=limit + 1, descending=not before, after=before or after or None)
        found = await self._batches.list(request.owner, FRONT, page)
        if found is None:
            name = "before_id" if before else "after_id"
            raise InvalidRequest(f"{name}: batch not found", param=name)
        shown = list(found[:limit])
        if before:
            shown.reverse()
        ends = {"first_id": shown[0].id if shown else None, "last_id": shown[-1].id if shown else None}
        return json_reply({"data": [message_batch(one) for one in shown], "has_more": len(found) > limit, **ends})

    async def read(self, request: Request) -> Reply:
        """GET /v1/messages/batches/{id}."""
        return json_reply(message_batch(await self._there(request)))

    async def cancel(self, request: Request) -> Reply:
        """POST /v1/messages/batches/{id}/cancel: nothing more is asked; what is done is kept."""
        batch = await self._there(request)
        cancelled = await self._batches.cancel(batch.id, request.owner, int(self._parts.clock()))
        self._parts.machine.wake(batch.id)
        return json_reply(message_batch(cancelled or batch))

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/messages/batches/{id}: one that has ended, with its results."""
        batch = await self._there(request)
        if batch.status not in ENDED:
            raise InvalidRequest("A batch that is in progress can't be deleted: cancel it first.", param="id")
        details = details_of(batch)
        for file in (details.output_file_id, details.input_file_id):
            await self._parts.store.files.delete(file, request.owner)
        if not await self._batches.delete(batch.id, request.owner):
            raise _not_found(batch.id)
        return json_reply({"id": batch.id, "type": "message_batch_deleted"})

    async def results(self, request: Request) -> Reply | None:
        """GET /v1/messages/batches/{id}/results: a line for each request, once the batch has ended."""
        batch = await self._there(request)
        id = progress_of(batch).output_file_id
        now = self._parts.clock()
        file = None if id is None else await self._parts.store.files.get(id, request.owner, now)
        if file is None:
            raise NotFound(f"The batch '{batch.id}' has no results, or not yet.", code="results_not_found")
        row = await self._parts.store.files.content(file.id, request.owner, now)
        if row is None or len(row) == file.size:
            return Reply(row or b"", content_type=JSONL)
        sink = await request.stream(JSONL, length=file.size)
        at = 0
        while row:
            await sink.write(row)
            at += len(row)
            row = await self._parts.store.files.content(file.id, request.owner, self._parts.clock(), at)
        await sink.close()
        return None

    async def _there(self, request: Request) -> StoredBatch:
        id = request.params["id"]
        batch = await self._batches.get(id, request.owner)
        if batch is None or batch.front != FRONT:
            raise _not_found(id)
        return batch

    def _lines(self, body: bytes) -> Sequence[bytes]:
        """Return the lines of the file that the requests become. Raises InvalidRequest."""
        requests = decode(_create, body).requests
        if not 1 <= len(requests) <= self._most_requests:
            raise InvalidRequest(
                f"requests: must have from 1 to {self._most_requests} requests (batch_requests).", param="requests"
            )
        seen: set[str] = set()
        lines = []
        for number, raw in enumerate(requests):
            found = decode(_params, raw, f"requests[{number}]")
            index = f"requests[{number}].custom_id"
            if not _fits(found.custom_id):
                raise InvalidRequest(
                    f"must have 1 to {LONGEST_ID} characters: letters, digits, '_' and '-'.", param=index
                )
            if found.custom_id in seen:
                raise InvalidRequest("must be unique in the batch.", param=index, code="duplicate_custom_id")
            seen.add(found.custom_id)
            lines.append(to_json(found))
        return lines

    async def _keep(self, lines: Sequence[bytes], caller: Caller) -> str:
        """Make a file of lines; return its id. Raises APIError 400 where there is no room for it."""
        content = b"\n".join(lines)
        files, now = self._parts.store.files, int(self._parts.clock())
        if await self._parts.incoming.room(caller.owner) < len(content):
            raise self._parts.incoming.full()
        base = self._parts.new_id_base()
        file = StoredFile(
            id=f"file-{base}",
            owner=caller.owner,
            filename=f"msgbatch_{base[:16]}_input.jsonl",
            purpose="batch",
            media_type="application/jsonl",
            size=len(content),
            created_at=now,
        )
        if len(content) <= FILE_ROW:
            await files.put(file, content)
            return file.id
        number = await files.begin(caller.owner, now + UPLOAD_SECONDS)
        for start in range(0, len(content), FILE_ROW):
            await files.append(number, start, content[start : start + FILE_ROW])
        await files.finish(file, [number])
        return file.id


def _fits(custom_id: str) -> bool:
    return (
        1 <= len(custom_id) <= LONGEST_ID
        and custom_id.isascii()
        and custom_id.replace("_", "a").replace("-", "a").isalnum()
    )


def _not_found(id: str) -> NotFound:
    return NotFound(f"Message batch '{id}' not found.", param="id", code="batch_not_found")


def message_batch(batch: StoredBatch) -> dict[str, object]:
    """Return a batch as clients see it."""
    progress = progress_of(batch)
    ended = batch.status in ENDED
    status = "ended" if ended else "canceling" if batch.status == "cancelling" else "in_progress"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": _counts(batch, ended),
        "created_at": _time(batch.created_at),
        "expires_at": _time(batch.created_at + WINDOWS["24h"]),
        "ended_at": _time(progress.ended_at) if ended else None,
        "cancel_initiated_at": _time(batch.cancelling_at),
        "archived_at": None,
        "results_url": f"/v1/messages/batches/{batch.id}/results" if progress.output_file_id else None,
    }


def _counts(batch: StoredBatch, ended: bool) -> dict[str, int]:
    """Return the counts: all are `processing` until the batch has ended."""
    total = max(batch.counts.total, details_of(batch).requests)
    if not ended:
        return {"processing": total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    completed, failed = batch.counts.completed, batch.counts.failed
    left = total - completed - failed
    return {
        "processing": 0,
        "succeeded": completed,
        "errored": failed + (left if batch.status == "failed" else 0),
        "canceled": left if batch.status == "cancelled" else 0,
        "expired": left if batch.status == "expired" else 0,
    }


def _time(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def add_message_batches(router: RouteTable, routes: MessageBatchRoutes) -> None:
    """Register `/messages/batches`."""
    router.add("POST", "/messages/batches", routes.create, form=FORM)
    router.add("GET", "/messages/batches", routes.list, form=FORM)
    router.add("GET", "/messages/batches/{id}", routes.read, form=FORM)
    router.add("DELETE", "/messages/batches/{id}", routes.delete, form=FORM)
    router.add("POST", "/messages/batches/{id}/cancel", routes.cancel, form=FORM)
    router.add("GET", "/messages/batches/{id}/results", routes.results, form=FORM)
