"""What the API's document says of each route: words, bodies, answers. The routes themselves are in the router."""

from __future__ import annotations

from typing import Any

import msgspec

from antiphon.core.loaded_models import LoadedModels, StoppedModel
from antiphon.server.api.admin import RequestList
from antiphon.server.api.chat.completions import ChatRequest
from antiphon.server.api.conversations import AddItems, CreateConversation, UpdateConversation
from antiphon.server.api.health import HealthStatus, Readiness
from antiphon.server.api.models import Model, ModelList
from antiphon.server.api.operator.engine import StopModel
from antiphon.server.api.operator.keys import CreateKey, RotateKey, UpdateKey
from antiphon.server.api.operator.usage import KINDS
from antiphon.server.messages.request import MessagesRequest
from antiphon.server.pages.kept_operations import KEPT
from antiphon.server.pages.log_operations import (
    CONVERSATIONS,
    INCLUDE,
    LOGGED,
    MESSAGES,
    MODELS,
    PAGE,
    RESPONSES,
    SERVER,
    Deleted,
    Item,
    ItemList,
)
from antiphon.server.pages.operation import Operation, QueryParameter
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation without its items. `created_at` is in Unix seconds."""

    id: str
    object: str = "conversation"
    created_at: int
    metadata: dict[str, str]


class InputTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A count of input tokens."""

    object: str = "response.input_tokens"
    input_tokens: int


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """A shorter context, to be sent as the `input` of the next request."""

    id: str
    object: str = "response.compaction"
    created_at: int
    output: list[Item]


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The backend's own answer, handed on as it is."""

    id: str
    object: str = "chat.completion"


class AnsweredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of Anthropic's Messages API. `content` are its blocks: `text`, `thinking`, `tool_use` and others."""

    id: str
    type: str = "message"
    role: str = "assistant"
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: dict[str, Any]


class CountedTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A count of a message's input tokens."""

    input_tokens: int


FOLLOW = (
    QueryParameter("stream", "boolean", "Follow a background response as server-sent events."),
    QueryParameter("starting_after", "integer", "The number of the last event that was seen."),
)
GREETING = {"model": "", "max_tokens": 1024, "messages": [{"role": "user", "content": "Hello!"}]}
HELLO = {"model": "", "input": "Say hello in five languages.", "stream": True}

