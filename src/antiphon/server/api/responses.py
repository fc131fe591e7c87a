"""`/v1/responses`: create, read, delete, cancel, input items (contract, "Paths")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.core.context import split_array
from antiphon.core.json_encoding import to_json
from antiphon.core.text import sse
from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.responses.background.event_log import WORKING, Follower
from antiphon.responses.background.live import Live
from antiphon.responses.included import response_with_included, wanted, with_included
from antiphon.responses.intake.decoding import with_model
from antiphon.responses.prepare import Prepared, Preparer
from antiphon.responses.services import Services
from antiphon.runtime.offload import by_size
from antiphon.server.api.delta_trace import TracingSink, wants_trace
from antiphon.server.api.foreground import Foreground, SSESink, ignored_header
from antiphon.server.api.paging import PageQuery, listed, page, page_query, whole_number
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import ClientGone, Header, Reply, Request, json_reply
from antiphon.stores.records import StoredResponse
from antiphon.types.events import Event

MOST_EVENTS = 2**31 - 1  # numbers that `starting_after` may name


class Responses:
    """The handlers of `/v1/responses`."""

    def __init__(self, services: Services, preparer: Preparer, live: Live, foreground: Foreground) -> None:
        self._services = services
        self._preparer = preparer
        self._live = live
        self._foreground = foreground

    # POST /v1/responses

    async def create(self, request: Request) -> Reply | None:
        """Make a response: JSON, or events with `"stream": true` (CreateResponse)."""
        body = await request.body(checked=False)
        prepared = await self._preparer.prepare(body, request.caller, request_hints(request), checked=False)
        if prepared.plan.request.background:
            return await self._background(request, prepared)
        limits = prepared.permit.headers
        if not prepared.plan.request.stream:
            run = self._preparer.run(prepared, mute=True)
            return await self._foreground.whole(request, run, limits)
        if wants_trace(request):
            prepared = prepared.traced()
        run = self._preparer.run(prepared)
        trace = prepared.trace
        sink_of = SSESink if trace is None else lambda sink: TracingSink(sink, trace.heard)
        await self._foreground.stream(request, run, limits, sink_of)
        return None

    async def _background(self, request: Request, prepared: Prepared) -> Reply | None:
        plan, body = prepared.plan, prepared.body
        if prepared.unnamed:  # whoever continues it may have another model, or several
            body = await by_size(len(body), with_model, body, plan.request.model)
        queued = await self._live.submit(plan, body, prepared.permit)
        headers = [*prepared.permit.headers, *ignored_header(plan.ignored)]
        if not plan.request.stream:
            return Reply(queued, headers=headers)
        follower = await self._live.follow(plan.response.id, plan.owner, -1)
        await _send_followed(request, follower, headers)
        return None

    # /v1/responses/{id}

    async def read(self, request: Request) -> Reply | None:
        """GET: the response as it was sent, or is now; `?stream=true&starting_after=N` follows a background one.

        `include` shows fields of its output that it was not sent with, once it has ended.
        """
        id = request.params["id"]
        if request.query.get("stream", ("false",))[-1] in ("true", "1"):
            await self._follow(request, id)
            return None
        live = self._live.snapshot(id, request.owner)
        if live is not None:
            return Reply(live)
        stored = await self._stored(request)
        texts = self._services.store.responses.model_texts
        return Reply(await response_with_included(stored, wanted(request.query), texts))

    async def _follow(self, request: Request, id: str) -> None:
        stored = await self._stored(request)
        if not stored.background:
            raise InvalidRequest("Only a response created with 'background' can be streamed again.", param="stream")
        after = _starting_after(request)
        if stored.status not in WORKING and not await self._services.store.jobs.events(id, request.owner, -1, 1):
            raise InvalidRequest(
                "The events of this response are no longer kept (setting event_days). Read it without 'stream'.",
                param="stream",
                code="events_expired",
            )
        follower = await self._live.follow(id, request.owner, after)
        await _send_followed(request, follower)

    async def delete(self, request: Request) -> Reply:
        """DELETE: a running background response is cancelled first."""
        id = request.params["id"]
        if not await self.remove(id, request.owner):
            raise _not_found(id)
        return json_reply({"id": id, "object": "response", "deleted": True})

    async def remove(self, id: str, owner: str) -> bool:
        """Delete a response with all that is remembered of it; tell whether it was there."""
        await self._live.discard(id, owner)
        if not await self._services.store.responses.delete(id, owner):
            return False
        self._services.recall.forget(owner, id)
        self._services.prompts.forget(owner, id)
        self._services.captures.forget(id)
        return True

    async def cancel(self, request: Request) -> Reply:
        """POST …/cancel: idempotent, for background responses only."""
        stored = await self._stored(request)
        if not stored.background:
            raise InvalidRequest(
                "Cannot cancel a synchronous response: only one created with 'background' can be cancelled.", param="id"
            )
        return Reply(await self._live.cancel(stored))

    async def input_items(self, request: Request) -> Reply:
        """GET …/input_items: this response's own input and its history, newest first unless `order=asc`; `include`."""
        stored = await self._stored(request)
        query = page_query(request)
        arrays = [stored.input]
        if stored.previous_response_id is not None:
            earlier = await self._services.store.responses.history(stored.previous_response_id, request.owner) or ()
            arrays = [*earlier, stored.input]
        cut = await by_size(sum(map(len, arrays)), _page_of, arrays, query)
        texts = self._services.store.responses.model_texts
        cut["data"] = await with_included(cut["data"], wanted(request.query), request.owner, texts)
        return await by_size(sum(len(bytes(item)) for item in cut["data"]), listed, cut)

    async def _stored(self, request: Request) -> StoredResponse:
        id = request.params["id"]
        stored = await self._services.store.responses.get(id, request.owner)
        if stored is None:
            raise _not_found(id)
        return stored


def _page_of(arrays: Sequence[bytes], query: PageQuery) -> dict[str, Any]:
    return page([item for array in arrays for item in split_array(array)], query)


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id '{id}' not found.", param="id", code="response_not_found")


def _starting_after(request: Request) -> int:
    return whole_number(request, "starting_after", -1, -1, MOST_EVENTS)


async def _send_followed(request: Request, follower: Follower, headers: Sequence[Header] = ()) -> None:
    try:
        sink = await request.stream(headers=headers)
        try:
            while events := await follower.next():
                await sink.write(sse.encode(events))
        except APIError as error:  # the store is away: whoever follows takes it up again behind the last event
            await sink.close(sse.encode([_error_event(error, max(follower.seen, 0))]))
            return
        await sink.close(sse.DONE)
    except ClientGone:
        return


def _error_event(error: APIError, number: int) -> Event:
    """Return an error that ends no response (ResponseErrorEvent); `number` is the last event's, so that none is left out."""
    fields = {"code": error.code, "message": error.message, "param": error.param or None, "sequence_number": number}
    return Event("error", to_json({"type": "error", **fields}))
