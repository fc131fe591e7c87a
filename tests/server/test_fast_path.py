"""The fast path of text: what a client gets is, byte for byte, what it gets the long way, however the backend's bytes are cut.

The backend's bytes are fed to its connection as reads, without a socket; the frames that come out are compared.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

import pytest

from antiphon.backends.chat.answer_streams import ChatStream
from antiphon.backends.chat.answers.fast_chunks import FastChunks
from antiphon.backends.chat.codec import CodecOptions, decoder, request
from antiphon.backends.learning.adaptations import Adaptations
from antiphon.backends.learning.asking import Asking
from antiphon.config import GuardConfig
from antiphon.core.deltas import Delta
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.text import sse
from antiphon.errors import APIError
from antiphon.net.http.protocol import HttpConnection, Timeouts
from antiphon.responses.sink import Outlet
from antiphon.server.api.foreground import SSESink
from antiphon.server.http.messages import ClientGone
from tests.golden.chat import turn_of
from tests.golden.player import CASES, ENDED, ROOT, Case
from tests.server.whole import TERMINAL, turn, upstream, whole_server
from tests.server.whole import Client as WholeServer

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
Json = dict[str, Any]
Cut = Callable[[Sequence[bytes]], Iterator[bytes]]


class Wire(asyncio.Transport):
    """A transport that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drop it."""

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


class Client:
    """A client; it reads slowly after every `slow` writes, and is gone after `most`."""

    def __init__(self, slow: int = 0, most: int = 1_000_000) -> None:
        self.got = b""
        self.writes = 0
        self.slow = slow
        self.most = most

    def write_nowait(self, data: bytes) -> bool:
        if self.writes >= self.most:
            raise ClientGone
        self.got += data
        self.writes += 1
        return not self.slow or self.writes % self.slow > 0

    async def drain(self) -> None:
        """Wait a moment."""
        await asyncio.sleep(0)

    async def write(self, data: bytes) -> None:
        self.write_nowait(data)

    async def close(self, last: bytes = b"") -> None:
        self.write_nowait(last)


class Counting(FastChunks):
    """Counts the bytes that all of its kind have taken."""

    total = 0

    def take(self, data: bytes) -> int:
        taken = super().take(data)
        Counting.total += taken
        return taken

    def take_events(self, events: Sequence[bytes]) -> tuple[int, bool]:
        taken, ready = super().take_events(events)
        Counting.total += sum(map(len, events[:taken]))
        return taken, ready


@pytest.fixture(autouse=True)
def _count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.backends.chat.answer_streams.FastChunks", Counting)


def options_of(case: Case) -> CodecOptions:
    settings = case.folder / "options.json"
    return CodecOptions(**json.loads(settings.read_text())) if settings.exists() else CodecOptions()


async def played(
    case: Case, reads: Sequence[bytes], *, fast: bool, slow: int = 0, most: int = 1_000_000
) -> tuple[bytes, int]:
    """Return the frames that come of these reads, and how many of their bytes took the fast path."""
    asked, options = turn_of(case.request, case.tools), options_of(case)
    _, call = request(asked, options)
    connection = HttpConnection(Timeouts(), lambda _: None, lambda _: None)
    connection.connection_made(Wire())
    response = connection.send(b"POST")
    connection.data_received(HEAD)
    asking = Asking(asked, Adaptations("backend"))
    source = ChatStream(response, decoder(asked, call, options, "call_golden"), asking, call, cast(Any, _never))
    stream, client = case.stream(), Client(slow, most)
    outlet = Outlet(stream, SSESink(client))
    stream.start()
    outlet.send()
    Counting.total = 0

    async def make() -> None:
        if fast and (path := outlet.fast_path()) is not None:
            source.offer(path)
        while not await source.pour(lambda deltas: _take(stream, outlet, deltas)):
            await outlet.drain()
        stream.end_turn()

    making = asyncio.create_task(make())
    await asyncio.sleep(0)
    for read in reads:
        connection.data_received(read)
        await asyncio.sleep(0)
    connection.connection_lost(None)
    try:
        await making
        stream.finish(ENDED)
    except APIError as error:
        stream.fail(error, ENDED)
    except ClientGone:
        return client.got, Counting.total
    assert stream.terminal is not None
    outlet.send()
    return client.got + sse.encode([stream.terminal]), Counting.total


async def _never(*_: object) -> None:
    return None


def _take(stream: ResponseStream, outlet: Outlet, deltas: Sequence[Delta]) -> bool:
    for delta in deltas:
        stream.feed(delta)
    return outlet.send()


def same(case: Case, reads: Sequence[bytes], slow: int = 0) -> int:
    """Hold the fast path against the long way; return how many bytes took it."""
    short, taken = asyncio.run(played(case, reads, fast=True, slow=slow))
    long, none = asyncio.run(played(case, reads, fast=False, slow=slow))
    assert short == long
    assert not none
    return taken


# A backend's chunks, and how they are cut into reads


def shattered(line: bytes) -> Iterator[bytes]:
    """Split a chunk that says nothing but a text or a piece of arguments into characters."""
    chunk = json.loads(line)
    where = _place(chunk) if isinstance(chunk, dict) else None
    if where is None:
        yield line
        return
    holder, name = where
    text = holder[name]
    for character in text:
        holder[name] = character
        yield json.dumps(chunk, ensure_ascii=len(text) % 2 == 0, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _place(chunk: Json) -> tuple[Json, str] | None:
    choices = chunk.get("choices") or [{}]
    delta = choices[0].get("delta") or {}
    if len(choices) > 1 or choices[0].get("logprobs") or choices[0].get("finish_reason"):
        return None
    for name in ("content", "reasoning_content", "reasoning"):
        if isinstance(delta.get(name), str) and delta[name]:
            return delta, name
    calls = delta.get("tool_calls") or [{}]
    function = calls[0].get("function") or {}
    if len(calls) == 1 and not calls[0].get("id") and isinstance(function.get("arguments"), str):
        return (function, "arguments") if function["arguments"] else None
    return None


def chunk_of(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def events(lines: Sequence[bytes]) -> list[bytes]:
    return [b"data: %b\n\n" % line for line in [*lines, b"[DONE]"]]


def framed(lines: Sequence[bytes]) -> list[bytes]:
    return [*map(chunk_of, events(lines)), b"0\r\n\r\n"]


def one_by_one(lines: Sequence[bytes]) -> Iterator[bytes]:
    yield from framed(lines)


def some_at_once(lines: Sequence[bytes]) -> Iterator[bytes]:
    chunks = framed(lines)
    size = 1
    while chunks:
        yield b"".join(chunks[:size])
        del chunks[:size]
        size = size % 9 + 1


def cut_anywhere(lines: Sequence[bytes]) -> Iterator[bytes]:
    whole = b"".join(framed(lines))
    at, size = 0, 7
    while at < len(whole):
        yield whole[at : at + size]
        at += size
        size = size * 31 % 997 + 1


def two_events_in_a_chunk(lines: Sequence[bytes]) -> Iterator[bytes]:
    told = events(lines)
    for at in range(0, len(told), 2):
        yield chunk_of(b"".join(told[at : at + 2]))
    yield b"0\r\n\r\n"


def all_at_once(lines: Sequence[bytes]) -> Iterator[bytes]:
    yield b"".join(framed(lines))


CUTS = (one_by_one, some_at_once, all_at_once, cut_anywhere, two_events_in_a_chunk)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", CASES)
def test_golden_cases_shattered(name: str, cut: Cut) -> None:
    case = Case(name)
    lines = (ROOT / name / "turn-1.chunks.jsonl").read_bytes().splitlines()
    pieces = [piece for line in lines for piece in shattered(line)]
    for reads in (list(cut(pieces)), list(cut(lines))):
        same(case, reads)
        same(case, reads, slow=3)


# Shapes of real servers


NAMES = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "model": "m"}


def spaced(chunk: Json) -> bytes:
    return json.dumps(chunk).encode()


def dense(chunk: Json) -> bytes:
    return json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode()


def llama_cpp(delta: Json, number: int, why: str | None = None) -> bytes:
    """`id` and `created` stand behind the content, and `created` changes each second."""
    choice = {"finish_reason": why, "index": 0, "delta": delta}
    return dense({"choices": [choice], "created": 1795890193 + number // 12, **NAMES, "system_fingerprint": "b0"})


def vllm(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": why, "token_ids": None}
    return dense({**NAMES, "created": 1795890193, "choices": [choice]})


def transformers(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = {"delta": delta, "index": 0} | ({"finish_reason": why} if why else {})
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}} if why else {}
    return dense({"id": "x", "choices": [choice], "created": 1795890193 + (number > 20), "model": "m", **usage})


def llama_cpp_python(delta: Json, number: int, why: str | None = None) -> bytes:
    return spaced(
        {**NAMES, "created": 1, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": why}]}
    )


def litellm(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = ({"finish_reason": why} if why else {}) | {"index": 0, "delta": delta}
    return dense(
        {"id": "chatcmpl-x", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": [choice]}
    )


def escaped(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": why}
    return json.dumps({**NAMES, "created": 1, "choices": [choice]}, separators=(",", ":")).encode()


SHAPES = (llama_cpp, vllm, transformers, llama_cpp_python, litellm, escaped)
WORDS = [
    *"Say hello",
    ' "quoted"',
    "\\",
    "\\\\",
    "\n",
    "ü",
    "𝄞",
    "\u2028",
    "\x85",
    "\x7f",
    "\x01",
    "<b>",
    "x" * 3000,
    *"to the end, please",
] * 2


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("last_with_reason", [False, True])
def test_texts_of_real_servers(shape: Callable[..., bytes], cut: Cut, last_with_reason: bool) -> None:
    lines = [shape({"role": "assistant", "content": ""}, 0)]
    lines += [shape({"content": word}, number) for number, word in enumerate(WORDS)]
    lines.append(shape({"content": " bye"} if last_with_reason else {}, 99, "stop"))
    taken = same(Case("text"), list(cut(lines)))
    if cut in (one_by_one, some_at_once) or (cut is all_at_once and shape is not llama_cpp):
        assert taken > sum(map(len, lines)) * 0.5


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("name", ["text", "reasoning_field_with_summary"])
def test_thoughts_of_real_servers(name: str, field: str, shape: Callable[..., bytes], cut: Cut) -> None:
    lines = [shape({"role": "assistant", "content": ""}, 0)]
    lines += [shape({field: word}, number) for number, word in enumerate(WORDS)]
    lines += [shape({"content": word}, number) for number, word in enumerate("The answer is: 42")]
    lines += [shape({field: word}, number) for number, word in enumerate("Wait, is it?")]
    lines += [shape({"content": word}, number) for number, word in enumerate("Yes, it is.")]
    lines.append(shape({}, 99, "stop"))
    case = Case(name)
    taken = same(case, list(cut(lines)))
    if cut in (one_by_one, some_at_once) and name == "text":
        assert taken > sum(map(len, lines)) * 0.5


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_calls_of_real_servers(shape: Callable[..., bytes], cut: Cut) -> None:
    case = Case("one_call")
    name = case.tools[0].name  # type: ignore[union-attr]  # a function
    begin = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    lines = [shape({"content": "Well"}, 0), shape({"tool_calls": [begin]}, 0)]
    text = json.dumps({"city": 'Par"is\n' * 40}, ensure_ascii=False)
    pieces = [
        {"tool_calls": [{"index": 0, "function": {"arguments": text[at : at + 3]}}]} for at in range(0, len(text), 3)
    ]
    lines += [shape(piece, number) for number, piece in enumerate(pieces)]
    lines.append(shape({}, 99, "tool_calls"))
    taken = same(case, list(cut(lines)))
    if cut in (one_by_one, some_at_once) or (cut is all_at_once and shape is not llama_cpp):
        assert taken > sum(map(len, lines)) * 0.5


@pytest.mark.parametrize("most", range(2, 40, 5))
def test_a_client_that_leaves(most: int) -> None:
    lines = [vllm({"content": word}, number) for number, word in enumerate(WORDS)]
    reads = list(one_by_one(lines))
    short, _ = asyncio.run(played(Case("text"), reads, fast=True, most=most))
    long, _ = asyncio.run(played(Case("text"), reads, fast=False, most=most))
    assert short == long


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"error":{"message":"broke","code":500}}\n\n',
        b": a comment\n\n",
        b"event: x\ndata: {}\n\n",
        b"no event at all\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n',
        vllm({"content": "a"}, 1)[:-1].join((b"data: ", b"\n\n")),
        b"data: %b\n\n" % vllm({"content": "a", "reasoning": "hm"}, 1),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"\xff"'),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"\\ud83d"'),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"a","content":"b"'),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"\n"'),
        b"",
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_what_differs_goes_the_long_way(odd: bytes, joined: bool) -> None:
    def more(word: str) -> list[bytes]:
        return [chunk_of(b"data: %b\n\n" % vllm({"content": word}, 1)) for _ in range(12)]

    wrong_size = [b"fff\r\n" + more("x")[0][4:]]
    for middle in ([chunk_of(odd)] if odd else wrong_size, [odd]):
        reads = [*more("one "), *middle, *more("two "), chunk_of(b"data: [DONE]\n\n") + b"0\r\n\r\n"]
        same(Case("text"), [b"".join(reads[at : at + 5]) for at in range(0, len(reads), 5)] if joined else reads)


@pytest.mark.parametrize("word", ["abcdefgh", "abcdefgh" * 100, "ü" * 20])
def test_an_answer_that_is_too_long_fails_in_the_same_place(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("backends.chat.answer_streams", "backends.chat.decoder"):
        monkeypatch.setattr(f"antiphon.{module}.MOST_SAID", 50_000)
    lines = [vllm({"content": word}, number) for number in range(60_000 // len(word))]
    assert same(Case("text"), list(one_by_one(lines)))


# What switches it off, in a whole server


class Paced(BaseHTTPRequestHandler):
    """Sends an answer word by word."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = b'{"object":"list","data":[{"id":"m","object":"model"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        lines = [vllm({"content": str((number + 1) % 10)}, number) for number in range(50)]
        for part in framed([*lines, vllm({}, 99, "stop")]):
            self.wfile.write(part)
            time.sleep(0.003)


