"""`/v1/conversations`: create, read, update, delete; their items (Conversations API)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from antiphon.core import context
from antiphon.core.context import item_id, kept_items
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.validation import decode, missing
from antiphon.errors import InvalidRequest, NotFound
from antiphon.responses.included import wanted, with_included
from antiphon.runtime.offload import by_size
from antiphon.server.api.paging import listed, listing, page_query
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.stores.base import ConversationStore, ResponseStore
from antiphon.stores.records import StoredConversation, StoredItem
from antiphon.types.items import Item, UnnamedOutput
from antiphon.types.request import Metadata

MOST_ITEMS = 20

T = TypeVar("T")


class CreateConversation(msgspec.Struct, frozen=True):
    """The body of `POST /v1/conversations`."""

    metadata: Metadata | None = None
    items: list[Raw] | None = None


class UpdateConversation(msgspec.Struct, frozen=True):
    """The body of `POST /v1/conversations/{id}`."""

    metadata: Metadata | None


class AddItems(msgspec.Struct, frozen=True):
    """The body of `POST /v1/conversations/{id}/items`."""

    items: list[Raw]


_create = msgspec.json.Decoder(CreateConversation)
_update = msgspec.json.Decoder(UpdateConversation)
_add = msgspec.json.Decoder(AddItems)


class Conversations:
    """The handlers of `/v1/conversations`."""

    def __init__(
        self,
        conversations: ConversationStore,
        responses: ResponseStore,
        clock: Callable[[], float],
        new_id_base: Callable[[], str],
    ) -> None:
        self._conversations = conversations
        self._responses = responses
        self._clock = clock
        self._new_id_base = new_id_base

    async def create(self, request: Request) -> Reply:
        """POST /v1/conversations; an empty body makes an empty conversation."""
        text = await request.body() or b"{}"
        body = await by_size(len(text), decode, _create, text)
        id_base = self._new_id_base()
        conversation = StoredConversation(
            id=f"conv_{id_base}",
            owner=request.owner,
            created_at=int(self._clock()),
            metadata=to_json(body.metadata or {}),
        )
        items = await self._kept(body.items or [], request.owner, id_base)
        await self._conversations.create(conversation, items)
        return Reply(_json(conversation))

    async def read(self, request: Request) -> Reply:
        """GET /v1/conversations/{id}."""
        conversation = await self._conversations.get(request.params["id"], request.owner)
        return Reply(_json(_there(conversation, request)))

    async def update(self, request: Request) -> Reply:
        """POST /v1/conversations/{id}: replace the metadata."""
        body = decode(_update, await request.body(most=SMALL_BODY))
        changed = await self._conversations.update(request.params["id"], request.owner, to_json(body.metadata or {}))
        return Reply(_json(_there(changed, request)))

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/conversations/{id}, with all its items."""
        return await self.delete_of(request, request.owner)

    async def delete_of(self, request: Request, owner: str) -> Reply:
        """Delete the conversation of an owner that a path names. Raises NotFound."""
        id = request.params["id"]
        if not await self._conversations.delete(id, owner):
            raise no_conversation(id)
        return json_reply({"id": id, "object": "conversation.deleted", "deleted": True})

    # Items

    async def add_items(self, request: Request) -> Reply:
        """POST …/items: at most 20 in a call."""
        text = await request.body()
        body = await by_size(len(text), decode, _add, text)
        items = await self._kept(body.items, request.owner, self._new_id_base())
        if not await self._conversations.add_items(request.params["id"], request.owner, items):
            raise no_conversation(request.params["id"])
        return await _page(items, has_more=False)

    async def list_items(self, request: Request) -> Reply:
        """GET …/items: newest first unless `order=asc`; `limit`, `after`, `include`."""
        return await self.items_of(request, request.owner)

    async def items_of(self, request: Request, owner: str) -> Reply:
        """Return a page of items of an owner's conversation. Raises NotFound, InvalidRequest."""
        query = page_query(request)
        id = request.params["id"]
        _there(await self._conversations.get(id, owner), request)
        items = await self._conversations.list_items(
            id, owner, after=query.after, limit=query.limit + 1, descending=not query.ascending
        )
        if items is None:
            raise InvalidRequest(
                f"Invalid 'after': item '{query.after}' not found in this conversation.", param="after"
            )
        shown = await self._included(items[: query.limit], request, owner)
        return await _page(shown, has_more=len(items) > query.limit)

    async def _included(self, items: Sequence[StoredItem], request: Request, owner: str) -> Sequence[StoredItem]:
        """Return items with the fields that the request's `include` names."""
        include = wanted(request.query)
        if not include:
            return items
        bodies = [Raw(item.body) for item in items]
        shown = await with_included(bodies, include, owner, self._responses.model_texts)
        return [StoredItem(item.id, bytes(body)) for item, body in zip(items, shown, strict=True)]

    async def read_item(self, request: Request) -> Reply:
        """GET …/items/{item_id}; `include`."""
        return await self.item_of(request, request.owner)

    async def item_of(self, request: Request, owner: str) -> Reply:
        """Return an item of an owner's conversation. Raises NotFound."""
        id, item = request.params["id"], request.params["item_id"]
        found = await self._conversations.get_item(id, item, owner)
        if found is None:
            raise _no_item(item)
        (shown,) = await self._included([found], request, owner)
        return Reply(shown.body)

    async def delete_item(self, request: Request) -> Reply:
        """DELETE …/items/{item_id}: returns the conversation."""
        id, item = request.params["id"], request.params["item_id"]
        conversation = _there(await self._conversations.get(id, request.owner), request)
        if not await self._conversations.delete_item(id, item, request.owner):
            raise _no_item(item)
        return Reply(_json(conversation))

    async def _kept(self, raw: Sequence[Raw], owner: str, id_base: str) -> list[StoredItem]:
        """Decode, check and complete items; references are resolved."""
        if len(raw) > MOST_ITEMS:
            raise InvalidRequest(f"Too many items: at most {MOST_ITEMS} can be added in one call.", param="items")
        size = sum([len(bytes(one)) for one in raw])
        items = await by_size(size, decode_items, list(raw), "items")
        for index, item in enumerate(items):
            if isinstance(item, UnnamedOutput):
                raise missing(f"items[{index}].call_id")
        references = context.references(items)
        if references:
            items = context.resolve_references(items, await self._responses.items(references, owner))
        return await by_size(size, _stored, items, id_base)


def _stored(items: Sequence[Item], id_base: str) -> list[StoredItem]:
    return [StoredItem(item_id(item), bytes(item)) for item in kept_items(items, id_base)]


async def _page(items: Sequence[StoredItem], *, has_more: bool) -> Reply:
    bodies = [Raw(item.body) for item in items]
    size = sum([len(item.body) for item in items])
    return await by_size(size, listed, listing(bodies, [item.id for item in items], has_more))


def _json(conversation: StoredConversation) -> bytes:
    return to_json(
        {
            "id": conversation.id,
            "object": "conversation",
            "created_at": conversation.created_at,
            "metadata": Raw(conversation.metadata),
        }
    )


def _there(conversation: T | None, request: Request) -> T:
    if conversation is None:
        raise no_conversation(request.params["id"])
    return conversation


def no_conversation(id: str) -> NotFound:
    """Return the error for an id that names no conversation, or none of this owner."""
    return NotFound(f"Conversation with id '{id}' not found.", param="id", code="conversation_not_found")


def _no_item(id: str) -> NotFound:
    return NotFound(f"Item with id '{id}' not found.", param="item_id", code="item_not_found")
