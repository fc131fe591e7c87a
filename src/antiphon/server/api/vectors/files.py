"""`/v1/vector_stores/{id}/files` and `…/file_batches`: files are added, and ingested afterwards."""

from __future__ import annotations

import asyncio

import msgspec

from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest, NotFound
from antiphon.runtime.offload import by_size
from antiphon.server.api.paging import listing, page_query, whole_number
from antiphon.server.api.vectors.shapes import (
    AddFile,
    CreateBatch,
    ShownVectorFile,
    UpdateFile,
    attributes_json,
    polled,
    shown_batch,
    shown_file,
)
from antiphon.server.api.vectors.stores import VectorShelf
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.stores.records import FileBatch, ListPage, VectorFile

STATES = ("in_progress", "completed", "failed", "cancelled")
MOST_CHUNKS = 10_000  # of a page of a file's content
ENCODED_INLINE = 200  # chunks; more are encoded in a thread

_add = msgspec.json.Decoder(AddFile)
_update = msgspec.json.Decoder(UpdateFile)
_batch = msgspec.json.Decoder(CreateBatch)


class VectorStoreFiles:
    """The handlers of files in vector stores, and of batches of them."""

    def __init__(self, shelf: VectorShelf) -> None:
        self._shelf = shelf
        self._stores = shelf.stores

    async def create(self, request: Request) -> Reply:
        """POST …/files: add a file; one that is there already is ingested anew."""
        body = decode(_add, await request.body(most=SMALL_BODY))
        store = await self._shelf.usable(request)
        file = await self._shelf.added(request, body)
        await self._shelf.attach(store.id, request.owner, [file])
        return self._reply(await self._there(request, file.file_id), store.id)

    async def list(self, request: Request) -> Reply:
        """GET …/files: newest first unless `order=asc`; `limit`, `after`, `before`, `filter` (a state)."""
        return await self._page(request, None)

    async def read(self, request: Request) -> Reply:
        """GET …/files/{file_id}."""
        return self._reply(await self._there(request, request.params["file_id"]), request.params["id"])

    async def update(self, request: Request) -> Reply:
        """POST …/files/{file_id}: replace the attributes."""
        body = decode(_update, await request.body(most=SMALL_BODY))
        id, file_id = request.params["id"], request.params["file_id"]
        attributes = attributes_json(body.attributes)
        file = await self._stores.set_attributes(id, file_id, request.owner, attributes)
        if file is None:
            await self._shelf.there(request)
            raise _no_file(file_id)
        return self._reply(file, id)

    async def delete(self, request: Request) -> Reply:
        """DELETE …/files/{file_id}: out of this vector store; the file itself stays."""
        file_id = request.params["file_id"]
        if not await self._stores.detach(request.params["id"], file_id, request.owner):
            await self._shelf.there(request)
            raise _no_file(file_id)
        return json_reply({"id": file_id, "object": "vector_store.file.deleted", "deleted": True})

    async def content(self, request: Request) -> Reply:
        """GET …/files/{file_id}/content: the texts of its chunks, in order; `page` is a `next_page` of before."""
        id, file_id = request.params["id"], request.params["file_id"]
        await self._there(request, file_id)
        start = whole_number(request, "page", 0, 0, 1 << 30)
        texts = await self._stores.content(id, file_id, request.owner, start, MOST_CHUNKS + 1)
        more = len(texts) > MOST_CHUNKS
        page = {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": text} for text in texts[:MOST_CHUNKS]],
            "has_more": more,
            "next_page": str(start + MOST_CHUNKS) if more else None,
        }
        return json_reply(page) if len(texts) < ENCODED_INLINE else await asyncio.to_thread(json_reply, page)

    # Batches

    async def create_batch(self, request: Request) -> Reply:
        """POST …/file_batches: add many files at once."""
        text = await request.body()
        body = await by_size(len(text), decode, _batch, text)
        if (body.file_ids is None) == (body.files is None):
            raise InvalidRequest("Exactly one of 'file_ids' and 'files' is required.", param="file_ids")
        store = await self._shelf.usable(request)
        wanted = body.files or [
            AddFile(file_id=id, attributes=body.attributes, chunking_strategy=body.chunking_strategy)
            for id in body.file_ids or ()
        ]
        path = "" if body.files is None else "files[{}]."
        by_id = {
            file.file_id: await self._shelf.added(request, file, path.format(index))
            for index, file in enumerate(wanted)
        }
        batch = FileBatch(
            id=f"vsfb_{self._shelf.new_id_base()}", store_id=store.id, created_at=int(self._shelf.clock())
        )
        await self._shelf.attach(store.id, request.owner, [*by_id.values()], batch)
        return await self._batch_reply(request, batch.id)

    async def read_batch(self, request: Request) -> Reply:
        """GET …/file_batches/{batch_id}."""
        return await self._batch_reply(request, request.params["batch_id"])

    async def cancel_batch(self, request: Request) -> Reply:
        """POST …/file_batches/{batch_id}/cancel: files that are completed stay."""
        batch_id = request.params["batch_id"]
        await self._stores.cancel_batch(request.params["id"], batch_id, request.owner)
        return await self._batch_reply(request, batch_id)

    async def list_batch(self, request: Request) -> Reply:
        """GET …/file_batches/{batch_id}/files."""
        batch_id = request.params["batch_id"]
        await self._batch(request, batch_id)
        return await self._page(request, batch_id)

    # What they share

    async def _there(self, request: Request, file_id: str) -> VectorFile:
        file = await self._stores.file(request.params["id"], file_id, request.owner)
        if file is None:
            await self._shelf.there(request)
            raise _no_file(file_id)
        return file

    async def _page(self, request: Request, batch: str | None) -> Reply:
        query = page_query(request)
        states = request.query.get("filter")
        state = states[-1] if states else None
        if state is not None and state not in STATES:
            raise InvalidRequest(f"Invalid 'filter': must be one of {', '.join(STATES)}.", param="filter")
        store = await self._shelf.there(request)
        page = ListPage(limit=query.limit + 1, descending=not query.ascending, after=query.after, before=query.before)
        files = await self._stores.files(store.id, request.owner, page, status=state, batch=batch)
        if files is None:
            raise InvalidRequest("Invalid 'after' or 'before': no such file in the vector store.", param="after")
        shown = [self._shown(file, store.id) for file in files[: query.limit]]
        return json_reply(listing(shown, [file.id for file in shown], len(files) > query.limit))

    def _shown(self, file: VectorFile, store_id: str) -> ShownVectorFile:
        return shown_file(file, store_id, self._shelf.bounds.tokens, self._shelf.bounds.overlap)

    def _reply(self, file: VectorFile, store_id: str) -> Reply:
        return json_reply(self._shown(file, store_id), headers=polled(file.status == "in_progress"))

    async def _batch(self, request: Request, batch_id: str) -> FileBatch:
        batch = await self._stores.batch(request.params["id"], batch_id, request.owner)
        if batch is None:
            await self._shelf.there(request)
            raise NotFound(f"Batch '{batch_id}' not found.", param="batch_id", code="batch_not_found")
        return batch

    async def _batch_reply(self, request: Request, batch_id: str) -> Reply:
        batch = await self._batch(request, batch_id)
        return json_reply(shown_batch(batch), headers=polled(batch.counts.in_progress > 0))


def _no_file(id: str) -> NotFound:
    return NotFound(f"File '{id}' not found in this vector store.", param="file_id", code="file_not_found")