@pytest.fixture(scope="module")
def paced() -> Iterator[str]:
    with upstream(Paced) as url:
        yield url


SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "integer"}, "strict": True}
TEXT = "1234567890" * 5


def text_of(events: Sequence[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@pytest.mark.slow
def test_a_plain_stream_takes_it(paced: str) -> None:
    with whole_server(paced) as server:
        Counting.total = 0
        events = server.stream(model="m", input="Hi", store=False)
        assert text_of(events) == events[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert Counting.total


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"include": ["message.output_text.logprobs"]},
        {"text": {"format": SCHEMA}},
        {"background": True, "store": True},
    ],
    ids=str,
)
def test_who_has_to_look_switches_it_off(paced: str, fields: Json) -> None:
    with whole_server(paced, structured_output="repair") as server:
        Counting.total = 0
        events = server.stream(**{"model": "m", "input": "Hi", "store": False, **fields})
        assert Counting.total == 0
        assert events[-1]["type"] in TERMINAL


@pytest.mark.slow
def test_a_guard_that_looks_at_answers_switches_it_off(paced: str) -> None:
    with whole_server(paced, guards={"codes": GuardConfig(patterns=["zebra"])}) as server:
        Counting.total = 0
        assert text_of(server.stream(model="m", input="Hi", store=False)) == TEXT
        assert Counting.total == 0


@pytest.mark.slow
def test_traces_websockets_and_other_front_ends_switch_it_off(paced: str) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with whole_server(paced) as server:
        Counting.total = 0
        traced = raw(server, "/v1/responses", model="m", input="Hi", store=False, **{"x-antiphon-trace": "deltas"})
        assert b": backend " in traced
        assert b"message_stop" in raw(server, "/v1/messages", model="m", max_tokens=100, messages=messages)
        with server.websocket() as connection:
            assert text_of(turn(connection, model="m", input="Hi", store=False)) == TEXT
        assert Counting.total == 0


def raw(server: WholeServer, path: str, **fields: Any) -> bytes:
    """Return the bytes of a stream; a field with a dash is a header."""
    body = json.dumps({name: value for name, value in fields.items() if "-" not in name} | {"stream": True}).encode()
    headers = {name: value for name, value in fields.items() if "-" in name}
    request = urllib.request.Request(server.url + path, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return bytes(reply.read())
