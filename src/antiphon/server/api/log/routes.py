"""The handlers of the response log: lists, one response with all that is known of it, deletion, export."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.access.audit import AuditLog
from antiphon.access.caller import ADMIN
from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest, NotFound, StoreUnknown
from antiphon.runtime.offload import by_size
from antiphon.server.api.log.sent import SentLookup
from antiphon.server.api.log.shapes import DeleteResponses, log_query, logged, logged_page
from antiphon.server.api.operator.auditing import actor_of
from antiphon.server.http.messages import SMALL_BODY, ByteSink, ClientGone, Reply, Request, json_reply
from antiphon.server.http.router import RouteTable, upgrade_required
from antiphon.stores.base import ResponseStore
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.records import StoredResponse

PRIVATE = ((b"cache-control", b"no-store"),)
MOST_EXPORTED = 10_000
"""Responses of one export."""
EXPORT_PAGE = 100
LONGEST_ID = 128
"""Characters of an id in the audit log."""
JSONL = "application/jsonl"

Remove = Callable[[str, str], Awaitable[bool]]
"""Deletes the response of an id and an owner; tells whether it was there."""

_delete = msgspec.json.Decoder(DeleteResponses)


class ResponseLog:
    """The handlers. A key sees its owner's responses, one with the scope `admin` those of all."""

    def __init__(self, responses: ResponseStore, remove: Remove, sent: SentLookup, audit: AuditLog) -> None:
        self._responses = responses
        self._remove = remove
        self._audit = audit
        self._sent = sent

    # Lists

    async def own(self, request: Request) -> Reply | None:
        """GET /responses; where WebSocket mode is off, whoever asks for it is told so."""
        if request.header(b"sec-websocket-key") is not None:
            raise upgrade_required()
        return await self._list(request, request.owner)

    async def all(self, request: Request) -> Reply | None:
        """GET /admin/responses."""
        return await self._list(request, None)

    async def _list(self, request: Request, owner: str | None) -> Reply | None:
        form = (request.query.get("format") or ["json"])[-1]
        if form not in ("json", "jsonl"):
            raise InvalidRequest("Invalid 'format': must be 'json' or 'jsonl'.", param="format")
        if form == "jsonl":
            limited = "limit" in request.query
            query = log_query(request, owner, MOST_EXPORTED)
            await self._export(request, query if limited else replace(query, limit=MOST_EXPORTED))
            return None
        return json_reply(logged_page(await self._page(log_query(request, owner))), headers=PRIVATE)

    async def _page(self, query: LogQuery) -> LogPage:
        try:
            return await self._responses.log(query)
        except StoreUnknown:
            raise InvalidRequest("Invalid 'after': response not found in this list.", param="after") from None

    async def _export(self, request: Request, query: LogQuery) -> None:
        """Send a line for each response, with its input and whole body; the last one tells where to go on if there are more."""
        left = query.limit
        page = await self._page(replace(query, limit=min(EXPORT_PAGE, left)))
        try:
            disposition = (b"content-disposition", b'attachment; filename="responses.jsonl"')
            sink = await request.stream(JSONL, headers=[*PRIVATE, disposition])
            while True:
                for entry in page.entries:
                    await self._export_one(sink, entry)
                left -= len(page.entries)
                if page.next is None:
                    break
                if left <= 0:
                    await sink.write(to_json({"object": "list.truncated", "next": page.next}) + b"\n")
                    break
                page = await self._page(replace(query, limit=min(EXPORT_PAGE, left), after=page.next))
            await sink.close(b"")
        except ClientGone:
            return

    async def _export_one(self, sink: ByteSink, entry: LogEntry) -> None:
        stored = await self._responses.get(entry.id, entry.owner)
        if stored is not None:  # deleted meanwhile
            size = len(stored.body) + len(stored.input)
            await sink.write(to_json(await by_size(size, _whole, entry, stored)) + b"\n")

    # One

    async def own_one(self, request: Request) -> Reply:
        """GET /responses/{id}/log."""
        return await self._one(request, request.owner)

    async def any_one(self, request: Request) -> Reply:
        """GET /admin/responses/{id}: with what was sent to the backend, as far as this server remembers it."""
        return await self._one(request, None)

    async def _one(self, request: Request, owner: str | None) -> Reply:
        id = request.params["id"]
        entry = await self._responses.entry(id)
        whose = owner or (entry.owner if entry is not None else request.owner)
        stored = await self._responses.get(id, whose)
        if stored is None:
            raise NotFound(f"Response with id '{id}' not found.", param="id", code="response_not_found")
        whole = await by_size(len(stored.body) + len(stored.input), _whole, entry, stored)
        whole["own"] = whose == request.owner
        if owner is None:
            whole |= msgspec.structs.asdict(await self._sent.find(id, whose))
        return json_reply(whole, headers=PRIVATE)

    # Deletion

    async def delete_own(self, request: Request) -> Reply:
        """POST /responses/delete: `ids`."""
        return await self._delete(request, request.owner)

    async def delete_any(self, request: Request) -> Reply:
        """POST /admin/responses/delete: `ids`."""
        return await self._delete(request, None)

    async def _delete(self, request: Request, owner: str | None) -> Reply:
        gone: list[dict[str, object]] = []
        for id in dict.fromkeys(decode(_delete, await request.body(most=SMALL_BODY)).ids):
            await self._audit.record("object.deleted", actor_of(request), f"/responses/{id[:LONGEST_ID]}", {})
            entry = await self._responses.entry(id) if owner is None else None
            whose = owner or (entry.owner if entry is not None else request.owner)
            gone.append({"id": id, "object": "response", "deleted": await self._remove(id, whose)})
        return json_reply({"object": "list", "data": gone}, headers=PRIVATE)


def _whole(entry: LogEntry | None, stored: StoredResponse) -> dict[str, Any]:
    """Return a response with all that is stored of it."""
    known = msgspec.structs.asdict(logged(entry)) if entry is not None else {"id": stored.id, "owner": stored.owner}
    parameters = Raw(entry.parameters.encode()) if entry is not None and entry.parameters else None
    return {**known, "parameters": parameters, "response": Raw(stored.body), "input": Raw(stored.input)}


def add_response_log(router: RouteTable, log: ResponseLog) -> None:
    """Register the log's routes."""
    router.add("GET", "/responses", log.own)
    router.add("POST", "/responses/delete", log.delete_own)
    router.add("GET", "/responses/{id}/log", log.own_one)
    admin = frozenset((ADMIN,))
    router.add("GET", "/admin/responses", log.all, scopes=admin)
    router.add("POST", "/admin/responses/delete", log.delete_any, scopes=admin)
    router.add("GET", "/admin/responses/{id}", log.any_one, scopes=admin)
