"""Pieces of good and hostile answers of backends: heads, bodies, events; and what a Kind of answer is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

from tests.backends import hostile_messages

Api = Literal["chat", "responses", "anthropic"]
APIS: tuple[Api, ...] = get_args(Api)
Json = dict[str, Any]
Piece = bytes | float
"""Bytes to send, or seconds to wait."""

SECRET = hostile_messages.SECRET
"""The key that a server under test sends to this backend; it must come back in no answer."""
FINE = "fine"


class Kind(NamedTuple):
    """One way to answer. `pieces` makes the bytes anew for each request; then the connection is closed, unless `keep`.

    `ends` tells how a response may end: `failed` (or an HTTP error), `any`. `quick` is false where only a timeout ends it.
    """

    name: str
    api: Api
    pieces: Callable[[], Iterator[Piece]]
    ends: Literal["failed", "any"] = "any"
    quick: bool = True
    keep: bool = False


# Pieces


def once(*pieces: Piece) -> Callable[[], Iterator[Piece]]:
    """Return what gives these pieces for each request."""
    return lambda: iter(pieces)


def head(status: str = "200 OK", type: str = "text/event-stream", *lines: str, length: int | None = None) -> bytes:
    """Return a head; without a length the body ends with the connection."""
    sized = [f"content-length: {length}"] if length is not None else []
    return "\r\n".join((f"HTTP/1.1 {status}", f"content-type: {type}", *lines, *sized, "", "")).encode()


def whole(value: object, status: str = "200 OK", *lines: str) -> bytes:
    """Return an answer of JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return head(status, "application/json", *lines, length=len(body)) + body


def sse(*events: object, done: bool = True) -> bytes:
    """Return the body of a stream; what is not bytes is sent as JSON."""
    frames = [b"data: %b\n\n" % (event if isinstance(event, bytes) else json.dumps(event).encode()) for event in events]
    return b"".join(frames) + (b"data: [DONE]\n\n" if done else b"")


def stream_of(events: Sequence[object]) -> Callable[[], Iterator[Piece]]:
    """Return what makes a stream of events for each request, without `[DONE]`."""
    return lambda: iter((head(), sse(*events, done=False)))


def whole_of(value: object) -> Callable[[], Iterator[Piece]]:
    """Return what makes an answer of JSON for each request."""
    return lambda: iter((whole(value),))


def chunked(body: bytes) -> bytes:
    """Return a chunked body without its end."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def chunk(delta: object = None, finish: object = None, **fields: Any) -> Json:
    """Return a chunk of a chat completion."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


TEXT = "All is well."
ITEM = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}],
}
USAGE = {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}


def response(*output: object, **fields: Any) -> Json:
    return {
        "id": "resp_x",
        "object": "response",
        "status": "completed",
        "output": list(output),
        "usage": USAGE,
        **fields,
    }


def completed(*output: object, **fields: Any) -> Json:
    return {"type": "response.completed", "response": response(*output, **fields)}


def added(item: object, **fields: Any) -> Json:
    return {"type": "response.output_item.added", "output_index": 0, "item": item, **fields}


def done(item: object, **fields: Any) -> Json:
    return {"type": "response.output_item.done", "output_index": 0, "item": item, **fields}


def text(piece: object, **fields: Any) -> Json:
    return {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": piece, **fields}


CHAT_FINE = sse(chunk({"role": "assistant", "content": TEXT}), chunk(finish="stop"))
RESPONSES_FINE = sse(added({**ITEM, "content": []}), text(TEXT), done(ITEM), completed(ITEM), done=False)
MESSAGES_FINE = sse(*hostile_messages.FINE, done=False)
BODY = {"chat": CHAT_FINE, "responses": RESPONSES_FINE, "anthropic": MESSAGES_FINE}
BEGUN = {
    "chat": sse(chunk({"content": "All"}), done=False),
    "responses": sse(text("All"), done=False),
    "anthropic": sse(*hostile_messages.FINE[:3], done=False),
}
