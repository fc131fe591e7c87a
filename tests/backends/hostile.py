# ruff: noqa: E501 (a table reads best with one case per line)
"""What a broken or hostile backend may send: raw bytes, as data, and a server that sends them.

Each kind is a model: a request's `model` names what it is answered with, the same bytes for a stream and for a whole answer.
`FINE` answers well, so that it can be seen that the next request gets its own answer.
"""

from __future__ import annotations

import gzip
import json
import socketserver
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple, get_args

from tests.backends import hostile_messages

Api = Literal["chat", "responses", "anthropic"]
APIS: tuple[Api, ...] = get_args(Api)
Json = dict[str, Any]
Piece = bytes | float
"""Bytes to send, or seconds to wait."""

SECRET = "operators-own-secret-4711"
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

# Answers that are not HTTP as it should be: the same for both


def _http(api: Api) -> Iterator[Kind]:
    body, begun = BODY[api], BEGUN[api]
    sized = head(length=len(body)) + body

    def kind(
        name: str, *pieces: Piece, ends: Literal["failed", "any"] = "any", quick: bool = True, keep: bool = False
    ) -> Kind:
        return Kind(f"{api}-http-{name}", api, lambda: iter(pieces), ends, quick, keep)

    def many(
        name: str, pieces: Callable[[], Iterator[Piece]], ends: Literal["failed", "any"] = "failed", quick: bool = True
    ) -> Kind:
        return Kind(f"{api}-http-{name}", api, pieces, ends, quick)

    yield kind("nothing", ends="failed")
    yield kind("no-http", b"220 mail.example ESMTP\r\n", ends="failed")
    yield kind("http-0.9", body, ends="failed")
    yield kind("http-9.9", b"HTTP/9.9 200 OK\r\n\r\n" + body)
    yield kind("tls", b"\x15\x03\x01\x00\x02\x02\x28", ends="failed")
    yield kind("head-cut", b"HTTP/1.1 200 OK\r\ncontent-ty", ends="failed")
    yield kind("head-hangs", b"HTTP/1.1 200 OK\r\ncontent-ty", 30.0, ends="failed", quick=False)
    yield many("head-drips", lambda: _drip(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), quick=False)
    yield kind("head-large", b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 1_000_000 + b"\r\n\r\n" + body, ends="failed")
    yield kind("head-many", b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 100_000 + b"\r\n" + body, ends="failed")
    yield kind("head-nul", b"HTTP/1.1 200 OK\r\nx-a: \0\r\n\r\n" + body)
    yield kind("head-folded", b"HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\n\r\n" + body)
    yield kind("head-bare-lf", b"HTTP/1.1 200 OK\ncontent-type: text/event-stream\n\n" + body)
    yield kind("informed-first", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + sized)
    yield many("informed-for-ever", lambda: iter([b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 200))
    yield kind(
        "switches", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx", ends="failed"
    )
    yield kind("status-204", b"HTTP/1.1 204 No Content\r\n\r\n", ends="failed")
    yield kind("status-304", b"HTTP/1.1 304 Not Modified\r\n\r\n", ends="failed")
    yield kind("status-099", b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n", ends="failed")
    yield kind("status-999", b"HTTP/1.1 999 High\r\ncontent-length: 0\r\n\r\n", ends="failed")
    yield kind("redirect", head("302 Found", "text/html", "location: http://169.254.169.254/", length=0), ends="failed")
    yield kind("two-lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", ends="failed")
    yield kind("negative-length", b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", ends="failed")
    yield kind(
        "length-and-chunks",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked", length=5) + chunked(body),
        ends="failed",
    )
    yield kind("too-short", head(length=len(body) + 100) + begun, ends="failed")
    yield kind("too-long", sized + b"and more", 0.05, keep=True)
    yield kind("two-answers", sized + sized, 0.05, keep=True)
    yield kind("an-answer-and-a-half", sized + b"HTTP/1.1 200 OK\r\ncontent-", 0.05, keep=True)
    yield kind(
        "chunk-size",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked") + b"xyz\r\n" + body,
        ends="failed",
    )
    yield kind(
        "chunk-huge",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked") + b"ffffffffffffffffff\r\n",
        ends="failed",
    )
    yield kind(
        "chunk-cut", head("200 OK", "text/event-stream", "transfer-encoding: chunked") + chunked(begun), ends="failed"
    )
    yield many("chunk-extension", lambda: _flood(b"5;a=", b"b" * 65536, 64))
    yield many("trailers", lambda: _flood(chunked(begun) + b"0\r\n", b"x-a: " + b"b" * 4000 + b"\r\n", 500))
    yield kind(
        "trailer-as-header",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked")
        + chunked(body)
        + b"0\r\ncontent-encoding: gzip\r\n\r\n",
    )
    yield kind("reset-at-once", b"HTTP/1.1 200 OK\r\n", ends="failed")
    yield kind("cut", head() + begun, ends="failed")
    yield kind("hangs", head() + begun, 30.0, ends="failed", quick=False)
    yield many("comments", lambda: _drip(head(), b": still here\n\n"), quick=False)
    yield many("comments-after", lambda: _drip(head() + begun, b": still here\n\n"), quick=False)
    yield many("blanks", lambda: _drip(head(type="application/json"), b"\n"), quick=False)
    yield many("one-endless-line", lambda: _endless(head() + b"data: ", b"a" * 65536, 300))
    yield many("lines-without-end", lambda: _endless(head(), b"data: a\n" * 8192, 300))
    yield many("comment-flood", lambda: _endless(head(), b": a\n\n" * 10_000, 400))
    yield kind("gzip", head("200 OK", "text/event-stream", "content-encoding: gzip") + gzip.compress(body))
    yield kind("gzip-bomb", head("200 OK", "application/json", "content-encoding: gzip") + _bomb(), ends="failed")
    yield kind(
        "gzip-cut",
        head("200 OK", "text/event-stream", "content-encoding: gzip") + gzip.compress(begun * 99)[:40],
        ends="failed",
    )
    yield kind("gzip-not", head("200 OK", "text/event-stream", "content-encoding: gzip") + body, ends="failed")
    yield kind("gzip-twice", head("200 OK", "text/event-stream", "content-encoding: gzip, gzip") + body, ends="failed")
    for name in ("br", "zstd", "x" * 5000):
        yield kind(
            f"packed-{name[:4]}", head("200 OK", "text/event-stream", f"content-encoding: {name}") + body, ends="failed"
        )
    yield kind("no-type", b"HTTP/1.1 200 OK\r\n\r\n" + body)
    yield kind("type-image", head(type="image/png") + body)
    yield kind("type-json-of-sse", head(type="application/json") + body)
    yield kind("html", head(type="text/html") + b"<html>" * 1000, ends="failed")
    yield kind("utf-16", head() + body.decode().encode("utf-16"), ends="failed")
    yield kind("bom", head() + b"\xef\xbb\xbf" + body)
    yield kind("crlf", head() + body.replace(b"\n", b"\r\n"))
    yield kind("cr", head() + body.replace(b"\n", b"\r"))
    yield kind("nul-bytes", head() + b"data: \0\0\0\n\n", ends="failed")
    lengths = {
        "sized": sized,
        "chunked": head("200 OK", "text/event-stream", "transfer-encoding: chunked") + chunked(body) + b"0\r\n\r\n",
    }
    for way, answer in lengths.items():
        for at in range(1, len(answer) - 1, len(answer) // 12):
            yield kind(f"{way}-cut-at-{at}", answer[:at])
    yield from _refusals(api)


def _refusals(api: Api) -> Iterator[Kind]:
    def kind(name: str, *pieces: Piece) -> Kind:
        return Kind(f"{api}-refusal-{name}", api, lambda: iter(pieces), "failed")

    words = f"I was called with {SECRET} by token=abcdefgh12345 AKIAABCDEFGHIJKLMNOP at http://u:p@10.1.2.3:8000/x"
    yield kind("secrets", whole({"error": {"message": words, "code": SECRET, "param": SECRET}}, "400 Bad"))
    yield kind("secrets-500", whole({"error": {"message": words}}, "500 Bad"))
    yield kind("secrets-as-text", head("500 Bad", "text/plain", length=len(words)) + words.encode())
    yield kind("deep", whole(b"[" * 100_000, "400 Bad"))
    yield kind("deep-and-closed", whole(b'{"error":' * 900 + b"1" + b"}" * 900, "400 Bad"))
    yield kind("number", whole(b'{"error":{"code":' + b"9" * 5000 + b"}}", "400 Bad"))
    yield kind("types", whole({"error": {"message": 5, "code": [], "param": {}, "type": 7}}, "400 Bad"))
    yield kind("list", whole([{"error": {"message": "words", "code": 400}}], "400 Bad"))
    yield kind("no-utf-8", whole(b'{"error":{"message":"\xff\xfe"}}', "400 Bad"))
    yield kind("code-of-digits", whole({"error": {"message": "m", "code": "²"}}, "500 Bad"))
    yield kind("line-breaks", whole({"error": {"message": "a\n\ndata: [DONE]\n\n", "code": "a\r\nb: c"}}, "400 Bad"))
    yield kind("html", head("502 Bad Gateway", "text/html") + b"<html>nginx</html>")
    yield kind("empty", head("500 Bad", "text/plain", length=0))
    yield Kind(
        f"{api}-refusal-large", api, lambda: _endless(head("400 Bad", "text/plain"), b"a" * 65536, 1600), "failed"
    )
    for name, value in (
        ("year", "31536000"),
        ("negative", "-5"),
        ("date", "Wed, 21 Oct 2099 07:28:00 GMT"),
        ("words", "soon\t"),
        ("nan", "nan"),
        ("infinite", "1e999"),
    ):
        yield kind(f"retry-{name}", whole({"error": {"message": "busy"}}, "429 Busy", f"retry-after: {value}"))


def _drip(first: bytes, piece: bytes) -> Iterator[Piece]:
    yield first
    for _ in range(600):
        yield 0.05
        yield piece


def _flood(first: bytes, piece: bytes, count: int) -> Iterator[Piece]:
    yield head("200 OK", "text/event-stream", "transfer-encoding: chunked") + first
    for _ in range(count):
        yield piece


def _endless(first: bytes, piece: bytes, count: int) -> Iterator[Piece]:
    yield first
    for _ in range(count):
        yield piece


def _bomb() -> bytes:
    """Return 300 MB of spaces, gzipped: one block again and again, as to pack it all would take seconds."""
    spaces, count, checksum = b" " * 1_000_000, 300, 0
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(count):
        checksum = zlib.crc32(spaces, checksum)
    head = b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff"
    return head + block * count + packer.flush() + struct.pack("<II", checksum, len(spaces) * count)


# Chat completions


def _chat() -> Iterator[Kind]:
    """Yield answers of a chat backend whose JSON is not what it should be; each is sent as a stream, and whole."""
    odd: dict[str, object] = {
        "null": None,
        "list": [],
        "number": 5,
        "empty": {},
        "choices-text": {"choices": "x"},
        "choices-null": {"choices": None},
        "choices-odd": {"choices": [None, 5, "x", []]},
        "delta-list": chunk([]),
        "delta-null": {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
        "content-number": chunk({"content": 5}, "stop"),
        "content-list": chunk({"content": [{"type": "text", "text": "a"}, 5]}, "stop"),
        "content-surrogate": b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":"stop"}]}',
        "content-breaks": chunk({"content": "\n\ndata: [DONE]\n\n"}, "stop"),
        "content-nul": chunk({"content": "a\0b"}, "stop"),
        "finish-number": chunk({"content": "a"}, 5),
        "finish-odd": chunk({"content": "a"}, "x" * 10_000),
        "usage-negative": chunk({"content": "a"}, "stop", usage={"prompt_tokens": -5, "completion_tokens": -7}),
        "usage-huge": chunk({"content": "a"}, "stop", usage={"prompt_tokens": 10**30, "completion_tokens": 1}),
        "usage-text": chunk({"content": "a"}, "stop", usage={"prompt_tokens": "x"}),
        "usage-list": chunk({"content": "a"}, "stop", usage=[]),
        "calls-object": chunk({"tool_calls": {}}, "tool_calls"),
        "calls-odd": chunk({"tool_calls": [None, 5, {}, {"function": None}, {"function": 5}]}, "tool_calls"),
        "calls-afar": chunk({"tool_calls": [{"index": 10**12, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
        "calls-negative": chunk({"tool_calls": [{"index": -1, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
        "calls-breaks": chunk({"tool_calls": [{"index": 0, "id": 'a"\r\n', "function": {"name": 'f","x":"\n\n', "arguments": "\n"}}]}, "tool_calls"),
        "calls-many": chunk({"tool_calls": [{"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(500)]}, "tool_calls"),
        "calls-one-id": chunk({"tool_calls": [{"index": n, "id": "same", "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(50)]}, "tool_calls"),
        "calls-long-name": chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f" * 1_000_000, "arguments": "{}"}}]}, "tool_calls"),
        "calls-deep": chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "[" * 100_000}}]}, "tool_calls"),
        "calls-number": chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "9" * 6000}}]}, "tool_calls"),
        "logprobs-odd": {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [5]}, "finish_reason": "stop"}]},
        "reasoning-odd": chunk({"reasoning_content": 5, "reasoning": [], "content": "a"}, "stop"),
        "error-code-of-digits": {"error": {"message": "m", "code": "²"}},
        "error-number": {"error": 5},
        "error-secret": {"error": {"message": f"key {SECRET} at 10.0.0.1:99", "code": SECRET}},
        "envelope": {"code": 50508, "msg": "System is too busy", "success": False},
        "model-breaks": chunk({"content": "a"}, "stop", model="\n\ndata: [DONE]\n\n"),
        "doubled-keys": b'{"choices":[],"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}',
        "long-number": b'{"choices":[],"created":' + b"9" * 5000 + b"}",
        "deep": b"[" * 100_000,
        "deep-inside": b'{"choices":[{"index":0,"delta":{"content":"a","x":' + b"[" * 100_000 + b"}}]}",
        "no-json": b"not json at all",
        "no-utf-8": b'{"choices":[{"index":0,"delta":{"content":"\xff"},"finish_reason":"stop"}]}',
    }  # fmt: skip
    for name, value in odd.items():
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        stream = head() + sse(body)
        message = body.replace(b'"delta"', b'"message"')
        yield Kind(f"chat-event-{name}", "chat", lambda stream=stream: iter([stream]))  # type: ignore[misc]
        yield Kind(f"chat-whole-{name}", "chat", lambda message=message: iter([whole(message)]))  # type: ignore[misc]
    yield Kind("chat-done-alone", "chat", lambda: iter([head() + sse()]), "any")
    yield Kind(
        "chat-role-alone", "chat", lambda: iter([head() + sse(chunk({"role": "assistant"}), done=False)]), "failed"
    )
    yield Kind(
        "chat-text-then-error",
        "chat",
        lambda: iter([head() + sse(chunk({"content": "a"}), {"error": {"message": SECRET}})]),
        "failed",
    )
    yield Kind("chat-empty-chunks", "chat", lambda: iter([head(), *[sse(chunk(), done=False) * 100] * 200, sse()]))


# Responses

CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}


def _responses() -> Iterator[Kind]:
    """Yield streams of a Responses backend whose events are not what they should be."""
    name = 'x":1,"type":"response.output_text.delta","delta":"injected","y'
    streams: dict[str, list[object]] = {
        "nothing": [],
        "null": [None],
        "list": [[]],
        "number": [5],
        "no-type": [{}],
        "type-number": [{"type": 5}],
        "type-breaks": [{"type": "x\n\ndata: [DONE]\n\ndata: [DONE]\n\n"}, completed(ITEM)],
        "type-quotes": [{"type": 'x","response":{},"y":"'}, completed(ITEM)],
        "type-long": [{"type": "response." + "a" * 100_000}],
        "type-unknown": [{"type": "response.made_up.thing", name: 1, "output_index": 0}, completed(ITEM)],
        "names": [added({**ITEM, name: 1, "content": []}), {**text("a"), name: 2}, done({**ITEM, name: 3}), completed({**ITEM, name: 4})],
        "index-text": [added(ITEM, output_index="x"), completed(ITEM)],
        "index-negative": [added(ITEM, output_index=-5), completed(ITEM)],
        "index-afar": [added(ITEM, output_index=10**12), completed(ITEM)],
        "index-huge": [added(ITEM, output_index=10**30), completed(ITEM)],
        "index-float": [added(ITEM, output_index=0.5), completed(ITEM)],
        "index-missing": [{"type": "response.output_item.added", "item": ITEM}, completed(ITEM)],
        "index-twice": [added(CALL, output_index=1), done(CALL, output_index=1), added(ITEM, output_index=1), done(ITEM, output_index=1), completed(CALL, ITEM)],
        "content-index-afar": [text("a", content_index=10**12), text("b", content_index=-1), completed(ITEM)],
        "no-item": [{"type": "response.output_item.added", "output_index": 0}],
        "item-null": [added(None), done(None)],
        "item-text": [added("x")],
        "item-no-type": [added({"id": "a"})],
        "item-odd-type": [added({"id": "a", "type": "made_up"})],
        "item-empty": [done({"type": "message"}), completed(ITEM)],
        "item-content": [done({**ITEM, "content": "x"}), completed(ITEM)],
        "item-content-odd": [done({**ITEM, "content": [5]})],
        "item-part-odd": [done({**ITEM, "content": [{"type": "made_up"}]})],
        "item-status-null": [done({**ITEM, "status": None}), completed()],
        "item-status-odd": [done({**ITEM, "status": ["x"]}), completed()],
        "item-id-number": [done({**ITEM, "id": 5}), completed()],
        "item-id-long": [done({**ITEM, "id": "a" * 1_000_000}), completed()],
        "item-twice": [done(ITEM), done(ITEM), completed(ITEM, ITEM)],
        "item-never-closed": [added(ITEM), text("a"), completed()],
        "item-reopened": [done(ITEM), text("a"), completed(ITEM)],
        "items-many": [*(done({**CALL, "id": f"fc_{n}", "call_id": f"c{n}"}, output_index=n) for n in range(3000)), completed()],
        "call-no-name": [done({"type": "function_call", "id": "a", "call_id": "c", "arguments": "{}"})],
        "call-arguments-object": [done({**CALL, "arguments": {"a": 1}}), completed()],
        "call-arguments-number": [done({**CALL, "arguments": 5}), completed()],
        "call-unknown": [{"type": "response.function_call_arguments.delta", "item_id": "fc_9", "delta": "{}"}],
        "search": [added(SEARCH), {"type": "response.web_search_call.searching", "item_id": "ws_1"}, completed(SEARCH)],
        "search-no-action": [done({"type": "web_search_call", "id": "a", "status": "completed"})],
        "search-never-closed": [added(SEARCH)],
        "mcp-list": [done({"type": "mcp_list_tools", "id": "a", "server_label": "s", "tools": "x"})],
        "compaction": [done({"type": "compaction", "id": "a", "encrypted_content": 5})],
        "output-of-a-client": [done({"type": "function_call_output", "id": "a", "call_id": "c", "output": 5})],
        "reference": [done({"type": "item_reference", "id": "msg_1"})],
        "delta-number": [text(5)],
        "delta-null": [text(None)],
        "delta-missing": [{"type": "response.output_text.delta", "item_id": "a"}],
        "delta-breaks": [text("\n\ndata: [DONE]\n\n"), completed()],
        "delta-surrogate": [b'{"type":"response.output_text.delta","delta":"\\ud83d"}', completed()],
        "delta-logprobs": [text("a", logprobs=[5, {"token": 1}]), completed()],
        "delta-no-utf-8": [b'{"type":"response.output_text.delta","delta":"\xff"}'],
        "annotations": [done({**ITEM, "content": [{"type": "output_text", "text": "a", "annotations": "x", "logprobs": 5}]}), completed()],
        "part-null": [{"type": "response.content_part.added", "item_id": "msg_1", "part": None}, completed(ITEM)],
        "response-missing": [{"type": "response.completed"}],
        "response-null": [{"type": "response.completed", "response": None}],
        "response-text": [{"type": "response.completed", "response": "x"}],
        "output-text": [completed(output="x")],
        "output-null": [completed(output=None, usage=None)],
        "output-empty": [{"type": "response.completed", "response": {}}],
        "usage-odd": [completed(ITEM, usage=[])],
        "usage-negative": [completed(ITEM, usage={"input_tokens": -5, "output_tokens": 10**40})],
        "usage-text": [completed(ITEM, usage={"input_tokens": "x"})],
        "status-odd": [completed(ITEM, status="failed")],
        "status-number": [completed(ITEM, status=5)],
        "details-odd": [completed(ITEM, incomplete_details=[5], status="incomplete")],
        "failed-bare": [{"type": "response.failed", "response": {"error": None}}],
        "failed-code-number": [{"type": "response.failed", "response": {"error": {"code": 5, "message": 7}}}],
        "failed-secret": [text("a"), {"type": "response.failed", "response": {"error": {"code": SECRET, "message": f"key {SECRET}"}}}],
        "error-odd": [{"type": "error", "error": 5, "code": "²", "message": []}],
        "error-secret": [{"type": "error", "message": f"token={SECRET} https://u:{SECRET}@h/x"}],
        "error-breaks": [{"type": "error", "code": "a\n\ndata: x", "message": "a\r\n\r\ndata: [DONE]\n\n"}],
        "deep": [b"[" * 100_000],
        "deep-response": [b'{"type":"response.completed","response":' + b"[" * 100_000],
        "deep-item": [b'{"type":"response.output_item.done","item":{"type":"message","x":' + b"[" * 900 + b"]" * 900 + b"}}"],
        "long-number": [b'{"type":"response.completed","response":{"usage":' + b"9" * 5000 + b"}}"],
        "big-number": [done({**ITEM, "x": 10**25}), completed(ITEM)],
        "doubled-keys": [b'{"type":"response.created","type":"x\\n"}', completed(ITEM)],
        "after-the-end": [completed(ITEM), text("more"), completed(ITEM), {"type": "error", "message": "late"}],
        "two-ends": [completed(ITEM), {"type": "response.failed", "response": {"error": {"message": "m"}}}],
        "created-for-ever": [{"type": "response.in_progress", "response": {}}] * 5000,
        "many-values": [b'{"type":"response.completed","response":{"output":[' + b"{}," * 1_000_000 + b"{}]}}"],
        "values-by-comma": [b'{"type":"response.x","a":[' + b"1," * 5_000_000 + b"1]}"],
    }  # fmt: skip
    for kind, events in streams.items():
        yield Kind(f"responses-{kind}", "responses", lambda events=events: iter([head(), sse(*events, done=False)]))  # type: ignore[misc]
    wholes: dict[str, object] = {
        "fine": response(ITEM),
        "null": None,
        "empty": {},
        "chat": {"choices": [{"message": {"content": "a"}}]},
        "error": {"error": {"message": SECRET}},
        "failed": response(status="failed", error={"message": "m", "code": "x"}),
        "output-odd": response(output={"a": 1}),
        "items-odd": response(None, 5, {}, {"type": "message"}),
        "deep": b'{"object":"response","output":' + b"[" * 100_000,
        "no-json": b"{oops",
    }
    for kind, body in wholes.items():
        yield Kind(f"responses-whole-{kind}", "responses", lambda body=body: iter([whole(body)]))  # type: ignore[misc]


# Messages


def _messages() -> Iterator[Kind]:
    """Yield streams and whole answers of a Messages backend that are not what they should be."""
    for name, events in hostile_messages.streams(SECRET).items():
        yield Kind(f"anthropic-{name}", "anthropic", lambda events=events: iter([head(), sse(*events, done=False)]))  # type: ignore[misc]
    for name, body in hostile_messages.wholes(SECRET).items():
        yield Kind(f"anthropic-whole-{name}", "anthropic", lambda body=body: iter([whole(body)]))  # type: ignore[misc]


KINDS: dict[str, Kind] = {
    kind.name: kind for kinds in (*(_http(api) for api in APIS), _chat(), _responses(), _messages()) for kind in kinds
}


# The server


class _Handler(socketserver.BaseRequestHandler):
    """Answers what it is asked with the bytes of the kind that `model` names; `/models` lists them all."""

    server: HostileServer

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while (asked := self._read()) is not None:
                if not self._answer(asked):
                    return

    def _read(self) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.request.recv(65536)
            if not more:
                return None
            data += more
        start, body = data.split(b"\r\n\r\n", 1)
        length = next(
            (int(line[15:]) for line in start.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            more = self.request.recv(65536)
            if not more:
                return None
            body += more
        return body

    def _answer(self, asked: bytes) -> bool:
        """Send an answer; False where the connection is to be closed then."""
        if not asked:
            self.request.sendall(whole(self.server.models()))
            return True
        model = json.loads(asked)["model"]
        if model == FINE:
            body = BODY[self.server.api]
            self.request.sendall(head(length=len(body)) + body)
            return True
        kind = KINDS[model]
        for piece in kind.pieces():
            if isinstance(piece, bytes):
                self.request.sendall(piece)
            elif self.server.stopped.wait(piece):
                return False
        return kind.keep


class HostileServer(socketserver.ThreadingTCPServer):
    """A backend of one API that sends what KINDS holds."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, api: Api) -> None:
        self.api = api
        self.stopped = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def models(self) -> Json:
        """Return the list of models: the kinds of its API."""
        names = [FINE, *(kind.name for kind in KINDS.values() if kind.api == self.api)]
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error here."""


@contextmanager
def hostile(api: Api) -> Iterator[HostileServer]:
    """Run such a backend in a thread; gives it, with its base `url`."""
    server = HostileServer(api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
        time.sleep(0)
