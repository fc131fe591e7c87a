"""Context of a request: item references resolved, and the history before its own items, within bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Protocol

import msgspec

from antiphon.config import Config
from antiphon.core import context
from antiphon.core.citations.sources import Source
from antiphon.core.opaque import OpaqueData
from antiphon.core.tools.results import ModelText
from antiphon.errors import InvalidRequest, NotFound
from antiphon.runtime.offload import by_size
from antiphon.runtime.request_memory import take
from antiphon.stores.base import ConversationStore
from antiphon.types.items import Item
from antiphon.types.request import ConversationRef, CreateResponse

_model_text = msgspec.json.Decoder(ModelText)

HISTORY_BODIES = 4
"""A request's items may have so many times the bytes of a body, with its history and references."""


class History(Protocol):
    """Lookup of earlier responses' items: in the store, or first in a WebSocket connection's memory."""

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        """Return the chain that ends with a response, oldest first, or None."""
        ...

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return the items among these ids that exist."""
        ...

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return what the model sees of those of these output items that have such a text, as JSON."""
        ...


class Gathering:
    """Collects the items that a request refers to."""

    def __init__(self, conversations: ConversationStore, config: Config) -> None:
        self._conversations = conversations
        self._config = config

    def check_count(self, items: int, param: str) -> None:
        """Raise InvalidRequest where there are too many items."""
        if items > self._config.max_items:
            raise too_many_items(items, self._config.max_items, param)

    async def items(
        self, request: CreateResponse, own: list[Item], owner: str, source: History, size: int
    ) -> tuple[list[Item], list[Item], int]:
        """Return the request's own items with references resolved, those of its history, and the bytes of both."""
        brought = size
        wanted = context.references(own)
        if wanted:
            found = await source.items(wanted, owner)
            size += _bytes_of(item for id in wanted if (item := found.get(id)) is not None)
            self._check_bytes(size, "input")
            take(size - brought)
            own = await by_size(size, context.resolve_references, own, found)
        arrays: Sequence[bytes] = ()
        param = "previous_response_id"
        if request.previous_response_id is not None:
            arrays = await self._previous(request.previous_response_id, owner, source)
        elif request.conversation is not None:
            param = "conversation"
            _check_conversation_id(request.conversation)
            arrays = await self._conversation(_conversation_id(request.conversation), owner)
        if not arrays:
            return own, [], size
        earlier_bytes = _bytes_of(arrays)
        size += earlier_bytes
        self._check_bytes(size, param)
        take(earlier_bytes)
        earlier = await by_size(size, context.decode_history, arrays, self._config.max_items)
        self.check_count(len(own) + len(earlier), param)
        return own, earlier, size

    async def with_model_texts(
        self, items: list[Item], opaque: OpaqueData, owner: str, source: History
    ) -> tuple[list[Item], OpaqueData, int, list[Source]]:
        """Return items with what the model sees of them where they do not say it, what only backends can read, and its bytes.

        The last are the sources that those texts name.
        """
        wanted = context.without_model_texts(items, opaque)
        found = await source.model_texts(wanted, owner) if wanted else {}
        if not found:
            return items, opaque, 0, []
        size = _bytes_of(found.values())
        self._check_bytes(size, "input")
        take(size)
        texts = {id: _model_text.decode(text) for id, text in found.items()}
        sources = [source for id in wanted if (text := texts.get(id)) is not None for source in text.sources]
        return context.with_model_texts(items, texts), {**opaque, **context.opaque_of(texts)}, size, sources

    def _check_bytes(self, size: int, param: str) -> None:
        most = self._config.max_body * HISTORY_BODIES
        if size > most:
            raise InvalidRequest(f"The request is larger than {most} bytes, its history included.", param=param)

    async def _previous(self, id: str, owner: str, source: History) -> Sequence[bytes]:
        arrays = await source.history(id, owner)
        if arrays is None:
            raise InvalidRequest(
                f"Previous response with id '{id}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return arrays

    async def _conversation(self, id: str, owner: str) -> Sequence[bytes]:
        items = await self._conversations.list_items(id, owner)
        if items is None:
            raise NotFound(
                f"Conversation with id '{id}' not found.", param="conversation", code="conversation_not_found"
            )
        self.check_count(len(items), "conversation")
        return [b"[%b]" % b",".join([item.body for item in items])]


def refers(request: CreateResponse, own: Sequence[Item], kinds: Set[type]) -> bool:
    """Tell whether a request refers to anything that is stored; `kinds` are those of its `own` items."""
    if request.previous_response_id is not None or request.conversation is not None:
        return True
    return not context.REFERRING.isdisjoint(kinds) and bool(context.references(own))


def too_many_items(items: int, most: int, param: str) -> InvalidRequest:
    """Return the 400 for a request with so many items."""
    return InvalidRequest(
        f"A request has at most {most} items, its history included; this one has {items}.", param=param
    )


def _bytes_of(texts: Iterable[bytes]) -> int:
    return sum(map(len, texts))


CONVERSATION_PREFIX = "conv_"


def _check_conversation_id(conversation: str | ConversationRef) -> None:
    """Refuse what is no conversation's id: a name, or another object's id. Raises InvalidRequest."""
    if not _conversation_id(conversation).startswith(CONVERSATION_PREFIX):
        param = "conversation" if isinstance(conversation, str) else "conversation.id"
        raise InvalidRequest(
            f"Invalid '{param}': expected an id that begins with '{CONVERSATION_PREFIX}'.", param=param
        )


def _conversation_id(conversation: str | ConversationRef) -> str:
    return conversation if isinstance(conversation, str) else conversation.id
