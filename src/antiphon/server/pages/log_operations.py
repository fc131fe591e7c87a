"""Operations of the response log and of lists of conversations, as /openapi.json shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from antiphon.server.api.log.conversations import AnyConversation, ConversationPage
from antiphon.server.api.log.shapes import DeleteResponses, LoggedPage, LoggedResponse
from antiphon.server.pages.operation import Operation, QueryParameter

RESPONSES, CONVERSATIONS, MODELS, MESSAGES, SERVER = "Responses", "Conversations", "Models", "Messages", "Server"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output item: a message, a call, a call's output, reasoning. `type` tells which further fields it has."""

    type: str = "message"
    id: str | None = None
    role: str | None = None
    status: str | None = None


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of items."""

    object: str = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a deleted object."""

    id: str
    object: str
    deleted: bool = True


class SentToBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it went to a backend, without secrets."""

    at: float
    backend: str
    url: str
    body: dict[str, Any]


class WholeResponse(LoggedResponse, frozen=True, kw_only=True):
    """A response with all that is stored of it. `own`: whether the asking key belongs to its owner, and so can go on with it."""

    own: bool
    parameters: dict[str, Any] | None
    response: dict[str, Any]
    input: list[Item]
    sent: list[SentToBackend] | msgspec.UnsetType = msgspec.UNSET


class DeletedList(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each id: `deleted` is false where there was no such response."""

    object: str = "list"
    data: list[Deleted]


PAGE = (
    QueryParameter("limit", "integer", "How many, 1 to 100; 20 if left out."),
    QueryParameter("order", "string", "`desc` (newest first) or `asc`."),
    QueryParameter("after", "string", "The id of the item behind which the page begins."),
)
INCLUDE = QueryParameter(
    "include", "string", "A field that is left out otherwise, such as `reasoning.encrypted_content`; repeatable."
)
LOG = (
    QueryParameter(
        "q", "string", "Up to 6 words: all of them are in the first words of question and answer, or the reason."
    ),
    QueryParameter("model", "string", "Only those of this model."),
    QueryParameter("status", "string", "`queued`, `in_progress`, `completed`, `incomplete`, `failed` or `cancelled`."),
    QueryParameter("tool", "string", "Only those that called this tool."),
    QueryParameter("metadata[KEY]", "string", "Only those whose metadata have this value."),
    QueryParameter("conversation", "string", "Only those of this conversation."),
    QueryParameter("background", "boolean", "Only background responses, or only others."),
    QueryParameter("since", "integer", "Only those created from this Unix time on."),
    QueryParameter("until", "integer", "Only those created before this Unix time."),
    QueryParameter("sort", "string", "`created_at`, `cost`, `total_tokens` or `duration`."),
    *PAGE,
    QueryParameter(
        "format", "string", "`json` or `jsonl`: an export, a line for each response with all that is stored of it."
    ),
)
CONVERSATION_LIST = (
    QueryParameter("q", "string", "Up to 6 words: all of them are in the first or last words, or in the metadata."),
    PAGE[0],
    PAGE[2],
)
LOGGED: dict[tuple[str, str], Operation] = {
    ("GET", "/responses"): Operation(
        tag=RESPONSES,
        summary="List stored responses, search in their first words",
        words="The newest first; `format=jsonl` exports them. A page looks at a bounded number of responses: `next` tells where"
        " the search goes on, also from a page without any.",
        answer=LoggedPage,
        query=LOG,
    ),
    ("GET", "/responses/{id}/log"): Operation(
        tag=RESPONSES, summary="Read a response with its input, timings and cost", answer=WholeResponse
    ),
    ("POST", "/responses/delete"): Operation(
        tag=RESPONSES, summary="Delete up to 100 responses", body=DeleteResponses, answer=DeletedList
    ),
    ("GET", "/conversations"): Operation(
        tag=CONVERSATIONS,
        summary="List conversations with their first and last words",
        words="The newest first. With `q` a page looks at 1,000 conversations: `next` tells where the search goes on.",
        answer=ConversationPage,
        query=CONVERSATION_LIST,
    ),
    ("GET", "/admin/conversations"): Operation(
        tag=SERVER,
        summary="List the conversations of all owners",
        words="As `GET /conversations`.",
        answer=ConversationPage,
        query=(*CONVERSATION_LIST, QueryParameter("owner", "string", "Only those of this owner.")),
    ),
    ("GET", "/admin/conversations/{id}"): Operation(
        tag=SERVER, summary="Read any owner's conversation", answer=AnyConversation
    ),
    ("DELETE", "/admin/conversations/{id}"): Operation(
        tag=SERVER, summary="Delete any owner's conversation", answer=Deleted
    ),
    ("GET", "/admin/conversations/{id}/items"): Operation(
        tag=SERVER,
        summary="List the items of any owner's conversation",
        words="As `GET /conversations/{id}/items`.",
        answer=ItemList,
        query=(*PAGE, INCLUDE),
    ),
    ("GET", "/admin/conversations/{id}/items/{item_id}"): Operation(
        tag=SERVER, summary="Read an item of any owner's conversation", answer=Item, query=(INCLUDE,)
    ),
    ("GET", "/admin/responses"): Operation(
        tag=SERVER,
        summary="List the stored responses of all owners",
        words="As `GET /responses`.",
        answer=LoggedPage,
        query=(*LOG, QueryParameter("owner", "string", "Only those of this owner.")),
    ),
    ("GET", "/admin/responses/{id}"): Operation(
        tag=SERVER,
        summary="Read any owner's response, and what was sent to the backend",
        answer=WholeResponse,
    ),
    ("POST", "/admin/responses/delete"): Operation(
        tag=SERVER,
        summary="Delete up to 100 responses of any owner",
        body=DeleteResponses,
        answer=DeletedList,
    ),
}
