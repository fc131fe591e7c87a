"""`GET /conversations`, `/admin/conversations`: the conversations of a store with first words, owner, time, count; search.

Operators read and delete those of any owner below `/admin/conversations/{id}`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from antiphon.access.caller import ADMIN
from antiphon.errors import InvalidRequest
from antiphon.responses.log.entries import conversation_words
from antiphon.runtime.offload import by_size
from antiphon.server.api.conversations import Conversations, no_conversation
from antiphon.server.api.log.shapes import LONGEST_VALUE
from antiphon.server.api.paging import whole_number
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.stores.base import ConversationStore
from antiphon.stores.log_records import MOST_WORDS, ConversationSummary

PRIVATE = ((b"cache-control", b"no-store"),)
MOST_LISTED = 100
"""Conversations of a page."""
CHUNK = 100
"""Conversations of one look of a search into the store."""
SEARCHED = 1_000
"""Conversations that one page of a search looks at."""
NAMES = ("q", "limit", "after", "owner")

_metadata = msgspec.json.Decoder(dict[str, str])


class ListedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as lists show it. `items`: up to 1,000 are counted; `question`, `answer`: first and last words."""

    id: str
    object: str = "conversation"
    owner: str
    created_at: int
    metadata: dict[str, str]
    items: int
    question: str
    answer: str


class AnyConversation(ListedConversation, frozen=True, kw_only=True):
    """A conversation of any owner. `own`: whether the key that asks belongs to that owner, and so can go on with it."""

    own: bool


class ConversationPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of conversations. `next` is the `after` of the next one; a page without conversations may have one, too."""

    object: str = "list"
    data: list[ListedConversation]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next: str | None


class ConversationLists:
    """The handlers. A key sees its owner's conversations, one with the scope `admin` those of all."""

    def __init__(self, conversations: ConversationStore) -> None:
        self._conversations = conversations

    async def own(self, request: Request) -> Reply:
        """GET /conversations."""
        values = _values(request)
        if values.get("owner", request.owner) != request.owner:
            raise InvalidRequest("Invalid 'owner': only your own conversations are listed here.", param="owner")
        return await self._list(request, values, request.owner)

    async def all(self, request: Request) -> Reply:
        """GET /admin/conversations."""
        values = _values(request)
        return await self._list(request, values, values.get("owner"))

    async def _list(self, request: Request, values: dict[str, str], owner: str | None) -> Reply:
        words = [word.casefold() for word in values.get("q", "").split()]
        if len(words) > MOST_WORDS:
            raise InvalidRequest(f"Invalid 'q': must be at most {MOST_WORDS} words.", param="q")
        limit, after = whole_number(request, "limit", 20, 1, MOST_LISTED), values.get("after")
        found: list[ListedConversation] = []
        looked, more = 0, True
        while more and len(found) < limit and looked < SEARCHED:
            wanted = CHUNK if words else limit
            listed = await self._conversations.list(owner, after=after, limit=wanted + 1)
            if listed is None:
                raise InvalidRequest("Invalid 'after': conversation not found in this list.", param="after")
            more, listed = len(listed) > wanted, listed[:wanted]
            size = sum(len(body) for one in listed for body in (*one.first, one.last))
            for shown in await by_size(size, _shown, listed):
                if len(found) == limit:
                    more = True
                    break
                after = shown.id
                looked += 1
                if _fits(shown, words):
                    found.append(shown)
        ids = [one.id for one in found]
        page = ConversationPage(
            data=found,
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
            has_more=more,
            next=after if more else None,
        )
        return json_reply(page, headers=PRIVATE)


class AnyConversations:
    """The handlers of `/admin/conversations/{id}`: conversations of any owner, for operators."""

    def __init__(self, conversations: ConversationStore, handlers: Conversations) -> None:
        self._conversations = conversations
        self._handlers = handlers

    async def read(self, request: Request) -> Reply:
        """GET /admin/conversations/{id}."""
        summary = await self._summary(request)
        size = sum(len(body) for body in (*summary.first, summary.last))
        (shown,) = await by_size(size, _shown, [summary])
        whole = AnyConversation(**msgspec.structs.asdict(shown), own=shown.owner == request.owner)
        return json_reply(whole, headers=PRIVATE)

    async def delete(self, request: Request) -> Reply:
        """DELETE /admin/conversations/{id}, with all its items."""
        return await self._handlers.delete_of(request, await self._owner(request))

    async def list_items(self, request: Request) -> Reply:
        """GET …/items: as `/v1/conversations/{id}/items`."""
        return replace(await self._handlers.items_of(request, await self._owner(request)), headers=PRIVATE)

    async def read_item(self, request: Request) -> Reply:
        """GET …/items/{item_id}; `include`."""
        return replace(await self._handlers.item_of(request, await self._owner(request)), headers=PRIVATE)

    async def _owner(self, request: Request) -> str:
        return (await self._summary(request)).conversation.owner

    async def _summary(self, request: Request) -> ConversationSummary:
        id = request.params["id"]
        found = await self._conversations.summary(id)
        if found is None:
            raise no_conversation(id)
        return found


def _values(request: Request) -> dict[str, str]:
    values = {name: found[-1] for name, found in request.query.items() if found}
    for name, value in values.items():
        if name not in NAMES:
            raise InvalidRequest(f"Unknown parameter: '{name[:64]}'.", param=name[:64], code="unknown_parameter")
        if len(value) > LONGEST_VALUE:
            raise InvalidRequest(f"Invalid '{name}': must be at most {LONGEST_VALUE} characters.", param=name)
    return values


def _shown(listed: Sequence[ConversationSummary]) -> list[ListedConversation]:
    return [_one(summary) for summary in listed]


def _one(summary: ConversationSummary) -> ListedConversation:
    question, answer = conversation_words(summary.first, summary.last)
    return ListedConversation(
        id=summary.conversation.id,
        owner=summary.conversation.owner,
        created_at=summary.conversation.created_at,
        metadata=_metadata.decode(summary.conversation.metadata),
        items=summary.items,
        question=question,
        answer=answer,
    )


def _fits(shown: ListedConversation, words: Sequence[str]) -> bool:
    text = "\n".join((shown.question, shown.answer, *shown.metadata.values())).casefold()
    return all(word in text for word in words)


def add_conversation_lists(router: RouteTable, lists: ConversationLists, any: AnyConversations) -> None:
    """Register the lists of conversations, and what operators read and delete of any owner."""
    router.add("GET", "/conversations", lists.own)
    admin = frozenset((ADMIN,))
    router.add("GET", "/admin/conversations", lists.all, scopes=admin)
    router.add("GET", "/admin/conversations/{id}", any.read, scopes=admin)
    router.add("DELETE", "/admin/conversations/{id}", any.delete, scopes=admin)
    router.add("GET", "/admin/conversations/{id}/items", any.list_items, scopes=admin)
    router.add("GET", "/admin/conversations/{id}/items/{item_id}", any.read_item, scopes=admin)
