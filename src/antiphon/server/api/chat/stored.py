"""`GET /v1/chat/completions`, `/v1/chat/completions/{id}` and its messages: completions that were made with `store: true`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode, decode_any, decode_fields
from antiphon.core.text.pieces import joined
from antiphon.errors import InvalidRequest, NotFound
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.keeping import checked_metadata
from antiphon.server.api.paging import MAX_LIMIT, listing, whole_number
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.stores.base import ChatFilter, ChatStore
from antiphon.stores.records import StoredChat
from antiphon.types.raw import OptionalRaw
from antiphon.types.request import Metadata

MOST_LISTED = 16 * 1024 * 1024
"""Bytes of completions after which a page ends."""
SHOWN_PARTS = frozenset(("text", "image_url"))


class UpdateChat(msgspec.Struct, frozen=True):
    """The body of `POST /v1/chat/completions/{id}`."""

    metadata: OptionalRaw


_update = msgspec.json.Decoder(UpdateChat)
_metadata = msgspec.json.Decoder(Metadata)
_messages = msgspec.json.Decoder(list[Raw])


class StoredChats:
    """The handlers of stored chat completions."""

    def __init__(self, chats: ChatStore, clock: Callable[[], float]) -> None:
        self._chats = chats
        self._clock = clock

    async def list(self, request: Request) -> Reply:
        """GET /v1/chat/completions: oldest first unless `order=desc`; `limit`, `after`, `model`, `metadata[KEY]=VALUE`."""
        limit, descending, after = _page_query(request)
        wanted = ChatFilter(model=_last(request, "model"), metadata=_wanted_metadata(request))
        now = self._clock()
        found = await self._chats.list(
            request.owner, now, wanted, after=after, limit=limit, descending=descending, most=MOST_LISTED
        )
        if found is None:
            raise _unknown(after or "")
        more: Sequence[StoredChat] | None = ()
        if found:
            last = found[-1].id
            more = await self._chats.list(request.owner, now, wanted, after=last, limit=1, descending=descending)
        rest = listing([], [chat.id for chat in found], bool(more))
        return Reply(await by_size(sum(len(chat.body) for chat in found), _listed, found, rest))

    async def read(self, request: Request) -> Reply:
        """GET /v1/chat/completions/{id}."""
        chat = await self._there(request)
        return Reply(await by_size(len(chat.body), _shown, chat))

    async def update(self, request: Request) -> Reply:
        """POST /v1/chat/completions/{id}: replace the metadata."""
        body = decode(_update, await request.body(most=SMALL_BODY))
        metadata = checked_metadata(body.metadata)
        chat = await self._chats.update(request.params["id"], request.owner, self._clock(), metadata)
        if chat is None:
            raise _not_found(request)
        return Reply(await by_size(len(chat.body), _shown, chat))

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/chat/completions/{id}."""
        id = request.params["id"]
        if not await self._chats.delete(id, request.owner):
            raise _not_found(request)
        return json_reply({"object": "chat.completion.deleted", "id": id, "deleted": True})

    async def messages(self, request: Request) -> Reply:
        """GET …/messages: those of the request, in their order unless `order=desc`; `limit`, `after`."""
        limit, descending, after = _page_query(request)
        chat = await self._there(request)
        return await by_size(len(chat.messages), _message_page, chat, limit, descending, after)

    async def _there(self, request: Request) -> StoredChat:
        chat = await self._chats.get(request.params["id"], request.owner, self._clock())
        if chat is None:
            raise _not_found(request)
        return chat


def _last(request: Request, name: str) -> str | None:
    values = request.query.get(name)
    return values[-1] if values else None


def _page_query(request: Request) -> tuple[int, bool, str | None]:
    """Return the limit, whether the newest come first, and the id behind which the page begins. Raises InvalidRequest."""
    order = _last(request, "order") or "asc"
    if order not in ("asc", "desc"):
        raise InvalidRequest("Invalid 'order': must be 'asc' or 'desc'.", param="order")
    return whole_number(request, "limit", 20, 1, MAX_LIMIT), order == "desc", _last(request, "after")


def _wanted_metadata(request: Request) -> dict[str, str]:
    """Return the pairs of `metadata[KEY]=VALUE`. Raises InvalidRequest."""
    found = {
        name[len("metadata[") : -1]: values[-1]
        for name, values in request.query.items()
        if name.startswith("metadata[") and name.endswith("]") and values
    }
    return decode(_metadata, to_json(found), "metadata")


def _shown(chat: StoredChat) -> bytes:
    return to_json({**decode_fields(chat.body), "metadata": Raw(chat.metadata)})


def _listed(chats: Sequence[StoredChat], rest: dict[str, Any]) -> bytes:
    parts = [b'{"object":"list","data":[']
    for chat in chats:
        parts += (_shown(chat), b",")
    if chats:
        parts.pop()
    fields = {name: value for name, value in rest.items() if name not in ("object", "data")}
    return joined([*parts, b"],", to_json(fields)[1:]])


def _message_page(chat: StoredChat, limit: int, descending: bool, after: str | None) -> Reply:
    raws = _messages.decode(chat.messages)
    indexes = list(range(len(raws)))
    if descending:
        indexes.reverse()
    if after is not None:
        ids = [f"{chat.id}-{index}" for index in indexes]
        if after not in ids:
            raise _unknown(after)
        indexes = indexes[ids.index(after) + 1 :]
    chosen = indexes[:limit]
    data = [_message(raws[index], f"{chat.id}-{index}") for index in chosen]
    return json_reply(listing(data, [f"{chat.id}-{index}" for index in chosen], len(indexes) > limit))


def _message(raw: Raw, id: str) -> dict[str, Any]:
    """Return a message as the list shows it: parts of its content beside their text."""
    value = decode_any(raw)
    message = value if isinstance(value, dict) else {}
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    if parts is not None:
        content = "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and "text" in part)
        parts = [part for part in parts if isinstance(part, dict) and part.get("type") in SHOWN_PARTS]
    return {"refusal": None, **message, "id": id, "content": content, "content_parts": parts}


def _unknown(after: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid 'after': '{after}' not found in this list.", param="after")


def _not_found(request: Request) -> NotFound:
    return NotFound(
        f"Chat completion with id '{request.params['id']}' not found.", param="id", code="chat_completion_not_found"
    )