OPERATIONS: dict[tuple[str, str], Operation] = {
    **KEPT,
    ("POST", "/responses"): Operation(
        tag=RESPONSES,
        summary="Create a response",
        words='JSON, or server-sent events with `"stream": true`. With `"background": true` it is queued and polled.',
        body=CreateResponse,
        answer=Response,
        streams=True,
        example=HELLO,
    ),
    ("GET", "/responses/{id}"): Operation(
        tag=RESPONSES, summary="Read a response", answer=Response, query=FOLLOW, streams=True
    ),
    ("DELETE", "/responses/{id}"): Operation(tag=RESPONSES, summary="Delete a response", answer=Deleted),
    ("POST", "/responses/{id}/cancel"): Operation(
        tag=RESPONSES,
        summary="Cancel a background response",
        words="Cancelling twice, or what has ended already, returns the response as it is.",
        answer=Response,
    ),
    ("GET", "/responses/{id}/input_items"): Operation(
        tag=RESPONSES, summary="List what a response was made from", answer=ItemList, query=(*PAGE, INCLUDE)
    ),
    ("POST", "/responses/input_tokens"): Operation(
        tag=RESPONSES,
        summary="Count the input tokens of a request",
        words="By the model's own tokenizer where it can be reached; else the header `x-antiphon-token-count` says `estimate`.",
        body=CreateResponse,
        answer=InputTokens,
        example={"model": "", "input": "Say hello in five languages."},
    ),
    ("POST", "/responses/compact"): Operation(
        tag=RESPONSES, summary="Compact a context", body=CreateResponse, answer=Compaction
    ),
    ("POST", "/conversations"): Operation(
        tag=CONVERSATIONS,
        summary="Create a conversation",
        body=CreateConversation,
        answer=Conversation,
        example={"metadata": {"topic": "greetings"}},
    ),
    ("GET", "/conversations/{id}"): Operation(tag=CONVERSATIONS, summary="Read a conversation", answer=Conversation),
    ("POST", "/conversations/{id}"): Operation(
        tag=CONVERSATIONS,
        summary="Replace the metadata of a conversation",
        body=UpdateConversation,
        answer=Conversation,
    ),
    ("DELETE", "/conversations/{id}"): Operation(
        tag=CONVERSATIONS, summary="Delete a conversation and its items", answer=Deleted
    ),
    ("GET", "/conversations/{id}/items"): Operation(
        tag=CONVERSATIONS, summary="List the items of a conversation", answer=ItemList, query=(*PAGE, INCLUDE)
    ),
    ("POST", "/conversations/{id}/items"): Operation(
        tag=CONVERSATIONS, summary="Add items to a conversation, 20 at most", body=AddItems, answer=ItemList
    ),
    ("GET", "/conversations/{id}/items/{item_id}"): Operation(
        tag=CONVERSATIONS, summary="Read one item", answer=Item, query=(INCLUDE,)
    ),
    ("DELETE", "/conversations/{id}/items/{item_id}"): Operation(
        tag=CONVERSATIONS, summary="Delete one item", answer=Conversation
    ),
    ("GET", "/models"): Operation(tag=MODELS, summary="List the models", answer=ModelList),
    ("GET", "/models/{id}"): Operation(
        tag=MODELS, summary="Read a model", words="The id may contain slashes.", answer=Model
    ),
    ("POST", "/chat/completions"): Operation(
        tag=MODELS,
        summary="Chat completions, relayed",
        words="Handed on to the model's backend; its answer comes back as it is.",
        body=ChatRequest,
        answer=ChatCompletion,
        streams=True,
        example={"model": "", "messages": [{"role": "user", "content": "Hello!"}]},
    ),
    ("GET", "/chat/completions"): Operation(
        tag=MODELS,
        summary="List stored chat completions",
        words="Those made with `store: true`, oldest first: `limit`, `order`, `after`, `model`, `metadata[KEY]=VALUE`.",
        answer=ItemList,
    ),
    ("GET", "/chat/completions/{id}"): Operation(
        tag=MODELS, summary="Read a stored chat completion", answer=ChatCompletion
    ),
    ("POST", "/chat/completions/{id}"): Operation(
        tag=MODELS, summary="Replace the metadata of a conversation", body=UpdateConversation, answer=ChatCompletion
    ),
    ("DELETE", "/chat/completions/{id}"): Operation(tag=MODELS, summary="Delete it", answer=Deleted),
    ("GET", "/chat/completions/{id}/messages"): Operation(
        tag=MODELS, summary="List the messages of its request", answer=ItemList
    ),
    ("POST", "/messages"): Operation(
        tag=MESSAGES,
        summary="Make a message",
        words="Anthropic's Messages API on any model, for Claude Code and Anthropic's SDKs; errors have its form. Server-sent"
        ' events with `"stream": true`.',
        body=MessagesRequest,
        answer=AnsweredMessage,
        streams=True,
        example=GREETING,
    ),
    ("POST", "/messages/count_tokens"): Operation(
        tag=MESSAGES,
        summary="Count a message's input tokens",
        words="No limit is touched. `max_tokens` may be left out.",
        body=MessagesRequest,
        answer=CountedTokens,
        example=GREETING,
    ),
    ("GET", "/health"): Operation(tag=SERVER, summary="Is the process alive?", answer=HealthStatus),
    ("GET", "/ready"): Operation(
        tag=SERVER, summary="Can it make tokens?", words="503 while no backend is up.", answer=Readiness
    ),
    ("GET", "/metrics"): Operation(tag=SERVER, summary="Figures for Prometheus", media="text/plain"),
    ("GET", "/openapi.json"): Operation(tag=SERVER, summary="This document"),
    ("GET", "/docs"): Operation(tag=SERVER, summary="This document, for people", media="text/html"),
    ("GET", "/docs/assets/{name}"): Operation(tag=SERVER, summary="Scripts and styles of it", media="text/javascript"),
    ("GET", "/docs/guide"): Operation(
        tag=SERVER, summary="The guide: tutorials, how-tos, reference", media="text/html"
    ),
    ("GET", "/docs/guide/{path}"): Operation(
        tag=SERVER, summary="A page of the guide", words="With `.md` behind it: its Markdown.", media="text/html"
    ),
    ("GET", "/llms.txt"): Operation(
        tag=SERVER, summary="The list of the guide's pages, for language models", media="text/plain"
    ),
    ("GET", "/llms-full.txt"): Operation(tag=SERVER, summary="All pages of the guide, as Markdown", media="text/plain"),
    ("GET", "/"): Operation(tag=SERVER, summary="The playground", media="text/html"),
    ("GET", "/playground/{name}"): Operation(
        tag=SERVER, summary="Its style, modules and fonts", media="text/javascript"
    ),
    ("GET", "/admin/requests"): Operation(
        tag=SERVER,
        summary="What runs and what ran lately",
        words="Of all workers of this server, without any text of a prompt or an answer. "
        "`ignored`: what a request asks for and does not get.",
        answer=RequestList,
    ),
    ("GET", "/admin/engine"): Operation(
        tag=SERVER,
        summary="Models that the embedded engine has loaded",
        words="With their memory, and when they are unloaded.",
        answer=LoadedModels,
    ),
    ("POST", "/admin/engine/stop"): Operation(
        tag=SERVER,
        summary="Unload a model of the embedded engine",
        words="Once the calls that hold it have ended; it is loaded again when it is called. Needs the scope `admin`.",
        body=StopModel,
        example={"model": "qwen3-4b"},
        answer=StoppedModel,
    ),
    ("GET", "/admin/usage"): Operation(
        tag=SERVER,
        summary="What was used and spent",
        words="Query: `group_by` (`owner`, `key`, `model`, `day`, `tool`, with commas), `start` and `end` (days) or `period`"
        " (such as `last-week`, `7d`), `owner`, `key`, `model`, `format` (`json`, `csv`).",
    ),
    ("GET", "/admin/keys"): Operation(
        tag=SERVER,
        summary="List API keys",
        words="Keys of the store, the newest first, without their secrets. Query: `limit`, `after`, `owner`.",
    ),
    ("POST", "/admin/keys"): Operation(
        tag=SERVER,
        summary="Create an API key",
        words="The secret is in the answer as `key`, this once.",
        body=CreateKey,
        example={"name": "laptop", "owner": "ann", "limits": ["60 requests/min"]},
    ),
    ("GET", "/admin/keys/{id}"): Operation(tag=SERVER, summary="Read an API key"),
    ("POST", "/admin/keys/{id}"): Operation(
        tag=SERVER, summary="Change an API key", words="Its owner stays.", body=UpdateKey, example={"name": "desk"}
    ),
    ("DELETE", "/admin/keys/{id}"): Operation(tag=SERVER, summary="Revoke an API key"),
    ("POST", "/admin/keys/{id}/rotate"): Operation(
        tag=SERVER,
        summary="Rotate an API key",
        words="Another key with the same rights; the old one stays valid for `overlap` seconds.",
        body=RotateKey,
        example={"overlap": 3600},
    ),
    ("GET", "/admin/budgets"): Operation(
        tag=SERVER,
        summary="List budgets of owners and keys, and what is used of them",
        words="Query: `limit`, `after` (a key's id).",
    ),
    ("GET", "/admin/models"): Operation(tag=SERVER, summary="Backends and models with their state"),
    ("POST", "/admin/reload"): Operation(tag=SERVER, summary="Read the settings again"),
    ("GET", "/admin/audit"): Operation(
        tag=SERVER,
        summary="Read the audit log",
        words="Query: `limit`, `after`, `action`, `actor`, `subject`, `start_time`, `end_time`.",
    ),
    **{
        ("GET", f"/organization/usage/{name}"): Operation(
            tag=SERVER,
            summary=f"Usage of {name.replace('_', ' ')} by day, as OpenAI tells it",
            words="Query: `start_time`, `end_time` (Unix time), `group_by` (`model`, `api_key_id`, `user_id`, `project_id`),"
            " `limit`, `page`.",
        )
        for name in KINDS
    },
    ("GET", "/organization/audit_logs"): Operation(
        tag=SERVER,
        summary="The audit log, in OpenAI's shape",
        words="Query: `effective_at[gte]` and the like, `event_types[]`, `actor_ids[]`, `resource_ids[]`, `limit`, `after`.",
    ),
    ("GET", "/organization/costs"): Operation(
        tag=SERVER, summary="Costs by day, as OpenAI tells them", words="Query as above."
    ),
    **LOGGED,
}
