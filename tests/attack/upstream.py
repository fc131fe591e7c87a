"""A backend that is quick and honest: golden transcripts for chat completions, and one for Responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, ClassVar

import httptools

from tests.golden.player import CASES, ROOT

INVALID = "(no valid JSON)"
MODELS = ("one", "two", "three")


def _transcripts() -> list[bytes]:
    found = []
    for case in CASES:
        chunks = (ROOT / case / "turn-1.chunks.jsonl").read_bytes().splitlines()
        found.append(b"".join(b"data: %b\n\n" % chunk for chunk in [*chunks, b"[DONE]"]))
    return found


def _responses() -> bytes:
    events = (ROOT / "text" / "events.jsonl").read_text().splitlines()
    return b"".join(f"event: {json.loads(event)['type']}\ndata: {event}\n\n".encode() for event in events)


class _Upstream(asyncio.Protocol):
    transcripts = _transcripts()
    responses = _responses()
    plain = ROOT / "text"
    random = Random(7)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_message_complete(self) -> None:
        kind = b"text/event-stream"
        if self.url.endswith(b"/models"):
            kind = b"application/json"
            body = json.dumps({"object": "list", "data": [{"id": id, "object": "model"} for id in MODELS]}).encode()
        elif self.url.endswith(b"/responses"):
            body = self.responses
        else:
            body = self.random.choice(self.transcripts)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
        self.transport.write(head + body)


class _Echo(_Upstream):
    """Says what it was asked, as a text; remembers which models were called."""

    called: ClassVar[set[str]] = set()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if not self.body:
            super().on_message_complete()
            return
        try:
            asked = json.loads(self.body)
        except ValueError:
            asked = {"model": INVALID}
        self.called.add(str(asked.get("model")))
        text = self.body.decode()
        chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
        last = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        if asked.get("stream"):
            kind = b"text/event-stream"
            body = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in (chunk, last)) + b"data: [DONE]\n\n"
        else:
            kind = b"application/json"
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            body = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
        self.transport.write(head + body)


def _chat_answer(delta: Any, finish: str) -> bytes:
    """Return the bytes of a streamed chat completion."""
    chunks = [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
    ]
    body = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks) + b"data: [DONE]\n\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class _Caller(_Echo):
    """Calls the first tool that has `tool` in its name, once, then says a word."""

    tool = ""

    def on_message_complete(self) -> None:
        asked = json.loads(self.body or b"{}")
        names = [tool["function"]["name"] for tool in asked.get("tools", ()) if self.tool in tool["function"]["name"]]
        if names and not any(message["role"] == "tool" for message in asked["messages"]):
            call = {"index": 0, "id": "call_1", "function": {"name": names[0], "arguments": "{}"}}
            self.transport.write(_chat_answer({"tool_calls": [call]}, "tool_calls"))
        else:
            self.transport.write(_chat_answer({"content": "done"}, "stop"))


@asynccontextmanager
async def calling(tool: str) -> AsyncIterator[str]:
    """Run a chat backend that calls a tool; gives its base URL."""
    _Caller.tool = tool
    server = await asyncio.get_running_loop().create_server(_Caller, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, set[str]]]:
    """Run a chat backend that says what it was asked; gives its base URL and the models that were called."""
    _Echo.called.clear()
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", _Echo.called
    finally:
        server.close()


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Run the backend in this event loop; gives its base URL."""
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
