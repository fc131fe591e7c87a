"""`/v1/vector_stores`: create, list, read, update, delete, search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.core.retrieval.filters import read_filter
from antiphon.core.retrieval.options import checked
from antiphon.errors import InvalidRequest, StoreConflict
from antiphon.responses.query_rewriting import QueryRewriter
from antiphon.server.api.files import file_not_found
from antiphon.server.api.foreground import ignored_header
from antiphon.server.api.paging import listing, page_query
from antiphon.server.api.vectors.shapes import (
    AddFile,
    CreateVectorStore,
    SearchVectorStore,
    UpdateVectorStore,
    attributes_json,
    chunking_of,
    full,
    shown_store,
    store_not_found,
)
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.stores.base import Store
from antiphon.stores.records import FileBatch, ListPage, VectorFile, VectorStore
from antiphon.telemetry.request_record import calls_model, uses_tokens
from antiphon.tools.retrieval.ingestion import Ingestion
from antiphon.tools.retrieval.search import Searcher, SearchTerms, ranked_by

USED_SECONDS = 60  # between two writes of when a vector store was last used

_create = msgspec.json.Decoder(CreateVectorStore)
_update = msgspec.json.Decoder(UpdateVectorStore)
_search = msgspec.json.Decoder(SearchVectorStore)


class VectorShelf:
    """What the handlers of vector stores share: the store, its bounds, whom to wake when there are files to ingest."""

    def __init__(
        self,
        store: Store,
        ingestion: Ingestion,
        clock: Callable[[], float],
        new_id_base: Callable[[], str],
    ) -> None:
        self.files = store.files
        self.stores = store.vector_stores
        self.bounds = ingestion.bounds
        self.clock = clock
        self.new_id_base = new_id_base
        self.wake = ingestion.wake

    async def there(self, request: Request) -> VectorStore:
        """Return the vector store that the path names. Raises NotFound."""
        id = request.params["id"]
        store = await self.stores.get(id, request.owner, self.clock())
        if store is None:
            raise store_not_found(id)
        return store

    async def usable(self, request: Request) -> VectorStore:
        """Return the vector store that the path names, and note that it is used. Raises NotFound, or InvalidRequest."""
        store, now = await self.there(request), self.clock()
        if store.expires_at is not None and store.expires_at <= now:
            raise InvalidRequest(
                f"Vector store '{store.id}' has expired.", param="vector_store_id", code="vector_store_expired"
            )
        if now - store.last_active_at > USED_SECONDS:
            await self.stores.touch([store.id], request.owner, now)
        return store

    async def attach(self, id: str, owner: str, files: Sequence[VectorFile], batch: FileBatch | None = None) -> None:
        """Add files to a vector store, and have them ingested. Raises NotFound, InvalidRequest where it would be too full."""
        try:
            if not await self.stores.attach(id, owner, files, batch, most=self.bounds.max_files):
                raise store_not_found(id)
        except StoreConflict:
            raise full(self.bounds.max_files, "vector_store_id") from None
        self.wake()

    async def added(self, request: Request, file: AddFile, path: str = "") -> VectorFile:
        """Return a file that is to be added to a vector store. Raises NotFound, InvalidRequest."""
        found = await self.files.get(file.file_id, request.owner, self.clock())
        if found is None:
            raise file_not_found(file.file_id, f"{path}file_id")
        tokens, overlap = chunking_of(file.chunking_strategy, f"{path}chunking_strategy")
        return VectorFile(
            file_id=found.id,
            filename=found.filename,
            created_at=int(self.clock()),
            attributes=attributes_json(file.attributes),
            chunk_tokens=tokens,
            chunk_overlap=overlap,
        )


class VectorStores:
    """The handlers of vector stores themselves."""

    def __init__(
        self, shelf: VectorShelf, searcher: Searcher, rewriter: QueryRewriter | None = None, *, most_stores: int
    ) -> None:
        self._shelf = shelf
        self._rewriter = rewriter
        self._stores = shelf.stores
        self._searcher = searcher
        self._most_stores = most_stores

    async def create(self, request: Request) -> Reply:
        """POST /v1/vector_stores: perhaps with files, which are ingested afterwards."""
        body = decode(_create, await request.body(most=SMALL_BODY) or b"{}")
        if body.chunking_strategy is not None and not body.file_ids:
            raise InvalidRequest(
                "Invalid 'chunking_strategy': it is for the files in 'file_ids'.", param="chunking_strategy"
            )
        files = [
            await self._shelf.added(request, AddFile(file_id=id, chunking_strategy=body.chunking_strategy))
            for id in dict.fromkeys(body.file_ids or ())
        ]
        if len(files) > self._shelf.bounds.max_files:
            raise full(self._shelf.bounds.max_files, "file_ids")
        if await self._stores.count(request.owner) >= self._most_stores:
            raise InvalidRequest(
                f"There are {self._most_stores} vector stores already, which is the limit; delete some first.",
                code="vector_store_limit",
            )
        now = int(self._shelf.clock())
        store = VectorStore(
            id=f"vs_{self._shelf.new_id_base()}",
            owner=request.owner,
            created_at=now,
            last_active_at=now,
            name=body.name or "",
            description=body.description or "",
            metadata=to_json(body.metadata or {}),
            expires_days=None if body.expires_after is None else body.expires_after.days,
        )
        await self._stores.create(store)
        if files:
            await self._shelf.attach(store.id, request.owner, files)
        return await self._reply(store)

    async def list(self, request: Request) -> Reply:
        """GET /v1/vector_stores: newest first unless `order=asc`; `limit`, `after`, `before`."""
        query = page_query(request)
        page = ListPage(limit=query.limit + 1, descending=not query.ascending, after=query.after, before=query.before)
        stores = await self._stores.list(request.owner, self._shelf.clock(), page)
        if stores is None:
            raise InvalidRequest("Invalid 'after' or 'before': vector store not found.", param="after")
        shown = [shown_store(store, self._shelf.clock()) for store in stores[: query.limit]]
        return json_reply(listing(shown, [store.id for store in shown], len(stores) > query.limit))

    async def read(self, request: Request) -> Reply:
        """GET /v1/vector_stores/{id}."""
        return json_reply(shown_store(await self._shelf.there(request), self._shelf.clock()))

    async def update(self, request: Request) -> Reply:
        """POST /v1/vector_stores/{id}: name, expiry and metadata, as far as they are given."""
        body = decode(_update, await request.body(most=SMALL_BODY))
        store = await self._shelf.usable(request)
        changed = msgspec.structs.replace(store, last_active_at=int(self._shelf.clock()))
        if body.name is not None:
            changed = msgspec.structs.replace(changed, name=body.name)
        if body.expires_after is not UNSET:
            days = None if body.expires_after is None else body.expires_after.days
            changed = msgspec.structs.replace(changed, expires_days=days)
        if body.metadata is not UNSET:
            changed = msgspec.structs.replace(changed, metadata=to_json(body.metadata or {}))
        if not await self._stores.update(changed):
            raise store_not_found(store.id)
        return await self._reply(changed)

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/vector_stores/{id}: the files themselves stay."""
        id = request.params["id"]
        if not await self._stores.delete(id, request.owner):
            raise store_not_found(id)
        return json_reply({"id": id, "object": "vector_store.deleted", "deleted": True})

    async def search(self, request: Request) -> Reply:
        """POST /v1/vector_stores/{id}/search: the best chunks for one query or several together."""
        body = decode(_search, await request.body(most=SMALL_BODY))
        fits = None
        if bytes(body.filters) != b"null":
            fits = read_filter(body.filters, "filters")
        options = checked(body.ranking_options, "ranking_options")
        store = await self._shelf.usable(request)
        queries, ignored = await self._queries(body, request.caller)
        if options.hybrid_search is not None and not self._searcher.hybrid:
            ignored = (*ignored, "ranking_options.hybrid_search")
        terms = SearchTerms(
            stores=[store.id], owner=request.owner, queries=queries, limit=body.max_num_results, fits=fits
        )
        found = await self._searcher.search(ranked_by(terms, options))
        data = [
            {
                "file_id": chunk.file_id,
                "filename": chunk.filename,
                "score": chunk.score,
                "attributes": chunk.attributes,
                "content": [{"type": "text", "text": chunk.text}],
            }
            for chunk in found
        ]
        return json_reply(
            {
                "object": "vector_store.search_results.page",
                "search_query": queries,
                "data": data,
                "has_more": False,
                "next_page": None,
            },
            headers=ignored_header(ignored),
        )

    async def _queries(self, body: SearchVectorStore, caller: Caller) -> tuple[Sequence[str], Sequence[str]]:
        """Return the queries to search for, rewritten where that is asked for, and what of the request is not done."""
        queries = [body.query] if isinstance(body.query, str) else body.query
        if not body.rewrite_query:
            return queries, []
        if self._rewriter is None:
            return queries, ["rewrite_query"]
        rewritten = await self._rewriter.rewritten(queries, caller)
        calls_model(rewritten.model)
        uses_tokens(rewritten.usage)
        return (queries, ["rewrite_query"]) if rewritten.queries is None else (rewritten.queries, [])

    async def _reply(self, store: VectorStore) -> Reply:
        """Return a vector store as it is now."""
        now = self._shelf.clock()
        return json_reply(shown_store(await self._stores.get(store.id, store.owner, now) or store, now))
