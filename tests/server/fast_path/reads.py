"""Bytes of a backend as reads of its connection, and the frames that a client gets of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from antiphon.backends.chat.answer_streams import ChatStream
from antiphon.backends.chat.answers.fast_chunks import FastChunks
from antiphon.backends.chat.codec import CodecOptions, decoder, request
from antiphon.backends.learning.adaptations import Adaptations
from antiphon.backends.learning.asking import Asking
from antiphon.core.deltas import Delta
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.text import sse
from antiphon.errors import APIError
from antiphon.net.http.protocol import HttpConnection, Timeouts
from antiphon.responses.sink import Outlet
from antiphon.server.api.foreground import SSESink
from antiphon.server.http.messages import ClientGone
from tests.golden.chat import turn_of
from tests.golden.player import ENDED, Case

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


# Shapes of real servers


NAMES = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "model": "m"}


def dense(chunk: Json) -> bytes:
    return json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode()


def vllm(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": why, "token_ids": None}
    return dense({**NAMES, "created": 1795890193, "choices": [choice]})


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
