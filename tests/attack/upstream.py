"""Backends: one that is quick and honest (golden transcripts), one that echoes, one that calls, one that is restless."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, ClassVar

import httptools

from tests.attack import hosted, relays
from tests.backends.hostile_messages import FINE
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


def _messages() -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in FINE)


WHOLE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "one", "content": [{"type": "text", "text": "All is well."}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 3},
}  # fmt: skip


class _Upstream(asyncio.Protocol):
    transcripts = _transcripts()
    responses = _responses()
    messages = _messages()
    plain = ROOT / "text"
    random = Random(7)
    odd = Random(8)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.url = b""
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        kind = b"text/event-stream"
        if self.url.endswith(b"/models"):
            kind = b"application/json"
            body = json.dumps({"object": "list", "data": [{"id": id, "object": "model"} for id in MODELS]}).encode()
        elif (odd := relays.answer(self.odd, self.url)) is not None:
            kind, body = odd
        elif self.url.endswith(b"/responses"):
            body = self.responses
        elif b"/messages" in self.url and b'"stream":true' in self.body.replace(b" ", b""):
            body = self.messages
        elif b"/messages" in self.url:
            kind = b"application/json"
            body = b'{"input_tokens": 7}' if self.url.endswith(b"/count_tokens") else json.dumps(WHOLE).encode()
        else:
            body = self.random.choice(self.transcripts)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
        self.transport.write(head + body)


class _Echo(_Upstream):
    """Says what it was asked, as a text; remembers which models were called."""

    called: ClassVar[set[str]] = set()

    def on_message_complete(self) -> None:
        if not self.body:
            super().on_message_complete()
            return
        try:
            asked = json.loads(self.body)
        except ValueError:
            asked = {"model": INVALID}
        self.called.add(str(asked.get("model")))
        if b"/messages" in self.url:
            super().on_message_complete()
            return
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


def _chat_answer(deltas: Sequence[Any], finish: str) -> bytes:
    """Return the bytes of a streamed chat completion."""
    chunks = [
        *(
            {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            for delta in deltas
        ),
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
    ]
    body = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks) + b"data: [DONE]\n\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class _Obedient(_Echo):
    """Calls what the user's message says, `CALL NAME ARGUMENTS`, then says a word."""

    def on_message_complete(self) -> None:
        if not self.body:
            super().on_message_complete()
            return
        last = json.loads(self.body)["messages"][-1]
        if last["role"] == "tool":
            self.transport.write(_chat_answer(({"content": "done 【1】"},), "stop"))
            return
        content = last["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        _, name, arguments = text.splitlines()[0].split(" ", 2)
        call = {"index": 0, "id": "call_1", "function": {"name": name, "arguments": arguments}}
        self.transport.write(_chat_answer(({"tool_calls": [call]},), "tool_calls"))


class _Caller(_Echo):
    """Calls the first tool that has `tool` in its name, once, then says a word."""

    tool = ""

    def on_message_complete(self) -> None:
        asked = json.loads(self.body or b"{}")
        names = [tool["function"]["name"] for tool in asked.get("tools", ()) if self.tool in tool["function"]["name"]]
        if names and not any(message["role"] == "tool" for message in asked["messages"]):
            call = {"index": 0, "id": "call_1", "function": {"name": names[0], "arguments": "{}"}}
            self.transport.write(_chat_answer(({"tool_calls": [call]},), "tool_calls"))
        else:
            self.transport.write(_chat_answer(({"content": "done"},), "stop"))


class _Asker(_Echo):
    """Calls each hosted tool that it is offered, to have all that is in reach; then says what it was asked, as `_Echo`."""

    asks: ClassVar[dict[str, str]] = {
        "file_search": json.dumps({"queries": ["crown jewels stairs", "the"]}),
        "python": json.dumps(
            {"code": "import os\nfor f in os.listdir('/mnt/data'): print(f, open('/mnt/data/' + f).read())"}
        ),
        "web_search": json.dumps({"queries": ["crown jewels"]}),
        "shell": json.dumps({"commands": ["cat /mnt/data/* /mnt/skills/*/* 2>&1"]}),
    }

    def on_message_complete(self) -> None:
        asked = json.loads(self.body or b"{}")
        names = [tool["function"]["name"] for tool in asked.get("tools", ()) if tool["function"]["name"] in self.asks]
        if not names or asked["messages"][-1]["role"] == "tool":
            super().on_message_complete()
            return
        calls = [
            {"index": index, "id": f"call_{index}", "function": {"name": name, "arguments": self.asks[name]}}
            for index, name in enumerate(names)
        ]
        self.transport.write(_chat_answer(({"tool_calls": calls},), "tool_calls"))


WORDS = (
    "Done 【1】.", "【99999】【1†x】[^1] [^", "【" * 300, "[a](sandbox:/mnt/data/a) sandbox:/mnt/data/" + "b" * 600,
    "【1" + "9" * 5000 + "】",
    "", "</think>", '{"queries": ["a"]}', "【1, 2, 3】" * 50, "\ud83d",
)  # fmt: skip


class _Restless(_Upstream):
    """Calls tools with all that comes to mind, a few times, then says something with citations. By the request alone."""

    def on_message_complete(self) -> None:
        if not self.body:
            super().on_message_complete()
            return
        random = Random(self.body)
        asked = json.loads(self.body)
        tools = [tool["function"] for tool in asked.get("tools", ()) if tool.get("function")]
        results = sum(message["role"] == "tool" for message in asked["messages"])
        if not tools or results > 3 or random.random() < 0.15 + 0.2 * results:
            words = random.choice(WORDS)
            cut = random.randrange(len(words) + 1)
            self.transport.write(_chat_answer(({"content": words[:cut]}, {"content": words[cut:]}), "stop"))
            return
        calls = []
        for index in range(random.choice((1, 1, 2, 6))):
            tool = random.choice(tools)
            arguments = json.dumps(hosted.arguments(random, tool.get("parameters")))
            if random.random() < 0.1:
                arguments = random.choice(("", "{", '{"queries":["a', "[" * 2000, "null", arguments * 2, "{}"))
            calls.append(
                {"index": index, "id": f"c{index}", "function": {"name": tool["name"], "arguments": arguments}}
            )
        self.transport.write(_chat_answer(({"tool_calls": calls},), "tool_calls"))


@asynccontextmanager
async def restless() -> AsyncIterator[str]:
    """Run a chat backend that calls tools oddly; gives its base URL."""
    async with _running(_Restless) as url:
        yield url


@asynccontextmanager
async def obedient() -> AsyncIterator[str]:
    """Run a chat backend that makes the call that it is told; gives its base URL."""
    async with _running(_Obedient) as url:
        yield url


@asynccontextmanager
async def asker() -> AsyncIterator[str]:
    """Run a chat backend that has all hosted tools tell what they can reach; gives its base URL."""
    async with _running(_Asker) as url:
        yield url


@asynccontextmanager
async def calling(tool: str) -> AsyncIterator[str]:
    """Run a chat backend that calls a tool; gives its base URL."""
    _Caller.tool = tool
    async with _running(_Caller) as url:
        yield url


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, set[str]]]:
    """Run a chat backend that says what it was asked; gives its base URL and the models that were called."""
    _Echo.called.clear()
    async with _running(_Echo) as url:
        yield url, _Echo.called


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Run the backend in this event loop; gives its base URL."""
    async with _running(_Upstream) as url:
        yield url


@asynccontextmanager
async def _running(kind: type[_Upstream]) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
