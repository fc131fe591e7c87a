"""Keys of prompts that begin alike, for requests without a `prompt_cache_key`: those of one conversation have the same one.

The key is made of what stands before the first answer, which stays as it is while a conversation grows. All replicas agree on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.turn import Turn
from antiphon.types.items import FunctionCall, InputText, Item, Message, PlainText, Reasoning

WORTH_A_KEY = 4096
"""Characters of a prompt without an answer from which on it is worth to call the backend that has seen it: a shorter one is
computed at once, and is left to balancing."""
MOST_PIECES = 16
LONGEST_PIECE = 2048
"""Messages before the first answer that are looked at, and characters of each."""


class _ChatMessage(msgspec.Struct):
    role: str = ""
    content: Raw = Raw(b"")


class _ChatPart(msgspec.Struct):
    text: str = ""


_content = msgspec.json.Decoder(str | list[_ChatPart] | None)
_messages = msgspec.json.Decoder(list[_ChatMessage])


def key_of_turn(turn: Turn) -> str:
    """Return the key of a Turn, "" where none is worth while. A client's own key comes first."""
    request = turn.request
    if request.prompt_cache_key:
        return request.prompt_cache_key
    if request.background_options is not None and request.background_options.continuation_id:
        return request.background_options.continuation_id
    answered = any(map(_is_answer, turn.items))
    return _key(_of_items(turn.instructions, turn.items), answered)


def key_of_messages(fields: Mapping[str, Raw]) -> str:
    """Return the key of a request with `messages`, as chat completions and the Messages API have them."""
    raw = fields.get("messages")
    if raw is None:
        return ""
    try:
        messages = _messages.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""  # whoever answers it says what is wrong
    answered = any(message.role == "assistant" for message in messages)
    return _key(_of_messages(fields.get("system"), messages), answered)


def _key(pieces: Iterable[str], answered: bool) -> str:
    digest = hashlib.blake2b(digest_size=16, person=b"antiphon.prefix")
    size = 0
    for number, piece in enumerate(pieces):
        if number == MOST_PIECES:
            break
        size += len(piece)
        digest.update(b"%d:" % len(piece))
        digest.update(piece[:LONGEST_PIECE].encode("utf-8", "surrogatepass"))
    return digest.hexdigest() if answered or size >= WORTH_A_KEY else ""


def _is_answer(item: Item) -> bool:
    kind = type(item)
    return kind is FunctionCall or kind is Reasoning or (kind is Message and item.role == "assistant")  # type: ignore[union-attr]  # `type` narrows nothing


def _of_items(instructions: str | None, items: Sequence[Item]) -> Iterator[str]:
    yield instructions or ""
    for item in items:
        if not isinstance(item, Message) or item.role == "assistant":
            return
        yield item.role
        content = item.content
        yield (
            content
            if isinstance(content, str)
            else "\n".join([part.text for part in content if isinstance(part, InputText | PlainText)])
        )


def _of_messages(system: Raw | None, messages: Sequence[_ChatMessage]) -> Iterator[str]:
    yield _text(system or Raw(b""))
    for message in messages:
        if message.role == "assistant":
            return
        yield message.role
        yield _text(message.content)


def _text(content: Raw) -> str:
    """Return the texts of a content alone: where a client wants it to be cached moves from request to request."""
    try:
        found = _content.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return found if isinstance(found, str) else "\n".join([part.text for part in found or ()])
